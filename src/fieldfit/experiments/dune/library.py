"""What is checked in an optical library before anything is fitted, and its counting uncertainty.

A value v made with N photons scatters as a binomial: std = sqrt(v (1 - v) / N). Where no photon arrived the std is 1 / N, that of
the posterior for a flat prior: the value is known to be small, not to be zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fieldfit.config import Quality
from fieldfit.experiments.dune.mirrors import asymmetric_pairs
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.io.optical.quality import judged
from fieldfit.types import InputError, VoxelQuality
from fieldfit.units import CM

HOLE_COUNTS = 20.0  # photons that the neighbours promise, from which an absent voxel is a hole (chance e^-20) and not darkness
DARK_LIMIT = 0.2  # share of absent voxels, above which they are a dark region and not lost jobs
JUMP = 2.0  # a voxel this factor above or below its neighbours, geometry divided out, and ...
JUMP_SIGMA = 8.0  # ... this many counting deviations, is masked
HOT_SHARE = 0.002  # of the voxels make a channel's hot spot
HOT_VOXELS = 8  # at least
HOT_DISTANCE = 2.0  # voxel diagonals that the hot spot may lie from where geometry has it

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Checked:
    """values, std, quality (channel, x, y, z); photons: a voxel, given or estimated; counting: which; findings: a line each."""

    values: Values
    std: Values
    quality: NDArray[np.int8]
    photons: float
    counting: str
    findings: tuple[str, ...]


def check_library(
    raw: Values,
    box: Box,
    disks: Disks,
    photons: float | NDArray[np.float64] | None,
    component: str,
    quality: Quality,
    bad: NDArray[np.bool_] | None = None,
    path: Path = Path("library"),
    name: Callable[[tuple[int, ...], int], str] | None = None,
) -> Checked:
    """Flags, counting uncertainty and findings of a library as read, NaN where it has no row.

    photons: made in every voxel, or in each (x, y, z); bad: values that were found to be none; name: what the file calls a voxel (x, y, z)
    and a channel. Raises InputError for what the policies of `quality` call an error, naming `path`.
    """
    bad = np.zeros(raw.shape, bool) if bad is None else bad
    absent = np.isnan(raw) & ~bad
    values = np.where(np.isnan(raw), np.float32(0), raw)
    findings: list[str] = []
    if photons is None:
        typical = scatter_photons(values)
        counting = f"estimated: {typical:.3g} photons a voxel from the scatter between neighbours"
        findings.append("photons_per_voxel is not given: " + counting)
    elif isinstance(photons, np.ndarray):
        typical = float(np.median(photons[photons > 0]))
        counting = f"binomial with the photons made in each voxel, {typical:.3g} in the median one"
    else:
        typical = float(photons)
        counting = f"binomial with the given photons_per_voxel {photons:g}"
    flags = np.where(absent, VoxelQuality.absent, np.where(bad, VoxelQuality.masked, VoxelQuality.good)).astype(np.int8)
    dark = [c for c in range(len(values)) if not values[c].any()]
    untold = [c for c in dark if not bad[c].all()]
    if untold:
        findings.append(f"channels {_listed(untold)} have no light anywhere")
    displaced, told = displaced_channels(values, box, disks, component)
    for text in told:
        done = "fitted without the geometric factor"
        findings.append(judged(quality.misplaced_sensors, "misplaced_sensors", path, text, "them at their sensors", "masked", done))
        if quality.misplaced_sensors == "mask":
            flags[displaced] = VoxelQuality.masked
    holes, told, darkness = lost_voxels(values, absent, bad, typical)
    findings += darkness
    findings += [judged(quality.holes, "holes", path, text, "a row where there is light", "masked", "taken for zeros") for text in told]
    if quality.holes == "mask":
        flags[holes] = VoxelQuality.masked
    if component != "reflected":
        for c in sorted(set(range(len(values))) - set(dark) - set(displaced)):
            jump = jumps(values[c], flags[c] == VoxelQuality.masked, share_of(box, disks, c), typical)
            if jump.any():
                first = tuple(int(k) for k in np.argwhere(jump)[0])
                named = name(first, c) if name else _voxel(first, box)
                text = f"channel {c}: {int(jump.sum())} voxels differ from their neighbours by more than a factor {JUMP:g} (first: {named})"
                findings.append(judged(quality.hot_voxels, "hot_voxels", path, text, "a smooth visibility", "masked", "kept"))
                if quality.hot_voxels == "mask":
                    flags[c][jump] = VoxelQuality.masked
    for c, other, axis, more in asymmetric_pairs(values, flags != VoxelQuality.masked, box, disks, typical):
        text = f"channels {c} and {other} are mirror images along {axis}, and {other} gets {100 * (1 + more):.1f} % of the light of {c}"
        findings.append(judged(quality.asymmetry, "asymmetry", path, text, "the same light", "both masked", "kept"))
        if quality.asymmetry == "mask":
            flags[[c, other]] = VoxelQuality.masked
    if (flags == VoxelQuality.masked).all():
        raise InputError(f"{path}: nothing is left to fit, all values are masked: " + "; ".join(findings))
    return Checked(values, counting_std(values, typical if photons is None else photons), flags, typical, counting, tuple(findings))


def counting_std(values: Values, photons: float | NDArray[np.float64]) -> Values:
    """Standard deviation by counting, see the module's text; photons: made in every voxel, or in each (x, y, z)."""
    made = np.maximum(photons, 1.0)  # nothing is known where none were made: a share is then 0 +- 1
    std: Values = np.sqrt(np.maximum(values * (1 - values), 1 / made) / made).astype(np.float32)
    return std


