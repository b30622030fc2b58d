"""Objects of known density, whose atoms are drawn from it without approximation.

Every object has `atoms`, their number; `drawn(random)`, their positions (atom, 3) [m]; and `means(edges)`, the means of an atom's probability
density over the voxels of a lattice (x, y, z) [1/m3] with the same edges [m] along each axis. NumPy only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fieldfit.simulate.layouts import across

Vector = tuple[float, float, float]
Values = NDArray[np.float64]
LEGENDRE = (np.array([-math.sqrt(0.6), 0.0, math.sqrt(0.6)]), np.array([5.0, 8.0, 5.0]) / 18)  # nodes on [-1, 1], weights of a mean
# Three by five squares a letter, rows from the top.
FONT = {
    "A": ("XXX", "X.X", "XXX", "X.X", "X.X"),
    "F": ("XXX", "X..", "XX.", "X..", "X.."),
    "I": ("XXX", ".X.", ".X.", ".X.", "XXX"),
    "M": ("X.X", "XXX", "XXX", "X.X", "X.X"),
    "O": ("XXX", "X.X", "X.X", "X.X", "XXX"),
    "S": ("XXX", "X..", "XXX", "..X", "XXX"),
    "T": ("XXX", ".X.", ".X.", ".X.", ".X."),
}
TEXT = ("ATOM", "FITS")
SLAB = 2  # thickness of the letters, in squares


class Source(Protocol):
    """What shines: see the head of the module."""

    @property
    def atoms(self) -> int: ...

    def drawn(self, random: np.random.Generator) -> Values: ...

    def means(self, edges: Values) -> Values: ...


@dataclass(frozen=True)
class Cloud:
    """Gaussian times 1 + C cos(k . r + phi + aberration). centre (3) [m]; size (3), rms [m]; wave number [rad/m]; contrast;
    phase at the world's origin [rad]; atoms; along: direction of the wave vector, y if not said;
    defocus: coefficient of the aberration sqrt(3) (2 rho^2 - 1) [rad] (OSA), rho the distance from the centre across k over two mean rms sizes."""

    centre: Vector
    size: Vector
    wave_number: float
    contrast: float
    phase: float
    atoms: int
    along: Vector = (0.0, 1.0, 0.0)
    defocus: float = 0.0

    @property
    def curvature(self) -> float:
        """Of the aberration: its phase is curvature rho^2 / 2 - sqrt(3) defocus, rho in metres [rad/m2]."""
        across_mean = (sum(s**2 for s in self.size) - sum((s * a) ** 2 for s, a in zip(self.size, self.along, strict=True))) / 2
        return math.sqrt(3) * self.defocus / across_mean

    def fringe(self, r: Values) -> Values:
        """1 + C cos(...) at points (..., 3)."""
        phase = self.wave_number * (r @ np.array(self.along)) + self.phase
        if self.defocus:
            d = r - np.array(self.centre)
            rho2 = (d**2).sum(-1) - (d @ np.array(self.along)) ** 2
            phase = phase + self.curvature * rho2 / 2 - math.sqrt(3) * self.defocus
        return 1 + self.contrast * np.cos(phase)

    def mean_fringe(self) -> float:
        """Of 1 + C cos(...) over the Gaussian, a complex Gaussian integral: E exp(i k.d + i c rho^2 / 2) = exp(-k.M^-1 k / 2) / sqrt(det S M)."""
        a, s = np.array(self.along), np.array(self.size)
        k = self.wave_number * a
        m = np.diag(1 / s**2) - 1j * self.curvature * (np.eye(3) - np.outer(a, a))
        mean = np.exp(-0.5 * k @ np.linalg.solve(m, k)) / np.sqrt(np.linalg.det(np.diag(s**2) @ m))
        turn = k @ np.array(self.centre) + self.phase - math.sqrt(3) * self.defocus
        return float(1 + self.contrast * (mean * np.exp(1j * turn)).real)

    def density(self, r: Values) -> Values:
        """Not normalised, at points (..., 3)."""
        return np.exp(-0.5 * (((r - np.array(self.centre)) / np.array(self.size)) ** 2).sum(-1)) * self.fringe(r)

    def drawn(self, random: np.random.Generator) -> Values:
        """By rejection: the envelope times the fringe."""
        found: list[Values] = []
        missing = self.atoms
        while missing > 0:
            r = np.array(self.centre) + np.array(self.size) * random.standard_normal((2 * missing + 100, 3))
            r = r[random.random(len(r)) * (1 + self.contrast) < self.fringe(r)][:missing]
            found.append(r)
            missing -= len(r)
        return np.concatenate(found) if found else np.zeros((0, 3))

    def means(self, edges: Values) -> Values:
        """By three Gauss-Legendre nodes along each edge of a voxel: 1e-5 for waves of six voxels. Envelope and wave are products over axes,
        Re e^(i phi) prod_j e^(-x_j^2 / 2 s_j^2 + i k_j x_j), but for the aberration."""
        total = (2 * math.pi) ** 1.5 * math.prod(self.size) * self.mean_fringe()
        if self.defocus:
            return _quadrature(self.density, edges) / total
        nodes, weights = LEGENDRE
        fine = (edges[1:] + edges[:-1])[:, None, None] / 2 + np.diff(edges)[:, None, None] / 2 * nodes[:, None]  # (place, node, axis)
        envelope = np.exp(-0.5 * ((fine - np.array(self.centre)) / np.array(self.size)) ** 2)
        wave = envelope * np.exp(1j * self.wave_number * fine * np.array(self.along))
        parts = np.stack([np.einsum("pna,n->pa", part, weights) for part in (envelope, wave)])
        return _sum_of_products(parts, np.array([1, self.contrast * np.exp(1j * self.phase)])).real / total


@dataclass(frozen=True)
class Ring:
    """A torus: Gaussian of rms size `tube` around a circle of radius `radius` [m] about `along`."""

    centre: Vector
    radius: float
    tube: float
    along: Vector
    atoms: int

    def density(self, r: Values) -> Values:
        """Not normalised, at points (..., 3)."""
        d = r - np.array(self.centre)
        height = d @ np.array(self.along)
        rho = np.sqrt(np.maximum((d**2).sum(-1) - height**2, 0))
        return np.exp(-0.5 * ((rho - self.radius) ** 2 + height**2) / self.tube**2)

    def drawn(self, random: np.random.Generator) -> Values:
        """The distance from the axis by rejection: rho <= rho_0 exp(rho / rho_0 - 1) makes a Gaussian about rho_0 = radius + tube^2 / rho_0."""
        top = (self.radius + math.sqrt(self.radius**2 + 4 * self.tube**2)) / 2
        rho = np.zeros(0)
        while len(rho) < self.atoms:
            r = top + self.tube * random.standard_normal(2 * self.atoms + 100)
            rho = np.append(rho, r[random.random(len(r)) < r / top * np.exp(1 - r / top)])
        rho, angle = rho[: self.atoms], 2 * math.pi * random.random(self.atoms)
        one, other = across(np.array(self.along))
        height = self.tube * random.standard_normal(self.atoms)
        turned = (rho * np.cos(angle))[:, None] * one + (rho * np.sin(angle))[:, None] * other
        return np.array(self.centre) + turned + height[:, None] * np.array(self.along)

    def means(self, edges: Values) -> Values:
        """As a cloud's; the integral over the torus is in closed form."""
        q, s = self.radius / (math.sqrt(2) * self.tube), self.tube
        around = 2 * math.pi * (s**2 * math.exp(-(q**2)) + self.radius * s * math.sqrt(math.pi / 2) * (1 + math.erf(q)))
        return _quadrature(self.density, edges) / (around * math.sqrt(2 * math.pi) * s)


