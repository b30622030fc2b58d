"""Densities of a block of camera shots: the five words wired together.

    field       Gaussian envelope x free shape x explicit fringe                              fields.fringed, fields.correlated
    forward     six (or any number of) thin lenses                                            forward.imaging
    likelihood  Poisson, pedestal inside the mean                                             likelihoods.poisson
    prior       a correlated field whose spectrum is learned                                  fields.correlated
    fit         Fisher scoring for envelope and fringe, Gauss-Newton for the free shape       fitting.fisher, experiments.magis.shape

A tenth of the photons, thinned binomially from every pixel, is never fitted: it decides whether the fringe is there, whether a free shape
pays, on what base, and when it stops. Thinned Poisson counts are independent Poisson counts (Kingman, Poisson Processes, section 5.1). When
all is decided, envelope and fringe are scored once more on all photons.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.config import DensityFit
from fieldfit.experiments.magis.iterative import mlem
from fieldfit.experiments.magis.shape import LEAST, Photons, Shape, fit_shape, held_out_loss
from fieldfit.experiments.magis.start import Moments, Wave
from fieldfit.experiments.magis.volume import Lattice, Volume
from fieldfit.fields.fringed import ENVELOPE, PARAMETERS, Fringed, density, slopes
from fieldfit.fitting.fisher import fit_poisson
from fieldfit.fitting.fit import generator_of
from fieldfit.forward.imaging import light

MARGIN = 3.0  # log-likelihood of the held-out photons that an explicit fringe, or a free shape, must gain
SCORING_STEPS = 25
TOLERANCE = 0.03  # standard deviations
ROUGH = 0.2  # the same for what is scored again later
GRID_CAN = 6.0  # |k| size below which a free shape could draw the wave itself, so that both ways are fitted
GLANCE = 2  # steps on the smaller lattice after which the held-out photons say whether a free shape is worth fitting
MISFIT = 0.2  # chi-square a pixel beyond 1 at which it is fitted whatever the glance says
SIEVE = 6  # iterations of MLEM that make a base where a Gaussian is none: few, so that they are smooth
FLOOR = 1e-3  # of such a base's maximum
DARK = 12.0  # -rho where no view allows light
TOGETHER = 4  # free shapes that are fitted at once: they fill the memory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """parameters (shot, 15): see fields.fringed; shape (shot, sample): exp(rho) at the samples of the fine lattice; shape_std (shot, sample) [m-3]:
    of the density where a shape is used, zero elsewhere; fringe (shot): whether there is one; held_out (shot): deviance of the held-out
    photons a pixel; kept_step (shot): of the free shape, 0 without; converged (shot)."""

    parameters: Float[Tensor, "shot 15"]
    shape: Float[Tensor, "shot sample"]
    shape_std: Float[Tensor, "shot sample"]
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
    good: Float[Tensor, "pixel shot"],
    share: float,
    start: Float[Tensor, "shot 15"],
    free: Tensor | None,
    number: int,
    tolerance: float,
) -> tuple[Float[Tensor, "shot 15"], Bool[Tensor, "shot"]]:
    """(parameters, converged): the first `number` parameters at their likeliest, by Fisher scoring on a `share` of the photons.

    good: 0 for a pixel that must not count: it is held to be predicted and counted as 1, whatever the parameters.
    """
    projector = lattice.projector
    use = good.T
    masked = bool((good == 0).any())

    def whole(some: Tensor, members: Tensor) -> tuple[Tensor, Tensor | None]:
        return torch.cat([some, start[members, number:]], 1), None if free is None else free[members]

    def model(some: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
        value, by = sampled(lattice, half_width, *whole(some, members))
        columns = torch.cat([value[:, None], by[:, :number]], 1)
        seen = share * light(projector, columns.reshape(-1, columns.shape[-1]).T.contiguous())
        seen = seen.T.reshape(len(some), number + 1, -1)
        return mean_of(seen[:, 0], members), seen[:, 1:] * use[members, None] if masked else seen[:, 1:]

    def means(some: Tensor, members: Tensor) -> Tensor:
        return mean_of(share * light(projector, drawn(lattice, half_width, *whole(some, members)).T.contiguous()).T, members)

    def mean_of(seen: Tensor, members: Tensor) -> Tensor:
        mean = (seen + share * projector.pedestal).double().clamp_min(LEAST)
        return torch.where(use[members] > 0, mean, 1.0) if masked else mean

    found = fit_poisson(model, torch.where(use > 0, counts.T, 1.0).double(), start[:, :number].clone(), SCORING_STEPS, tolerance, means)
    return torch.cat([found.parameters, start[:, number:]], 1), found.converged


def with_amplitude(
    volume: Volume, counts: Float[Tensor, "pixel shot"], good: Float[Tensor, "pixel shot"], share: float, start: Float[Tensor, "shot 15"]
) -> Float[Tensor, "shot 15"]:
    """The wave's two amplitudes by linear least squares, all else held: scoring needs a wave that is not zero to move its wave vector."""
    start = start.clone()
    projector = volume.turned.projector
    unit = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=start.dtype)  # the density is linear in the amplitudes
    for place in range(len(start)):
        p = torch.cat([start[place, :13].expand(3, -1), unit], 1)
        seen = share * light(projector, drawn(volume.turned, volume.half_width, p, None).T.contiguous()).double()
        mean = (seen[:, 0] + share * projector.pedestal).clamp_min(LEAST)
        columns = seen[:, 1:] - seen[:, :1]
        weighted = columns * (good[:, place].double() / mean)[:, None]
        found = torch.linalg.lstsq(weighted.T @ columns, weighted.T @ (counts[:, place].double() - mean)).solution
        size = float(found.norm())
        start[place, 13:15] = found * (min(1.0, 1.0 / size) if size else 1.0)
    return start