def scatter_photons(values: Values) -> float:
    """Photons a voxel from fourth differences along z, in which a smooth visibility cancels and counting noise does not.

    For counts of mean N v: var(v0 - 4 v1 + 6 v2 - 4 v3 + v4) = (v0 + 16 v1 + 36 v2 + 16 v3 + v4) / N. The median of the ratio over the
    dimmer half (where gradients are small) is 0.455 / N. What gradients add makes N too small: the error is on the side of caution.
    With fewer than five voxels along an axis the longest axis is used; with none of five the smallest value stands for one photon.
    """
    axis = 1 + int(np.argmax(values.shape[1:]))
    v = np.moveaxis(values, axis, -1).astype(np.float64)
    lit = v[v > 0]
    smallest = float(lit.min()) if lit.size else 1.0
    if v.shape[-1] < 5:
        return 1 / smallest
    parts = [v[..., k : v.shape[-1] - 4 + k] for k in range(5)]
    weights = (1, -4, 6, -4, 1)
    difference = np.sum([w * p for w, p in zip(weights, parts, strict=True)], axis=0)
    variance = np.sum([w * w * p for w, p in zip(weights, parts, strict=True)], axis=0)
    seen = np.all([p > 3 * smallest for p in parts], axis=0)
    seen &= parts[2] < np.median(lit)
    if seen.sum() < 100:
        return 1 / smallest
    return float(0.4549 / np.median(np.square(difference)[seen] / variance[seen]))


def share_of(box: Box, disks: Disks, channel: int) -> NDArray[np.float64]:
    """(x, y, z) rough share of directions in which a disk is seen: cos / (4 pi) x area / (r^2 + a^2), never quite zero."""
    grid = np.stack(np.meshgrid(*box.centres(), indexing="ij"), -1) - disks.centre[channel]
    a = disks.radius[channel]
    square = np.square(grid).sum(-1) + a * a
    cosine = np.maximum(grid @ disks.normal[channel], 0) / np.sqrt(square)
    share: NDArray[np.float64] = (cosine + 0.05) * a * a / (4 * square)
    return share


def displaced_channels(values: Values, box: Box, disks: Disks, component: str) -> tuple[list[int], list[str]]:
    """Channels whose hottest voxels do not lie where geometry has them, and what to tell about it.

    The centroid of the hottest voxels is compared with that of the voxels where the sensor is seen best. When several are off,
    mirrored boxes and one common shift are tried. Reflected light does not peak at its sensor and is not judged.
    """
    if component == "reflected":
        return [], []
    lit = [c for c in range(len(values)) if values[c].any()]
    if not lit:
        return [], []
    hot = np.array([hot_voxels(values[c], box) for c in lit])  # (channel, voxel, 3)
    seen = np.array([hot_voxels(share_of(box, disks, c), box) for c in lit])
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
            text += f": channels {_listed(bad)} swapped or misplaced"
    else:
        text += f": channel {bad[0]} misplaced"
    return bad, [text]


def hot_voxels(values: NDArray[np.floating], box: Box) -> NDArray[np.float64]:
    """(voxel, 3) centres [m] of the voxels with the largest values."""
    count = min(values.size, max(HOT_VOXELS, round(HOT_SHARE * values.size)))
    flat = np.argpartition(values.ravel(), values.size - count)[-count:]
    index = np.unravel_index(flat, values.shape)
    return np.stack([centres[k] for centres, k in zip(box.centres(), index, strict=True)], 1)


