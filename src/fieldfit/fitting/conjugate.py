"""Many linear systems with one symmetric positive operator at once, by preconditioned conjugate gradients (Hestenes and Stiefel 1952)."""

from collections.abc import Callable

import torch
from jaxtyping import Inexact
from torch import Tensor


def conjugate_gradients(
    operator: Callable[[Tensor], Tensor],
    right: Inexact[Tensor, "batch *n"],
    steps: int,
    tolerance: float = 1e-2,
    precondition: Callable[[Tensor], Tensor] = lambda residual: residual,
) -> Inexact[Tensor, "batch *n"]:
    """x with operator(x) = right, member by member: at most `steps` steps, until every residual has fallen to `tolerance` of its start.

    precondition: symmetric (Hermitian of complex ones), positive and near to the inverse of the operator; residuals are measured through it.
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        # Row by row, and the rows in double precision: single precision throughout costs the solver its last steps.
        rows = torch.linalg.vecdot(a, b).real
        return rows.reshape(len(rows), -1).sum(1, dtype=torch.float64)

    def wide(values: Tensor) -> Tensor:
        return values.to(right.dtype).reshape(-1, *[1] * (right.ndim - 1))

    tiny = torch.finfo(torch.float64).tiny
    x, residual = torch.zeros_like(right), right.clone()
    way = precondition(residual).clone()
    square = start = dot(residual, way).clamp_min(tiny)
    for _ in range(steps):
        ahead = operator(way)
        # A member that is done stays: rounding would only lead it away again.
        length = wide(torch.where(square > tolerance**2 * start, square / dot(way, ahead).clamp_min(tiny), 0.0))
        x.add_(length * way)
        residual.sub_(length * ahead)
        better = precondition(residual)
        new = dot(residual, better).clamp_min(tiny)
        way = better + wide(new / square) * way
        square = new
        if (square <= tolerance**2 * start).all():
            break
    return x
