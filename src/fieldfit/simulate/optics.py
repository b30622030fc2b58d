"""Scintillation light in a box, photon by photon, in NumPy.

Photons start isotropically, are absorbed and scattered along their way (exponential lengths; scattering is isotropic), and end on a
sensor or on a wall, which reflects them diffusely (Lambert) with a probability or swallows them. Sensors are disks in the walls' planes
and count what arrives: light that met no wall before is direct, other light is reflected.

Two estimators of the same detector, which a test holds against each other:
- `trace_photons`: an analogue Monte Carlo with its true counting statistics, for libraries.
- `expect_photons`: next-event estimation (Lux and Koblinger, Monte Carlo Particle Transport Methods, CRC 1991, section 6.III): at the start
  and at each scattering or reflection, the probability to reach a random point of each disk from there unhindered,
  cos(disk) area / (4 pi r^2) exp(-r / length), or cos(wall) cos(disk) area / (pi r^2) exp(-r / length) after a wall; from nearer than
  NEAR radii the disk's solid angle / 4 pi takes the place of the random point. For tracks and truth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import elliprf, elliprj

Floats = NDArray[np.floating]
MOST_STEPS = 60  # of a photon: the rest, a share below 1e-6 for the lengths and walls here, is lost
NEAR = 3.0  # radii of a disk, within which its solid angle is taken in closed form: 1 / r^2 at a random point would scatter without bound


@dataclass(frozen=True)
class Detector:
    """lower, upper: corners of the box [m]; centre (channel, 3) [m], in a wall's plane; radius (channel) [m];
    absorption, scattering: mean free paths [m]; reflectivity: of the walls between the sensors."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    centre: NDArray[np.float64]
    radius: NDArray[np.float64]
    absorption: float
    scattering: float
    reflectivity: float

    @cached_property
    def walls(self) -> list[tuple[int, int]]:
        """(axis, side) of the wall that each disk lies in; side 0 is the lower one."""
        found = []
        for centre in self.centre:
            gaps = np.abs(np.stack([centre - self.lower, centre - self.upper], 1))  # (axis, side)
            axis, side = np.unravel_index(int(np.argmin(gaps)), gaps.shape)
            found.append((int(axis), int(side)))
        return found

    def normals(self) -> NDArray[np.float64]:
        """(channel, 3) into the box."""
        normal = np.zeros_like(self.centre)
        for k, (axis, side) in enumerate(self.walls):
            normal[k, axis] = 1 - 2 * side
        return normal


@dataclass(frozen=True)
class Arrived:
    """Photons that reached a sensor: photon (n), its row in `start`; channel (n); reflected (n); way (n) [m], from its start."""

    photon: NDArray[np.int64]
    channel: NDArray[np.int64]
    reflected: NDArray[np.bool_]
    way: Floats


def trace_photons(detector: Detector, start: Floats, generator: np.random.Generator) -> Iterator[Arrived]:
    """One photon from each row of `start` (n, 3), by free flights: those that arrive at the end of each."""
    x = np.ascontiguousarray(start, np.float32)
    photon, way = np.arange(len(x)), np.zeros(len(x), np.float32)
    direction = _isotropic(len(x), generator)
    reflected = np.zeros(len(x), bool)
    for _ in range(MOST_STEPS):
        if not len(x):
            break
        before = x
        x, axis, side, event = _fly(detector, x, direction, generator)
        way = way + np.sqrt(np.square(x - before).sum(1))
        met = event == WALL
        channel = _disk_at(detector, x, axis, side, met)
        hit = channel >= 0
        yield Arrived(photon[hit], channel[hit], reflected[hit], way[hit])
        on = (event == SCATTERED) | (met & ~hit & (generator.random(len(x), np.float32) < detector.reflectivity))
        x, photon, way, axis, side, bounced = x[on], photon[on], way[on], axis[on], side[on], met[on]
        reflected = reflected[on] | bounced
        direction = _onward(axis, side, bounced, generator)