def lost_voxels(values: Values, absent: NDArray[np.bool_], bad: NDArray[np.bool_], photons: float) -> tuple[NDArray[np.bool_], list[str], list[str]]:
    """(channel, x, y, z) values without a row where the neighbours promise light, what to tell of lost grid jobs and rows, and of darkness."""
    lost = np.zeros_like(absent)
    findings: list[str] = []
    dark: list[str] = []
    nowhere = (absent | bad).all(0) & absent.any(0)
    if nowhere.any() and not nowhere.all():
        nearest = ndimage.distance_transform_edt(nowhere, return_distances=False, return_indices=True)
        promised = photons * values.sum(0)[tuple(nearest)]
        hole = nowhere & (promised > HOLE_COUNTS)
        if nowhere.mean() > DARK_LIMIT:
            dark.append(f"{int(nowhere.sum())} of {nowhere.size} voxels have no row in any channel: taken for darkness, not for lost jobs")
        elif hole.any():
            lost |= hole
            runs, longest = _runs(hole)
            findings.append(
                f"{int(hole.sum())} of {hole.size} voxels have no row in any channel amid light, in {runs} runs of consecutive voxels "
                f"(the longest {longest}): lost jobs"
            )
    ring = ndimage.generate_binary_structure(3, 1)
    ring[1, 1, 1] = False
    for c in range(len(values)):
        candidates = absent[c] & ~nowhere
        if not candidates.any():
            continue
        single = candidates & (ndimage.median_filter(values[c], footprint=ring, mode="nearest") * photons > HOLE_COUNTS)
        lost[c] |= single
        if single.any():
            findings.append(f"channel {c}: {int(single.sum())} voxels have no row amid light")
    return lost, findings, dark


def jumps(values: Values, masked: NDArray[np.bool_], share: NDArray[np.float64], photons: float) -> NDArray[np.bool_]:
    """(x, y, z) voxels of one channel far from the median of their 26 neighbours, in units of the geometric share: inflated or half-lost."""
    ratio = np.where(masked, np.nan, values / share)
    filled = fill_masked(ratio[None], masked[None])[0]
    footprint = np.ones((3, 3, 3), bool)
    footprint[1, 1, 1] = False
    usual = ndimage.median_filter(filled, footprint=footprint, mode="nearest") * share
    counts, promised = values * photons, usual * photons
    sigma = np.sqrt(np.maximum(promised, 1.0) * (1 + 1 / 13))
    far = (values > JUMP * usual) | (values < usual / JUMP)
    jump: NDArray[np.bool_] = far & (np.abs(counts - promised) > JUMP_SIGMA * sigma) & ~masked
    return jump


def fill_masked(values: NDArray[np.floating], masked: NDArray[np.bool_]) -> NDArray[np.floating]:
    """(channel, x, y, z) with masked values replaced by the mean of their known neighbours, from the rim inwards."""
    filled = np.where(masked, 0, values)
    footprint = np.ones((3, 3, 3))
    for c in np.flatnonzero(masked.reshape(len(masked), -1).any(1)):
        missing = masked[c].copy()
        while missing.any() and not missing.all():
            known = (~missing).astype(np.float64)
            weight = ndimage.convolve(known, footprint, mode="constant")
            total = ndimage.convolve(filled[c] * known, footprint, mode="constant")
            rim = missing & (weight > 0.5)
            filled[c][rim] = total[rim] / weight[rim]
            missing &= ~rim
    return filled


def _runs(hole: NDArray[np.bool_]) -> tuple[int, int]:
    """(number, longest) of runs in the order of LArSoft's voxel numbers, x fastest."""
    line = np.concatenate([[0], hole.transpose(2, 1, 0).ravel().astype(np.int8), [0]])
    start, end = np.flatnonzero(np.diff(line) > 0), np.flatnonzero(np.diff(line) < 0)
    return len(start), int((end - start).max())


def _mirror(points: NDArray[np.float64], middle: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    mirrored = points.copy()
    mirrored[:, axis] = 2 * middle[axis] - mirrored[:, axis]
    return mirrored


def _agree(found: NDArray[np.float64], expected: NDArray[np.float64], limit: float) -> bool:
    return bool((np.linalg.norm(found - expected, axis=1) < limit).mean() > 0.7)


def _voxel(index: tuple[int, ...], box: Box) -> str:
    nx, ny, _ = box.divisions
    return f"Voxel {index[0] + index[1] * nx + index[2] * nx * ny}"


def _cm(point: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{v / CM:.0f}" for v in point) + ")"


def _listed(channels: list[int]) -> str:
    return ", ".join(map(str, channels[:12])) + (", ..." if len(channels) > 12 else "")
