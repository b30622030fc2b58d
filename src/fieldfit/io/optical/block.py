"""A table of consecutive channels while it is filled: rows are put to their places, and what was there before is looked up.

Where two rows say something about the same voxel and channel is found without a sort of the whole file: a chunk that continues the order
of those before it cannot hold a repeated row; otherwise its places are sorted, and what the table already has there is looked up. Each row
is compared with the one before it in the file, so that neither chunks nor parts of the file make a difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Quality
from fieldfit.io.optical.checked import BAD
from fieldfit.io.optical.quality import Faults, judged, listed
from fieldfit.io.optical.source import Source
from fieldfit.types import VoxelQuality


@dataclass(frozen=True)
class Block:
    """values, flags (channel, voxel), from `first_channel` on. Until it is settled, values are NaN where there was no row yet and BAD where the
    last one cannot be used, and a flag is `masked` where a policy says so of repeated rows."""

    values: NDArray[np.float32]
    flags: NDArray[np.int8]
    first_channel: int

    @classmethod
    def empty(cls, channels: int, voxels: int, first_channel: int = 0) -> "Block":
        """Without rows."""
        return cls(np.full((channels, voxels), np.nan, np.float32), np.zeros((channels, voxels), np.int8), first_channel)


@dataclass
class Gaps:
    """Channels without a row (dark) and with nothing but zeros (padded); values that are not in the file, and the first of them by name."""

    dark: list[int] = field(default_factory=list)
    padded: list[int] = field(default_factory=list)
    unknown: int = 0
    first: str = ""

    def join(self, later: "Gaps") -> None:
        """Those of later channels as well."""
        self.dark += later.dark
        self.padded += later.padded
        self.unknown += later.unknown
        self.first = self.first or later.first


def put(
    block: Block,
    place: NDArray[Any],
    value: NDArray[np.float32],
    part: int,
    row: Sequence[int] | NDArray[Any],
    quality: Quality,
    faults: Faults,
    source: Source,
    distinct: bool,
) -> None:
    """Write rows, not known to be the first of their places, to the block; repeated ones are counted, and masked where a policy says so.

    place: in the block, row by row; part, row: where they are in the file; distinct: no place is there twice among them.
    """
    flat, flags = block.values.reshape(-1), block.flags.reshape(-1)
    before = flat[place]
    again = ~np.isnan(before)
    if not distinct:
        ordered = np.sort(place)
        if (ordered[1:] == ordered[:-1]).any():
            order = np.argsort(place, kind="stable")
            twice = np.flatnonzero(place[order[1:]] == place[order[:-1]])
            before[order[twice + 1]], again[order[twice + 1]] = value[order[twice]], True
    flat[place] = value  # of repeated places the last counts
    if not again.any():
        return
    other = again & (before != value)

    def name(k: int) -> str:
        channel, voxel = divmod(int(place[k]), source.box.voxels)
        return source.name_of(voxel, block.first_channel + channel)

    faults.same.add(again & ~other, name, part, row)
    faults.conflicting.add(other, lambda k: f"{name(k)}: {_told(before[k])} and {_told(value[k])}", part, row)
    if quality.duplicates_conflicting != "accept":
        flags[place[other]] = VoxelQuality.masked
    if quality.duplicates_same == "mask":
        flags[place[again & ~other]] = VoxelQuality.masked


def _told(value: np.float32) -> str:
    return "no share of photons" if value == BAD else f"{value:.6g}"


def settle(block: Block, source: Source, quality: Quality) -> Gaps:
    """Bad values become NaN; these, absent ones, and channels without light are flagged as the policies say."""
    gaps = Gaps()
    for c, (line, flag) in enumerate(zip(block.values, block.flags, strict=True), block.first_channel):
        bad = (line == BAD) | (flag == VoxelQuality.masked)
        absent = np.isnan(line)
        flag[absent] = VoxelQuality.absent
        flag[bad], line[bad] = VoxelQuality.masked, np.nan
        if not np.fmax.reduce(line) > 0 and not bad.any():
            (gaps.dark if absent.all() else gaps.padded).append(c)
            if quality.missing_channels == "mask":
                flag[:], line[:] = VoxelQuality.masked, np.nan
        elif source.absent == "unknown" and absent.any():
            gaps.unknown += int(absent.sum())
            gaps.first = gaps.first or source.name_of(int(np.argmax(absent)), c)
            if quality.holes == "mask":
                flag[absent] = VoxelQuality.masked
    return gaps


def findings_of_gaps(gaps: Gaps, source: Source, quality: Quality) -> list[str]:
    """A line each. Raises InputError for what the policies call an error."""
    found = []
    for channels, what in ((gaps.dark, "no row"), (gaps.padded, "nothing but zeros")):
        if channels:
            text = f"{len(channels)} of {source.channels} channels have {what}: {listed(channels)}"
            found.append(judged(quality.missing_channels, "missing_channels", source.path, text, "light in each", "masked", "kept, as dark"))
    if gaps.unknown:
        text = f"{gaps.unknown} of {source.channels * source.box.voxels} values are not in the file (first: {gaps.first})"
        found.append(judged(quality.holes, "holes", source.path, text, "one for each voxel and channel", "masked", "taken for zeros"))
    return found
