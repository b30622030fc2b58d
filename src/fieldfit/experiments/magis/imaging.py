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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.config.magis import DensityFit
from fieldfit.experiments.magis.block import Block
from fieldfit.experiments.magis.envelopes import TOLERANCE, WAVE_STEPS, drawn, scored, started, with_amplitude
from fieldfit.experiments.magis.free_shapes import DARK, MARGIN, FreeShapes, with_shapes
from fieldfit.experiments.magis.shape import fitted_loss, held_out_loss
from fieldfit.experiments.magis.start import Moments, Wave
from fieldfit.experiments.magis.volume import Lattice, Volume, in_box
from fieldfit.fields.fringed import ENVELOPE, PARAMETERS, Fringed, density
from fieldfit.fitting.fit import generator_of


@dataclass(frozen=True)
class Fitted:
    """parameters (shot, 15): see fields.fringed; shape (shot, sample): exp(rho) at the samples of the fine lattice; shape_std (shot, reported voxel)
    [m-3]: of the density where a shape is used, zero elsewhere; moments_std (shot, 7): of its `moments_of`; measured
    (shot): degrees of freedom of the free shape that the photons have determined; fringe (shot): whether there is one;
    held_out (shot): deviance of the held-out photons a pixel; kept_step (shot): of the free shape, 0 without; converged (shot)."""

    parameters: Float[Tensor, "shot 15"]
    shape: Float[Tensor, "shot sample"]
    shape_std: Float[Tensor, "shot reported"]
    moments_std: Float[Tensor, "shot 7"]
    measured: Float[Tensor, "shot"]
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
    none = torch.zeros(len(shots), dtype=torch.float64)
    unknown = torch.zeros(len(shots), int((volume.reported >= 0).sum()))
    free = FreeShapes(ones, unknown, none[:, None].repeat(1, 7), none, torch.zeros(len(shots), dtype=torch.long), loss, parameters)
    fringe = with_shapes(block, free, plain, fringe, starts, waves)
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
    return Fitted(final, free.shape, free.std, free.moments_std, free.measured, fringe, 2 * (free.loss - floor) / seen.good.sum(0), free.step, sure)


def _with_waves(block: Block, plain: Tensor, settled: Tensor, waves: Sequence[Wave | None]) -> tuple[Tensor, Tensor, Tensor]:
    """(parameters, whether there is a fringe, settled): a wave is taken where the held-out photons want it."""
    parameters, fringe, settled = plain.clone(), torch.zeros(len(plain), dtype=torch.bool), settled.clone()
    tried = torch.tensor([i for i, wave in enumerate(waves) if wave is not None and block.options.fringe], dtype=torch.long)
    if not len(tried):
        return parameters, fringe, settled
    turned = block.volume.turned

    def fitted(members: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        photons = block.photons(turned, members)
        return block.scored(photons, with_amplitude(block.volume, photons.fitted, photons.good, 1 - photons.share, start), PARAMETERS, WAVE_STEPS)

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


def lattice_of(volume: Volume, fitted: Fitted, member: int) -> Lattice:
    """The lattice that a shot's final scoring was done on: the reported voxels where it has a free shape."""
    return volume.fine if fitted.kept_step[member] else volume.turned


def field_of_fit(volume: Volume, fitted: Fitted) -> Fringed:
    """The fitted field: every shot a member of its batch. The nodes of the free shapes are the voxels around all samples, and its means over
    these are those of what the samples draw."""
    shots, side, half = len(fitted.parameters), volume.side, volume.half_width
    free = torch.nonzero(fitted.kept_step > 0).flatten()
    if not len(free):
        field = Fringed(shots, half, 2)
    else:
        voxels = torch.stack(torch.unravel_index(volume.boxed, (side, side, side)), 1)
        low, high = voxels.amin(0), voxels.amax(0)
        nodes = int((high - low).amax()) + 1
        low = torch.minimum(low, torch.tensor(side - nodes))
        centre = (2 * low + nodes) / side - 1
        field = Fringed(shots, half, nodes, (float(centre[0]), float(centre[1]), float(centre[2])), (nodes - 1) / side)
        at = voxels - low
        with torch.no_grad():
            field.logarithm[free] = -DARK
            for shot in free.tolist():
                field.logarithm[shot, at[:, 0], at[:, 1], at[:, 2]] = _logarithm(volume, fitted, shot)
    with torch.no_grad():
        field.shape.copy_(fitted.parameters[:, :ENVELOPE])
        field.wave.copy_(fitted.parameters[:, ENVELOPE:])
    return field


def _logarithm(volume: Volume, fitted: Fitted, shot: int) -> Float[Tensor, "boxed"]:
    """rho that makes the means of the field over the boxed voxels those of what the samples draw; envelope and fringe have theirs in closed form."""
    half, edge, at = volume.half_width, volume.fine.projector.pitch, slice(shot, shot + 1)
    own = drawn(volume.fine, half, fitted.parameters[at], None).clamp_min(0)
    p = fitted.parameters[at].to(torch.float32)
    x = volume.fine.x[: len(volume.boxed)]
    smooth = density(p[:, :ENVELOPE], p[:, ENVELOPE:], x, torch.ones(1, len(x)), edge / half)[0] / half**3
    mean = smooth + in_box(volume, ((fitted.shape[at] - 1) * own).T)[:, 0]
    tiny = torch.finfo(torch.float32).tiny
    return (mean.clamp_min(tiny) / smooth.clamp_min(tiny)).log().clamp(-DARK, 2 * DARK)
