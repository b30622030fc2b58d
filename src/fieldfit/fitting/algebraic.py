"""Simultaneous algebraic reconstruction (SIRT), the classical answer to any sparse linear map.

values <- max(0, values + C A^T R (data - A values)),   R, C: inverse sums of A's rows and columns   (Gregor and Benson, IEEE TMI 27, 918 (2008))
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.sparse import SparseMap


def sirt(
    linear: SparseMap,
    data: Float[Tensor, "row batch"],
    values: Float[Tensor, "column batch"],
    steps: int,
    least: float,
    good: Float[Tensor, "row batch"] | None = None,
) -> Float[Tensor, "column batch"]:
    """The values `steps` steps further on. least: rows and columns whose sums are below it are left alone, in the units of the matrix;
    good: 0 for data that must not count."""
    rows = linear(torch.ones_like(values[:, :1]))
    columns = linear.adjoint(torch.ones_like(data[:, :1]) if good is None else good)
    by_row = torch.where(rows > least, 1 / rows.clamp_min(least), 0.0) * (1.0 if good is None else good)
    by_column = torch.where(columns > least, 1 / columns.clamp_min(least), 0.0)
    for _ in range(steps):
        values = (values + by_column * linear.adjoint(by_row * (data - linear(values)))).clamp_min(0)
    return values
