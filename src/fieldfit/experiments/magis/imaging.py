"""Densities of a block of camera shots: the five words wired together.

    field       Gaussian envelope x free multi-resolution logarithm x explicit fringe        fields.fringed
    forward     six (or any number of) thin lenses                                            forward.imaging
    likelihood  Poisson, pedestal inside the mean                                             likelihoods.poisson
    prior       standard normal on the free logarithm's nodes, in units of PRIOR_STD          priors.ridge
    fit         Fisher scoring for envelope and fringe, Adam with blind stopping for the rest

A tenth of the photons, thinned binomially from every pixel, is never fitted: it decides whether the fringe is there and when the free
logarithm stops. Thinned Poisson counts are independent Poisson counts (Kingman, Poisson Processes, section 5.1). When both are
decided, envelope and fringe are scored once more on all photons.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.config import DensityFit
from fieldfit.experiments.magis.start import Moments, Wave
from fieldfit.experiments.magis.volume import Volume
from fieldfit.fields.fringed import ENVELOPE, PARAMETERS, Fringed, gathered, interpolated, slopes
from fieldfit.fitting.fisher import fit_poisson
from fieldfit.fitting.fit import Schedule, fit, generator_of
from fieldfit.forward.imaging import light
from fieldfit.likelihoods import poisson
from fieldfit.priors import ridge

PRIOR_STD = 0.5  # of the free logarithm, each grid
MARGIN = 3.0  # log-likelihood of the held-out photons that an explicit fringe, or a free shape, must gain
SCORING_STEPS = 25
TOLERANCE = 0.03  # standard deviations
ROUGH = 0.2  # the same for what is scored again later
GRID_CAN = 6.0  # |k| size below which the free grids could draw the wave themselves, so that both ways are fitted
CHECK, PATIENCE = 5, 3  # Adam steps between two looks at the held-out photons, and looks without gain that end the fit
LEAST = 1e-6  # electrons: a mean is never below

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """parameters (shot, 15): see fields.fringed; levels: nodes of the free logarithm (shot, n, n, n); fringe (shot): whether there is one;
    held_out (shot): deviance of the held-out photons a pixel; kept_step (shot); converged (shot)."""

    parameters: Float[Tensor, "shot 15"]
    levels: list[Tensor]
    fringe: Bool[Tensor, "shot"]
    held_out: Float[Tensor, "shot"]
    kept_step: Tensor
    converged: Bool[Tensor, "shot"]


def thinned(counts: Float[Tensor, "pixel shot"], share: float, shots: Sequence[int], seed: int) -> tuple[Tensor, Tensor]:
    """(fitted, held-out) photons: a binomial `share` of each pixel's is held out.

    Each shot has its own generator, so that its photons do not depend on the block that it is fitted in.
    """
    out = torch.stack(
        [
            torch.binomial(counts[:, place].contiguous(), torch.full_like(counts[:, place], share), generator=generator_of(seed * 1_000_003 + shot))
            for place, shot in enumerate(shots)
        ],
        1,
    )
    return counts - out, out


def started(starts: Sequence[Moments], waves: Sequence[Wave | None], half_width: float) -> Float[Tensor, "shot 15"]:
    """Parameters that have the moments of the views and the wave of their spectra, its amplitude still zero."""
    parameters = torch.zeros(len(starts), PARAMETERS, dtype=torch.float64)
    for row, start, wave in zip(parameters, starts, waves, strict=True):
        precision = torch.linalg.inv(torch.from_numpy(start.covariance) / half_width**2)
        chol = torch.linalg.cholesky(precision)
        row[0] = math.log(max(start.atoms, 1.0))
        row[1:4] = torch.from_numpy(start.centre) / half_width
        row[4:7] = chol.diagonal().log()
        row[7:10] = chol[[1, 2, 2], [0, 0, 1]]
        if wave is not None:
            row[ENVELOPE : ENVELOPE + 3] = torch.from_numpy(wave.vector) * half_width
    return parameters


def sampled(
    volume: Volume, parameters: Float[Tensor, "shot 15"], free: Float[Tensor, "shot voxel"] | None
) -> tuple[Float[Tensor, "shot voxel"], Float[Tensor, "shot 15 voxel"]]:
    """(density [m-3], its slopes) as samples at the voxels' centres, such that the squares which the projector draws there
    add up to the density itself. free: exp of the free logarithm."""
    p = parameters.to(torch.float32)
    ones = torch.ones(len(p), len(volume.x)) if free is None else free
    value, by = slopes(p[:, :ENVELOPE], p[:, ENVELOPE:], volume.x, ones, volume.projector.pitch / volume.half_width, undo=True)
    return value / volume.half_width**3, by / volume.half_width**3


def scored(
    volume: Volume,
    counts: Float[Tensor, "pixel shot"],
    share: float,
    start: Float[Tensor, "shot 15"],
    free: Tensor | None,
    number: int,
    tolerance: float,
) -> tuple[Float[Tensor, "shot 15"], Bool[Tensor, "shot"]]:
    """(parameters, converged): the first `number` parameters at their likeliest, by Fisher scoring on a `share` of the photons."""

    def model(some: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
        whole = torch.cat([some, start[members, number:]], 1)
        density, by = sampled(volume, whole, None if free is None else free[members])
        columns = torch.cat([density[:, None], by[:, :number]], 1)
        seen = light(volume.projector, columns.reshape(-1, columns.shape[-1]).T.contiguous())
        seen = share * seen.T.reshape(len(some), number + 1, -1)
        return (seen[:, 0] + share * volume.projector.pedestal).double().clamp_min(LEAST), seen[:, 1:].double()

    found = fit_poisson(model, counts.T.double(), start[:, :number].clone(), SCORING_STEPS, tolerance)
    return torch.cat([found.parameters, start[:, number:]], 1), found.converged


def with_amplitude(volume: Volume, counts: Float[Tensor, "pixel shot"], share: float, start: Float[Tensor, "shot 15"]) -> Float[Tensor, "shot 15"]:
    """The wave's two amplitudes by linear least squares, all else held: scoring needs a wave that is not zero to move its wave vector."""
    start = start.clone()
    for place in range(len(start)):
        density, by = sampled(volume, start[place : place + 1], None)
        seen = share * light(volume.projector, torch.cat([density, by[0, 13:15]]).T.contiguous()).double()
        mean = (seen[:, 0] + share * volume.projector.pedestal).clamp_min(LEAST)
        weighted = seen[:, 1:] / mean[:, None]
        found = torch.linalg.lstsq(weighted.T @ seen[:, 1:], weighted.T @ (counts[:, place].double() - mean)).solution
        size = float(found.norm())
        start[place, 13:15] = found * (min(1.0, 1.0 / size) if size else 1.0)
    return start


