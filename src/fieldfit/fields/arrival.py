"""Arrival times of light at every channel: those of direct and of diffuse light, mixed by the share of each.

    t_kc(x) = A_kh(M_c x)                                                                 k: column of times; h = h(c)
    A_kh(x) = f_h (o_kh + s_kh d_h + sum_b u_khb phi_b(x)) + (1 - f_h) (o'_kh + s'_kh r_h + sum_b u'_khb phi_b(x))
    f_h(x)  = g_h / (g_h + b_h)

d, r: distances from the nearest point of the sensor and from its centre; f: share of direct light, of the solid angle g (`geometry.sensors`)
beside the mean diffuse light b; phi: products of Legendre polynomials over the box (`fields.calibrated`).
Direct light takes the straight way at the group velocity, 1 / s. A mean is the mixture of the two kinds' means; a first arrival or a
parameter of a distribution's formula goes from the one kind's to the other's too. So one form serves all columns.
Mirror images share a head h as in `fields.visibility`.

Linear in its weights, since times are few numbers of much scatter: a sine network in place of the polynomials was tried on 640 voxels, and
either followed the scatter or, held by a prior on its weights, was zero.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.fields.calibrated import box_terms, degrees
from fieldfit.fields.field import Field
from fieldfit.fields.visibility import by_mirror
from fieldfit.geometry.sensors import Sensors, offsets, solid_angle_share


class ArrivalField(Field):
    """(n, 3) points [m] -> (n, timing, channel) arrival times [ns]."""

    box_centre: Tensor
    box_half: Tensor
    lit: Tensor
    order: Tensor
    glow: Tensor
    weights: Tensor

    def __init__(
        self,
        timings: list[str],
        centre: list[list[float]],
        normal: list[list[float]],
        radius: list[float],
        factor: list[bool],
        box_centre: list[float],
        box_half: list[float],
        head: list[int],
        sign: list[list[int]],
        degree: int = 6,
    ) -> None:
        """timings: names of the columns; centre [m], normal, radius [m], factor: of each head's disk, and whether it has direct light;
        box: centre and half edges [m]; head, sign: of each channel; degree: of the polynomials, total."""
        super().__init__()
        self._settings = {"timings": timings, "centre": centre, "normal": normal, "radius": radius, "factor": factor}
        self._settings |= {"box_centre": box_centre, "box_half": box_half, "head": head, "sign": sign, "degree": degree}
        self.degree, self.head, self.mirrored = degree, head, by_mirror(sign)
        self.sensors = Sensors(torch.tensor(centre), torch.tensor(normal), torch.tensor(radius))
        order = [0, 0, *(sum(d) for d in degrees(degree))]
        for name, fixed in (("box_centre", box_centre), ("box_half", box_half), ("lit", factor), ("order", [*order, *order])):
            self.register_buffer(name, torch.tensor(fixed), persistent=False)
        self.register_buffer("glow", torch.zeros(len(radius)))
        self.register_buffer("weights", torch.zeros(len(timings), len(radius), 2 * len(order)))

    def share(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n head"]:
        """g of the equation; 0 without direct light."""
        return solid_angle_share(self.sensors.to(points.device), points) * self.lit

    def basis(self, points: Float[Tensor, "n 3"], share: Float[Tensor, "n"], head: int) -> Float[Tensor, "n term"]:
        """What a head's weights multiply, direct first; share: g of this head, as its mean over a voxel."""
        own = Sensors(*(part[head : head + 1].to(points) for part in (self.sensors.centre, self.sensors.normal, self.sensors.radius)))
        height, away = offsets(own, points)
        beyond = (away.square() - height.square()).clamp(min=1e-12).sqrt() - own.radius
        near = torch.hypot(height, beyond.clamp(min=0))
        phi = box_terms(points, self.box_centre.to(points), self.box_half.to(points), self.degree)
        f = (share / (share + self.glow[head]).clamp(min=1e-30))[:, None]
        one = torch.ones_like(near)
        return torch.cat([f * torch.cat([one, near, phi], 1), (1 - f) * torch.cat([one, away, phi], 1)], 1)

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n timing channel"]:
        values = points.new_zeros(len(points), len(self.weights), len(self.head))
        for mirror, channels in self.mirrored:
            seen = self.box_centre + torch.tensor(mirror, dtype=points.dtype, device=points.device) * (points - self.box_centre)
            share = self.share(seen)
            for c in channels:
                h = self.head[c]
                values[:, :, c] = self.basis(seen, share[:, h], h) @ self.weights[:, h].T
        return values

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)
