"""Several interferometers under one laser: every shot has its own common phase, everything else is the run's.

    share_si = [1 + balance_i + C_i(s) cos(theta_s + Phi_i + m_si)] / 2                                       (forward.ports)
    -2 log L = sum_si r_si^2 / V_si + log V_si,   V_si = P (1 - P) / N + detection^2 + (dP/dphi)^2 jitter^2

theta_s: common laser phase of shot s, profiled out; Phi_i: static offsets, Phi_0 = 0; C_i(s): contrast, a spline in the shot's place in the
file; m_si: known modulation. `jitter` is phase noise of the interferometers that is not common (a signal that is not yet modelled, for one),
`detection` noise of the measured share beyond counting: near a turning point only the second is seen, which tells them apart. An ellipse fit
a block (Foster et al., Opt. Lett. 27, 951 (2002)) needs the offsets to stand still and is biased by noise; here each shot only has to be
consistent with one theta.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import BSpline
from torch import Tensor

from fieldfit.fitting.profiled import Reduced, local_step, reduced, solve
from fieldfit.forward.ports import counting_variance, share, slope

BLOCK = 8192  # shots whose slopes are in memory together
ANGLES = 64  # common phases tried for a shot
SURE = 3.0  # standard deviations of its square above which detection noise is believed
JITTER_START = 0.05  # rad: lets the first fits forgive signals and rough offsets


@dataclass(frozen=True)
class Shots:
    """Usable shots. share: atoms in the first port over all; atoms: all; place: where the shot stands in the run, 0 to 1."""

    share: Float[Tensor, "shot interferometer"]
    atoms: Float[Tensor, "shot interferometer"]
    place: Float[Tensor, "shot"]


@dataclass(frozen=True)
class Model:
    """offset, balance: (interferometer); knots: coefficients of the contrast's spline (interferometer, knot); common: theta (shot);
    modulation (shot, interferometer) [rad]; jitter [rad]; detection [1]."""

    offset: Tensor
    balance: Tensor
    knots: Tensor
    common: Tensor
    modulation: Tensor
    jitter: float
    detection: float = 0.0


@dataclass(frozen=True)
class Match:
    """How a model fits. score: -2 log likelihood; chi2 over `freedom` degrees of freedom."""

    score: float
    chi2: float
    freedom: int


def spline(place: Float[Tensor, "shot"], knots: int) -> Float[Tensor, "shot knot"]:
    """B-spline basis on [0, 1], cubic where there are knots enough; rows sum to 1."""
    degree = min(3, knots - 1)
    edges = np.concatenate([np.zeros(degree), np.linspace(0, 1, knots - degree + 1), np.ones(degree)])
    return torch.as_tensor(BSpline.design_matrix(place.cpu().numpy(), edges, degree).toarray(), dtype=place.dtype, device=place.device)


def contrast_of(model: Model, place: Float[Tensor, "shot"]) -> Float[Tensor, "shot interferometer"]:
    """Contrast of every interferometer at each shot, kept between 0 and 1."""
    return (spline(place, model.knots.shape[1]) @ model.knots.T).clamp(1e-3, 1.0)


def phases(model: Model) -> Float[Tensor, "shot interferometer"]:
    """theta + Phi + m."""
    return model.common[:, None] + model.offset + model.modulation


def first_guesses(shots: Shots, knots: int, count: int = 3) -> list[Model]:
    """Models to start from, the likeliest first.

    For a uniformly random laser phase the correlation of two ports is cos(Phi_b - Phi_a), which leaves the sign of each difference open:
    all sign patterns are compared with all correlations (one overall sign is free). The variance of a port is C^2 / 8.
    """
    centred = shots.share - shots.share.mean(0)
    noise = (shots.share * (1 - shots.share) / shots.atoms).mean(0)
    variance = centred.square().mean(0)
    cosine = ((centred.T @ centred) / len(centred) / variance.clamp(min=1e-12).sqrt().outer(variance.clamp(min=1e-12).sqrt())).clamp(-1, 1)
    contrast = (8 * (variance - noise)).clamp(min=1e-4).sqrt().clamp(max=0.98)
    size = torch.arccos(cosine[0])
    size[0] = 0.0
    interferometers = len(size)
    patterns = [(1.0, 1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=min(interferometers - 2, 12))]
    offsets = torch.stack([size * torch.tensor(p + (1.0,) * (interferometers - len(p)), dtype=size.dtype, device=size.device) for p in patterns])
    misfit = ((offsets[:, :, None] - offsets[:, None, :]).cos() - cosine).square().sum((1, 2))
    return [
        Model(
            offsets[k],
            torch.zeros_like(size),
            contrast[:, None].repeat(1, knots),
            torch.zeros_like(shots.place),
            torch.zeros_like(shots.share),
            JITTER_START,
        )
        for k in misfit.argsort()[:count].tolist()
    ]


def fit_model(shots: Shots, start: Model, rounds: int = 4, steps: int = 8) -> Model:
    """Maximise the likelihood: common phases searched on a circle first, then Gauss-Newton with damping; each round renews V and jitter."""
    model = start
    for _ in range(rounds):
        model = search_common(shots, model)
        model = _descend(shots, model, steps)
        model = _with_noise(shots, model)
    return search_common(shots, model)


def offset_covariance(shots: Shots, model: Model) -> Float[Tensor, "interferometer interferometer"]:
    """Covariance of the static offsets with contrasts, balances and every common phase unknown; that of interferometer 0 is 0."""
    _, covariance = solve(_equations(shots, model, _variance(shots, model).rsqrt()), 0.0)
    at = torch.arange(len(model.offset), device=covariance.device) * (2 + model.knots.shape[1])
    return covariance[at][:, at]


def match(shots: Shots, model: Model) -> Match:
    """-2 log L, chi-square and degrees of freedom."""
    residual, variance = _residual(shots, model), _variance(shots, model)
    chi2 = float((residual.square() / variance).sum())
    return Match(chi2 + float(variance.log().sum()), chi2, _freedom(model))


def search_common(shots: Shots, model: Model) -> Model:
    """The best common phase of every shot: the deepest of ANGLES trial values, refined."""
    angle = torch.linspace(-torch.pi, torch.pi, ANGLES + 1, dtype=shots.share.dtype, device=shots.share.device)[:-1]
    contrast = contrast_of(model, shots.place)
    found = torch.empty_like(shots.place)
    for part in torch.arange(len(found), device=found.device).split(BLOCK):
        phase = angle[:, None, None] + model.offset + model.modulation[part]
        variance = counting_variance(phase, contrast[part], model.balance, shots.atoms[part]) + model.detection**2
        variance = variance + (slope(phase, contrast[part]) * model.jitter).square()
        misfit = ((shots.share[part] - share(phase, contrast[part], model.balance)).square() / variance + variance.log()).sum(-1)
        found[part] = angle[misfit.argmin(0)]
    model = replace(model, common=found)
    for _ in range(4):
        model = _refine_common(shots, model)
    return model


def _refine_common(shots: Shots, model: Model) -> Model:
    scale = _variance(shots, model).rsqrt()
    by_common = slope(phases(model), contrast_of(model, shots.place)) * scale
    step = local_step(_residual(shots, model) * scale, by_common, torch.zeros_like(by_common))
    return replace(model, common=model.common + step.clamp(-0.1, 0.1))


def _descend(shots: Shots, model: Model, steps: int) -> Model:
    """Gauss-Newton on chi-square with V held."""
    scale = _variance(shots, model).rsqrt()
    damping, loss = 1e-6, float((_residual(shots, model) * scale).square().sum())
    for _ in range(steps):
        step, _ = solve(_equations(shots, model, scale), damping)
        trial = _moved(shots, model, scale, step)
        new = float((_residual(shots, trial) * scale).square().sum())
        if new > loss * (1 + 1e-9):
            damping *= 30
            continue
        gained, loss, model, damping = loss - new, new, trial, max(damping / 10, 1e-9)
        if gained < 1e-3:
            break
    return model


def _equations(shots: Shots, model: Model, scale: Tensor) -> Reduced:
    parts = [_block(shots, model, scale, part) for part in torch.arange(len(shots.place), device=scale.device).split(BLOCK)]
    total = reduced(*parts[0]) if len(parts) == 1 else None
    for residual, by_common, by_shared in parts if total is None else []:
        piece = reduced(residual, by_common, by_shared)
        total = piece if total is None else total + piece
    assert total is not None
    return total


def _block(shots: Shots, model: Model, scale: Tensor, part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whitened residuals and slopes of some shots. Shared parameters, interferometer by interferometer: offset, balance, knots."""
    basis = spline(shots.place[part], model.knots.shape[1])
    contrast = (basis @ model.knots.T).clamp(1e-3, 1.0)
    phase = model.common[part, None] + model.offset + model.modulation[part]
    white = scale[part]
    by_common = slope(phase, contrast) * white
    count, interferometers = phase.shape
    own = torch.cat([by_common[:, :, None], (white / 2)[:, :, None], (torch.cos(phase) / 2 * white)[:, :, None] * basis[:, None, :]], -1)
    by_shared = torch.zeros(count, interferometers, interferometers, own.shape[-1], dtype=own.dtype, device=own.device)
    each = torch.arange(interferometers, device=own.device)
    by_shared[:, each, each] = own
    by_shared[:, 0, 0, 0] = 0.0  # Phi_0 = 0
    residual = (shots.share[part] - share(phase, contrast, model.balance)) * white
    return residual, by_common, by_shared.flatten(2)


