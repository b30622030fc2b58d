"""Several interferometers under one laser: every shot has its own common phase, everything else is the run's.

    share_si = [1 + balance_i + C_i(s) cos(theta_s + Phi_i + m_si)] / 2                                       (forward.ports)
    -2 log L = sum_si r_si^2 / V_si + log V_si,   V_si = P (1 - P) / N + detection^2 + (dP/dphi)^2 jitter^2

theta_s: common laser phase of shot s, profiled out; Phi_i: static offsets, Phi_0 = 0; C_i(s): contrast, a spline in the shot's place in the
file; m_si: known modulation. `jitter` is phase noise of the interferometers that is not common (a signal that is not yet modelled, for one),
`detection` noise of the measured share beyond counting: near a turning point only the second is seen, which tells them apart. An ellipse fit
a block (Foster et al., Opt. Lett. 27, 951 (2002)) needs the offsets to stand still and is biased by noise; here each shot only has to be
consistent with one theta.

Everything goes through blocks of shots: of all shots only what they are (counts, place) and what is found for each (theta, m) is in memory.
"""

import itertools
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.experiments.magis.port_model import Model, Shots, blocks, contrast_of, expected_shares, phases, spline
from fieldfit.fitting.profiled import Reduced, local_step, reduced, solve
from fieldfit.forward.ports import EDGE, binomial_variance

SEARCHED = 512  # shots whose trial phases are compared together
ANGLES = 64  # common phases tried for a shot
SURE = 3.0  # standard deviations of its square above which detection noise is believed
JITTER_START = 0.05  # rad: lets the first fits forgive signals and rough offsets


@dataclass(frozen=True)
class Match:
    """How a model fits. score: -2 log likelihood; chi2 over `freedom` degrees of freedom."""

    score: float
    chi2: float
    freedom: int


def first_guesses(shots: Shots, knots: int, count: int = 3) -> list[Model]:
    """Models to start from, the likeliest first.

    For a uniformly random laser phase the correlation of two ports is cos(Phi_b - Phi_a), which leaves the sign of each difference open:
    all sign patterns are compared with all correlations (one overall sign is free). The variance of a port is C^2 / 8.
    """
    number = len(shots.place)
    mean = torch.stack([shots.part(b).share.sum(0) for b in blocks(number)]).sum(0) / number
    parts = [_moments(shots.part(b), mean) for b in blocks(number)]
    product, noise = (torch.stack(terms).sum(0) / number for terms in zip(*parts, strict=True))
    variance = product.diagonal()
    cosine = (product / variance.clamp(min=1e-12).sqrt().outer(variance.clamp(min=1e-12).sqrt())).clamp(-1, 1)
    contrast = (8 * (variance - noise)).clamp(min=1e-4).sqrt().clamp(max=0.98)
    size = torch.arccos(cosine[0])
    size[0] = 0.0
    interferometers = len(size)
    patterns = [(1.0, 1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=min(interferometers - 2, 12))]
    offsets = torch.stack([size * torch.tensor(p + (1.0,) * (interferometers - len(p)), dtype=size.dtype, device=size.device) for p in patterns])
    misfit = ((offsets[:, :, None] - offsets[:, None, :]).cos() - cosine).square().sum((1, 2))
    still = torch.zeros_like(size).expand(number, interferometers)
    return [
        Model(offsets[k], torch.zeros_like(size), contrast[:, None].repeat(1, knots), torch.zeros_like(shots.place), still, JITTER_START)
        for k in misfit.argsort()[:count].tolist()
    ]


def _moments(shots: Shots, mean: Float[Tensor, "interferometer"]) -> tuple[Float[Tensor, "interferometer interferometer"], Tensor]:
    """(products of the ports' shares less their mean, variance by counting), summed over shots."""
    found = shots.share
    centred = found - mean
    return centred.T @ centred, binomial_variance(found, shots.atoms).sum(0)


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
    _, _, equations = _moved(shots, model, model, None)
    _, covariance = solve(equations, 0.0)
    at = torch.arange(len(model.offset), device=covariance.device) * (2 + model.knots.shape[1])
    return covariance[at][:, at]


def match(shots: Shots, model: Model) -> Match:
    """-2 log L, chi-square and degrees of freedom."""
    chi2 = logarithms = 0.0
    for block in blocks(len(shots.place)):
        residual, _, variance = expected_shares(shots.part(block), model.part(block))
        chi2 += float((residual.square() / variance).sum())
        logarithms += float(variance.log().sum())
    return Match(chi2 + logarithms, chi2, _freedom(model))


