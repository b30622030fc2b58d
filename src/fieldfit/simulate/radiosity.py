"""Scintillation light in a box with Lambert walls, in closed form and by radiosity: a library's truth without noise, at any point.

    v_c(x) = <exp(-r / L)> omega_c(x) / 4 pi  +  sum_p exp(-r_p / L) omega_p(x) / 4 pi  B_c(p)
    B_c(p) = rho ( <exp(-r / L)> F_pc + sum_q exp(-r_pq / L) F_pq B_c(q) )

p, q: rectangular patches of the walls; B_c(p): chance that light which meets patch p ends at sensor c; F: view factors
cos cos' area / (pi r^2) (Modest, Radiative Heat Transfer, chapter 4); L: attenuation length; rho: reflectivity. Solid angles are
exact: of a disk by Carlson's integrals (`simulate.optics.disk_share`), of a rectangle from its corners, the sum of +- atan(u v / (w r)).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fieldfit.simulate.optics import disk_share

Floats = NDArray[np.float64]
AT_ONCE = 4096  # points at a time: bounds the memory
SUNFLOWER = 24  # points of a disk over which its attenuation is averaged


@dataclass(frozen=True)
class MatteBox:
    """lower, upper: corners [m]; centre (channel, 3) [m], normal (channel, 3), radius (channel) [m] of disk sensors on or behind the walls;
    attenuation: length [m]; reflectivity: of walls x low, x high, y low, ..., z high; patch: largest edge of a patch [m]."""

    lower: Floats
    upper: Floats
    centre: Floats
    normal: Floats
    radius: Floats
    attenuation: float
    reflectivity: tuple[float, ...]
    patch: float

    def edges(self, axis: int) -> Floats:
        """Where patches begin and end along an axis [m]."""
        length = self.upper[axis] - self.lower[axis]
        return np.linspace(self.lower[axis], self.upper[axis], max(1, int(np.ceil(length / self.patch - 1e-9))) + 1)

    @cached_property
    def patches(self) -> tuple[Floats, Floats, Floats, Floats]:
        """(centre (patch, 3), inward normal (patch, 3), area (patch), reflectivity (patch)), wall by wall, the later axis fastest."""
        parts = []
        for axis, side, u, v in walls():
            edges = self.edges(u), self.edges(v)
            a, b = np.meshgrid(*[(e[1:] + e[:-1]) / 2 for e in edges], indexing="ij")
            place = np.empty((a.size, 3))
            place[:, axis], place[:, u], place[:, v] = (self.lower, self.upper)[side][axis], a.ravel(), b.ravel()
            normal = np.zeros_like(place)
            normal[:, axis] = 1 - 2 * side
            area = np.outer(np.diff(edges[0]), np.diff(edges[1])).ravel()
            parts.append((place, normal, area, np.full(len(area), self.reflectivity[2 * axis + side])))
        centre, normal, area, reflectivity = (np.concatenate(column) for column in zip(*parts, strict=True))
        return centre, normal, area, reflectivity

    @cached_property
    def radiosity(self) -> Floats:
        """B (patch, channel)."""
        place, normal, area, reflectivity = self.patches
        way = place[None] - place[:, None]
        r = np.linalg.norm(way, axis=2)
        np.fill_diagonal(r, 1)
        cosine = np.maximum((way * normal[:, None]).sum(2) / r, 0) * np.maximum(-(way * normal[None]).sum(2) / r, 0)
        exchange = cosine * area[None] / (np.pi * r**2) * np.exp(-r / self.attenuation)
        exchange /= np.maximum(exchange.sum(1, keepdims=True), 1)  # touching patches see too much of each other at their centres
        seen = np.empty((len(place), len(self.radius)))
        for c in range(len(self.radius)):
            spot = self._spots(c)
            to = spot[None] - place[:, None]
            d = np.maximum(np.linalg.norm(to, axis=2), 1e-3)
            facing = np.maximum((to * normal[:, None]).sum(2) / d, 0) * np.maximum(-(to @ self.normal[c]) / d, 0)
            seen[:, c] = (facing * np.exp(-d / self.attenuation) / (np.pi * d**2)).mean(1) * np.pi * self.radius[c] ** 2
        seen = np.minimum(seen, 1)
        return np.linalg.solve(np.eye(len(place)) - reflectivity[:, None] * exchange, reflectivity[:, None] * seen)

    def _spots(self, channel: int) -> Floats:
        """(SUNFLOWER, 3) points spread evenly over a disk [m]."""
        k = np.arange(SUNFLOWER) + 0.5
        r, angle = self.radius[channel] * np.sqrt(k / SUNFLOWER), np.pi * (1 + 5**0.5) * k
        one = np.eye(3)[int(np.argmin(np.abs(self.normal[channel])))]
        u = np.cross(self.normal[channel], one)
        u /= np.linalg.norm(u)
        v = np.cross(self.normal[channel], u)
        spots: Floats = self.centre[channel] + (r * np.cos(angle))[:, None] * u + (r * np.sin(angle))[:, None] * v
        return spots


def walls() -> list[tuple[int, int, int, int]]:
    """(axis, side, the other two axes) of the six walls."""
    return [(axis, side, *[a for a in range(3) if a != axis]) for axis in range(3) for side in (0, 1)]  # type: ignore[misc]


def direct_light(box: MatteBox, points: Floats) -> Floats:
    """(n, channel) share of the photons from points (n, 3) [m] that reach a disk on the straight way."""
    light = np.empty((len(points), len(box.radius)))
    for c in range(len(box.radius)):
        away = points - box.centre[c]
        height = away @ box.normal[c]
        across = np.sqrt(np.maximum(np.square(away).sum(1) - height**2, 0))
        r = np.linalg.norm(points[:, None] - box._spots(c)[None], axis=2)
        weight = r**-3  # height / r^3: directions that meet each spot
        light[:, c] = disk_share(height, across, box.radius[c]) * (weight * np.exp(-r / box.attenuation)).sum(1) / weight.sum(1)
    return light


def reflected_light(box: MatteBox, points: Floats) -> Floats:
    """(n, channel) share that reaches a disk after one wall or more."""
    return np.concatenate([_reflected(box, points[k : k + AT_ONCE]) for k in range(0, len(points), AT_ONCE)])


def _reflected(box: MatteBox, points: Floats) -> Floats:
    place = box.patches[0]
    share = []
    for axis, side, u, v in walls():
        w = np.abs(points[:, axis] - (box.lower, box.upper)[side][axis])[:, None, None] + 1e-9
        a = box.edges(u)[None, :, None] - points[:, u, None, None]
        b = box.edges(v)[None, None, :] - points[:, v, None, None]
        corner = np.arctan(a * b / (w * np.sqrt(a * a + b * b + w * w)))
        share.append(np.diff(np.diff(corner, axis=1), axis=2).reshape(len(points), -1))
    square = np.square(points).sum(1)[:, None] + np.square(place).sum(1) - 2 * points @ place.T
    weight = np.concatenate(share, 1) / (4 * np.pi) * np.exp(-np.sqrt(np.maximum(square, 0)) / box.attenuation)
    light: Floats = weight @ box.radiosity
    return light


def voxel_light(box: MatteBox, divisions: tuple[int, int, int], points: int = 2) -> tuple[Floats, Floats]:
    """(direct, reflected) (voxel, channel), z fastest: means over voxels by a Gauss rule of `points` an axis."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    edge = (box.upper - box.lower) / np.array(divisions)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in divisions], indexing="ij"), -1).reshape(-1, 3)
    centre = box.lower + (index + 0.5) * edge
    direct, reflected = np.zeros((len(centre), len(box.radius))), np.zeros((len(centre), len(box.radius)))
    for i in range(points):
        for j in range(points):
            for k in range(points):
                x = centre + np.array([nodes[i], nodes[j], nodes[k]]) * edge / 2
                share = weights[i] * weights[j] * weights[k] / 8
                for first in range(0, len(x), AT_ONCE):
                    rows = slice(first, first + AT_ONCE)
                    direct[rows] += share * direct_light(box, x[rows])
                    reflected[rows] += share * _reflected(box, x[rows])
    return direct, reflected