def _moved(shots: Shots, model: Model, scale: Tensor, step: Tensor) -> Model:
    """The model after a shared step, its common phases following."""
    interferometers = len(model.offset)
    parts = step.reshape(interferometers, -1)
    trial = replace(
        model,
        offset=model.offset + parts[:, 0].clamp(-0.3, 0.3),
        balance=(model.balance + parts[:, 1]).clamp(-0.3, 0.3),
        knots=model.knots + parts[:, 2:],
    )
    for _ in range(2):
        by_common = slope(phases(trial), contrast_of(trial, shots.place)) * scale
        change = local_step(_residual(shots, trial) * scale, by_common, torch.zeros_like(by_common))
        trial = replace(trial, common=trial.common + change.clamp(-0.2, 0.2))
    return trial


def _residual(shots: Shots, model: Model) -> Tensor:
    return shots.share - share(phases(model), contrast_of(model, shots.place), model.balance)


def _variance(shots: Shots, model: Model) -> Tensor:
    phase, contrast = phases(model), contrast_of(model, shots.place)
    return counting_variance(phase, contrast, model.balance, shots.atoms) + model.detection**2 + (slope(phase, contrast) * model.jitter).square()


def _freedom(model: Model) -> int:
    shots, interferometers = model.modulation.shape
    return max(1, shots * (interferometers - 1) - (interferometers - 1) - interferometers * (1 + model.knots.shape[1]))


