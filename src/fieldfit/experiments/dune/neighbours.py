"""What the voxels around a voxel of one channel say about it: medians, lost rows, jumps, and values in its place.

Everything here takes one channel, (x, y, z), of a table that may be larger than memory. A median over 26 neighbours is dear: it is taken
only where a cheap comparison leaves it open.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

JUMP = 2.0  # a voxel this factor above or below its neighbours, geometry divided out, and ...
JUMP_SIGMA = 8.0  # ... this many counting deviations, is masked
FAR_FACES = 0.25  # relative difference from the mean of the six nearest, and ...
FAR_FACES_SIGMA = 3.0  # ... counting deviations, from which a voxel is looked at
AROUND = [step for step in itertools.product((-1, 0, 1), repeat=3) if step != (0, 0, 0)]

Values = NDArray[np.float32]
Flags = NDArray[np.bool_]


def faces_sum(volume: NDArray[Any]) -> NDArray[Any]:
    """Sum over the six nearest voxels; one beyond the border is the voxel itself."""
    total = np.zeros_like(volume)
    for axis in range(volume.ndim):
        here, there = np.moveaxis(total, axis, 0), np.moveaxis(volume, axis, 0)
        here[1:] += there[:-1]
        here[:1] += there[:1]
        here[:-1] += there[1:]
        here[-1:] += there[-1:]
    return total


def medians(volume: NDArray[np.floating], index: NDArray[np.int64]) -> NDArray[np.floating]:
    """(voxel) upper median of the 26 neighbours of the voxels at index (voxel, 3); one beyond the border is the nearest inside."""
    around = np.empty((len(index), len(AROUND)), volume.dtype)
    last = np.array(volume.shape) - 1
    for k, step in enumerate(AROUND):
        x, y, z = np.clip(index + np.array(step), 0, last).T
        around[:, k] = volume[x, y, z]
    middle = len(AROUND) // 2
    return np.partition(around, middle, axis=1)[:, middle]


def amid_light(values: Values, level: float) -> Flags:
    """Voxels of which at least three of the six nearest are above `level`, so that their upper median is: light is to be expected there."""
    return np.asarray(faces_sum((values > level).astype(np.int8)) >= 3)


def jumps(values: Values, masked: Flags, share: Values, photons: float) -> Flags:
    """Voxels far from the median of their 26 neighbours, in units of the geometric share: inflated or half-lost."""
    ratio = fill_masked(values / share, masked)
    rough = faces_sum(ratio) * (share / 6)
    sigma = np.sqrt(np.maximum(rough, 1 / photons) / photons)
    far = np.abs(values - rough) > np.maximum(FAR_FACES * rough, FAR_FACES_SIGMA * sigma)
    index = np.argwhere(far & ~masked)
    x, y, z = index.T
    here, usual = values[x, y, z].astype(np.float64), (medians(ratio, index) * share[x, y, z]).astype(np.float64)
    counts, promised = here * photons, usual * photons
    sigma = np.sqrt(np.maximum(promised, 1.0) * (1 + 1 / 13))
    jump = ((here > JUMP * usual) | (here < usual / JUMP)) & (np.abs(counts - promised) > JUMP_SIGMA * sigma)
    found = np.zeros(values.shape, bool)
    found[x[jump], y[jump], z[jump]] = True
    return found


def fill_masked(values: Values, masked: Flags) -> Values:
    """The values with masked ones replaced by the mean of their known neighbours, from the rim inwards; zeros when all are masked."""
    filled = np.where(masked, np.float32(0), values)
    if not masked.any() or masked.all():
        return filled
    padded, known = np.pad(filled, 1), np.pad(~masked, 1)
    flat, flat_known = padded.reshape(-1), known.reshape(-1)
    steps = [int(np.ravel_multi_index(np.array(step) + 1, padded.shape)) for step in AROUND]
    middle = int(np.ravel_multi_index((1, 1, 1), padded.shape))
    missing = np.flatnonzero(np.pad(masked, 1))
    while len(missing):
        total, weight = np.zeros(len(missing)), np.zeros(len(missing))
        for step in steps:
            total += flat[missing + (step - middle)]
            weight += flat_known[missing + (step - middle)]
        rim = weight > 0
        flat[missing[rim]] = total[rim] / weight[rim]
        flat_known[missing[rim]] = True
        missing = missing[~rim]
    return np.ascontiguousarray(padded[1:-1, 1:-1, 1:-1])


def runs(hole: Flags) -> tuple[int, int]:
    """(number, longest) of runs in the order of LArSoft's voxel numbers, x fastest."""
    line = np.concatenate([[0], hole.transpose(2, 1, 0).ravel().astype(np.int8), [0]])
    start, end = np.flatnonzero(np.diff(line) > 0), np.flatnonzero(np.diff(line) < 0)
    return len(start), int((end - start).max())
