"""Where a sensor is seen best, and where its channel is hottest: the two are one place, unless the library's geometry is wrong.

The centroid of the hottest voxels is compared with that of the voxels where the sensor is seen best. When several are off, mirrored
boxes and one common shift are tried. Reflected light does not peak at its sensor and is not judged.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.io.optical.quality import listed
from fieldfit.io.workers import ALONE, Workers
from fieldfit.units import CM

HOT_SHARE = 0.002  # of the voxels make a channel's hot spot
HOT_VOXELS = 8  # at least
HOT_DISTANCE = 2.0  # voxel diagonals that the hot spot may lie from where geometry has it
SAMPLED = 20_000  # values of a channel that tell where its hot spot's values begin

Line = Callable[[int], NDArray[np.float32]]  # channel -> values (x, y, z), 0 without a row


def share_of(box: Box, disks: Disks, channel: int) -> NDArray[np.float32]:
    """(x, y, z) rough share of directions in which a disk is seen: cos / (4 pi) x area / (r^2 + a^2), never quite zero."""
    a, normal = float(disks.radius[channel]), disks.normal[channel]
    x, y, z = ((along - at).astype(np.float32) for along, at in zip(box.centres(), disks.centre[channel], strict=True))
    away = x[:, None, None], y[:, None], z
    square = np.square(away[0]) + np.square(away[1]) + (np.square(away[2]) + np.float32(a * a))
    share: NDArray[np.float32] = sum(d * np.float32(n) for d, n in zip(away, normal, strict=True))
    np.maximum(share, 0, out=share)
    share /= np.sqrt(square)
    share += np.float32(0.05)
    share *= np.float32(a * a / 4)
    share /= square
    return share


def hot_voxels(values: NDArray[np.float32], box: Box) -> NDArray[np.float64]:
    """(voxel, 3) centres [m] of the voxels with the largest values."""
    count = min(values.size, max(HOT_VOXELS, round(HOT_SHARE * values.size)))
    flat = values.ravel()
    step = max(1, flat.size // SAMPLED)
    some = flat[::step]
    few = min(len(some), 2 * count // step + 10)
    candidates = np.flatnonzero(flat >= np.partition(some, len(some) - few)[len(some) - few])
    if len(candidates) < count:
        candidates = np.arange(flat.size)
    hottest = candidates[np.argpartition(flat[candidates], len(candidates) - count)[-count:]]
    index = np.unravel_index(hottest, values.shape)
    return np.stack([centres[k] for centres, k in zip(box.centres(), index, strict=True)], 1)


def displaced_channels(line: Line, box: Box, disks: Disks, component: str, workers: Workers = ALONE) -> tuple[list[int], list[str]]:
    """Channels whose hottest voxels do not lie where geometry has them, and what to tell about it; workers: who looks at the channels."""
    if component == "reflected":
        return [], []
    found = {c: spots for c, spots in enumerate(workers.run(partial(_spots, line, box, disks), range(disks.count))) if spots is not None}
    lit = list(found)
    if not lit:
        return [], []
    hot, seen = (np.array(part) for part in zip(*found.values(), strict=True))  # (channel, voxel, 3)
    h, e = hot.mean(1), seen.mean(1)
    diagonal = float(np.linalg.norm(box.pitch))
    limit = HOT_DISTANCE * diagonal
    off = np.linalg.norm(h - e, axis=1) > limit
    # a hot spot in two places, as when the divisions are wrong, keeps its centroid and grows
    off |= np.linalg.norm(hot - e[:, None], axis=2).mean(1) > np.linalg.norm(seen - e[:, None], axis=2).mean(1) + diagonal
    bad = [c for c, o in zip(lit, off, strict=True) if o]
    if not bad:
        return [], []
    k = lit.index(bad[0])
    text = (
        f"geometry: the hottest voxels of {len(bad)} of {len(lit)} channels are not at their sensors (channel {bad[0]}: found at {_cm(h[k])} cm, "
        f"sensor at {_cm(disks.centre[bad[0]])} cm)"
    )
    if len(bad) > 1:
        middle = (np.array(box.lower) + np.array(box.upper)) / 2
        mirrored = [a for a in range(3) if _agree(_mirror(h, middle, a), e, limit)]
        shift = np.median(h - e, axis=0)
        if mirrored:
            bad, text = lit, text + f": mirrored along {' or '.join('xyz'[a] for a in mirrored)}"
        elif np.linalg.norm(shift) > diagonal and _agree(h - shift, e, diagonal):
            bad, text = lit, text + f": shifted by {_cm(shift)} cm"
        elif 2 * len(bad) > len(lit):
            bad, text = lit, text + ": mirrored, shifted, other divisions, or another order of channels or voxels"
        else:
            text += f": channels {listed(bad)} swapped or misplaced"
    else:
        text += f": channel {bad[0]} misplaced"
    return bad, [text]


def _spots(line: Line, box: Box, disks: Disks, channel: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(voxel, 3) where a channel is hottest, and where its sensor is seen best; None for a dark one."""
    values = line(channel)
    return (hot_voxels(values, box), hot_voxels(share_of(box, disks, channel), box)) if values.any() else None


def _mirror(points: NDArray[np.float64], middle: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    mirrored = points.copy()
    mirrored[:, axis] = 2 * middle[axis] - mirrored[:, axis]
    return mirrored


def _agree(found: NDArray[np.float64], expected: NDArray[np.float64], limit: float) -> bool:
    return bool((np.linalg.norm(found - expected, axis=1) < limit).mean() > 0.7)


def _cm(point: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{v / CM:.0f}" for v in point) + ")"
