"""Visibility of a point for every channel: what geometry gives in closed form, times a sine network for the rest.

    v_c(x) = min(1, g_c(x) exp(s_c(x)))
    g_c: share of directions in which disk c is seen (`geometry.sensors`), or 1;  s: `fields.siren`

The spread of log v over a detector is mostly that of the solid angle, so that the network is left with absorption, scattering
and reflections, which are smooth.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.fields.field import Field
from fieldfit.fields.siren import Siren
from fieldfit.geometry.sensors import Sensors, seen_share

# Waves across half the longest edge that the first layer starts with, and the gain of the later ones: of 3, 6, 9 and 12, 9 left the
# smallest deviance on held-out voxels of the reference library.
OMEGA_FIRST = 9.0
OMEGA = 6.0


class VisibilityField(Field):
    """(n, 3) points [m] -> (n, channel) visibility in [0, 1]."""

    def __init__(
        self,
        centre: list[list[float]],
        normal: list[list[float]],
        radius: list[float],
        box_centre: list[float],
        box_half: list[float],
        width: int = 128,
        depth: int = 3,
        factor: list[bool] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """centre [m], normal, radius [m] of each disk; box: centre and half edges [m]; factor: for which the solid angle is used (None: all)."""
        super().__init__()
        self._settings = {"centre": centre, "normal": normal, "radius": radius, "box_centre": box_centre, "box_half": box_half}
        self._settings |= {"width": width, "depth": depth, "factor": factor}
        self.bare = factor is not None and not any(factor)  # plain: an exporter's trace cannot ask a tensor
        self.factor = torch.tensor(factor if factor is not None else [True] * len(radius))
        self.sensors = Sensors(torch.tensor(centre), torch.tensor(normal), torch.tensor(radius))
        self.network = Siren(3, len(radius), width, depth, OMEGA_FIRST, OMEGA, centre=box_centre, half_width=[max(box_half)] * 3, generator=generator)

    def geometric(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        """g of the equation, of the points' precision."""
        if self.bare:
            return torch.ones(points.shape[0], len(self.factor), dtype=points.dtype, device=points.device)
        share = seen_share(self._sensors_on(points.device), points).to(points.dtype)
        return torch.where(self.factor.to(points.device), share, torch.ones_like(share))

    def smooth(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        """s of the equation: the logarithm of what geometry leaves."""
        values: Tensor = self.network(points)
        return values

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        return (self.geometric(points) * self.smooth(points).exp()).clamp(max=1.0)

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)

    def _sensors_on(self, device: torch.device) -> Sensors:
        return Sensors(self.sensors.centre.to(device), self.sensors.normal.to(device), self.sensors.radius.to(device))