def search_common(shots: Shots, model: Model) -> Model:
    """The best common phase of every shot: the deepest of ANGLES trial values, refined."""
    found = torch.empty_like(shots.place)
    for block in blocks(len(found)):
        here, own = shots.part(block), model.part(block)
        contrast = contrast_of(own, here.place)
        own = replace(own, common=_deepest(here, own, contrast))
        for _ in range(4):
            residual, by_common, variance = expected_shares(here, own, contrast)
            scale = variance.rsqrt()
            own = replace(own, common=own.common + local_step(residual * scale, by_common * scale, torch.zeros_like(scale)).clamp(-0.1, 0.1))
        found[block] = own.common
    return replace(model, common=found)


def _deepest(shots: Shots, model: Model, contrast: Float[Tensor, "shot interferometer"]) -> Float[Tensor, "shot"]:
    """The likeliest of ANGLES common phases: P = middle + cos(theta) along - sin(theta) across needs no further cosine."""
    angle = torch.linspace(-torch.pi, torch.pi, ANGLES + 1, dtype=contrast.dtype, device=contrast.device)[:-1]
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    static = model.offset + model.modulation
    along, across, middle = contrast * static.cos() / 2, contrast * static.sin() / 2, (1 + model.balance) / 2
    measured, atoms, found = shots.share, shots.atoms, torch.empty_like(shots.place)
    for part in blocks(len(found), SEARCHED):
        misfit = torch.zeros(ANGLES, len(found[part]), dtype=contrast.dtype, device=contrast.device)
        for i in range(contrast.shape[1]):
            expected = (middle[i] + cosine * along[part, i] - sine * across[part, i]).clamp_(EDGE, 1 - EDGE)
            lever = cosine * across[part, i] + sine * along[part, i]
            variance = binomial_variance(expected, atoms[part, i]).add_(model.detection**2).add_(lever.square_(), alpha=model.jitter**2)
            misfit += expected.sub_(measured[part, i]).square_().div_(variance).add_(variance.log_())
        found[part] = angle[misfit.argmin(0)]
    return found


def _descend(shots: Shots, model: Model, steps: int) -> Model:
    """Gauss-Newton on chi-square with V held."""
    held, damping = model, 1e-6
    _, loss, equations = _moved(shots, held, model, None)
    for _ in range(steps):
        step, _ = solve(equations, damping)
        trial, new, renewed = _moved(shots, held, model, step)
        if new > loss * (1 + 1e-9):
            damping *= 30
            continue
        gained, loss, model, equations, damping = loss - new, new, trial, renewed, max(damping / 10, 1e-9)
        if gained < 1e-3:
            break
    return model


def _moved(shots: Shots, held: Model, model: Model, step: Tensor | None) -> tuple[Model, float, Reduced]:
    """(model after a shared step, its chi-square, its normal equations), the common phases following; V is that of `held`. step None: none."""
    trial = model
    if step is not None:
        parts = step.reshape(len(model.offset), -1)
        offset, balance = model.offset + parts[:, 0].clamp(-0.3, 0.3), (model.balance + parts[:, 1]).clamp(-0.3, 0.3)
        trial = replace(model, offset=offset, balance=balance, knots=model.knots + parts[:, 2:], common=torch.empty_like(model.common))
    shared = len(model.offset) * (2 + model.knots.shape[1])
    loss, matrix, gradient = 0.0, *(torch.zeros(*size, dtype=torch.float64, device=model.offset.device) for size in ((shared, shared), (shared,)))
    for block in blocks(len(shots.place)):
        here = shots.part(block)
        scale = expected_shares(here, held.part(block))[2].rsqrt()
        own = replace(trial.part(block), common=model.common[block])
        contrast = contrast_of(own, here.place)
        for _ in range(2 if step is not None else 0):
            residual, by_common, _ = expected_shares(here, own, contrast)
            change = local_step(residual * scale, by_common * scale, torch.zeros_like(scale))
            own = replace(own, common=own.common + change.clamp(-0.2, 0.2))
        if step is not None:
            trial.common[block] = own.common
        residual, by_common, _ = expected_shares(here, own, contrast)
        columns, by_shared = _by_shared(here, own, by_common, scale)
        piece = reduced(residual * scale, by_common * scale, by_shared)
        matrix[columns[:, None], columns] += piece.matrix
        gradient[columns] += piece.gradient
        loss += float((residual * scale).square().sum())
    return trial, loss, Reduced(matrix, gradient)