@dataclass(frozen=True)
class Spots:
    """Round Gaussians. centres (spot, 3) [m]; size: rms [m]; shares (spot) of the atoms, sum 1."""

    centres: Values
    size: float
    shares: Values
    atoms: int

    def drawn(self, random: np.random.Generator) -> Values:
        """A spot for each atom, then a place in it."""
        spot = random.choice(len(self.shares), self.atoms, p=self.shares)
        return self.centres[spot] + self.size * random.standard_normal((self.atoms, 3))

    def means(self, edges: Values) -> Values:
        """Exact: products of differences of the error function."""
        reach = (edges[None, :, None] - self.centres[:, None, :]) / (math.sqrt(2) * self.size)
        part = np.diff(0.5 * np.vectorize(math.erf)(reach), axis=1) / np.diff(edges)[None, :, None]
        return _sum_of_products(part, self.shares)


@dataclass(frozen=True)
class Bars:
    """Uniform in boxes that do not overlap. low, high (box, 3) [m]."""

    low: Values
    high: Values
    atoms: int

    def drawn(self, random: np.random.Generator) -> Values:
        """A box for each atom, then a place in it."""
        volume = (self.high - self.low).prod(1)
        box = random.choice(len(volume), self.atoms, p=volume / volume.sum())
        return self.low[box] + (self.high - self.low)[box] * random.random((self.atoms, 3))

    def means(self, edges: Values) -> Values:
        """Exact: overlaps of boxes with voxels."""
        over = np.minimum(edges[None, 1:, None], self.high[:, None, :]) - np.maximum(edges[None, :-1, None], self.low[:, None, :])
        part = np.maximum(over, 0) / np.diff(edges)[None, :, None]
        volume = (self.high - self.low).prod(1).sum()
        return _sum_of_products(part, np.full(len(self.low), 1 / volume))


