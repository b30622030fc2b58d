"""Photons traced one by one from atoms to pixels, through nothing that the fit uses.

Only photons that can be detected are drawn. Those that fly to a lens: Poisson with mean photons_per_atom QE (1 - cos(alpha)) / 2, alpha the
aperture's half angle at the atom; their places are even over the aperture, right to (R / d)^2 of the blur. Those that fly to a mirror:
Poisson with mean photons_per_atom QE h / (4 pi d^3) dA on each part dA of its surface, h the atom's height above it, drawn exactly by
rejection. They are reflected, cross the glass by Snell's law at both faces, and pass the ideal thin lens, u' = u - p / f for a ray of slope u
at the place p of the lens, or miss its aperture; they end in the pixel where they cross the sensor, moved by the distortion.
Mirrors do not hide each other, and glass does not reflect. NumPy only.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from fieldfit.simulate.clouds import Values
from fieldfit.simulate.layouts import across
from fieldfit.units import TAU

AT_ONCE = 1 << 20  # photons traced together
ROUNDING = 1e-12


def traced(camera: Mapping[str, Any], atoms: Values, photons_per_atom: float, random: np.random.Generator) -> np.ndarray:
    """(row, column) electrons on one sensor, before the pedestal. atoms: (atom, 3) [m]. With `mirrors` there is no straight view."""
    rows, columns = camera["resolution_hw"]
    electrons = np.zeros(rows * columns, np.int64)
    detected = photons_per_atom * camera["quantum_efficiency"]
    seen = [_by_mirror(camera, m, atoms, detected, random) for m in camera["mirrors"]] if "mirrors" in camera else None
    for place, slope in chain.from_iterable(seen or [_straight(camera, atoms, detected, random)]):
        if "glass" in camera:
            place = _through_glass(camera["glass"], place, slope)
        passed = _squares(place) <= (camera["aperture_diameter_m"] / 2) ** 2 * (1 + ROUNDING)
        electrons += _landed(camera, place[passed], slope[passed])
    return electrons.reshape(rows, columns)


def _straight(camera: Mapping[str, Any], atoms: Values, detected: float, random: np.random.Generator) -> Iterator[tuple[Values, Values]]:
    """(place on the lens [m], slope), each (ray, 2) along up and left. detected: photons an atom, of all directions.

    Without the glass a ray would cross the lens's plane at most t tan(theta) further out: this wider disc is aimed at.
    """
    offset = atoms - np.array(camera["lens_position_m"])
    square, depth = (offset**2).sum(1), offset @ np.array(camera["look"])
    radius = camera["aperture_diameter_m"] / 2
    if "glass" in camera:
        t = camera["glass"]["thickness_m"] / depth
        radius = (radius + t * np.sqrt(np.maximum(square - depth**2, 0))) / (1 - t)
    number = random.poisson(detected * 0.5 * (1 - 1 / np.sqrt(1 + radius**2 / square)))
    beside = np.stack([offset @ np.array(camera[axis]) for axis in ("up", "left")], 1)
    radius = np.broadcast_to(radius, len(atoms))
    for atom in _batches(number):
        place = _on_disc(radius[atom], random)
        yield place, (place - beside[atom]) / depth[atom, None]


def _by_mirror(
    camera: Mapping[str, Any], mirror: Mapping[str, Any], atoms: Values, detected: float, random: np.random.Generator
) -> Iterator[tuple[Values, Values]]:
    """The same for photons that meet the front of a mirror first."""
    normal, radius = np.array(mirror["normal"]), mirror["radius_m"]
    frame = np.stack([*across(normal), normal])
    atoms = (atoms - np.array(mirror["center_m"])) @ frame.T
    atoms = atoms[atoms[:, 2] > 0]
    height = atoms[:, 2]
    nearest = np.hypot(height, np.maximum(np.hypot(atoms[:, 0], atoms[:, 1]) - radius, 0))  # no part of the mirror is nearer
    number = random.poisson(detected * radius**2 / 4 * height / (nearest * nearest * nearest))
    axes = np.array([camera[axis] for axis in ("up", "left", "look")])
    turn, centre = frame @ axes.T, axes @ (np.array(mirror["center_m"]) - np.array(camera["lens_position_m"]))
    for atom in _batches(number):
        spot = _on_disc(np.full(len(atom), radius), random)
        flight = np.concatenate([spot - atoms[atom, :2], height[atom, None]], 1)  # the third is already reflected
        share = nearest[atom] / np.sqrt(_squares(flight))
        hit = random.random(len(atom)) < share * share * share
        flight, spot = flight[hit] @ turn, spot[hit] @ turn[:2] + centre
        towards = flight[:, 2] < 0
        slope = flight[towards, :2] / -flight[towards, 2:]
        yield spot[towards, :2] + spot[towards, 2:] * slope, slope


def _batches(number: np.ndarray) -> Iterator[np.ndarray]:
    """Each atom's index as often as it has photons, about AT_ONCE of them at a time."""
    sofar = np.cumsum(number)
    ends = np.unique(np.append(np.searchsorted(sofar, np.arange(AT_ONCE, number.sum(), AT_ONCE)), len(number)))
    for first, last in zip(np.append(0, ends), ends, strict=False):
        yield np.repeat(np.arange(first, last), number[first:last])


def _on_disc(radius: Values, random: np.random.Generator) -> Values:
    """(n, 2) places, even over discs of n radii."""
    angle = TAU * random.random(len(radius))
    length = radius * np.sqrt(random.random(len(radius)))
    return np.stack([length * np.cos(angle), length * np.sin(angle)], 1)


def _squares(vectors: Values) -> Values:
    return np.einsum("ij,ij->i", vectors, vectors)


def _through_glass(glass: Mapping[str, float], place: Values, slope: Values) -> Values:
    """Where rays cross the lens's plane after a plate that ends there, given where they would without it."""
    thickness, index = glass["thickness_m"], glass["index"]
    front = place - thickness * slope
    sine = slope / np.sqrt(1 + (slope**2).sum(1, keepdims=True))  # of the angle to the axis, with its direction
    sine = sine / index  # first face; the second turns it back, so that the slope stays
    return front + thickness * sine / np.sqrt(1 - (sine**2).sum(1, keepdims=True))


def _landed(camera: Mapping[str, Any], place: Values, slope: Values) -> np.ndarray:
    """Photons on each pixel of the sensor, flattened, of rays that pass the lens."""
    rows, columns = camera["resolution_hw"]
    f = camera["focal_length_m"]
    behind = f * (1 + camera["magnification"])
    image = -(place + behind * (slope - place / f))  # the pixels are numbered along the inverted axes
    if "distortion" in camera:
        image = behind * _distorted(camera["distortion"], image / behind)
    r = np.floor(rows / 2 + image[:, 0] / camera["pixel_pitch_m"]).astype(int)
    c = np.floor(columns / 2 + image[:, 1] / camera["pixel_pitch_m"]).astype(int)
    inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
    return np.bincount(r[inside] * columns + c[inside], minlength=rows * columns)


def _distorted(keys: Mapping[str, float], tangent: Values) -> Values:
    """Brown and Conrady: x along left, y along up, of x / z and y / z (Brown, Photogramm. Eng. 37, 855 (1971), eq. 1 without its inverse)."""
    y, x = tangent.T
    k1, k2, p1, p2, k3 = (keys.get(name, 0.0) for name in ("k1", "k2", "p1", "p2", "k3"))
    r2 = x * x + y * y
    radial = k1 * r2 + k2 * r2**2 + k3 * r2**3
    return np.stack([y + y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y, x + x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)], 1)
