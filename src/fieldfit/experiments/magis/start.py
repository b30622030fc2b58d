"""Where a density fit starts: the envelope from the moments of the views, and the fringe's wave vector from their spectra.

    view moments   mean_v = o_v + E_v c,   covariance_v = E_v S E_v^T               E_v: slope of (row, column) by position, at the world's origin
    spectrum       |F_v(q)|^2 / sum(counts) ~ Exp(1) where there is Poisson noise only
    slice theorem  F_v(q) sees the wave vectors k = E_v^T q, smeared by 1/size along the line of sight (Bracewell, Aust. J. Phys. 9, 198 (1956))

The truth is never looked at.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import images, local_axes

OVERSAMPLED = 2  # zero padding of the spectra
SIGNIFICANT = 32.0  # of the summed spectral power above its mean: below 1e-4 by chance in the 1e6 places looked at
KNOWN = 3.0  # standard deviations of the power above its mean, where one place alone is looked at: half a percent by chance
ALONE = 0.1  # a view sees a wave alone where all others together see less of its power
DOUBT = 0.2  # |k along the line of sight| size below which the mirrored wave is the same to the fit
LIT_WINDOWS, LIT_SIGMA = (5, 15, 45), 5.0  # pixels, and standard deviations of the dark ones, of the light that a view's moments start from
REACH = 3.0  # search along the line of sight, in units of 1/size


@dataclass(frozen=True)
class Moments:
    """atoms; centre (3) [m]; covariance (3, 3) [m2] of the light in all views."""

    atoms: float
    centre: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Wave:
    """vector (3) [rad/m], its largest component positive; power: summed over the views, in units of its noise; views: power seen by each;
    mirrored (3): the vector that the one view which sees the wave cannot tell from it, reflected in that view's line of sight, or None."""

    vector: np.ndarray
    power: float
    views: np.ndarray
    mirrored: np.ndarray | None = None


@dataclass(frozen=True)
class View:
    """A view as a parallel projection. origin: row and column of the world's origin; slope (2, 3) of row and column by position [pixels/m];
    sight (3): unit vector along the line of sight; electrons: for each photon emitted at the origin; pixel [m]: its edge at the object."""

    origin: np.ndarray
    slope: np.ndarray
    sight: np.ndarray
    electrons: float
    pixel: float


def views_of(cameras: Sequence[Camera]) -> list[View]:
    """The cameras as parallel projections about the world's origin."""
    found = []
    for camera in cameras:
        place, slope = (np.array(part) for part in local_axes(camera))
        sight = np.cross(slope[0], slope[1])
        electrons = float(images(camera, torch.zeros(1, 3, dtype=torch.float64)).electrons[0])
        found.append(View(place, slope, sight / np.linalg.norm(sight), electrons, 1 / float(np.linalg.norm(slope, axis=1).mean())))
    return found


def moments(views: Sequence[View], electrons: np.ndarray, good: np.ndarray, photons_per_atom: float) -> Moments:
    """First and second moments of the cloud from the views.

    electrons: (view, row, column) above the pedestal; good: the same, False for a bad pixel.
    Light is weighted by a window that follows the cloud, so that the noise of dark pixels does not swamp the second moments.
    """
    first, second, light, twos = [], [], [], []
    for view, image, use in zip(views, electrons, good, strict=True):
        place, (a, b, c), total = _view_moments(np.where(use, image, 0.0))
        first.append(np.array(place) - view.origin)
        u, v = view.slope
        twos += [_quadratic(u, u), _quadratic(u, v), _quadratic(v, v)]
        second += [a, b, c]
        light.append(total / (view.electrons * photons_per_atom))
    pixel = max(view.pixel for view in views)
    centre = np.linalg.lstsq(np.concatenate([view.slope for view in views]) * pixel, np.concatenate(first), rcond=None)[0] * pixel
    s = np.linalg.lstsq(np.array(twos) * pixel**2, np.array(second), rcond=None)[0] * pixel**2
    covariance = np.array([[s[0], s[3], s[4]], [s[3], s[1], s[5]], [s[4], s[5], s[2]]])
    values, vectors = np.linalg.eigh(covariance)
    covariance = (vectors * np.clip(values, max((2 * pixel) ** 2, 0.05 * values.max()), None)) @ vectors.T
    return Moments(float(np.mean(light)), centre, covariance)