def expect_photons(
    detector: Detector, start: Floats, weight: Floats, origin: NDArray[np.int64], origins: int, generator: np.random.Generator
) -> Floats:
    """Mean photons detected, (origin, channel), for `weight` (n) photons from each row of `start` (n, 3)."""
    total = np.zeros((origins, len(detector.centre)))
    x = np.asarray(start, np.float32)
    weight = np.asarray(weight, np.float32)
    normal = np.zeros_like(x)  # of the wall behind the vertex; zero where there is none
    direction = _isotropic(len(x), generator)
    for _ in range(MOST_STEPS):
        if not len(x):
            break
        reach = _reach(detector, x, normal, generator)
        for c in range(total.shape[1]):
            total[:, c] += np.bincount(origin, weights=weight * reach[:, c], minlength=origins)
        x, axis, side, event = _fly(detector, x, direction, generator)
        met = event == WALL
        hit = _disk_at(detector, x, axis, side, met) >= 0
        on = (event == SCATTERED) | (met & ~hit & (generator.random(len(x), np.float32) < detector.reflectivity))
        x, origin, axis, side, bounced, weight = x[on], origin[on], axis[on], side[on], met[on], weight[on]
        direction = _onward(axis, side, bounced, generator)
        normal = np.zeros_like(x)
        rows = np.flatnonzero(bounced)
        normal[rows, axis[rows]] = 1 - 2 * side[rows]
    return total


ABSORBED, SCATTERED, WALL = 0, 1, 2


