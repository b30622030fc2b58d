"""What is checked in an optical library before anything is fitted, and its counting uncertainty.

A value v made with N photons scatters as a binomial: std = sqrt(v (1 - v) / N). Where no photon arrived the std is 1 / N, that of
the posterior for a flat prior: the value is known to be small, not to be zero.

The table may be a file larger than memory: every check looks at one channel after the other, and what needs all of them (voxels absent
everywhere, the whole light of a voxel) is summed up in arrays (x, y, z).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fieldfit.config.dune import Quality
from fieldfit.experiments.dune.hot_spots import displaced_channels, share_of
from fieldfit.experiments.dune.mirrors import asymmetric_pairs
from fieldfit.experiments.dune.neighbours import JUMP, amid_light, jumps, runs
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.io.optical.quality import judged, listed
from fieldfit.io.workers import ALONE, Workers
from fieldfit.types import InputError, VoxelQuality

HOLE_COUNTS = 20.0  # photons that the neighbours promise, from which an absent voxel is a hole (chance e^-20) and not darkness
DARK_LIMIT = 0.2  # share of absent voxels, above which they are a dark region and not lost jobs
SCATTER_VALUES = 20_000_000  # of a larger table as many channels as that allows tell the scatter between neighbours

Values = NDArray[np.float32]
Flags = NDArray[np.int8]
Made = float | NDArray[np.float64]  # photons made in every voxel, or in each (x, y, z)


@dataclass(frozen=True)
class Checked:
    """raw, quality (channel, x, y, z): the table as read, and its flags; made, photons: in each voxel and in the median one, given or estimated;
    counting: which; displaced: channels whose sensors are not where their light is; findings: a line each."""

    raw: Values
    quality: Flags
    made: Made
    photons: float
    counting: str
    displaced: tuple[int, ...]
    findings: tuple[str, ...]

    def values(self, channel: int) -> Values:
        """(x, y, z), 0 without a row."""
        return line_of(self.raw, channel)

    def std(self, channel: int) -> Values:
        """(x, y, z) by counting."""
        return counting_std(self.values(channel), self.made)


def line_of(raw: Values, channel: int) -> Values:
    """(x, y, z) one channel of a table, 0 without a row."""
    line = np.array(raw[channel], np.float32, order="C")
    line[np.isnan(line)] = 0
    return line


def check_library(
    raw: Values,
    box: Box,
    disks: Disks,
    photons: Made | None,
    component: str,
    quality: Quality,
    flags: Flags | None = None,
    path: Path = Path("library"),
    name: Callable[[tuple[int, ...], int], str] | None = None,
    read: Callable[[], Values] | None = None,
    workers: Workers = ALONE,
) -> Checked:
    """Flags, counting uncertainty and findings of a library as read, NaN where it has no row.

    photons: made in every voxel, or in each (x, y, z); flags: as `fill_table` has them, completed in place (None: absent where there is no
    row); name: what the file calls a voxel (x, y, z) and a channel; read: gives `raw` to workers, who look at the channels.
    Raises InputError for what the policies of `quality` call an error, naming `path`.
    """
    if flags is None:
        flags = np.where(np.isnan(raw), np.int8(VoxelQuality.absent), np.int8(VoxelQuality.good))
    channels = range(len(raw))
    read = read or (lambda: raw)
    line = lambda c: line_of(read(), c)  # noqa: E731
    findings: list[str] = []
    if photons is None:
        typical = scatter_photons(np.stack([line(c) for c in channels[:: -(-raw.size // SCATTER_VALUES)]]))
        counting = f"estimated: {typical:.3g} photons a voxel from the scatter between neighbours"
        findings.append("photons_per_voxel is not given: " + counting)
    elif isinstance(photons, np.ndarray):
        typical = float(np.median(photons[photons > 0]))
        counting = f"binomial with the photons made in each voxel, {typical:.3g} in the median one"
    else:
        typical = float(photons)
        counting = f"binomial with the given photons_per_voxel {photons:g}"
    dark = [c for c in channels if not np.fmax.reduce(raw[c], axis=None) > 0]
    untold = [c for c in dark if not (flags[c] == VoxelQuality.masked).all()]
    if untold:
        findings.append(f"channels {listed(untold)} have no light anywhere")
    displaced, told = displaced_channels(line, box, disks, component, workers)
    for text in told:
        done = "fitted without the geometric factor"
        findings.append(judged(quality.misplaced_sensors, "misplaced_sensors", path, text, "them at their sensors", "masked", done))
    told, darkness = lost_voxels(line, flags, typical, mask=quality.holes == "mask")
    findings += darkness
    findings += [judged(quality.holes, "holes", path, text, "a row where there is light", "masked", "taken for zeros") for text in told]
    if quality.misplaced_sensors == "mask":
        flags[displaced] = VoxelQuality.masked
    if component != "reflected":
        lit = sorted(set(channels) - set(dark) - set(displaced))
        masks = ((c, mask if (mask := flags[c] == VoxelQuality.masked).any() else None) for c in lit)
        for c, jump in zip(lit, workers.run(partial(_jumps, read, box, disks, typical), masks), strict=True):
            if len(jump):
                first = (int(jump[0, 0]), int(jump[0, 1]), int(jump[0, 2]))
                named = name(first, c) if name else _voxel(first, box)
                text = f"channel {c}: {len(jump)} voxels differ from their neighbours by more than a factor {JUMP:g} (first: {named})"
                findings.append(judged(quality.hot_voxels, "hot_voxels", path, text, "a smooth visibility", "masked", "kept"))
                if quality.hot_voxels == "mask":
                    flags[c][tuple(jump.T)] = VoxelQuality.masked
    used = lambda c: flags[c] != VoxelQuality.masked  # noqa: E731
    for c, other, axis, more in asymmetric_pairs(line, used, box, disks, typical):
        text = f"channels {c} and {other} are mirror images along {axis}, and {other} gets {100 * (1 + more):.1f} % of the light of {c}"
        findings.append(judged(quality.asymmetry, "asymmetry", path, text, "the same light", "both masked", "kept"))
        if quality.asymmetry == "mask":
            flags[[c, other]] = VoxelQuality.masked
    if all((flags[c] == VoxelQuality.masked).all() for c in channels):
        raise InputError(f"{path}: nothing is left to fit, all values are masked: " + "; ".join(findings))
    return Checked(raw, flags, typical if photons is None else photons, typical, counting, tuple(displaced), tuple(findings))


def _jumps(
    read: Callable[[], Values], box: Box, disks: Disks, photons: float, channel_and_mask: tuple[int, NDArray[np.bool_] | None]
) -> NDArray[np.int64]:
    """(voxel, 3) places of the voxels of a channel that are far from their neighbours; None: none is masked."""
    channel, mask = channel_and_mask
    values = line_of(read(), channel)
    return np.argwhere(jumps(values, np.zeros(values.shape, bool) if mask is None else mask, share_of(box, disks, channel), photons))


def counting_std(values: Values, photons: Made) -> Values:
    """Standard deviation by counting, see the module's text; photons: made in every voxel, or in each (x, y, z)."""
    made = np.maximum(photons, 1.0).astype(np.float32)  # nothing is known where none were made: a share is then 0 +- 1
    std: Values = np.sqrt(np.maximum(values * (1 - values), 1 / made) / made)
    return std