def _quadratic(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.array([u[0] * v[0], u[1] * v[1], u[2] * v[2], u[0] * v[1] + u[1] * v[0], u[0] * v[2] + u[2] * v[0], u[1] * v[2] + u[2] * v[1]])


def _view_moments(image: np.ndarray, rounds: int = 12) -> tuple[tuple[float, float], tuple[float, float, float], float]:
    """(row, column), (covariance: rows, mixed, columns) [pixels], electrons. The window is a Gaussian of four times the covariance found so far, or
    once where the cloud's densest pixels are dimmer than the dark ones' variance: undone by 1/S = 1/S_w - 1/(4 S), exact for a Gaussian cloud."""
    r, c = np.arange(image.shape[0])[:, None] + 0.5, np.arange(image.shape[1]) + 0.5
    row, column, matrix = _lit(image, r, c)
    dark = (1.4826 * float(np.median(np.abs(image - np.median(image))))) ** 2
    for _ in range(rounds):
        dim = image.sum() < dark * 2 * math.pi * math.sqrt(np.linalg.det(matrix))
        inverse = np.linalg.inv((1 if dim else 4) * matrix)
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
        values, vectors = np.linalg.eigh(undone)
        if not np.all(values > 1.0):
            break
        row, column = float(np.clip(row + mr, 0, image.shape[0])), float(np.clip(column + mc, 0, image.shape[1]))
        matrix = (vectors * np.minimum(values, max(image.shape) ** 2 / 9)) @ vectors.T  # no wider than the frame
    return (row, column), (matrix[0, 0], matrix[0, 1], matrix[1, 1]), float(image.sum())


def _lit(image: np.ndarray, r: np.ndarray, c: np.ndarray) -> tuple[float, float, np.ndarray]:
    """(row, column, covariance) of the pixels whose surroundings stand out of the dark ones, in the window where one does so most: in one much
    larger than the object the noise of the dark pixels hides it. Where none stands out, the middle of the frame and a quarter of it."""
    clearest, width, lit = LIT_SIGMA, 0, image
    for window in LIT_WINDOWS:
        smooth = uniform_filter(image, window, mode="constant")
        over = smooth - np.median(smooth)
        noise = max(1.4826 * float(np.median(np.abs(over))), np.finfo(float).tiny)
        if over.max() > clearest * noise:
            clearest, width, lit = float(over.max()) / noise, window, np.where(over > LIT_SIGMA * noise, smooth, 0.0)
    weight = lit.sum()
    if not width or weight <= 0:
        return image.shape[0] / 2, image.shape[1] / 2, np.diag([image.shape[0] ** 2 / 16.0, image.shape[1] ** 2 / 16.0])
    row, column = float((lit * r).sum() / weight), float((lit * c).sum() / weight)
    mixed = (lit * (r - row) * (c - column)).sum() / weight
    rows, columns = ((lit * d**2).sum() / weight for d in (r - row, c - column))
    values, vectors = np.linalg.eigh([[rows, mixed], [mixed, columns]])
    return row, column, (vectors * np.maximum(values, 1 + width**2 / 12)) @ vectors.T


def strongest_wave(views: Sequence[View], electrons: np.ndarray, counts: np.ndarray, start: Moments) -> Wave | None:
    """The wave that the spectra of the views show most clearly together, or None where none stands out of the noise.

    electrons: (view, row, column) above the pedestal, bad pixels zero; counts: the same with it.
    Each pixel weighs as much as the envelope's light has a share in its noise (the matched filter of Poisson electrons; North 1943), so that
    the dark part of a frame does not hide a dim cloud's fringe. Periods longer than what a smooth cloud of this size shows by itself are left out.
    """
    spectra, lowest = _spectra(views, electrons, counts, start)
    size = np.sqrt(np.linalg.eigvalsh(start.covariance))
    best: Wave | None = None
    for view, spectrum, low in zip(views, spectra, lowest, strict=True):
        q_row, q_column = (2 * np.pi * np.fft.fftfreq(n) for n in spectrum.shape)
        # |k|^2 = q^T (E E^T) q for k = E^T q
        k2 = _quadratic_form(view.slope @ view.slope.T, q_row[:, None], q_column)
        there = np.where((k2 > low**2) & (k2 < (0.9 * np.pi / view.pixel) ** 2) & (q_column >= 0), spectrum, 0)
        high = np.flatnonzero(there > 0.3 * there.max())
        for place in high[np.argsort(there.ravel()[high])[-3:]]:
            i, j = np.unravel_index(place, there.shape)
            along = np.linspace(-REACH, REACH, 61) / size[0]
            vectors = view.slope.T @ np.array([q_row[i], q_column[j]]) + along[:, None] * view.sight
            seen = np.stack([_power(other, values, vectors, floor) for other, values, floor in zip(views, spectra, lowest, strict=True)], 1)
            top = int(np.argmax(seen.sum(1)))
            if best is None or seen[top].sum() > best.power:
                best = _wave(vectors[top], seen[top], views, size[0])
    return best if best is not None and best.power > SIGNIFICANT + len(views) else None


def wave_at(views: Sequence[View], electrons: np.ndarray, counts: np.ndarray, start: Moments, vector: np.ndarray) -> Wave | None:
    """The wave of this vector [rad/m], which is known beforehand, where the spectra show more than noise there: see `strongest_wave`."""
    spectra = zip(views, *_spectra(views, electrons, counts, start), strict=True)
    seen = np.array([_power(view, spectrum, vector[None], low)[0] for view, spectrum, low in spectra])
    known = seen.sum() > len(views) + KNOWN * math.sqrt(len(views))
    return _wave(vector, seen, views, float(np.sqrt(np.linalg.eigvalsh(start.covariance)[0]))) if known else None


def least_contrast(views: Sequence[View], electrons: np.ndarray, counts: np.ndarray, start: Moments) -> float:
    """Contrast from which on `strongest_wave` finds a fringe that one view sees whole, electrons and counts as there; above 1 where it finds none.

    A contrast C of weighted light E has a power of (C E / 2)^2 in units of the noise.
    """
    powers = []
    for view, image, total in zip(views, electrons, counts, strict=True):
        weight, _ = _weight(view, start, image, total)
        powers.append(float((weight * image).sum()) ** 2 / max(float((weight**2 * total).sum()), 1.0))
    return 2 * math.sqrt((SIGNIFICANT + len(views)) / max(max(powers), np.finfo(float).tiny))


def _wave(vector: np.ndarray, seen: np.ndarray, views: Sequence[View], size: float) -> Wave:
    sight = views[int(np.argmax(seen))].sight
    along = float(vector @ sight)
    alone = seen.sum() - seen.max() < ALONE * seen.max() and abs(along) * size > DOUBT
    upward = np.sign(vector[np.argmax(np.abs(vector))])
    return Wave(vector * upward, float(seen.sum()), seen, (vector - 2 * along * sight) * upward if alone else None)


def _quadratic_form(matrix: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return matrix[0, 0] * a * a + 2 * matrix[0, 1] * a * b + matrix[1, 1] * b * b


def _weight(view: View, start: Moments, image: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, float]:
    """(s / (s + b) of each pixel, s electrons of a Gaussian envelope with the image's light on b of the pedestal; size of the envelope so weighted,
    in its own)."""
    row, column = view.origin + view.slope @ start.centre
    spread = view.slope @ start.covariance @ view.slope.T
    inverse = np.linalg.inv(spread)
    dr, dc = np.arange(image.shape[0])[:, None] + 0.5 - row, np.arange(image.shape[1]) + 0.5 - column
    light = max(float(image.sum()), 1.0) / (2 * np.pi * math.sqrt(np.linalg.det(spread)))
    rho2 = _quadratic_form(inverse, dr, dc)
    s = light * np.exp(-0.5 * rho2)
    weight = s / (s + max(float((counts - image).mean()), np.finfo(float).tiny))
    return weight, math.sqrt(0.5 * float((weight * s * rho2).sum() / (weight * s).sum()))


def _spectra(views: Sequence[View], electrons: np.ndarray, counts: np.ndarray, start: Moments) -> tuple[list[np.ndarray], list[float]]:
    """(of each view, weighted, in units of its noise; wave number below which its envelope hides it [rad/m])."""
    spectra, lowest = [], []
    for view, image, total in zip(views, electrons, counts, strict=True):
        weight, narrower = _weight(view, start, image, total)
        noise = float((weight**2 * total).sum())
        spectra.append(_spectrum(weight * image, noise))
        lowest.append(_lowest(view, start, float((weight * image).sum()), noise, narrower))
    return spectra, lowest


def _spectrum(image: np.ndarray, total: float) -> np.ndarray:
    shape = tuple(OVERSAMPLED * n for n in image.shape)
    return np.abs(np.fft.fft2(image, shape)) ** 2 / max(total, 1.0)


def _lowest(view: View, start: Moments, light: float, counts: float, narrower: float) -> float:
    """Wave number above which a Gaussian envelope, weighted to be `narrower`, has sunk below its view's noise [rad/m]."""
    size = narrower * view.pixel * np.sqrt(np.linalg.eigvalsh(view.slope @ start.covariance @ view.slope.T)[0])
    return float(np.sqrt(2 * np.log(max(light / np.sqrt(counts), math.e))) / size)


def _power(view: View, spectrum: np.ndarray, vectors: np.ndarray, low: float) -> np.ndarray:
    """Spectrum of a view where it sees the wave vectors (n, 3); zero where the view's own envelope hides them."""
    q = np.linalg.solve(view.slope @ view.slope.T, view.slope @ vectors.T)  # k = E^T q + along the line of sight
    i, j = (np.rint(part * n / (2 * np.pi)).astype(int) for part, n in zip(q, spectrum.shape, strict=True))
    across = vectors - (vectors @ view.sight)[:, None] * view.sight
    inside = (np.abs(i) < spectrum.shape[0] // 2) & (np.abs(j) < spectrum.shape[1] // 2) & (np.linalg.norm(across, axis=1) > low)
    return np.where(inside, spectrum[i % spectrum.shape[0], j % spectrum.shape[1]], 0.0)