def _by_shared(shots: Shots, model: Model, by_common: Tensor, scale: Tensor) -> tuple[Int[Tensor, "column"], Float[Tensor, "shot datum column"]]:
    """(which shared parameters the shots know, whitened slopes). Parameters: offset, balance and knots, interferometer by interferometer.

    Consecutive shots lie on few of the knots: the others are left out.
    """
    knots, (count, interferometers) = model.knots.shape[1], scale.shape
    first, weight = spline(shots.place, knots)
    lowest, seen = int(first[0]), int(first[-1] - first[0]) + weight.shape[1]
    basis = torch.zeros(count, seen, dtype=weight.dtype, device=weight.device)
    basis.scatter_(1, (first - lowest)[:, None] + torch.arange(weight.shape[1], device=first.device), weight)
    by_knot = (torch.cos(phases(model)) / 2 * scale)[:, :, None] * basis[:, None, :]
    own = torch.cat([(by_common * scale)[:, :, None], (scale / 2)[:, :, None], by_knot], -1)
    each = torch.arange(interferometers, device=own.device)
    by_shared = torch.zeros(count, interferometers, interferometers, own.shape[-1], dtype=own.dtype, device=own.device)
    by_shared[:, each, each] = own
    by_shared[:, 0, 0, 0] = 0.0  # Phi_0 = 0
    within = torch.cat([torch.arange(2, device=own.device), torch.arange(2 + lowest, 2 + lowest + seen, device=own.device)])
    return (each[:, None] * (2 + knots) + within).flatten(), by_shared.flatten(2)


def _freedom(model: Model) -> int:
    shots, interferometers = model.modulation.shape
    return max(1, shots * (interferometers - 1) - (interferometers - 1) - interferometers * (1 + model.knots.shape[1]))


def _with_noise(shots: Shots, model: Model) -> Model:
    """The model with jitter and detection noise as its residuals have them.

    A profiled residual has variance V_i (1 - H_i), H_i the share of the shot's common phase that port i decides. Squared residuals over 1 - H_i
    are regressed on (1, slope^2) beyond counting, with weights (1 - H_i)^2 / V_i^2, until V stands (a method of moments, Amemiya, J. Econometrics
    6, 365 (1977)). Neither can be negative; detection noise is only believed above SURE of its standard deviations.
    """
    number, interferometers = model.modulation.shape
    inflate = number * (interferometers - 1) / _freedom(model)  # what fitting the shared parameters took
    noise = torch.tensor([model.detection**2, model.jitter**2], dtype=torch.float64, device=model.offset.device)
    for _ in range(8):
        sums = [_noise_equations(shots.part(block), model.part(block), noise, inflate) for block in blocks(number)]
        matrix, right = (torch.stack(terms).sum(0) for terms in zip(*sums, strict=True))
        both = torch.linalg.pinv(matrix, hermitian=True)
        before, noise = noise, both @ right
        if noise[0] < SURE * (2 * both[0, 0]).sqrt():
            noise = torch.stack([torch.zeros_like(noise[0]), right[1] / matrix[1, 1].clamp(min=1e-300)])
        elif noise[1] < 0:
            noise = torch.stack([right[0] / matrix[0, 0].clamp(min=1e-300), torch.zeros_like(noise[1])])
        noise = noise.clamp(min=0.0)
        if torch.allclose(noise, before, rtol=1e-9, atol=1e-18):
            break
    return replace(model, detection=float(noise[0].sqrt()), jitter=min(float(noise[1].sqrt()), 1.0))


def _noise_equations(shots: Shots, model: Model, noise: Tensor, inflate: float) -> tuple[Float[Tensor, "2 2"], Float[Tensor, "2"]]:
    """Normal equations of (detection^2, jitter^2) from some shots, with the weights of the noise so far."""
    residual, lever, counting = expected_shares(shots, replace(model, detection=0.0, jitter=0.0))
    lever = lever.square()
    variance = counting + noise[0] + lever * noise[1]
    pull = lever / variance
    free = 1 - pull / pull.sum(1, keepdim=True).clamp(min=1e-300)
    weight = torch.where(free > 0.05, free / variance, 0.0).flatten()
    beyond = (residual.square() * inflate / free.clamp(min=0.05) - counting).flatten()
    terms = torch.stack([torch.ones_like(lever), lever], -1).flatten(0, 1)
    weighted = terms * weight[:, None] ** 2
    return weighted.T @ terms, weighted.T @ beyond
