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
from fieldfit.experiments.magis.volume import Lattice, Volume
from fieldfit.fields.fringed import ENVELOPE, PARAMETERS, Fringed, density, interpolated, slopes
from fieldfit.fields.grids import gathered
from fieldfit.fitting.fisher import fit_poisson
from fieldfit.fitting.fit import Schedule, fit, generator_of
from fieldfit.forward.imaging import Projector, light
from fieldfit.likelihoods import poisson
from fieldfit.priors import ridge

PRIOR_STD = 0.5  # of the free logarithm, each grid
MARGIN = 3.0  # log-likelihood of the held-out photons that an explicit fringe, or a free shape, must gain
SCORING_STEPS = 25
TOLERANCE = 0.03  # standard deviations
ROUGH = 0.2  # the same for what is scored again later
GRID_CAN = 6.0  # |k| size below which the free grids could draw the wave themselves, so that both ways are fitted
CHECK, PATIENCE = 5, 3  # Adam steps between two looks at the held-out photons, and looks without gain that end the fit
GLANCE = 20  # steps after which the held-out photons say whether a free shape is worth fitting
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
    lattice: Lattice, half_width: float, parameters: Float[Tensor, "shot 15"], free: Float[Tensor, "shot sample"] | None
) -> tuple[Float[Tensor, "shot sample"], Float[Tensor, "shot 15 sample"]]:
    """(density [m-3], its slopes) as samples of a lattice, such that the squares which the projector draws there
    add up to the density itself. free: exp of the free logarithm."""
    value, by = slopes(*_arguments(lattice, half_width, parameters, free), undo=True)
    return value / half_width**3, by / half_width**3


def drawn(
    lattice: Lattice, half_width: float, parameters: Float[Tensor, "shot 15"], free: Float[Tensor, "shot sample"] | None
) -> Float[Tensor, "shot sample"]:
    """The density of `sampled` alone."""
    return density(*_arguments(lattice, half_width, parameters, free), undo=True) / half_width**3