def _with_noise(shots: Shots, model: Model) -> Model:
    """The model with jitter and detection noise as its residuals have them.

    A profiled residual has variance V_i (1 - H_i), H_i the share of the shot's common phase that port i decides. Squared residuals over 1 - H_i
    are regressed on (1, slope^2) beyond counting, with weights (1 - H_i)^2 / V_i^2, until V stands (a method of moments, Amemiya, J. Econometrics
    6, 365 (1977)). Neither can be negative; detection noise is only believed above SURE of its standard deviations.
    """
    phase, contrast = phases(model), contrast_of(model, shots.place)
    counting, lever = counting_variance(phase, contrast, model.balance, shots.atoms), slope(phase, contrast).square()
    inflate = shots.share.shape[0] * (shots.share.shape[1] - 1) / _freedom(model)  # what fitting the shared parameters took
    squared = _residual(shots, model).square() * inflate
    terms = torch.stack([torch.ones_like(lever), lever], -1).flatten(0, 1)
    noise = torch.tensor([model.detection**2, model.jitter**2], dtype=terms.dtype, device=terms.device)
    for _ in range(8):
        variance = counting + noise[0] + lever * noise[1]
        pull = lever / variance
        free = 1 - pull / pull.sum(1, keepdim=True).clamp(min=1e-300)
        weight = torch.where(free > 0.05, free / variance, 0.0).flatten()
        beyond = (squared / free.clamp(min=0.05) - counting).flatten()
        matrix = (terms * weight[:, None] ** 2).T @ terms
        right = (terms * weight[:, None] ** 2).T @ beyond
        both = torch.linalg.pinv(matrix, hermitian=True)
        noise = both @ right
        if noise[0] < SURE * (2 * both[0, 0]).sqrt():
            noise = torch.stack([torch.zeros_like(noise[0]), right[1] / matrix[1, 1].clamp(min=1e-300)])
        elif noise[1] < 0:
            noise = torch.stack([right[0] / matrix[0, 0].clamp(min=1e-300), torch.zeros_like(noise[1])])
        noise = noise.clamp(min=0.0)
    return replace(model, detection=float(noise[0].sqrt()), jitter=min(float(noise[1].sqrt()), 1.0))