def fit_shots(
    volume: Volume,
    counts: Float[Tensor, "pixel shot"],
    good: Float[Tensor, "pixel shot"],
    shots: Sequence[int],
    starts: Sequence[Moments],
    waves: Sequence[Wave | None],
    options: DensityFit,
    seed: int,
) -> Fitted:
    """Fit every shot. counts: all electrons, pedestal included, in all pixels of the binned frames; good: 0 where a shot's pixel must not count."""
    half, turned, fine = volume.half_width, volume.turned, volume.fine
    split = thinned(counts, options.held_out, shots, seed)
    seeds = [seed * 1_000_003 + shot for shot in shots]

    def photons(lattice: Lattice, members: Tensor) -> Photons:
        at = lattice.projector.pixel[:, None], members
        return Photons(split[0][at], split[1][at], options.held_out, good[at])

    def density_of(lattice: Lattice, parameters: Tensor) -> Tensor:
        return drawn(lattice, half, parameters, None).clamp_min(0).T.contiguous()

    def shaped(lattice: Lattice, members: Tensor, base: Tensor, steps: int, with_std: bool) -> Shape:
        parts = [
            fit_shape(lattice.projector, lattice.free, photons(lattice, some), part, [seeds[i] for i in some.tolist()], steps, with_std)
            for some, part in zip(members.split(TOGETHER), base.split(TOGETHER, 1), strict=True)
        ]
        return Shape(
            torch.cat([part.density for part in parts], 1),
            torch.cat([part.std for part in parts], 1),
            torch.cat([part.held_out for part in parts]),
            torch.cat([part.step for part in parts]),
        )

    every = torch.arange(len(shots))
    seen = photons(turned, every)
    plain, converged = scored(turned, half, seen.fitted, seen.good, 1 - seen.share, started(starts, waves, half), None, ENVELOPE, ROUGH)
    chosen, fringe = plain.clone(), torch.zeros(len(shots), dtype=torch.bool)
    loss = held_out_loss(turned.projector, seen, density_of(turned, plain))
    tried = torch.tensor([i for i, wave in enumerate(waves) if wave is not None and options.fringe], dtype=torch.long)
    if len(tried):
        part = photons(turned, tried)
        start = with_amplitude(volume, part.fitted, part.good, 1 - part.share, plain[tried])
        waved, moved = scored(turned, half, part.fitted, part.good, 1 - part.share, start, None, PARAMETERS, ROUGH)
        wins = (held_out_loss(turned.projector, part, density_of(turned, waved)) < loss[tried] - MARGIN) & moved
        chosen[tried[wins]], fringe[tried[wins]], converged[tried[wins]] = waved[wins], True, moved[wins]
    shape, shape_std = torch.ones(len(shots), len(fine.x)), torch.zeros(len(shots), len(fine.x))
    kept_step = torch.zeros(len(shots), dtype=torch.long)
    seen = photons(fine, every)
    base = density_of(fine, chosen)
    loss = held_out_loss(fine.projector, seen, base)

    def take(members: Tensor, found: Shape, own: Tensor) -> None:
        """Keep what was found where the held-out photons are likelier by a margin; own: the parameters that its base had."""
        pays = found.held_out < loss[members] - MARGIN
        at = members[pays]
        log.info("free shape of shots %s: held-out log-likelihood gains %s", [shots[i] for i in members], (loss[members] - found.held_out).tolist())
        smooth = drawn(fine, half, own[pays], None).clamp_min(torch.finfo(torch.float32).tiny)
        shape[at] = (found.density.T[pays] / smooth).clamp(math.exp(-DARK), math.exp(2 * DARK))
        shape_std[at], loss[at], kept_step[at], chosen[at] = found.std.T[pays], found.held_out[pays], found.step[pays], own[pays]

    lattice = min(turned, fine, key=lambda lattice: len(lattice.x))
    glance = shaped(lattice, every, density_of(lattice, chosen), GLANCE, False)
    # What the smaller lattice cannot carry, a fine wave for one, shows in the residuals.
    mean = (1 - seen.share) * (light(fine.projector, base) + fine.projector.pedestal[:, None]).clamp_min(LEAST)
    misfit = (seen.good * (seen.fitted - mean).square() / mean).sum(0) / seen.good.sum(0) - 1
    free = torch.nonzero((glance.step > 0) | (misfit > MISFIT)).flatten()
    if len(free):
        take(free, shaped(fine, free, base[:, free], options.steps, True), chosen[free])
        # A Gaussian is a poor base for what is compact and bright: a few iterations of MLEM are another, where MLEM predicts the photons better.
        own = photons(fine, free)
        view = fine.projector.electrons, fine.projector.pedestal
        classical = mlem(*view, own.fitted, own.held_out, 1 - own.share, good=own.good)
        better = held_out_loss(fine.projector, own, classical.density) < loss[free] - MARGIN
        at = free[better]
        if len(at):
            own = photons(fine, at)
            rough = mlem(*view, own.fitted, own.held_out, 1 - own.share, most=SIEVE, good=own.good).density
            was = loss[at].clone()
            take(at, shaped(fine, at, rough + FLOOR * rough.amax(0), options.steps, True), plain[at])
            fringe[at[loss[at] < was]] = False
    # Where a wave not much shorter than the cloud still wants a free shape, it may only be a part of one that is no Gaussian: a shape is offered
    # the same photons without it, and the wave must be worth its margin.
    size = torch.tensor([math.sqrt(max(start.covariance.trace() / 3, 0)) for start in starts]) / half
    doubtful = torch.nonzero(fringe & (kept_step > 0) & (chosen[:, 10:13].norm(dim=1) * size < GRID_CAN)).flatten()
    if len(doubtful):
        loss[doubtful] += 2 * MARGIN
        was = loss[doubtful].clone()
        take(doubtful, shaped(fine, doubtful, density_of(fine, plain[doubtful]), options.steps, True), plain[doubtful])
        won = loss[doubtful] < was
        fringe[doubtful[won]] = False
        loss[doubtful[~won]] -= 2 * MARGIN
    final, sure = chosen.clone(), converged.clone()
    for number, has_wave in ((PARAMETERS, True), (ENVELOPE, False)):
        for has_shape in (True, False):
            group = torch.nonzero((fringe == has_wave) & ((kept_step > 0) == has_shape)).flatten()
            if not len(group) or (has_shape and not has_wave):
                continue  # the envelope of a free shape is its base: there is nothing left to score
            used = fine if has_shape else turned
            pixels = used.projector.pixel[:, None], group
            with_shape = shape[group] if has_shape else None
            final[group], sure[group] = scored(used, half, counts[pixels], good[pixels], 1.0, chosen[group], with_shape, number, TOLERANCE)
    final[~fringe, ENVELOPE:] = 0
    floor = (seen.good * (seen.held_out - torch.xlogy(seen.held_out, seen.held_out))).double().sum(0)
    return Fitted(final, shape, shape_std, fringe, 2 * (loss - floor) / seen.good.sum(0), kept_step, sure)


