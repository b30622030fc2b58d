"""Disk sensors, and the share of all directions under which a point sees them.

Solid angle of a disk of radius a, seen from the height h above its plane and the distance r from its axis
(Paxton, Rev. Sci. Instrum. 30, 254 (1959), written with one general complete elliptic integral):

    omega = 2 pi [r < a] - (2 h / R) cel(kc, q^2, 1 + q, q^2 + q)
    R^2 = h^2 + (r + a)^2,   kc^2 = (h^2 + (r - a)^2) / R^2,   q = (a - r) / (a + r)

cel is Bulirsch's integral (Numer. Math. 13, 305 (1969)), computed by Landen's transformation:

    cel(kc, p, a, b) = int_0^{pi/2} (a cos^2 t + b sin^2 t) / ((cos^2 t + p sin^2 t) sqrt(cos^2 t + kc^2 sin^2 t)) dt

On the axis the share is 0.5 (1 - h / sqrt(h^2 + a^2)) = 0.5 sum_n c_n (a / h)^(2 n). Above the disk the solid angle obeys Laplace's equation,
so that off the axis, at the distance d > a from the centre and with u = h / d,

    omega / 4 pi = 0.5 sum_n c_n (a / d)^(2 n) P_(2 n - 1)(u),    c_n = -(-1)^n binomial(2 n, n) / 4^n

(Jackson, Classical Electrodynamics, section 3.3). Five terms are a fifth of the cost of Bulirsch's integral, and exact to 2e-7 from d = 5 a on.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

FAR = 5.0  # radii from the centre, beyond which the series is used
TERMS = 5  # of it
LANDEN_STEPS = 7  # the error squares at each step: 7 reach double precision for kc above 1e-9
TINY_SQUARE = 1e-24  # m^2: keeps the slope of the root finite on a sensor's axis


@dataclass(frozen=True)
class Sensors:
    """One disk a channel. centre [m]; normal: unit vector into the detector; radius [m]."""

    centre: Float[Tensor, "channel 3"]
    normal: Float[Tensor, "channel 3"]
    radius: Float[Tensor, "channel"]

    def double(self) -> "Sensors":
        """The same sensors in float64."""
        return self.to(torch.float64)

    def to(self, where: torch.dtype | torch.device | Tensor) -> "Sensors":
        """The same sensors in another precision, on another device, or as a tensor has both."""
        return Sensors(self.centre.to(where), self.normal.to(where), self.radius.to(where))


def offsets(sensors: Sensors, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n channel"], Float[Tensor, "n channel"]]:
    """(height above the disk's plane, distance from the centre) [m] of each point, for each channel."""
    away = points[:, None, :] - sensors.centre
    return (away * sensors.normal).sum(-1), away.norm(dim=-1)


def complete_elliptic(kc: Tensor, p: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Bulirsch's cel(kc, p, a, b) for kc > 0 and p > 0, all of one shape."""
    root = p.sqrt()
    k, kk, mean = kc, kc, torch.ones_like(kc)
    c, s, pp = a, b / root, root
    for _ in range(LANDEN_STEPS):
        g = kk / pp
        c, s, pp = c + s / pp, 2 * (s + c * g), g + pp
        mean = k + mean
        k = 2 * kk.sqrt()
        kk = k * mean
    return math.pi / 2 * (s + c * mean) / (mean * (mean + pp))


def is_traced(points: Tensor) -> bool:
    """Whether an exporter follows the arithmetic: the number of points is then a symbol, and what is done must not depend on their values."""
    return isinstance(points.shape[0], torch.SymInt)


def solid_angle_share(sensors: Sensors, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
    """Solid angle of each disk / 4 pi as a point in front of it sees it, of the points' precision; 0 behind the disk.

    Heights and distances, where digits cancel, are those of float64.
    """
    here, x = sensors.double(), points.double()
    height = x @ here.normal.T - (here.centre * here.normal).sum(-1)
    square = x.square().sum(-1, keepdim=True) - 2 * x @ here.centre.T + here.centre.square().sum(-1)
    if is_traced(points):
        return disk_share(height, square, here.radius).to(points.dtype)
    share = far_share(height.to(points.dtype), square.to(points.dtype), here.radius.to(points.dtype))
    near = square < (FAR * here.radius).square()
    return share.masked_scatter(near, disk_share(height[near], square[near], here.radius.expand_as(near)[near]).to(points.dtype))


def far_share(height: Tensor, square: Tensor, a: Tensor) -> Tensor:
    """The series of the module's text, for points at the height `height` and the squared distance `square` from the centre of a disk of radius a."""
    s = a.square() / square.clamp(min=(FAR * a).square())  # where it is not used it stays finite
    u2 = height.square() / square.clamp(min=TINY_SQUARE)
    total = torch.zeros_like(s)
    for polynomial in reversed(SERIES):
        factor = torch.full_like(u2, polynomial[-1])
        for coefficient in polynomial[-2::-1]:
            factor = factor * u2 + coefficient
        total = total * s + factor
    return total * s * height.clamp(min=0) * square.clamp(min=TINY_SQUARE).rsqrt()


def _series() -> tuple[tuple[float, ...], ...]:
    """0.5 c_n P_(2 n - 1)(u) / u as a polynomial in u^2, for each n from 1."""
    found = []
    for n in range(1, TERMS + 1):
        odd = np.polynomial.legendre.leg2poly([0] * (2 * n - 1) + [1])[1::2]
        found.append(tuple(float(-0.5 * (-1) ** n * math.comb(2 * n, n) / 4**n * k) for k in odd))
    return tuple(found)


SERIES = _series()


def disk_share(height: Tensor, square: Tensor, a: Tensor) -> Tensor:
    """The closed form of the module's text, of float64."""
    tiny = 1e-9 * a
    h = height.clamp(min=0) + tiny
    r = (square - height.square()).clamp(min=TINY_SQUARE).sqrt()
    q = (a - r) / (a + r)
    q = torch.where(q.abs() < 1e-9, torch.full_like(q, 1e-9), q)
    far = h.square() + (a + r).square()
    kc = ((h.square() + (a - r).square()) / far).sqrt().clamp(min=1e-9)
    part = 2 * h / far.sqrt() * complete_elliptic(kc, q.square(), 1 + q, q.square() + q)
    omega = torch.where(q > 0, 2 * math.pi - part, -part)
    return torch.where(height > 0, (omega / (4 * math.pi)).clamp(min=0), torch.zeros_like(omega))
