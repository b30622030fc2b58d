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
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.config import DensityFit
from fieldfit.experiments.magis.iterative import mlem, mlem_iterations
from fieldfit.experiments.magis.shape import LEAST, Photons, Shape, fit_shape, fitted_loss, held_out_loss, joined, lumps_gain, shape_std
from fieldfit.experiments.magis.start import Moments, Wave
from fieldfit.experiments.magis.volume import Lattice, Volume, in_box
from fieldfit.fields.fringed import ENVELOPE, PARAMETERS, Fringed, density, slopes
from fieldfit.fitting.fisher import fit_poisson
from fieldfit.fitting.fit import generator_of
from fieldfit.forward.imaging import light, variance

MARGIN = 3.0  # log-likelihood of the held-out photons that an explicit fringe must gain; a free shape as much beyond the atoms' lumps
SCORING_STEPS = 25
TOLERANCE = 0.03  # standard deviations
ROUGH = 0.2  # the same for what is scored again later
GRID_CAN = 6.0  # |k| size below which a free shape could draw the wave itself, so that both ways are fitted
GLANCE, GLANCE_SOLVER, GLANCE_RMS = 1, 12, 0.3  # steps, of conjugate gradients in each, of modest shapes: held-out photons say whether to go on
MISFIT = 0.2  # chi-square a pixel beyond 1 at which it is fitted whatever the glance says
FLOOR = 1e-3  # of the maximum of MLEM's first iteration, where that is the base
DARK = 12.0  # -rho where no view allows light
TOGETHER = 4  # free shapes that are fitted at once: they fill the memory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """parameters (shot, 15): see fields.fringed; shape (shot, sample): exp(rho) at the samples of the fine lattice; shape_std (shot, sample) [m-3]:
    of the density where a shape is used, zero elsewhere; moments_std (shot, 7): of its `moments_of`; fringe (shot): whether there is one;
    held_out (shot): deviance of the held-out photons a pixel; kept_step (shot): of the free shape, 0 without; converged (shot)."""

    parameters: Float[Tensor, "shot 15"]
    shape: Float[Tensor, "shot sample"]
    shape_std: Float[Tensor, "shot sample"]
    moments_std: Float[Tensor, "shot 7"]
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
            torch.binomial(one, torch.full_like(one, share), generator=generator_of(seed * 1_000_003 + shot))
            for one, shot in zip(counts.cpu().T.contiguous(), shots, strict=True)
        ],
        1,
    )
    out = out.to(counts.device)
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


@dataclass(frozen=True)
class Block:
    """What is known of the shots that are fitted together. fitted, held_out, good: (pixel, shot), all pixels of the binned frames."""

    volume: Volume
    fitted: Float[Tensor, "pixel shot"]
    held_out: Float[Tensor, "pixel shot"]
    good: Float[Tensor, "pixel shot"]
    options: DensityFit
    seeds: list[int]

    def photons(self, lattice: Lattice, members: Tensor) -> Photons:
        """Of some shots in the pixels that see a lattice."""
        at = lattice.projector.pixel[:, None], members
        return Photons(self.fitted[at], self.held_out[at], self.options.held_out, self.good[at])

    def density(self, lattice: Lattice, parameters: Float[Tensor, "shot 15"]) -> Float[Tensor, "sample shot"]:
        """Envelope and fringe on a lattice, nowhere negative."""
        return drawn(lattice, self.volume.half_width, parameters, None).clamp_min(0).T.contiguous()

    def scored(self, photons: Photons, start: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """`scored` on the turned lattice, roughly."""
        return scored(self.volume.turned, self.volume.half_width, photons.fitted, photons.good, 1 - photons.share, start, None, number, ROUGH)

    def shaped(self, lattice: Lattice, members: Tensor, base: Tensor, rival: Tensor | None = None) -> Shape:
        """Free shapes of some shots on `base` (sample, shot), a few at a time. rival (shot): see fit_shape."""
        return self._shaped(lattice, members, base, rival, steps=self.options.steps)

    def glance(self, lattice: Lattice, members: Tensor, base: Tensor) -> Shape:
        """Modest shapes: whether it pays to go on."""
        return self._shaped(lattice, members, base, None, steps=GLANCE, solver_steps=GLANCE_SOLVER, rms=GLANCE_RMS)

    def _shaped(self, lattice: Lattice, members: Tensor, base: Tensor, rival: Tensor | None, **limits: Any) -> Shape:
        return joined(
            [
                fit_shape(
                    lattice.projector,
                    lattice.free,
                    self.photons(lattice, members[at]),
                    base[:, at],
                    [self.seeds[i] for i in members[at].tolist()],
                    rival=None if rival is None else rival[at],
                    **limits,
                )
                for at in torch.arange(len(members)).split(TOGETHER)
            ]
        )


def moments_of(
    lattice: Lattice, half_width: float, density: Float[Tensor, "sample shot"]
) -> tuple[Float[Tensor, "7 shot"], Float[Tensor, "7 sample shot"]]:
    """(atoms, centre (3) [m], rms size along each axis (3) [m] of the cubes that the projector draws, their derivatives by the density)."""
    n, total = density.double(), density.double().sum(0)
    x = lattice.x.double() * half_width
    centre = x.T @ n / total
    away = x.T[:, :, None] - centre[:, None]
    square = (away.square() * n).sum(1) / total
    size = (square + lattice.projector.pitch**2 / 12).sqrt()
    values = torch.cat([(lattice.projector.volume * total)[None], centre, size])
    by_atoms = torch.full_like(n, lattice.projector.volume)[None]
    return values, torch.cat([by_atoms, away / total, (away.square() - square[:, None]) / (2 * size[:, None] * total)]).to(density.dtype)


@dataclass
class _Free:
    """The free shapes that have been taken so far, and the held-out loss with them: see Fitted."""

    shape: Tensor
    std: Tensor
    moments_std: Tensor
    step: Tensor
    loss: Tensor
    parameters: Tensor

    def take(self, block: Block, members: Tensor, found: Shape, base: Tensor, own: Tensor, margin: Tensor | float | None = None) -> Tensor:
        """Take what was found on `base` (sample, shot) where the held-out photons are likelier by a margin: (shot of `members`) whether.
        own: the parameters that the base has; margin: what the atoms' lumps can gain and MARGIN when left out."""
        gain = self.loss[members] - found.held_out
        if margin is None:
            photons = block.photons(block.volume.fine, members)
            lumpy = self.step[members] > 0  # what has been taken before has drawn them already
            margin = MARGIN + torch.where(lumpy, 0.0, lumps_gain(block.volume.fine.projector, photons, block.density(block.volume.fine, own)))
        pays = gain > margin
        log.info("free shapes of members %s of the block: held-out log-likelihood gains %s", members.tolist(), gain.tolist())
        volume, fine = block.volume, block.volume.fine
        for place in torch.nonzero(pays):
            at, one = members[place], found.of(place)
            by = moments_of(fine, volume.half_width, one.density)[1]
            std, moments_std = shape_std(fine.projector, fine.free, block.photons(fine, at), base[:, place], one, [block.seeds[int(at)]], by)
            self.std[at], self.moments_std[at] = std.T, moments_std.T.to(self.moments_std.dtype)
            smooth = drawn(fine, volume.half_width, own[place], None).clamp_min(torch.finfo(torch.float32).tiny)
            self.shape[at] = (one.density.T / smooth).clamp(math.exp(-DARK), math.exp(2 * DARK))
            self.loss[at], self.step[at], self.parameters[at] = one.held_out, one.step, own[place]
        return pays


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
    split = thinned(counts, options.held_out, shots, seed)
    block = Block(volume, *split, good, options, [seed * 1_000_003 + shot for shot in shots])
    every, half, fine = torch.arange(len(shots)), volume.half_width, volume.fine
    plain, settled = block.scored(block.photons(volume.turned, every), started(starts, waves, half), ENVELOPE)
    parameters, fringe, settled = _with_waves(block, plain, settled, waves)
    seen = block.photons(fine, every)
    loss = held_out_loss(fine.projector, seen, block.density(fine, parameters))
    ones = torch.ones(len(shots), len(fine.x))
    none = torch.zeros(len(shots), 7, dtype=torch.float64)
    free = _Free(ones, torch.zeros_like(ones), none, torch.zeros(len(shots), dtype=torch.long), loss, parameters)
    fringe = _with_shapes(block, free, plain, fringe, starts, waves)
    # The envelope of a free shape is its base: there is nothing left to score, and it need not be the best Gaussian.
    final, sure = free.parameters.clone(), settled | (free.step > 0)
    for number, group, lattice in (
        (PARAMETERS, torch.nonzero(fringe & (free.step > 0)).flatten(), fine),
        (PARAMETERS, torch.nonzero(fringe & (free.step == 0)).flatten(), volume.turned),
        (ENVELOPE, torch.nonzero(~fringe & (free.step == 0)).flatten(), volume.turned),
    ):
        if len(group):
            at = lattice.projector.pixel[:, None], group
            shape = free.shape[group] if lattice is fine else None
            final[group], sure[group] = scored(lattice, half, counts[at], good[at], 1.0, final[group], shape, number, TOLERANCE)
    final[~fringe, ENVELOPE:] = 0
    floor = (seen.good * (seen.held_out - torch.xlogy(seen.held_out, seen.held_out))).double().sum(0)
    return Fitted(final, free.shape, free.std, free.moments_std, fringe, 2 * (free.loss - floor) / seen.good.sum(0), free.step, sure)


