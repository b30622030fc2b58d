"""Visibility of a point for every channel: direct light, whose solid angle is known in closed form, and diffuse light.

    v_c(x) = min(1, mean over members of  g_c(x) exp(a_c(x)) + exp(b_c(x)))
    a_c(x) = A_h(c)(M_c x),   b_c(x) = B_h(c)(M_c x)

g_c: share of directions in which disk c is seen (`geometry.sensors`); a: what becomes of it on the way (attenuation, acceptance);
b: light that was scattered or reflected. Both are smooth and left to a sine network (`fields.siren`) with two outputs a head.
Channels that are mirror images of each other share a head h; M_c mirrors x at the box's centre to where the head's first channel sees it.
The members are networks that were fitted to different voxels.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fieldfit.fields.field import Field
from fieldfit.fields.siren import Siren
from fieldfit.geometry.sensors import Sensors, is_traced, solid_angle_share

# Waves across half the longest edge that the first layer starts with, and the gain of the later ones.
OMEGA_FIRST = 5.0
OMEGA = 6.0


class VisibilityField(Field):
    """(n, 3) points [m] -> (n, channel) visibility in [0, 1]."""

    box_centre: Tensor

    def __init__(
        self,
        centre: list[list[float]],
        normal: list[list[float]],
        radius: list[float],
        box_centre: list[float],
        box_half: list[float],
        width: int = 64,
        depth: int = 3,
        factor: list[bool] | None = None,
        head: list[int] | None = None,
        sign: list[list[int]] | None = None,
        members: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        """centre [m], normal, radius [m] of each disk; box: centre and half edges [m]; factor: which channels have direct light (None: all);
        head: which outputs each channel has (None: its own); sign: 1 or -1 for x, y, z, where a channel is mirrored (None: nowhere)."""
        super().__init__()
        channels = len(radius)
        factor = [True] * channels if factor is None else factor
        head = list(range(channels)) if head is None else head
        sign = [[1, 1, 1]] * channels if sign is None else sign
        self._settings = {"centre": centre, "normal": normal, "radius": radius, "box_centre": box_centre, "box_half": box_half}
        self._settings |= {"width": width, "depth": depth, "factor": factor, "head": head, "sign": sign, "members": members}
        self.heads = max(head) + 1
        self.factor = factor
        self.mirrored = by_mirror(sign)
        self.head = head
        self.sensors = Sensors(torch.tensor(centre), torch.tensor(normal), torch.tensor(radius))
        self.register_buffer("box_centre", torch.tensor(box_centre), persistent=False)
        scale = [max(box_half)] * 3
        self.networks = nn.ModuleList(
            Siren(3, 2 * self.heads, width, depth, OMEGA_FIRST, OMEGA, centre=box_centre, half_width=scale, generator=generator)
            for _ in range(members)
        )

    def geometric(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        """g of the equation, of the points' precision; 0 for a channel without direct light."""
        if not any(self.factor):
            return torch.zeros(points.shape[0], len(self.factor), dtype=points.dtype, device=points.device)
        share = solid_angle_share(self.sensors.to(points.device), points)
        return torch.where(torch.tensor(self.factor, device=points.device), share, torch.zeros_like(share))

    def logarithms(self, member: int, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n head"], Float[Tensor, "n head"]]:
        """(A, B) of the equation of one member."""
        direct, diffuse = self.network(member)(points).split(self.heads, 1)
        return direct, diffuse

    def network(self, member: int) -> Siren:
        """The network of one member."""
        network = self.networks[member]
        assert isinstance(network, Siren)
        return network

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        return self.value(points, self.geometric(points))

    def value(self, points: Float[Tensor, "n 3"], share: Float[Tensor, "n channel"]) -> Float[Tensor, "n channel"]:
        """v of the equation with g given, as its mean over a voxel."""
        total = torch.zeros_like(share)
        for mirror, channels in self.mirrored:
            seen = self.box_centre + torch.tensor(mirror, dtype=points.dtype, device=points.device) * (points - self.box_centre)
            heads = [self.head[c] for c in channels]
            both = [self.logarithms(member, seen) for member in range(len(self.networks))]
            gain, light = (torch.stack([_columns(part, heads).exp() for part in parts]).mean(0) for parts in zip(*both, strict=True))
            total = total + share * _spread(gain, channels, share.shape[1]) + _spread(light, channels, share.shape[1])
        return total.clamp(max=1.0)

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)


def by_mirror(sign: list[list[int]]) -> list[tuple[tuple[int, int, int], list[int]]]:
    """Each mirror with the channels that are seen in it; plain lists, since an exporter's trace cannot ask tensors."""
    return [(m, [c for c, own in enumerate(sign) if tuple(own) == m]) for m in sorted({(s[0], s[1], s[2]) for s in sign})]


def _columns(values: Tensor, columns: list[int]) -> Tensor:
    """Some columns of `values`. A trace for any number of points cannot index and takes a product with zeros and ones, which is exact too."""
    if columns == list(range(values.shape[1])):
        return values
    if is_traced(values):
        return values @ _picked(columns, values.shape[1], values)
    return values[:, columns]


def _spread(values: Tensor, columns: list[int], of: int) -> Tensor:
    """The inverse of `_columns`: (n, of), zero in the others."""
    if columns == list(range(of)):
        return values
    if is_traced(values):
        return values @ _picked(columns, of, values).T
    return torch.zeros_like(values[:, :1]).repeat(1, of).index_copy(1, torch.tensor(columns, device=values.device), values)


def _picked(columns: list[int], of: int, like: Tensor) -> Tensor:
    return torch.eye(of, dtype=like.dtype, device=like.device)[:, columns]
