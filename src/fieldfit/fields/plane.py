"""A positive field in a plane: the softplus of a sum of grids from coarse to fine, linear between nodes.

    mu(x) = scale log(1 + exp(s(x))),    s = sum_l s_l(x)

Each grid fills the square and carries its own scale of structure, so that coarse shapes move as fast as fine ones: what a hash grid
(Mueller, Evans, Schied and Keller, ACM Trans. Graph. 41, 102 (2022)) does without its hash and its network, which a plane does not need.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fieldfit.fields.field import Field
from fieldfit.fields.grids import gathered

FLOOR = 0.05  # share of `scale` below which a starting value is lifted: softplus hardly moves further down


class Plane(Field):
    """(n, 2) points -> (batch, n). Nodes run from -half_width to half_width, in the unit of the points; scale: one a member."""

    def __init__(self, batch: int, half_width: float, nodes: list[int], scale: list[float]) -> None:
        super().__init__()
        if len(scale) != batch:
            raise ValueError(f"{len(scale)} scales for {batch} members, expected one each")
        self.batch = batch
        self._settings = {"batch": batch, "half_width": half_width, "nodes": list(nodes), "scale": list(scale)}
        self.half_width = half_width
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(scale)[:, None, None], persistent=False)
        self.levels = nn.ParameterList(torch.zeros(batch, n, n) for n in nodes)

    def raster(self) -> Float[Tensor, "batch side side"]:
        """Values at the nodes of the finest grid, y along rows, x along columns."""
        return self.scale * nn.functional.softplus(gathered(list(self.levels)))

    def forward(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "batch n"]:
        """Values anywhere; beyond the square the edge's value holds."""
        at = (points / self.half_width).expand(len(self.scale), 1, -1, -1).to(self.scale.dtype)
        between = nn.functional.grid_sample(gathered(list(self.levels))[:, None], at, "bilinear", "border", align_corners=True)
        return self.scale[:, 0] * nn.functional.softplus(between[:, 0, 0])

    @torch.no_grad()
    def start(self, values: Float[Tensor, "batch side side"]) -> None:
        """Make `values` those of `raster`, as far as they are positive; all of them in the finest grid."""
        for level in self.levels:
            level.zero_()
        share = (values / self.scale).clamp_min(FLOOR)
        self.levels[-1].copy_(torch.log(torch.expm1(share)))

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)


def joined(fields: list[Plane], unit: float) -> Plane:
    """Fields on one grid each, of the same nodes and width, as one batch in their order; lengths times `unit`.

    Raises ValueError when their grids differ.
    """
    shapes = {(field.half_width, *(tuple(level.shape[1:]) for level in field.levels)) for field in fields}
    if len(shapes) > 1:
        raise ValueError(f"fields of different grids cannot be one batch: {sorted(shapes)}")
    scale = torch.cat([field.scale[:, 0, 0] for field in fields]) / unit
    nodes = [int(level.shape[-1]) for level in fields[0].levels]
    whole = Plane(len(scale), fields[0].half_width * unit, nodes, scale.tolist())
    with torch.no_grad():
        for place, level in enumerate(whole.levels):
            level.copy_(torch.cat([field.levels[place] for field in fields]))
    return whole