def _with_waves(block: Block, plain: Tensor, settled: Tensor, waves: Sequence[Wave | None]) -> tuple[Tensor, Tensor, Tensor]:
    """(parameters, whether there is a fringe, settled): a wave is taken where the held-out photons want it."""
    parameters, fringe, settled = plain.clone(), torch.zeros(len(plain), dtype=torch.bool), settled.clone()
    tried = torch.tensor([i for i, wave in enumerate(waves) if wave is not None and block.options.fringe], dtype=torch.long)
    if not len(tried):
        return parameters, fringe, settled
    turned = block.volume.turned

    def fitted(members: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        photons = block.photons(turned, members)
        return block.scored(photons, with_amplitude(block.volume, photons.fitted, photons.good, 1 - photons.share, start), PARAMETERS)

    waved, moved = fitted(tried, plain[tried])
    # A wave that one view sees alone may as well be its mirror image: the photons of all views choose.
    mirrors = {place: wave.mirrored for place, i in enumerate(tried.tolist()) if (wave := waves[i]) is not None and wave.mirrored is not None}
    if mirrors:
        place = torch.tensor(list(mirrors))
        start = plain[tried[place]].clone()
        start[:, ENVELOPE : ENVELOPE + 3] = torch.from_numpy(np.stack(list(mirrors.values()))) * block.volume.half_width
        other, also = fitted(tried[place], start)
        photons = block.photons(turned, tried[place])
        first, second = (fitted_loss(turned.projector, photons, block.density(turned, p)) for p in (waved[place], other))
        better = also & (second < first)
        waved[place[better]], moved[place[better]] = other[better], True
    photons = block.photons(turned, tried)
    before, after = (held_out_loss(turned.projector, photons, block.density(turned, p)) for p in (plain[tried], waved))
    wins = (after < before - MARGIN) & moved
    parameters[tried[wins]], fringe[tried[wins]], settled[tried[wins]] = waved[wins], True, True
    return parameters, fringe, settled


def _with_shapes(block: Block, free: _Free, plain: Tensor, fringe: Tensor, starts: Sequence[Moments], waves: Sequence[Wave | None]) -> Tensor:
    """Whether there is a fringe (shot), after free shapes were offered: on the envelope, on MLEM's first iteration, and without the wave."""
    volume, fine = block.volume, block.volume.fine
    waved, fringe, every = fringe, fringe.clone(), torch.arange(len(plain))
    undrawn = torch.tensor([wave is not None for wave in waves]) & ~fringe
    wanted = torch.nonzero(_wanted(block, free.parameters) | undrawn).flatten()
    if len(wanted):
        own, base, photons = free.parameters[wanted], block.density(fine, free.parameters[wanted]), block.photons(fine, wanted)
        view = fine.projector.electrons, fine.projector.pedestal
        classical = mlem(*view, photons.fitted, photons.held_out, 1 - photons.share, good=photons.good).loss
        found = block.shaped(fine, wanted, base, classical)
        # A Gaussian is a poor base for what is compact and bright; where MLEM predicts the photons better, its first iteration is another.
        behind = found.held_out > classical
        if behind.any():
            at, photons = wanted[behind], block.photons(fine, wanted[behind])
            rough, _ = next(mlem_iterations(*view, photons.fitted, 1 - photons.share, photons.good))
            rough = rough + FLOOR * rough.amax(0)
            fringe[at[free.take(block, at, block.shaped(fine, at, rough), rough, plain[at])]] = False
        taken = wanted[free.take(block, wanted, found, base, own)]
        fringe[taken] = waved[taken]
    # Where a wave not much shorter than the cloud still wants a free shape, it may only be a part of one that is no Gaussian: a shape is offered
    # the same photons without it, and the wave must be worth its margin.
    size = torch.tensor([math.sqrt(max(start.covariance.trace() / 3, 0)) for start in starts]) / volume.half_width
    doubtful = every[fringe & (free.step > 0) & (free.parameters[:, ENVELOPE : ENVELOPE + 3].norm(dim=1) * size < GRID_CAN)]
    if len(doubtful):
        base = block.density(fine, plain[doubtful])
        fringe[doubtful[free.take(block, doubtful, block.shaped(fine, doubtful, base), base, plain[doubtful], -MARGIN)]] = False
    return fringe


def _wanted(block: Block, parameters: Tensor) -> Tensor:
    """Whether a free shape is worth fitting: a glance on the smaller lattice says so, or residuals of what that cannot carry, a fine wave for one."""
    every, fine = torch.arange(len(parameters)), block.volume.fine
    lattice = min(block.volume.turned, fine, key=lambda lattice: len(lattice.x))
    base = block.density(lattice, parameters)
    glance = block.glance(lattice, every, base)
    photons = block.photons(fine, every)
    seen, pedestal, share = light(fine.projector, block.density(fine, parameters)), fine.projector.pedestal[:, None], 1 - photons.share
    spread = share * ((seen + pedestal) + share * (variance(fine.projector, seen) - (seen + pedestal))).clamp_min(LEAST)
    misfit = (photons.good * (photons.fitted - share * (seen + pedestal)).square() / spread).sum(0) / photons.good.sum(0) - 1
    rough = block.photons(lattice, every)
    before = held_out_loss(lattice.projector, rough, base)
    return (glance.held_out < before - MARGIN - lumps_gain(lattice.projector, rough, base)) | (misfit > MISFIT)


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
        voxels = torch.stack(torch.unravel_index(volume.boxed.cpu(), (side, side, side)), 1)
        low, high = voxels.amin(0), voxels.amax(0)
        nodes = int((high - low).amax()) + 1
        low = torch.minimum(low, torch.tensor(side - nodes))
        centre = (2 * low + nodes) / side - 1
        field = Fringed(shots, volume.half_width, nodes, (float(centre[0]), float(centre[1]), float(centre[2])), (nodes - 1) / side)
        at = voxels - low
        with torch.no_grad():
            field.logarithm[free] = -DARK
            for shot in free.tolist():
                field.logarithm[shot, at[:, 0], at[:, 1], at[:, 2]] = in_box(volume, fitted.shape[shot]).log().clamp_min(-DARK)
    with torch.no_grad():
        field.shape.copy_(fitted.parameters[:, :ENVELOPE])
        field.wave.copy_(fitted.parameters[:, ENVELOPE:])
    return field