def held_out_loss(volume: Volume, held_out: Tensor, share: float, density: Float[Tensor, "voxel shot"]) -> Float[Tensor, "shot"]:
    """Minus log-likelihood of the held-out photons."""
    mean = share * (light(volume.projector, density) + volume.projector.pedestal[:, None]).clamp_min(LEAST)
    return poisson(held_out, mean).double().sum(0)


def fit_free(
    volume: Volume, fitted: Tensor, held_out: Tensor, share: float, base: Float[Tensor, "voxel shot"], options: DensityFit
) -> tuple[list[Tensor], Tensor, Tensor]:
    """(levels, kept step, held-out loss): the free logarithm on the density `base`, by Adam, stopped blind; zero where it does not pay."""
    shots = base.shape[1]
    levels = [torch.zeros(shots, n, n, n, requires_grad=True) for n in volume.nodes]
    before = held_out_loss(volume, held_out, share, base)

    def density() -> Tensor:
        return base * interpolated(volume.between, [PRIOR_STD * level for level in levels]).exp()

    def objective(step: int) -> Tensor:
        mean = (1 - share) * (light(volume.projector, density()) + volume.projector.pedestal[:, None]).clamp_min(LEAST)
        return poisson(fitted, mean).sum(0) + sum((ridge(level) for level in levels), start=torch.zeros(shots))

    result = fit(
        [(levels, 1.0)],
        objective,
        Schedule(options.steps, options.rate, check=CHECK, patience=PATIENCE),
        lambda: held_out_loss(volume, held_out, share, density()),
    )
    after = held_out_loss(volume, held_out, share, density().detach())
    pays = after < before - MARGIN
    log.info("free logarithm: held-out log-likelihood gained %s", (before - after).tolist())
    kept = [torch.where(pays[:, None, None, None], PRIOR_STD * level.detach(), 0.0) for level in levels]
    return kept, torch.where(pays, result.kept_step.expand(shots), 0), torch.where(pays, after, before)