def scatter_photons(values: Values) -> float:
    """Photons a voxel from fourth differences along z, in which a smooth visibility cancels and counting noise does not.

    For counts of mean N v: var(v0 - 4 v1 + 6 v2 - 4 v3 + v4) = (v0 + 16 v1 + 36 v2 + 16 v3 + v4) / N. The median of the ratio over the
    dimmer half (where gradients are small) is 0.455 / N. What gradients add makes N too small: the error is on the side of caution.
    With fewer than five voxels along an axis the longest axis is used; with none of five the smallest value stands for one photon.
    """
    axis = 1 + int(np.argmax(values.shape[1:]))
    v = np.moveaxis(values, axis, -1)
    lit = v[v > 0]
    smallest = float(lit.min()) if lit.size else 1.0
    if v.shape[-1] < 5:
        return 1 / smallest
    parts = [v[..., k : v.shape[-1] - 4 + k] for k in range(5)]
    seen = parts[2] < np.median(lit)
    for part in parts:
        seen &= part > 3 * smallest
    if seen.sum() < 100:
        return 1 / smallest
    difference, variance = np.zeros(int(seen.sum())), np.zeros(int(seen.sum()))
    for weight, part in zip((1, -4, 6, -4, 1), parts, strict=True):
        difference += weight * part[seen]
        variance += weight * weight * part[seen]
    return float(0.4549 / np.median(np.square(difference) / variance))


def lost_voxels(line: Callable[[int], Values], flags: Flags, photons: float, mask: bool) -> tuple[list[str], list[str]]:
    """Values without a row where the neighbours promise light, masked when `mask`: what to tell of lost grid jobs and rows, and of darkness."""
    if not any((of_channel == VoxelQuality.absent).any() for of_channel in flags):
        return [], []
    findings: list[str] = []
    dark: list[str] = []
    light = np.zeros(flags.shape[1:])
    nowhere, somewhere = np.ones(light.shape, bool), np.zeros(light.shape, bool)
    for c in range(len(flags)):
        light += line(c)
        nowhere &= flags[c] != VoxelQuality.good
        somewhere |= flags[c] == VoxelQuality.absent
    nowhere &= somewhere
    hole = np.zeros_like(nowhere)
    if nowhere.any() and not nowhere.all():
        nearest = ndimage.distance_transform_edt(nowhere, return_distances=False, return_indices=True)
        hole = nowhere & (photons * light[tuple(nearest)] > HOLE_COUNTS)
        if nowhere.mean() > DARK_LIMIT:
            dark.append(f"{int(nowhere.sum())} of {nowhere.size} voxels have no row in any channel: taken for darkness, not for lost jobs")
            hole[:] = False
        elif hole.any():
            number, longest = runs(hole)
            findings.append(
                f"{int(hole.sum())} of {hole.size} voxels have no row in any channel amid light, in {number} runs of consecutive voxels "
                f"(the longest {longest}): lost jobs"
            )
    for c in range(len(flags)):
        single = (flags[c] == VoxelQuality.absent) & ~nowhere
        if single.any():
            single &= amid_light(line(c), HOLE_COUNTS / photons)
        if single.any():
            findings.append(f"channel {c}: {int(single.sum())} voxels have no row amid light")
        if mask:
            flags[c][single | hole] = VoxelQuality.masked
    return findings, dark


def _voxel(index: tuple[int, ...], box: Box) -> str:
    nx, ny, _ = box.divisions
    return f"Voxel {index[0] + index[1] * nx + index[2] * nx * ny}"
