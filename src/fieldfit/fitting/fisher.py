"""Maximum likelihood with few parameters a member and many counts: Fisher scoring with Levenberg-Marquardt damping, batched.

    F = J diag(1 / mean) J^T,   g = J (counts - mean) / mean,   (F + lambda diag F) step = g

For Poisson counts F is the expected information (Fisher 1925), so that its inverse at the optimum is the Cramer-Rao covariance.
Damping after Marquardt, J. SIAM 11, 431 (1963), raised and lowered after Nielsen (IMM-REP-1999-05, Technical University of Denmark): by how much of
the gain that was predicted has come true.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.likelihoods import poisson

Model = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Means = Callable[[Tensor, Tensor], Tensor]

REUSE = 5.0  # standard deviations: after a shorter step the slopes of the step before still serve (the chord method)
LOWERED = 0.2  # the damping by that much at most, in one step
TINY = 1e-9  # counts: keeps pixels without light and without pedestal out of 0/0


@dataclass(frozen=True)
class Scored:
    """Where the scoring ended. loss: minus log-likelihood up to a constant of the counts; a member that never had a finite loss keeps infinity."""

    parameters: Float[Tensor, "batch parameter"]
    covariance: Float[Tensor, "batch parameter parameter"]
    loss: Float[Tensor, "batch"]
    chi2_reduced: Float[Tensor, "batch"]
    converged: Bool[Tensor, "batch"]


def fit_poisson(
    model: Model,
    counts: Float[Tensor, "batch datum"],
    start: Float[Tensor, "batch parameter"],
    steps: int = 60,
    tolerance: float = 1e-3,
    means: Means | None = None,
) -> Scored:
    """Maximise the Poisson likelihood of every member from its own start.

    model(parameters, members) -> (mean (m, datum), slopes (m, parameter, datum)) for the members still at work; a mean <= 0 is refused.
    means(parameters, members) -> mean alone, where that is much cheaper: slopes are then computed anew only after a step longer than REUSE.
    A member has converged when its next full step is shorter than `tolerance` standard deviations: step^T F step < tolerance^2 max(1, chi2), those
    of parameters whose model does not fit being wider (Wedderburn, Biometrika 61, 439 (1974)).
    """
    parameters = start.clone()
    loss = torch.full((len(start),), torch.inf, dtype=start.dtype, device=start.device)
    damping, raised = torch.full_like(loss, 1e-2), torch.full_like(loss, 2.0)
    predicted = torch.full_like(loss, torch.nan)  # gain of the trial
    converged = torch.zeros_like(loss, dtype=torch.bool)
    working = torch.arange(len(start), device=start.device)
    trial = parameters.clone()
    information = torch.zeros(*start.shape, start.shape[1], dtype=start.dtype, device=start.device)
    gradient = torch.zeros_like(start)
    chi2 = torch.full_like(loss, torch.nan)
    square = torch.full_like(loss, torch.inf)  # of the last full step, in standard deviations
    slopes = torch.zeros(len(start), 0)
    for _ in range(steps):
        if means is None or not (square[working] < REUSE**2).all():
            mean, slopes = model(trial[working], working)
            held = working
        else:
            mean = means(trial[working], working)
            slopes, held = slopes[torch.isin(held, working)], working
        new = poisson(counts[working], mean.clamp(min=TINY)).sum(-1)
        new = torch.where((mean > 0).all(-1) & torch.isfinite(new), new, torch.inf)
        better = torch.isfinite(new) & (new <= loss[working])
        gained = working[better]
        come_true = ((loss[working] - new) / predicted[working]).nan_to_num(0.5)
        if len(gained):
            all_better = len(gained) == len(working)  # then nothing needs copying
            kept = (mean if all_better else mean[better]).clamp(min=TINY)
            slope = slopes if all_better else slopes[better]
            weighted = slope / kept[:, None].to(slope.dtype)
            residual = counts[gained] - kept
            parameters[gained], loss[gained] = trial[gained], new[better]
            information[gained] = (weighted @ slope.transpose(1, 2)).to(information.dtype)
            gradient[gained] = (weighted @ residual[..., None].to(slope.dtype))[..., 0].to(gradient.dtype)
            chi2[gained] = (residual.square() / kept).sum(-1) / max(1, counts.shape[1] - start.shape[1])
        changed = torch.where(better, (1 - (2 * come_true - 1) ** 3).clamp(LOWERED, 1), raised[working])
        damping[working] = (damping[working] * changed).clamp(1e-9, 1e9)
        raised[working] = torch.where(better, 2.0, 2 * raised[working])
        full = _solve(information[working], gradient[working], torch.zeros_like(damping[working]))
        square[working] = torch.where(better, (full * gradient[working]).sum(-1).abs(), torch.inf)
        allowed = tolerance**2 * chi2[working].clamp(min=1)
        converged[working] = torch.isfinite(loss[working]) & ((full * gradient[working]).sum(-1).abs() < allowed)
        working = working[~converged[working] & (damping[working] < 1e8)]
        if not len(working):
            break
        step = _solve(information[working], gradient[working], damping[working])
        trial[working] = parameters[working] + step
        diagonal = information[working].diagonal(dim1=-2, dim2=-1)
        predicted[working] = 0.5 * (step * (damping[working, None] * diagonal * step + gradient[working])).sum(-1)
    return Scored(parameters, covariance_of(information), loss, chi2, converged)


def covariance_of(information: Float[Tensor, "batch p p"]) -> Float[Tensor, "batch p p"]:
    """Inverse of the information, scaled first so that units do not cost digits; NaN where it is singular."""
    scale = information.diagonal(dim1=-2, dim2=-1).clamp(min=torch.finfo(information.dtype).tiny).rsqrt()
    inverse, failed = torch.linalg.inv_ex(scale[:, :, None] * information * scale[:, None, :])
    return torch.where((failed != 0)[:, None, None], torch.nan, inverse * scale[:, :, None] * scale[:, None, :])


def propagate(
    function: Callable[[Tensor], Tensor], parameters: Float[Tensor, "batch p"], covariance: Float[Tensor, "batch p p"]
) -> tuple[Tensor, Tensor]:
    """(value, standard deviation), each (batch, q), of functions of the parameters, to first order."""
    with torch.enable_grad():
        at = parameters.detach().requires_grad_()
        value = function(at)
        # Members do not share parameters, so the gradient of a sum over members has each one's own.
        rows = [torch.autograd.grad(value[:, q].sum(), at, retain_graph=True)[0] for q in range(value.shape[1])]
    jacobian = torch.stack(rows, 1)
    variance = torch.einsum("bqp,bpr,bqr->bq", jacobian, covariance, jacobian)
    return value.detach(), variance.clamp(min=0).sqrt()


def _solve(information: Tensor, gradient: Tensor, damping: Tensor) -> Tensor:
    """Damped step, (batch, parameter); zero where the system is singular."""
    scale = information.diagonal(dim1=-2, dim2=-1).clamp(min=torch.finfo(information.dtype).tiny).rsqrt()
    matrix = scale[:, :, None] * information * scale[:, None, :]
    matrix = matrix + damping[:, None, None] * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    step, failed = torch.linalg.solve_ex(matrix, (scale * gradient)[..., None])
    return torch.where((failed != 0)[:, None], 0.0, torch.nan_to_num(step[..., 0]) * scale)
