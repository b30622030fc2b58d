"""What is known of the shots of a block that are fitted together, and the fits of some of them: envelopes, waves, free shapes."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.config.magis import DensityFit
from fieldfit.experiments.magis.envelopes import ROUGH, SCORING_STEPS, drawn, scored
from fieldfit.experiments.magis.iterative import joined
from fieldfit.experiments.magis.shape import Photons, Shape, fit_shape
from fieldfit.experiments.magis.volume import Lattice, Volume

GLANCE, GLANCE_SOLVER, GLANCE_RMS = 1, 12, 0.3  # steps, of conjugate gradients in each, of modest shapes: held-out photons say whether to go on
TOGETHER = 4  # free shapes that are fitted at once: they fill the memory


@dataclass(frozen=True)
class Block:
    """fitted, held_out, good: (pixel, shot), all pixels of the binned frames."""

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
        """Envelope and fringe on a lattice: samples of a deep fringe may be negative, what is drawn is not."""
        return drawn(lattice, self.volume.half_width, parameters, None).T.contiguous()

    def base(self, lattice: Lattice, parameters: Float[Tensor, "shot 15"]) -> Float[Tensor, "sample shot"]:
        """The same for a free shape, nowhere negative."""
        return self.density(lattice, parameters).clamp_min(0)

    def scored(self, photons: Photons, start: Tensor, number: int, steps: int = SCORING_STEPS) -> tuple[Tensor, Tensor]:
        """`scored` on the turned lattice, roughly."""
        return scored(self.volume.turned, self.volume.half_width, photons.fitted, photons.good, 1 - photons.share, start, None, number, ROUGH, steps)

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