def fit_shots(
    volume: Volume,
    counts: Float[Tensor, "pixel shot"],
    shots: Sequence[int],
    starts: Sequence[Moments],
    waves: Sequence[Wave | None],
    options: DensityFit,
    seed: int,
) -> Fitted:
    """Fit every shot. counts: all electrons, pedestal included, in the projector's pixels."""
    share = options.held_out
    fitted, held_out = thinned(counts, share, shots, seed)
    plain, converged = scored(volume, fitted, 1 - share, started(starts, waves, volume.half_width), None, ENVELOPE, ROUGH)
    chosen, fringe = plain.clone(), torch.zeros(len(shots), dtype=torch.bool)
    plain_loss = held_out_loss(volume, held_out, share, sampled(volume, plain, None)[0].T.contiguous())
    tried = torch.tensor([i for i, wave in enumerate(waves) if wave is not None and options.fringe], dtype=torch.long)
    if len(tried):
        start = with_amplitude(volume, fitted[:, tried], 1 - share, plain[tried])
        waved, moved = scored(volume, fitted[:, tried], 1 - share, start, None, PARAMETERS, ROUGH)
        loss = held_out_loss(volume, held_out[:, tried], share, sampled(volume, waved, None)[0].T.contiguous())
        wins = (loss < plain_loss[tried] - MARGIN) & moved
        chosen[tried[wins]], fringe[tried[wins]], converged[tried[wins]] = waved[wins], True, moved[wins]
    base = sampled(volume, chosen, None)[0].clamp_min(0).T.contiguous()
    levels, kept_step, loss = fit_free(volume, fitted, held_out, share, base, options)
    # A wave longer than the cloud may only be a shape that is no Gaussian: the free grids are offered the same photons without it.
    size = torch.tensor([math.sqrt(max(start.covariance.trace() / 3, 0)) for start in starts]) / volume.half_width
    doubtful = torch.nonzero(fringe & (chosen[:, 10:13].norm(dim=1) * size < GRID_CAN)).flatten()
    if len(doubtful):
        base = sampled(volume, plain[doubtful], None)[0].T.contiguous()
        other, other_step, other_loss = fit_free(volume, fitted[:, doubtful], held_out[:, doubtful], share, base, options)
        without = loss[doubtful] > other_loss - MARGIN
        at = doubtful[without]
        chosen[at], fringe[at], kept_step[at], loss[at] = plain[at], False, other_step[without], other_loss[without]
        for level, new in zip(levels, other, strict=True):
            level[at] = new[without]
    free = interpolated(volume.between, levels).exp().T.contiguous()
    final, sure = chosen.clone(), converged.clone()
    for group, number in ((torch.nonzero(fringe).flatten(), PARAMETERS), (torch.nonzero(~fringe).flatten(), ENVELOPE)):
        if len(group):
            final[group], sure[group] = scored(volume, counts[:, group], 1.0, chosen[group], free[group], number, TOLERANCE)
    final[~fringe, ENVELOPE:] = 0
    floor = (held_out - torch.xlogy(held_out, held_out)).double().sum(0)
    return Fitted(final, levels, fringe, 2 * (loss - floor) / len(counts), kept_step, sure)


def field_of_fit(volume: Volume, fitted: Fitted) -> Fringed:
    """The fitted field: every shot a member of its batch."""
    field = Fringed(len(fitted.parameters), volume.half_width, [volume.nodes[-1]])
    with torch.no_grad():
        field.shape.copy_(fitted.parameters[:, :ENVELOPE])
        field.wave.copy_(fitted.parameters[:, ENVELOPE:])
        field.levels[0].copy_(gathered(fitted.levels))
    return field


def only(fitted: Fitted, member: int) -> Fitted:
    """One shot of a fit."""
    at = slice(member, member + 1)
    return replace(
        fitted,
        parameters=fitted.parameters[at],
        levels=[level[at] for level in fitted.levels],
        fringe=fitted.fringe[at],
        held_out=fitted.held_out[at],
        kept_step=fitted.kept_step[at],
        converged=fitted.converged[at],
    )
