"""Where a density fit starts: the envelope from the moments of the views, and the fringe's wave vector from their spectra.

    view moments   mean_v = E_v c,   covariance_v = E_v S E_v^T                     E_v: (up, left) of the view, at the object
    spectrum       |F_v(q)|^2 / sum(counts) ~ Exp(1) where there is Poisson noise only
    slice theorem  F_v(q) sees the wave vectors k with E_v k = q, smeared by 1/size along the line of sight (Bracewell, Aust. J. Phys. 9, 198 (1956))

NumPy only. The truth is never looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldfit.geometry.cameras import Camera

OVERSAMPLED = 2  # zero padding of the spectra
SIGNIFICANT = 32.0  # of the summed spectral power above its mean: below 1e-4 by chance in the 1e6 places looked at
REACH = 3.0  # search along the line of sight, in units of 1/size


@dataclass(frozen=True)
class Moments:
    """atoms; centre (3) [m]; covariance (3, 3) [m2] of the light in all views."""

    atoms: float
    centre: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Wave:
    """vector (3) [rad/m], its largest component positive; power: summed over the views, in units of its noise; views: power seen by each."""

    vector: np.ndarray
    power: float
    views: np.ndarray


def moments(cameras: Sequence[Camera], electrons: np.ndarray, good: np.ndarray, photons_per_atom: float) -> Moments:
    """First and second moments of the cloud from the views.

    electrons: (view, row, column) above the pedestal; good: the same, False for a bad pixel.
    Light is weighted by a window that follows the cloud, so that the noise of dark pixels does not swamp the second moments.
    """
    equations, first, second, light, twos = [], [], [], [], []
    for camera, image, use in zip(cameras, electrons, good, strict=True):
        (row, column), (a, b, c), total = _view_moments(np.where(use, image, 0.0))
        edge = camera.pixel_at_object
        axes = np.array([camera.up, camera.left])
        offset = np.array([row - camera.rows / 2, column - camera.columns / 2]) * edge
        equations.append(axes)
        first.append(offset - 0.0)
        u, v = axes
        twos += [_quadratic(u, u), _quadratic(u, v), _quadratic(v, v)]
        second += [a * edge**2, b * edge**2, c * edge**2]
        light.append(total / (camera.efficiency * camera.radius**2 / (4 * camera.focus**2) * photons_per_atom))
    centre = np.linalg.lstsq(np.concatenate(equations), np.concatenate(first), rcond=None)[0]
    s = np.linalg.lstsq(np.array(twos), np.array(second), rcond=None)[0]
    covariance = np.array([[s[0], s[3], s[4]], [s[3], s[1], s[5]], [s[4], s[5], s[2]]])
    values, vectors = np.linalg.eigh(covariance)
    floor = (2 * max(camera.pixel_at_object for camera in cameras)) ** 2
    covariance = (vectors * np.clip(values, max(floor, 0.05 * values.max()), None)) @ vectors.T
    return Moments(float(np.mean(light)), centre, covariance)


def _quadratic(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.array([u[0] * v[0], u[1] * v[1], u[2] * v[2], u[0] * v[1] + u[1] * v[0], u[0] * v[2] + u[2] * v[0], u[1] * v[2] + u[2] * v[1]])


def _view_moments(image: np.ndarray, rounds: int = 12) -> tuple[tuple[float, float], tuple[float, float, float], float]:
    """(row, column), (covariance: rows, mixed, columns) [pixels], electrons. The window is a Gaussian of twice the covariance found so far,
    undone by 1/S = 1/S_w - 1/(2 S): exact for a Gaussian cloud."""
    r, c = np.arange(image.shape[0])[:, None] + 0.5, np.arange(image.shape[1]) + 0.5
    row, column = image.shape[0] / 2, image.shape[1] / 2
    matrix = np.diag([image.shape[0] ** 2 / 16.0, image.shape[1] ** 2 / 16.0])
    for _ in range(rounds):
        inverse = np.linalg.inv(4 * matrix)
        dr, dc = r - row, c - column
        window = image * np.exp(-0.5 * (inverse[0, 0] * dr**2 + 2 * inverse[0, 1] * dr * dc + inverse[1, 1] * dc**2))
        weight = window.sum()
        if weight <= 0:
            break
        mr, mc = (window * dr).sum() / weight, (window * dc).sum() / weight
        found = np.array([[(window * dr**2).sum(), (window * dr * dc).sum()], [0, (window * dc**2).sum()]]) / weight
        found[1, 0] = found[0, 1]
        found -= np.outer([mr, mc], [mr, mc])
        try:
            undone = np.linalg.inv(np.linalg.inv(found) - inverse)
        except np.linalg.LinAlgError:
            break
        if not np.all(np.linalg.eigvalsh(undone) > 1.0):
            break
        row, column = float(np.clip(row + mr, 0, image.shape[0])), float(np.clip(column + mc, 0, image.shape[1]))
        matrix = (
            np.minimum(undone, np.diag([image.shape[0] ** 2 / 9.0, image.shape[1] ** 2 / 9.0]) + 0.0)
            if undone.max() > image.shape[0] ** 2 / 9
            else undone
        )
    return (row, column), (matrix[0, 0], matrix[0, 1], matrix[1, 1]), float(image.sum())


def strongest_wave(cameras: Sequence[Camera], electrons: np.ndarray, counts: np.ndarray, start: Moments) -> Wave | None:
    """The wave that the spectra of the views show most clearly together, or None where none stands out of the noise.

    electrons: (view, row, column) above the pedestal, bad pixels zero; counts: (view), all electrons, pedestal included.
    Periods longer than what a smooth cloud of this size shows by itself are left out.
    """
    spectra = [_spectrum(image, total) for image, total in zip(electrons, counts, strict=True)]
    size = np.sqrt(np.linalg.eigvalsh(start.covariance))
    lowest = [_lowest(camera, start, light, total) for camera, light, total in zip(cameras, electrons.sum((1, 2)), counts, strict=True)]
    best: Wave | None = None
    for camera, spectrum, low in zip(cameras, spectra, lowest, strict=True):
        q_row, q_column = _frequencies(camera, spectrum.shape)
        length = np.hypot(q_row[:, None], q_column)
        nyquist = np.pi / camera.pixel_at_object
        there = np.where((length > low) & (length < 0.9 * nyquist) & (q_column >= 0), spectrum, 0)
        for place in np.argsort(there, axis=None)[-3:]:
            i, j = np.unravel_index(place, there.shape)
            along = np.linspace(-REACH, REACH, 61) / size[0]
            vectors = q_row[i] * np.array(camera.up) + q_column[j] * np.array(camera.left) + along[:, None] * np.array(camera.look)
            seen = np.stack([_power(other, values, vectors, floor) for other, values, floor in zip(cameras, spectra, lowest, strict=True)], 1)
            top = int(np.argmax(seen.sum(1)))
            if best is None or seen[top].sum() > best.power:
                best = Wave(vectors[top] * np.sign(vectors[top][np.argmax(np.abs(vectors[top]))]), float(seen[top].sum()), seen[top])
    return best if best is not None and best.power > SIGNIFICANT + len(cameras) else None


def _spectrum(image: np.ndarray, total: float) -> np.ndarray:
    shape = tuple(OVERSAMPLED * n for n in image.shape)
    return np.abs(np.fft.fft2(image, shape)) ** 2 / max(total, 1.0)


def _frequencies(camera: Camera, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    edge = camera.pixel_at_object
    return 2 * np.pi * np.fft.fftfreq(shape[0], edge), 2 * np.pi * np.fft.fftfreq(shape[1], edge)


def _lowest(camera: Camera, start: Moments, light: float, counts: float) -> float:
    """Wave number above which a Gaussian envelope has sunk below its view's noise [rad/m]."""
    axes = np.array([camera.up, camera.left])
    size = np.sqrt(np.linalg.eigvalsh(axes @ start.covariance @ axes.T)[0])
    return float(np.sqrt(2 * np.log(max(light / np.sqrt(counts), np.e))) / size)


def _power(camera: Camera, spectrum: np.ndarray, vectors: np.ndarray, low: float) -> np.ndarray:
    """Spectrum of a view where it sees the wave vectors (n, 3); zero where the view's own envelope hides them."""
    up, left = vectors @ np.array(camera.up), vectors @ np.array(camera.left)
    step = [2 * np.pi / (n * camera.pixel_at_object) for n in spectrum.shape]
    i, j = np.rint(up / step[0]).astype(int), np.rint(left / step[1]).astype(int)
    inside = (np.abs(i) < spectrum.shape[0] // 2) & (np.abs(j) < spectrum.shape[1] // 2) & (np.hypot(up, left) > low)
    return np.where(inside, spectrum[i % spectrum.shape[0], j % spectrum.shape[1]], 0.0)