def lattice_of(volume: Volume, fitted: Fitted, member: int) -> Lattice:
    """The lattice that a shot's final scoring was done on: the reported voxels where it has a free shape."""
    return volume.fine if fitted.kept_step[member] else volume.turned


def field_of_fit(volume: Volume, fitted: Fitted) -> Fringed:
    """The fitted field: every shot a member of its batch. The nodes of the free shapes are the voxels around all samples."""
    shots, side = len(fitted.parameters), volume.side
    free = torch.nonzero(fitted.kept_step > 0).flatten()
    if not len(free):
        field = Fringed(shots, volume.half_width, 2)
    else:
        voxels = torch.stack(torch.unravel_index(volume.boxed, (side, side, side)), 1)
        low, high = voxels.amin(0), voxels.amax(0)
        nodes = int((high - low).amax()) + 1
        low = torch.minimum(low, torch.tensor(side - nodes))
        centre = (2 * low + nodes) / side - 1
        field = Fringed(shots, volume.half_width, nodes, (float(centre[0]), float(centre[1]), float(centre[2])), (nodes - 1) / side)
        at = voxels - low
        with torch.no_grad():
            field.logarithm[free] = -DARK
            field.logarithm[free[:, None], at[:, 0], at[:, 1], at[:, 2]] = fitted.shape[free, : len(at)].log()
    with torch.no_grad():
        field.shape.copy_(fitted.parameters[:, :ENVELOPE])
        field.wave.copy_(fitted.parameters[:, ENVELOPE:])
    return field


def only(fitted: Fitted, member: int) -> Fitted:
    """One shot of a fit."""
    at = slice(member, member + 1)
    return replace(
        fitted,
        parameters=fitted.parameters[at],
        shape=fitted.shape[at],
        shape_std=fitted.shape_std[at],
        fringe=fitted.fringe[at],
        held_out=fitted.held_out[at],
        kept_step=fitted.kept_step[at],
        converged=fitted.converged[at],
    )
