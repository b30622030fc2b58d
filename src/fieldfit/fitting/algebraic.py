"""Simultaneous algebraic reconstruction (SIRT), the classical answer to any sparse linear map.

values <- max(0, values + C A^T R (data - A values)),   R, C: inverse sums of A's rows and columns   (Gregor and Benson, IEEE TMI 27, 918 (2008))
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.sparse import SparseMap


def sirt(
    linear: SparseMap, data: Float[Tensor, "row batch"], values: Float[Tensor, "column batch"], steps: int, least: float
) -> Float[Tensor, "column batch"]:
    """The values `steps` steps further on. least: rows and columns whose sums are below it are left alone, in the units of the matrix."""
    one = torch.ones(1, 1, dtype=values.dtype)
    rows = linear(one.expand(values.shape[0], 1).contiguous())
    columns = linear.adjoint(one.expand(data.shape[0], 1).contiguous())
    by_row = torch.where(rows > least, 1 / rows.clamp_min(least), 0.0)
    by_column = torch.where(columns > least, 1 / columns.clamp_min(least), 0.0)
    for _ in range(steps):
        values = (values + by_column * linear.adjoint(by_row * (data - linear(values)))).clamp_min(0)
    return values
