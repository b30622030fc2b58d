"""Voxels as a field: what a classical reconstruction gives, at any point."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fieldfit.fields.field import Field


class Voxels(Field):
    """values (batch, n, n, n) at the centres of `nodes`^3 voxels that fill a cube around the origin, half_width [m]; linear between
    centres, the outermost value holds to the cube's face, zero beyond."""

    def __init__(self, batch: int, half_width: float, nodes: int) -> None:
        super().__init__()
        self.batch = batch
        self.half_width = half_width
        self.nodes = nodes
        self.values = nn.Parameter(torch.zeros(batch, nodes, nodes, nodes))

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "batch n"]:
        """Values at points [m]."""
        x = (points / self.half_width).to(self.values.dtype)
        inside = (x.abs() <= 1).all(1)
        where = x.flip(1)[None, :, None, None]  # grid_sample counts the last axis first
        drawn = nn.functional.grid_sample(self.values[None], where, mode="bilinear", padding_mode="border", align_corners=False)
        return drawn[0, :, :, 0, 0] * inside

    def settings(self) -> dict[str, Any]:
        return {"batch": self.batch, "half_width": self.half_width, "nodes": self.nodes}