def two_clouds(centre: Vector, along: Vector, distance: float, size: float, share: float, atoms: int) -> Spots:
    """Two round Gaussians `distance` [m] apart along a direction; `share` of the atoms in the first, which lies further up."""
    steps = np.array([0.5, -0.5])[:, None] * distance * np.array(along)
    return Spots(np.array(centre) + steps, size, np.array([share, 1 - share]), atoms)


def spots(centre: Vector, number: int, radius: float, size: float, atoms: int, random: np.random.Generator) -> Spots:
    """Equal spots at random places in a ball of a radius [m]."""
    direction = random.standard_normal((number, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    places = np.array(centre) + radius * np.cbrt(random.random(number))[:, None] * direction
    return Spots(places, size, np.full(number, 1 / number), atoms)


def letters(centre: Vector, width: float, atoms: int) -> Bars:
    """TEXT as seen along -z with y up, `width` [m] wide: strokes of a fifteenth of it; a slab of two strokes' thickness across z."""
    columns, rows = max(4 * len(line) - 1 for line in TEXT), 6 * len(TEXT) - 1
    squares = [
        (4 * place + column, rows - 1 - (6 * line + row))
        for line, text in enumerate(TEXT)
        for place, letter in enumerate(text)
        for row, strokes in enumerate(FONT[letter])
        for column, stroke in enumerate(strokes)
        if stroke == "X"
    ]
    edge = width / columns
    corner = np.array([[x - columns / 2, y - rows / 2, -SLAB / 2] for x, y in squares]) * edge + np.array(centre)
    return Bars(corner, corner + edge * np.array([1, 1, SLAB]), atoms)


def _points(x: Values | float, y: Values, z: Values) -> Values:
    return np.stack(np.meshgrid(x, y, z, indexing="ij"), -1)


def _quadrature(density: Callable[[Values], Values], edges: Values) -> Values:
    """(x, y, z) means over voxels, a slab at a time."""
    nodes, weights = LEGENDRE
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    axis = (middle[:, None] + half[:, None] * nodes).ravel()
    n = len(middle)
    out = np.empty((n, n, n))
    for place in range(n):
        fine = density(_points(axis[3 * place : 3 * place + 3], axis, axis)).reshape(3, n, 3, n, 3)
        out[place] = np.einsum("aybzc,a,b,c->yz", fine, weights, weights, weights)
    return out


def _sum_of_products(part: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """(x, y, z) of sum_i weight_i a_i(x) b_i(y) c_i(z); part: (i, place, axis)."""
    plane = weight[:, None, None] * part[:, :, None, 0] * part[:, None, :, 1]
    n = part.shape[1]
    product: NDArray[Any] = (plane.reshape(len(part), n * n).T @ part[:, :, 2]).reshape(n, n, n)
    return product
