"""A visibility with what measurements add: an efficiency for each channel and a smooth correction of the simulation.

    w_c(x) = v_c(x) eff_c exp(delta_c(x)),   delta_c(x) = sum_b (w_b + u_cb) phi_b(x) + sum_k a_k psi_k(x, c) - gauge_c

phi_b: products of Legendre polynomials over the box, total degree 1 to `degree`, shared by all channels (w) and each channel's own (u).
psi_k: distance to the sensor, its square, and the cosine at which it is seen: what another absorption length, scattering length or
acceptance changes first; the share of the light that comes straight to the sensor, and its square: what other reflectivities change.
gauge: a constant that says which part of a common factor is efficiency (`experiments.dune.calibration`).
"""

import itertools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.fields.field import Field
from fieldfit.fields.visibility import VisibilityField
from fieldfit.geometry.sensors import Sensors, offsets

SENSOR_TERMS = 5


def degrees(degree: int) -> list[tuple[int, int, int]]:
    """Degrees along x, y, z of the products, by total degree, the constant left out."""
    found = [(i, j, k) for i, j, k in itertools.product(range(degree + 1), repeat=3) if 1 <= i + j + k <= degree]
    return sorted(found, key=lambda d: (sum(d), d))


def box_terms(points: Float[Tensor, "n 3"], centre: Tensor, half: Tensor, degree: int) -> Float[Tensor, "n term"]:
    """phi: products of Legendre polynomials of the points, scaled to [-1, 1] over the box."""
    x = (points - centre) / half
    legendre = [torch.ones_like(x), x]
    for n in range(1, degree):
        legendre.append(((2 * n + 1) * x * legendre[n] - n * legendre[n - 1]) / (n + 1))
    return torch.stack([legendre[i][:, 0] * legendre[j][:, 1] * legendre[k][:, 2] for i, j, k in degrees(degree)], 1)


def sensor_terms(points: Float[Tensor, "n 3"], sensors: Sensors, scale: float, direct: Float[Tensor, "n channel"]) -> Float[Tensor, "n channel 5"]:
    """psi: distance / scale, its square, the cosine between the sensor's normal and the way to the point; share of direct light, its square."""
    height, distance = offsets(sensors, points)
    d = distance / scale
    return torch.stack([d, d.square(), height / distance.clamp(min=1e-6), direct, direct.square()], -1)


class CalibratedField(Field):
    """(n, 3) points [m] -> (n, channel) detected photo-electrons per photon; exactly 0 for a dead channel."""

    def __init__(self, base: dict[str, Any], degree: int = 3) -> None:
        """base: settings of the simulation's `VisibilityField`."""
        super().__init__()
        self._settings = {"base": base, "degree": degree}
        self.box = (base["box_centre"], base["box_half"])
        self.degree = degree
        self.base = VisibilityField(**base)
        channels, terms = len(base["radius"]), len(degrees(degree))
        self.efficiency = torch.nn.Parameter(torch.ones(channels))
        self.gauge = torch.nn.Parameter(torch.zeros(channels))
        self.shared = torch.nn.Parameter(torch.zeros(terms))
        self.own = torch.nn.Parameter(torch.zeros(channels, terms))
        self.sensor = torch.nn.Parameter(torch.zeros(SENSOR_TERMS))

    def light(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n channel"], Float[Tensor, "n channel"]]:
        """(v of the simulation, share of it that is direct light)."""
        straight, glow = self.base.parts(points, self.base.geometric(points))
        v = (straight + glow).clamp(max=1.0)
        return v, 1 - glow.clamp(max=1.0) / v

    def terms(self, points: Float[Tensor, "n 3"], direct: Float[Tensor, "n channel"]) -> tuple[Float[Tensor, "n term"], Float[Tensor, "n channel 5"]]:
        """(phi, psi) of the module's equation; direct: share of direct light."""
        box = [torch.tensor(edge, dtype=points.dtype, device=points.device) for edge in self.box]
        sensors = self.base.sensors
        there = Sensors(*(t.to(points) for t in (sensors.centre, sensors.normal, sensors.radius)))
        return box_terms(points, box[0], box[1], self.degree), sensor_terms(points, there, max(self.box[1]), direct)

    def arriving(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        """v exp(delta): the light that arrives at a channel, of a dead one too."""
        v, direct = self.light(points)
        phi, psi = self.terms(points, direct)
        delta = phi @ (self.shared + self.own).T + psi @ self.sensor - self.gauge
        values: Tensor = v * delta.exp()
        return values

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        return self.arriving(points) * self.efficiency

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)