def _arguments(lattice: Lattice, half_width: float, parameters: Tensor, free: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    p = parameters.to(torch.float32)
    ones = torch.ones(len(p), len(lattice.x)) if free is None else free
    return p[:, :ENVELOPE], p[:, ENVELOPE:], lattice.x, ones, lattice.projector.pitch / half_width


def scored(
    lattice: Lattice,
    half_width: float,
    counts: Float[Tensor, "pixel shot"],
    share: float,
    start: Float[Tensor, "shot 15"],
    free: Tensor | None,
    number: int,
    tolerance: float,
) -> tuple[Float[Tensor, "shot 15"], Bool[Tensor, "shot"]]:
    """(parameters, converged): the first `number` parameters at their likeliest, by Fisher scoring on a `share` of the photons."""
    projector = lattice.projector

    def whole(some: Tensor, members: Tensor) -> tuple[Tensor, Tensor | None]:
        return torch.cat([some, start[members, number:]], 1), None if free is None else free[members]

    def model(some: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
        value, by = sampled(lattice, half_width, *whole(some, members))
        columns = torch.cat([value[:, None], by[:, :number]], 1)
        seen = share * light(projector, columns.reshape(-1, columns.shape[-1]).T.contiguous())
        seen = seen.T.reshape(len(some), number + 1, -1)
        return (seen[:, 0] + share * projector.pedestal).double().clamp_min(LEAST), seen[:, 1:]

    def means(some: Tensor, members: Tensor) -> Tensor:
        seen = share * light(projector, drawn(lattice, half_width, *whole(some, members)).T.contiguous()).T
        return (seen + share * projector.pedestal).double().clamp_min(LEAST)

    found = fit_poisson(model, counts.T.double(), start[:, :number].clone(), SCORING_STEPS, tolerance, means)
    return torch.cat([found.parameters, start[:, number:]], 1), found.converged


def with_amplitude(volume: Volume, counts: Float[Tensor, "pixel shot"], share: float, start: Float[Tensor, "shot 15"]) -> Float[Tensor, "shot 15"]:
    """The wave's two amplitudes by linear least squares, all else held: scoring needs a wave that is not zero to move its wave vector."""
    start = start.clone()
    projector = volume.turned.projector
    unit = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=start.dtype)  # the density is linear in the amplitudes
    for place in range(len(start)):
        p = torch.cat([start[place, :13].expand(3, -1), unit], 1)
        seen = share * light(projector, drawn(volume.turned, volume.half_width, p, None).T.contiguous()).double()
        mean = (seen[:, 0] + share * projector.pedestal).clamp_min(LEAST)
        columns = seen[:, 1:] - seen[:, :1]
        weighted = columns / mean[:, None]
        found = torch.linalg.lstsq(weighted.T @ columns, weighted.T @ (counts[:, place].double() - mean)).solution
        size = float(found.norm())
        start[place, 13:15] = found * (min(1.0, 1.0 / size) if size else 1.0)
    return start


def held_out_loss(projector: Projector, held_out: Tensor, share: float, density: Float[Tensor, "sample shot"]) -> Float[Tensor, "shot"]:
    """Minus log-likelihood of the held-out photons."""
    mean = share * (light(projector, density) + projector.pedestal[:, None]).clamp_min(LEAST)
    return poisson(held_out, mean).double().sum(0)


def fit_free(
    lattice: Lattice, nodes: Sequence[int], counts: tuple[Tensor, Tensor], share: float, base: Float[Tensor, "sample shot"], schedule: Schedule
) -> tuple[list[Tensor], Tensor, Tensor]:
    """(levels, kept step, held-out loss): the free logarithm on the density `base`, by Adam, stopped blind; zero where it does not pay.

    counts: fitted and held-out photons in the lattice's pixels.
    """
    shots, projector, (fitted, held_out) = base.shape[1], lattice.projector, counts
    levels = [torch.zeros(shots, n, n, n, requires_grad=True) for n in nodes]
    before = held_out_loss(projector, held_out, share, base)

    def shaped() -> Tensor:
        return base * interpolated(lattice.between, [PRIOR_STD * level for level in levels]).exp()

    def objective(step: int) -> Tensor:
        mean = (1 - share) * (light(projector, shaped()) + projector.pedestal[:, None]).clamp_min(LEAST)
        return poisson(fitted, mean).sum(0) + sum((ridge(level) for level in levels), start=torch.zeros(shots))

    result = fit(
        [(levels, 1.0)],
        objective,
        schedule,
        lambda: held_out_loss(projector, held_out, share, shaped()),
    )
    after = held_out_loss(projector, held_out, share, shaped().detach())
    pays = after < before - MARGIN
    log.info("free logarithm: held-out log-likelihood gained %s", (before - after).tolist())
    kept = [torch.where(pays[:, None, None, None], PRIOR_STD * level.detach(), 0.0) for level in levels]
    return kept, torch.where(pays, result.kept_step.expand(shots), 0), torch.where(pays, after, before)


def wanted(volume: Volume, split: tuple[Tensor, Tensor], share: float, base: Tensor, options: DensityFit) -> Bool[Tensor, "shot"]:
    """Whether the held-out photons want any free shape: asked on the turned lattice, a third of the cost."""
    at = volume.turned.projector.pixel
    _, kept_step, _ = fit_free(
        volume.turned, volume.coarse, (split[0][at], split[1][at]), share, base, Schedule(GLANCE, options.rate, check=CHECK, patience=2)
    )
    return kept_step > 0


def fit_shots(
    volume: Volume,
    counts: Float[Tensor, "pixel shot"],
    shots: Sequence[int],
    starts: Sequence[Moments],
    waves: Sequence[Wave | None],
    options: DensityFit,
    seed: int,
) -> Fitted:
    """Fit every shot. counts: all electrons, pedestal included, in all pixels of the binned frames."""
    half, turned, fine, share = volume.half_width, volume.turned, volume.fine, options.held_out
    schedule = Schedule(options.steps, options.rate, check=CHECK, patience=PATIENCE)
    split = thinned(counts, share, shots, seed)
    fitted, held_out = (part[turned.projector.pixel] for part in split)
    plain, converged = scored(turned, half, fitted, 1 - share, started(starts, waves, half), None, ENVELOPE, ROUGH)
    chosen, fringe = plain.clone(), torch.zeros(len(shots), dtype=torch.bool)
    plain_loss = held_out_loss(turned.projector, held_out, share, drawn(turned, half, plain, None).T.contiguous())
    tried = torch.tensor([i for i, wave in enumerate(waves) if wave is not None and options.fringe], dtype=torch.long)
    if len(tried):
        start = with_amplitude(volume, fitted[:, tried], 1 - share, plain[tried])
        waved, moved = scored(turned, half, fitted[:, tried], 1 - share, start, None, PARAMETERS, ROUGH)
        loss = held_out_loss(turned.projector, held_out[:, tried], share, drawn(turned, half, waved, None).T.contiguous())
        wins = (loss < plain_loss[tried] - MARGIN) & moved
        chosen[tried[wins]], fringe[tried[wins]], converged[tried[wins]] = waved[wins], True, moved[wins]
    fitted, held_out = (part[fine.projector.pixel] for part in split)
    free = torch.nonzero(wanted(volume, split, share, drawn(turned, half, chosen, None).clamp_min(0).T.contiguous(), options)).flatten()
    base = drawn(fine, half, chosen, None).clamp_min(0).T.contiguous()
    loss = held_out_loss(fine.projector, held_out, share, base)
    levels, kept_step = [torch.zeros(len(shots), n, n, n) for n in volume.nodes], torch.zeros(len(shots), dtype=torch.long)
    if len(free):
        found, kept_step[free], loss[free] = fit_free(fine, volume.nodes, (fitted[:, free], held_out[:, free]), share, base[:, free], schedule)
        for level, new in zip(levels, found, strict=True):
            level[free] = new
    # A wave longer than the cloud may only be a shape that is no Gaussian: the free grids are offered the same photons without it.
    size = torch.tensor([math.sqrt(max(start.covariance.trace() / 3, 0)) for start in starts]) / half
    doubtful = torch.nonzero(fringe & (chosen[:, 10:13].norm(dim=1) * size < GRID_CAN)).flatten()
    if len(doubtful):
        base = drawn(fine, half, plain[doubtful], None).T.contiguous()
        other, other_step, other_loss = fit_free(fine, volume.nodes, (fitted[:, doubtful], held_out[:, doubtful]), share, base, schedule)
        without = loss[doubtful] > other_loss - MARGIN
        at = doubtful[without]
        chosen[at], fringe[at], kept_step[at], loss[at] = plain[at], False, other_step[without], other_loss[without]
        for level, new in zip(levels, other, strict=True):
            level[at] = new[without]
    final, sure = chosen.clone(), converged.clone()
    for number, has_wave in ((PARAMETERS, True), (ENVELOPE, False)):
        for shaped in (True, False):
            group = torch.nonzero((fringe == has_wave) & ((kept_step > 0) == shaped)).flatten()
            if len(group):
                lattice = fine if shaped else turned
                shape = interpolated(lattice.between, [level[group] for level in levels]).exp().T.contiguous() if shaped else None
                every = counts[lattice.projector.pixel][:, group]
                final[group], sure[group] = scored(lattice, half, every, 1.0, chosen[group], shape, number, TOLERANCE)
    final[~fringe, ENVELOPE:] = 0
    floor = (held_out - torch.xlogy(held_out, held_out)).double().sum(0)
    return Fitted(final, levels, fringe, 2 * (loss - floor) / len(fitted), kept_step, sure)


def lattice_of(volume: Volume, fitted: Fitted, member: int) -> Lattice:
    """The lattice that a shot's final scoring was done on: the reported voxels where it has a free shape."""
    return volume.fine if fitted.kept_step[member] else volume.turned


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
