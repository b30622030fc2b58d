"""Disk sensors, and the share of all directions under which a point sees them.

Solid angle of a disk of radius a, seen from the height h above its plane and the distance r from its axis
(Paxton, Rev. Sci. Instrum. 30, 254 (1959), written with one general complete elliptic integral):

    omega = 2 pi [r < a] - (2 h / R) cel(kc, q^2, 1 + q, q^2 + q)
    R^2 = h^2 + (r + a)^2,   kc^2 = (h^2 + (r - a)^2) / R^2,   q = (a - r) / (a + r)

cel is Bulirsch's integral (Numer. Math. 13, 305 (1969)), computed by Landen's transformation:

    cel(kc, p, a, b) = int_0^{pi/2} (a cos^2 t + b sin^2 t) / ((cos^2 t + p sin^2 t) sqrt(cos^2 t + kc^2 sin^2 t)) dt

On the axis the share is 0.5 (1 - h / sqrt(h^2 + a^2)).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

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
        return Sensors(self.centre.double(), self.normal.double(), self.radius.double())


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


def solid_angle_share(sensors: Sensors, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
    """Solid angle of each disk / 4 pi as a point in front of it sees it, computed in float64; 0 behind the disk."""
    sensors, points = sensors.double(), points.double()
    height, distance = offsets(sensors, points)
    a = sensors.radius
    tiny = 1e-9 * a
    h = height.clamp(min=0) + tiny
    r = (distance.square() - height.square()).clamp(min=TINY_SQUARE).sqrt()
    q = (a - r) / (a + r)
    q = torch.where(q.abs() < 1e-9, torch.full_like(q, 1e-9), q)
    far = h.square() + (a + r).square()
    kc = ((h.square() + (a - r).square()) / far).sqrt().clamp(min=1e-9)
    part = 2 * h / far.sqrt() * complete_elliptic(kc, q.square(), 1 + q, q.square() + q)
    omega = torch.where(q > 0, 2 * math.pi - part, -part)
    return torch.where(height > 0, (omega / (4 * math.pi)).clamp(min=0), torch.zeros_like(omega))