def _fly(
    detector: Detector, x: Floats, direction: Floats, generator: np.random.Generator
) -> tuple[Floats, NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
    """(where, axis of the wall, its side, what) at the end of one free flight."""
    ahead = np.where(direction > 0, detector.upper.astype(np.float32), detector.lower.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore"):
        way = (ahead - x) / direction
    way = np.where(np.isfinite(way), np.maximum(way, 0), np.float32(np.inf))
    axis = np.argmin(way, axis=1).astype(np.int8)
    wall = np.take_along_axis(way, axis[:, None].astype(np.intp), 1)[:, 0]
    absorbed = generator.standard_exponential(len(x), np.float32) * np.float32(detector.absorption)
    scattered = generator.standard_exponential(len(x), np.float32) * np.float32(detector.scattering)
    event = np.where(wall <= np.minimum(absorbed, scattered), WALL, np.where(scattered < absorbed, SCATTERED, ABSORBED)).astype(np.int8)
    length = np.minimum(np.minimum(absorbed, scattered), wall)
    there = np.clip(x + length[:, None] * direction, detector.lower.astype(np.float32), detector.upper.astype(np.float32))
    side = (np.take_along_axis(direction, axis[:, None].astype(np.intp), 1)[:, 0] > 0).astype(np.int8)
    return there, axis, side, event


def _disk_at(detector: Detector, x: Floats, axis: NDArray[np.int8], side: NDArray[np.int8], met: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Channel of the disk at which a photon met a wall, -1 for none."""
    channel = np.full(len(x), -1, np.int64)
    for a, s in sorted(set(detector.walls)):
        rows = np.flatnonzero(met & (axis == a) & (side == s))
        here = x[rows]
        for c, place in enumerate(detector.walls):
            if place == (a, s):
                away = here - detector.centre[c].astype(np.float32)
                away[:, a] = 0
                channel[rows[np.square(away).sum(1) < detector.radius[c] ** 2]] = c
    return channel


def _isotropic(n: int, generator: np.random.Generator) -> Floats:
    cosine = generator.random(n, np.float32) * 2 - 1
    return _around(cosine, generator)


def _around(cosine: Floats, generator: np.random.Generator) -> Floats:
    """Unit vectors (n, 3) of this cosine to z."""
    angle = generator.random(len(cosine), np.float32) * np.float32(2 * np.pi)
    sine = np.sqrt(np.maximum(1 - cosine * cosine, 0))
    return np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine], 1)


def _onward(axis: NDArray[np.int8], side: NDArray[np.int8], bounced: NDArray[np.bool_], generator: np.random.Generator) -> Floats:
    """New directions: isotropic after scattering, cosine-weighted into the box after a wall."""
    cosine = generator.random(len(axis), np.float32)
    cosine = np.where(bounced, np.sqrt(cosine), cosine * 2 - 1)
    direction = _around(cosine, generator)
    for a in (0, 1):  # turn z into the wall's normal
        rows = np.flatnonzero(bounced & (axis == a))
        direction[rows[:, None], [a, 2]] = direction[rows[:, None], [2, a]]
    rows = np.flatnonzero(bounced & (side == 1))
    direction[rows, axis[rows]] *= -1
    return direction


def _reach(detector: Detector, x: Floats, normal: Floats, generator: np.random.Generator) -> Floats:
    """(n, channel) probability to arrive unhindered at each disk: at a random point of it, or from near by its solid angle; see the module's text."""
    length = 1 / (1 / detector.absorption + 1 / detector.scattering)
    from_wall = normal.any(1)
    reach = np.empty((len(x), len(detector.centre)), np.float32)
    for c, (axis, side) in enumerate(detector.walls):
        radius = detector.radius[c] * np.sqrt(generator.random(len(x), np.float32))
        angle = generator.random(len(x), np.float32) * np.float32(2 * np.pi)
        away = x - detector.centre[c].astype(np.float32)
        height = away[:, axis] * (1 - 2 * side)
        plane = [a for a in range(3) if a != axis]
        across = np.square(away[:, plane]).sum(1)
        away[:, plane[0]] -= radius * np.cos(angle)
        away[:, plane[1]] -= radius * np.sin(angle)
        square = np.maximum(np.square(away).sum(1), 1e-12)
        r = np.sqrt(square)
        at_wall = np.where(from_wall, 4 * np.maximum(-(away * normal).sum(1), 0) / r, 1)
        share = at_wall * np.maximum(height, 0) / r * detector.radius[c] ** 2 / (4 * square)
        near = np.flatnonzero(~from_wall & (across + height * height < (NEAR * detector.radius[c]) ** 2))
        if len(near):
            h, b = height[near].astype(np.float64), np.sqrt(across[near].astype(np.float64))
            share[near] = disk_share(h, b, detector.radius[c])
            r[near] = _mean_way(h, b, detector.radius[c])
        reach[:, c] = share * np.exp(-r / np.float32(length))
    return reach


def _mean_way(height: Floats, across: Floats, radius: float) -> Floats:
    """Mean distance to the disk over the directions that meet it, from 32 points of a sunflower (enough for the exponent: 1 % at a grazing start)."""
    k = np.arange(32) + 0.5
    spot = radius * np.sqrt(k / 32) * np.exp(1j * np.pi * (1 + 5**0.5) * k)
    r = np.sqrt(np.square(height)[:, None] + np.square(np.abs(across[:, None] - spot)))
    weight = r**-3
    way: Floats = (weight * r).sum(1) / weight.sum(1)
    return way


def disk_share(height: NDArray[np.float64], across: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Solid angle / 4 pi of a disk from `height` above its plane and `across` from its axis (Paxton 1959, by Carlson's integrals RF and RJ)."""
    q = (radius - across) / (radius + across)
    q = np.where(np.abs(q) < 1e-7, 1e-7, q)
    h = np.maximum(height, 1e-9 * radius)
    far = np.square(h) + np.square(radius + across)
    rest = np.square(h) / far + np.square(radius - across) / far  # 1 - k^2
    k = elliprf(0, rest, 1)
    pi = k + (1 - np.square(q)) / 3 * elliprj(0, rest, 1, np.square(q))
    share: NDArray[np.float64] = (np.where(q > 0, 2 * np.pi, 0) - 2 * h / np.sqrt(far) * (k + q * pi)) / (4 * np.pi)
    return np.where(height > 0, np.maximum(share, 0), 0)
