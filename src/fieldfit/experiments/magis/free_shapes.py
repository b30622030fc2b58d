"""Where free shapes are used: what the held-out photons take of those that are offered to them.

Offered are a shape on the envelope (with its fringe), one on MLEM's first iteration for what is compact and bright, and one without the wave
where the wave could as well be a part of the shape. A shape must gain more than it would by drawing the lumps of the finite atoms.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.experiments.magis.block import Block
from fieldfit.experiments.magis.envelopes import drawn
from fieldfit.experiments.magis.iterative import mlem, mlem_iterations
from fieldfit.experiments.magis.shape import LEAST, Shape, held_out_loss, lumps_gain, shape_errors, std_of
from fieldfit.experiments.magis.start import Moments, Wave
from fieldfit.experiments.magis.volume import STEP_OF_WAVE, Lattice, on_reported
from fieldfit.fields.fringed import ENVELOPE
from fieldfit.forward.imaging import light

MARGIN = 3.0  # log-likelihood of the held-out photons that a fringe must gain; a free shape as much beyond the atoms' lumps
GRID_CAN = 6.0  # |k| size below which a free shape could draw the wave itself, so that both ways are fitted
MISFIT = 0.2  # chi-square a pixel beyond 1 at which it is fitted whatever the glance says
FLOOR = 1e-3  # of the maximum of MLEM's first iteration, where that is the base
DARK = 12.0  # -rho where no view allows light

log = logging.getLogger(__name__)


@dataclass
class FreeShapes:
    """The free shapes that have been taken so far, and the held-out loss with them: see Fitted."""

    shape: Tensor
    std: Tensor
    moments_std: Tensor
    measured: Tensor
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
            errors = shape_errors(fine.projector, fine.free, block.photons(fine, at), base[:, place], one, [block.seeds[int(at)]], by)
            self.std[at], self.moments_std[at] = std_of(on_reported(volume, errors.scatter[..., 0])), errors.std.T.to(self.moments_std.dtype)
            self.measured[at] = errors.measured
            smooth = drawn(fine, volume.half_width, own[place], None).clamp_min(torch.finfo(torch.float32).tiny)
            self.shape[at] = (one.density.T / smooth).clamp(math.exp(-DARK), math.exp(2 * DARK))
            self.loss[at], self.step[at], self.parameters[at] = one.held_out, one.step, own[place]
        return pays


def with_shapes(block: Block, free: FreeShapes, plain: Tensor, fringe: Tensor, starts: Sequence[Moments], waves: Sequence[Wave | None]) -> Tensor:
    """Whether there is a fringe (shot), after free shapes were offered: on the envelope, on MLEM's first iteration, and without the wave."""
    volume, fine = block.volume, block.volume.fine
    waved, fringe, every = fringe, fringe.clone(), torch.arange(len(plain))
    undrawn = torch.tensor([wave is not None for wave in waves]) & ~fringe
    pitch = fine.projector.pitch / volume.half_width
    too_fine = fringe & (free.parameters[:, ENVELOPE : ENVELOPE + 3].norm(dim=1) * pitch > STEP_OF_WAVE)
    if too_fine.any():
        log.warning(
            "%d shots have fringes finer than 2.5 voxels: no free shape, which could not draw them; a finer `grid` could", int(too_fine.sum())
        )
    wanted = torch.nonzero((_wanted(block, free.parameters) | undrawn) & ~too_fine).flatten()
    if len(wanted):
        own, base, photons = free.parameters[wanted], block.base(fine, free.parameters[wanted]), block.photons(fine, wanted)
        view = fine.projector.electrons, fine.projector.pedestal
        classical = mlem(*view, photons.fitted, photons.held_out, 1 - photons.share, good=photons.good).loss
        found = block.shaped(fine, wanted, base, classical)
        # A Gaussian is a poor base for what is compact and bright; where MLEM predicts the photons better, its first iteration is another.
        behind = found.held_out > classical
        if behind.any():
            at, photons = wanted[behind], block.photons(fine, wanted[behind])
            rough, _ = next(mlem_iterations(*view, photons.fitted, 1 - photons.share, photons.good))
            rough = fine.free.smoothed(rough, fine.projector.pitch).clamp_min(0)  # the pixels' noise is no part of a base: no error would tell of it
            rough = rough + FLOOR * rough.amax(0)
            fringe[at[free.take(block, at, block.shaped(fine, at, rough), rough, plain[at])]] = False
        taken = wanted[free.take(block, wanted, found, base, own)]
        fringe[taken] = waved[taken]
    # Where a wave not much shorter than the cloud still wants a free shape, it may only be a part of one that is no Gaussian: a shape is offered
    # the same photons without it, and the wave must be worth its margin.
    size = torch.tensor([math.sqrt(max(start.covariance.trace() / 3, 0)) for start in starts]) / volume.half_width
    doubtful = every[fringe & (free.step > 0) & (free.parameters[:, ENVELOPE : ENVELOPE + 3].norm(dim=1) * size < GRID_CAN)]
    if len(doubtful):
        base = block.base(fine, plain[doubtful])
        fringe[doubtful[free.take(block, doubtful, block.shaped(fine, doubtful, base), base, plain[doubtful], -MARGIN)]] = False
    return fringe


def _wanted(block: Block, parameters: Tensor) -> Tensor:
    """Whether a free shape is worth fitting: a glance on the smaller lattice says so, or residuals of what that cannot carry, a fine wave for one."""
    every, fine = torch.arange(len(parameters)), block.volume.fine
    lattice = min(block.volume.turned, fine, key=lambda lattice: len(lattice.x))
    base = block.base(lattice, parameters)
    glance = block.glance(lattice, every, base)
    photons = block.photons(fine, every)
    seen, share = light(fine.projector, block.density(fine, parameters)), 1 - photons.share
    mean = share * (seen + fine.projector.pedestal[:, None]).clamp_min(LEAST)
    spread = mean + share**2 * fine.projector.lump[:, None] * seen
    misfit = (photons.good * (photons.fitted - mean).square() / spread).sum(0) / photons.good.sum(0) - 1
    rough = block.photons(lattice, every)
    before = held_out_loss(lattice.projector, rough, base)
    return (glance.held_out < before - MARGIN - lumps_gain(lattice.projector, rough, base)) | (misfit > MISFIT)


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
