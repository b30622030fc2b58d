"""Grids whose nodes fill a square or cube, edges included: sums of them from coarse to fine, and values between their nodes."""

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.geometry.sparse import SparseMap, sparse_map

LINEAR = {3: "bilinear", 4: "trilinear"}  # by the number of axes, the batch's included


def gathered(levels: list[Tensor]) -> Float[Tensor, "batch *nodes"]:
    """The sum of the grids on the nodes of the finest, linear between nodes."""
    total = levels[0]
    for finer in levels[1:]:
        size = tuple(finer.shape[1:])
        total = finer + torch.nn.functional.interpolate(total[:, None], size=size, mode=LINEAR[finer.ndim], align_corners=True)[:, 0]
    return total


def around(points: Float[Tensor, "n 3"], nodes: int) -> tuple[Int[Tensor, "3 n 8"], Float[Tensor, "n 8"]]:
    """(places i, j, k, weights) of the eight nodes around points, of `nodes`^3 that fill [-1, 1]^3; beyond it the edge's value holds."""
    at = (points.clamp(-1, 1) + 1) * (0.5 * (nodes - 1))
    low = at.floor().clamp(max=nodes - 2)
    part = at - low
    places, weights = [], []
    for corner in range(8):
        bits = points.new_tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        places.append((low + bits).to(torch.int32).T)
        weights.append(torch.where(bits > 0, part, 1 - part).prod(1))
    return torch.stack(places, 2), torch.stack(weights, 1)


def between(index: Int[Tensor, "n 8"], weights: Float[Tensor, "n 8"], entries: int) -> SparseMap:
    """From the `entries` of a table to points: sums of eight with weights. On the CPU."""
    table = weights.flatten().numpy(), index.flatten().numpy(), 8 * np.arange(len(index) + 1)
    return sparse_map(scipy.sparse.csr_matrix(table, shape=(len(index), entries)), weights.dtype)
