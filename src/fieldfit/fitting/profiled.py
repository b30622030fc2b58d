"""Least squares with one unknown a shot, profiled out, and parameters that the run shares.

Each shot s has data r_s (whitened residuals), one local unknown t_s and the shared parameters q. The normal equations are an arrow,

    [ A   B ] [dq]   [g]          A = sum_s D_s^T D_s,   B_s = D_s^T d_s,   c_s = d_s^T d_s
    [ B^T c ] [dt] = [h]          g = sum_s D_s^T r_s,   h_s = d_s^T r_s

and eliminating the local unknowns leaves the system of the shared ones: (A - sum B_s B_s^T / c_s) dq = g - sum B_s h_s / c_s (Schur
complement; the information that a profile likelihood keeps, Murphy and van der Vaart, JASA 95, 449 (2000)). Blocks of shots add up, so
that memory does not grow with the run.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Reduced:
    """Normal equations of the shared parameters after profiling."""

    matrix: Float[Tensor, "shared shared"]
    gradient: Float[Tensor, "shared"]

    def __add__(self, other: "Reduced") -> "Reduced":
        return Reduced(self.matrix + other.matrix, self.gradient + other.gradient)


def reduced(residual: Float[Tensor, "shot datum"], by_local: Float[Tensor, "shot datum"], by_shared: Float[Tensor, "shot datum shared"]) -> Reduced:
    """What a block of shots adds. The slopes are those of the prediction, divided like the residual by the data's standard deviation."""
    c = by_local.square().sum(-1).clamp(min=torch.finfo(residual.dtype).tiny)
    along = by_local / c.rsqrt().reciprocal()[:, None]
    clean = by_shared - along[:, :, None] * (along[:, :, None] * by_shared).sum(1, keepdim=True)  # what no local unknown can imitate
    flat = clean.flatten(0, 1)
    return Reduced(flat.T @ flat, flat.T @ residual.flatten())


def local_step(
    residual: Float[Tensor, "shot datum"], by_local: Float[Tensor, "shot datum"], shared_step: Float[Tensor, "shot datum"]
) -> Float[Tensor, "shot"]:
    """Step of each shot's unknown, given what the shared step already changes in its (whitened) predictions."""
    data = torch.ones(residual.shape[1], dtype=residual.dtype, device=residual.device)  # a product with it sums few terms faster than sum(-1)
    c = (by_local.square() @ data).clamp(min=torch.finfo(residual.dtype).tiny)
    return (by_local * (residual - shared_step)) @ data / c


def solve(equations: Reduced, damping: float) -> tuple[Float[Tensor, "shared"], Float[Tensor, "shared shared"]]:
    """(step, covariance) of the shared parameters; directions without information get no step and no variance."""
    scale = equations.matrix.diagonal().clamp(min=torch.finfo(equations.matrix.dtype).tiny).rsqrt()
    unit = scale[:, None] * equations.matrix * scale
    damped = unit + damping * torch.eye(len(unit), dtype=unit.dtype, device=unit.device)
    inverse = torch.linalg.pinv(unit, rtol=1e-12, hermitian=True)
    return torch.linalg.pinv(damped, rtol=1e-12, hermitian=True) @ (scale * equations.gradient) * scale, inverse * scale[:, None] * scale
