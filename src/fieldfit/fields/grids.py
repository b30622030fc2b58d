"""Sums of grids from coarse to fine, each of which fills the same square or cube with its nodes, edges included."""

import torch
from jaxtyping import Float
from torch import Tensor

LINEAR = {3: "bilinear", 4: "trilinear"}  # by the number of axes, the batch's included


def gathered(levels: list[Tensor]) -> Float[Tensor, "batch *nodes"]:
    """The sum of the grids on the nodes of the finest, linear between nodes."""
    total = levels[0]
    for finer in levels[1:]:
        size = tuple(finer.shape[1:])
        total = finer + torch.nn.functional.interpolate(total[:, None], size=size, mode=LINEAR[finer.ndim], align_corners=True)[:, 0]
    return total
