"""A visibility with what measurements add: an efficiency for each channel and a smooth correction of the simulation.

    w_c(x) = v_c(x) eff_c exp(delta_c(x))
    delta_c(x) = sum_k a_k psi_k(x, c) + sum_b w_b phi_b(x) + (1 - f_c(x)) [ sum_w h_w T_cw(x) + sum_b u_cb phi_b(x) ] - gauge_c

phi_b: products of Legendre polynomials over the box to total degree `degree`; f: the share of a channel's light that comes straight to it,
f_c(x) = alpha_c g_c(x) exp(-r_c(x) / L) / v_c(x)    (`experiments.dune.direct_light`).
psi_k: distance to the sensor, its square, and the cosine at which it is seen: what another absorption length, scattering length or
acceptance changes first; f (1 - f): what the logarithm of a sum of two kinds of light needs beyond its first order. T_cw: how often
diffuse light met wall w on its way (`geometry.walls`): h is the change of the logarithms of the reflectivities.
w, a, h: shared by all channels. u: each channel's own, of the diffuse light alone: other walls change what a channel gets by way of them,
and leave what comes straight. That is what tells the two from an efficiency. gauge: the part of a common factor that is efficiency
(`experiments.dune.calibration`).
"""

import itertools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.fields.field import Field
from fieldfit.fields.visibility import VisibilityField
from fieldfit.geometry.sensors import Sensors, offsets
from fieldfit.geometry.walls import PATCHES, wall_change, wall_visits

SENSOR_TERMS, WALLS = 4, 6


def degrees(degree: int) -> list[tuple[int, int, int]]:
    """Degrees along x, y, z of the products, by total degree, the constant left out."""
    found = [(i, j, k) for i, j, k in itertools.product(range(degree + 1), repeat=3) if 1 <= i + j + k <= degree]
    return sorted(found, key=lambda d: (sum(d), d))


def box_terms(points: Float[Tensor, "n 3"], centre: Tensor, half: Tensor, degree: int) -> Float[Tensor, "n term"]:
    """phi, b > 0: products of Legendre polynomials of the points, scaled to [-1, 1] over the box."""
    x = (points - centre) / half
    legendre = [torch.ones_like(x), x]
    for n in range(1, degree):
        legendre.append(((2 * n + 1) * x * legendre[n] - n * legendre[n - 1]) / (n + 1))
    return torch.stack([legendre[i][:, 0] * legendre[j][:, 1] * legendre[k][:, 2] for i, j, k in degrees(degree)], 1)


def sensor_terms(points: Float[Tensor, "n 3"], sensors: Sensors, scale: float, direct: Float[Tensor, "n channel"]) -> Float[Tensor, "n channel 4"]:
    """psi: distance / scale, its square, the cosine between the sensor's normal and the way to the point; f (1 - f)."""
    height, distance = offsets(sensors, points)
    d = distance / scale
    return torch.stack([d, d.square(), height / distance.clamp(min=1e-6), direct * (1 - direct)], -1)


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
        self.sensor = torch.nn.Parameter(torch.zeros(SENSOR_TERMS))
        self.walls = torch.nn.Parameter(torch.zeros(WALLS))
        self.shared = torch.nn.Parameter(torch.zeros(terms))
        self.own = torch.nn.Parameter(torch.zeros(channels, 1 + terms))
        self.alpha = torch.nn.Parameter(torch.zeros(channels))
        self.length = torch.nn.Parameter(torch.ones(1))
        self.met = torch.nn.Parameter(torch.eye(WALLS * PATCHES**2))
        self.onward = torch.nn.Parameter(torch.ones(channels, WALLS * PATCHES**2))

    def light(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n channel"], Float[Tensor, "n channel"]]:
        """(v of the simulation, f)."""
        share = self.base.geometric(points)
        v = self.base.value(points, share)
        distance = offsets(self.base.sensors.to(points), points)[1]
        return v, (self.alpha * share * (-distance / self.length).exp() / v).clamp(max=1.0)

    def terms(self, points: Float[Tensor, "n 3"], direct: Float[Tensor, "n channel"]) -> tuple[Float[Tensor, "n term"], Float[Tensor, "n channel 4"]]:
        """(phi, psi) of the module's equation; direct: f."""
        box = self.edges(points)
        return box_terms(points, *box, self.degree), sensor_terms(points, self.base.sensors.to(points), max(self.box[1]), direct)

    def visits(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel 6"]:
        """T of the module's equation."""
        return wall_visits(points, *self.edges(points), self.met.to(points), self.onward.to(points))

    def edges(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """(centre, half edges) of the box [m]."""
        centre, half = (torch.tensor(edge, dtype=like.dtype, device=like.device) for edge in self.box)
        return centre, half

    def arriving(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        """v exp(delta): the light that arrives at a channel, of a dead one too."""
        v, direct = self.light(points)
        phi, psi = self.terms(points, direct)
        relit = wall_change(points, *self.edges(points), self.met, self.onward, self.walls)
        diffuse = relit + self.own[:, 0] + phi @ self.own[:, 1:].T
        delta = psi @ self.sensor + phi @ self.shared[:, None] + (1 - direct) * diffuse - self.gauge
        values: Tensor = v * delta.exp()
        return values

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        return self.arriving(points) * self.efficiency

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)
