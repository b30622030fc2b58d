"""The classical answers beside the field: filtered back-projection and SIRT.

FBP    mu(x) = sum_v w_v q_v(x.u_v),  q = depth * ramp,  the ramp of Ramachandran and Lakshminarayanan (PNAS 68, 2236 (1971))
SIRT   fitting.algebraic, with the line integrals for data
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from fieldfit.fitting import algebraic
from fieldfit.forward.attenuation import Strips, raster

LEAST = 1e-3  # pixel: rays and voxels that meet less than this are left alone


def fbp(depth: Float[np.ndarray, "view column"], angle: Float[np.ndarray, "view"], axis: float, side: int) -> Float[np.ndarray, "side side"]:
    """Attenuation [1/pixel] on the raster around the axis. A view weighs as much of the half-turn as lies nearest to it."""
    columns = depth.shape[1]
    size = 1 << (2 * columns - 1).bit_length()
    n = np.fft.fftfreq(size, 1 / size)
    with np.errstate(divide="ignore"):
        ramp = np.where(n == 0, 0.25, np.where(n % 2 == 1, -1 / (np.pi * n) ** 2, 0.0))
    filtered = np.fft.irfft(np.fft.rfft(depth, size, axis=1) * np.fft.rfft(ramp), size, axis=1)[:, :columns]
    x, y = raster(side).numpy().T
    total = np.zeros(side * side)
    for view, turn, weight in zip(filtered, angle, _weights(angle), strict=True):
        total += weight * np.interp(axis + x * np.cos(turn) + y * np.sin(turn), np.arange(columns), view, 0.0, 0.0)
    return total.reshape(side, side)


def _weights(angle: Float[np.ndarray, "view"]) -> Float[np.ndarray, "view"]:
    """w [rad]; beside a gap of more than two usual steps no more than these count: nothing was seen there."""
    order = np.argsort(angle % np.pi)
    gap = np.diff(angle[order] % np.pi, append=(angle % np.pi).min() + np.pi)  # to the next view
    gap = np.minimum(gap, 2 * np.median(gap))
    weights = np.empty(len(angle))
    weights[order] = 0.5 * (gap + np.roll(gap, 1))
    return weights


def sirt(strips: Strips, depth: Float[Tensor, "ray batch"], values: Float[Tensor, "voxel batch"], steps: int) -> Float[Tensor, "voxel batch"]:
    """The values `steps` steps further on."""
    return algebraic.sirt(strips.lengths, depth, values, steps, LEAST)
