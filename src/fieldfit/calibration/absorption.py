"""What an absorption camera's own frames say about it: whether a shot can be used, and its noise.

Photon transfer (Janesick, Photon Transfer, SPIE 2007): the variance of a pixel is  gain x light + read^2  [DN^2]. It is taken from two frames of the
same light, s the ratio of their light, through the differences of 2 x 2 neighbours, which no smooth fringe survives:

    e = [(a - s b)(0,0) - (a - s b)(0,1) - (a - s b)(1,0) + (a - s b)(1,1)] / 2,      E[e^2] = gain (a + s^2 b) + dark terms

An electron-multiplying register's excess noise is part of this gain, as it must be. Fringes of one or two pixels would count as noise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fieldfit.types import InputError, Status

LIGHT_SIGMA = 5.0  # of the pixel's noise: what a frame's bright pixels must have above the background, and a pixel's probe for a logarithm
BRIGHT = 99.0  # percentile of the pixels that counts as a frame's bright ones


@dataclass(frozen=True)
class Noise:
    """Variance of a pixel: gain x light + read^2 [DN^2]. told: where the two come from, in words."""

    gain: float
    read: float
    told: str

    def variance(self, light: np.ndarray) -> np.ndarray:
        """Variance of a frame at an expected light [DN] above the background; the background's own noise is not in it."""
        return self.gain * np.maximum(light, 0.0) + self.read**2


def judge(frames: np.ndarray, saturation: int) -> tuple[Status, str]:
    """Flag of a shot and the reason. frames: image, probe and background (member, row, column) [DN]."""
    background = frames[2]
    for name, frame in zip(("image", "probe"), frames[:2], strict=True):
        above = int((frame >= saturation).sum())
        if above:
            return Status.saturated, f"the {name} has {above} pixels at or above {saturation} DN"
        light = frame - background
        bright, noise = float(np.percentile(light, BRIGHT)), float(np.sqrt(np.mean(second_difference(light) ** 2)))
        if bright <= LIGHT_SIGMA * noise:
            told = f"{BRIGHT:g} % of its pixels lie below {bright:.0f} DN above it, the noise of a pixel is {noise:.0f} DN"
            return Status.empty, f"the {name} has no light beyond the background: {told}"
    return Status.good, ""


def photon_transfer(triplets: Iterable[np.ndarray], gain: float | None, read: float | None) -> Noise:
    """Noise of the camera from the probes and backgrounds of consecutive good shots, medians over the pairs; given values are kept.

    triplets: (member, row, column) [DN] of each. Raises InputError when a value is neither given nor can be found.
    """
    gains: list[float] = []
    reads: list[float] = []
    told = [
        f"{name} {'given' if value is not None else way}"
        for name, value, way in (("gain", gain, "from the probes' pairs"), ("read noise", read, "from the backgrounds' pairs"))
    ]
    if gain is not None and read is not None:
        return Noise(gain, read, ", ".join(told))
    before: np.ndarray | None = None
    for frames in triplets:
        if before is not None:
            dark = float(np.mean(second_difference(frames[2] - before[2]) ** 2)) / 2
            reads.append(dark)
            dark = dark if read is None else read**2
            first, second = before[1] - before[2], frames[1] - frames[2]
            ratio = float(first.sum() / second.sum())
            total = np.mean(second_difference(first - ratio * second) ** 2) - 2 * dark * (1 + ratio**2)
            gains.append(float(total / np.mean(first + ratio**2 * second)))
        before = frames
    if not gains:
        raise InputError("only one good shot, so that its noise cannot be told from its structure: expected keys 'gain' and 'read_noise'")
    gain = float(np.median(gains)) if gain is None else gain
    if gain <= 0:
        raise InputError(f"the probes scatter less than their backgrounds (gain {gain:.3g}): expected key 'gain' in DN per electron")
    return Noise(gain, float(np.sqrt(np.median(reads))) if read is None else read, ", ".join(told))


def second_difference(frame: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "half_row half_column"]:
    """Of every 2 x 2 pixels, with the noise of one pixel."""
    rows, columns = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
    f = np.asarray(frame[:rows, :columns], np.float64)
    return (f[0::2, 0::2] - f[0::2, 1::2] - f[1::2, 0::2] + f[1::2, 1::2]) / 2


def lit(probes: Sequence[np.ndarray] | np.ndarray, noise: Noise) -> np.ndarray:
    """(row, column) whether the mean probe stands out of one frame's noise. probes: light above the background [DN]."""
    mean: np.ndarray = np.asarray(probes).mean(axis=0, dtype=np.float64)
    return mean >= LIGHT_SIGMA * np.sqrt(noise.variance(mean) + noise.read**2)
