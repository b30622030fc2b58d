"""Series over all shots of a port run's file, made from what was fitted to the usable ones: flagged shots are NaN.

None of them is kept: a block of shots, or one pair over the run, is made from counts, common phases and modulation when it is asked for.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fieldfit.experiments.magis.gradiometer import Gradiometer, differences
from fieldfit.experiments.magis.port_model import blocks, contrast_of


@dataclass(frozen=True)
class PortSeries:
    """time [s] of every shot; good: whether it was fitted; auxiliary: what may couple to the phase, of the usable shots."""

    found: Gradiometer
    time: Float[np.ndarray, "shot"]
    good: Bool[np.ndarray, "shot"]
    auxiliary: Float[np.ndarray, "coupling usable"]

    def phases(self, part: slice) -> Float[np.ndarray, "3 pair shot"]:
        """phi_b - phi_a, its standard deviation, and phi_b - phi_a less the couplings [rad] of some shots."""
        usable = self._usable(part)
        phase, std = differences(self.found.shots.part(usable), self.found.model.part(usable))
        coupled = np.stack([fit.coupled(self.auxiliary[:, usable]) for fit in self.found.regressions])
        return _whole(np.stack([phase, std, phase - coupled]), self.good[part])

    def contrast(self, part: slice) -> Float[np.ndarray, "interferometer shot"]:
        """Contrast of every interferometer at some shots."""
        found = contrast_of(self.found.model, self.found.shots.place[self._usable(part)]).cpu().numpy()
        return _whole(found.T, self.good[part])

    def corrected(self, pair: int) -> tuple[Float[np.ndarray, "shot"], Float[np.ndarray, "shot"]]:
        """(phi_b - phi_a less the couplings, its scatter: the deviation with the excess of the regression) [rad] of one pair over the run."""
        value, scatter = np.empty(len(self.time)), np.empty(len(self.time))
        for part in blocks(len(self.time)):
            _, std, corrected = self.phases(part)[:, pair]
            value[part], scatter[part] = corrected, np.hypot(std, self.found.regressions[pair].excess)
        return value, scatter

    def residual(self, pair: int, corrected: Float[np.ndarray, "shot"]) -> Float[np.ndarray, "shot"]:
        """The same less offset and lines [rad]."""
        fit, out = self.found.regressions[pair], np.empty_like(corrected)
        for part in blocks(len(out)):
            out[part] = corrected[part] - fit.offset - fit.oscillating(self.time[part])
        return out

    def _usable(self, part: slice) -> slice:
        """The same shots counted among the usable ones."""
        first = np.count_nonzero(self.good[: part.start])
        return slice(first, first + np.count_nonzero(self.good[part]))


def _whole(values: Float[np.ndarray, "*kind usable"], good: Bool[np.ndarray, "shot"]) -> Float[np.ndarray, "*kind shot"]:
    out = np.full((*values.shape[:-1], len(good)), np.nan)
    out[..., good] = values
    return out
