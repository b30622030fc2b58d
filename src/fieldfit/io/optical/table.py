"""The rows of a library arranged as a table (channel, x, y, z), checked row by row on the way.

Rows may come in any order. Where two rows say something about the same voxel and channel is found without a sort of the whole file: a
chunk that continues the order of those before it cannot hold a repeated row; otherwise its places are sorted, and what the table already
has there is looked up.

A table that fits the memory given is filled in place. A larger one is written once as rows, a file for each group of channels, and
arranged group by group into a memory-mapped file: memory is then bounded by one group and one chunk, whatever the size.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Quality
from fieldfit.io.optical.larsoft import PARAMETERS
from fieldfit.io.optical.quality import Faults, Tally, findings_of, judged, kinds_of, listed
from fieldfit.io.optical.source import ROWS, Rows, Source
from fieldfit.types import InputError, VoxelQuality

EMPTY_LIMIT = 100  # values a row, above which a large header is not believed
LARGE = 2e8  # values
BAD = np.float32(-np.inf)  # stands in a table that is being filled for a value that cannot be used


@dataclass(frozen=True)
class Table:
    """values (channel, x, y, z): NaN where the file has no row or a bad one; flags, the same shape: VoxelQuality, `masked` for a bad one."""

    values: NDArray[np.float32]
    flags: NDArray[np.int8]
    findings: tuple[str, ...]

    @property
    def bad(self) -> NDArray[np.bool_]:
        """(channel, x, y, z) rows that cannot be used."""
        return np.asarray(self.flags == VoxelQuality.masked)


@dataclass
class _Block:
    """A table of consecutive channels while it is filled, (channel, voxel), and how far its rows have come in order.

    By voxel, then channel, as LArSoft writes; or by channel, then voxel. None: the rows have left that order.
    """

    values: NDArray[np.float32]
    first_channel: int
    by_voxel: int | None = -1
    by_channel: int | None = -1


@dataclass
class _Seen:
    """Rows of one chunk inside the table, bad values replaced."""

    voxel: NDArray[Any]
    channel: NDArray[Any]
    value: NDArray[np.float32] = field(repr=False)


def fill_table(source: Source, quality: Quality, scratch: Path | None, most_bytes: int) -> Table:
    """Read and check a library.

    scratch: a folder for what does not fit `most_bytes` of memory; the table is then a file in it and lives as long as the folder.
    Raises InputError for what the policies call an error, always with the file, the first row by name, what was found and expected.
    """
    cells = source.channels * source.box.voxels
    if cells > LARGE and cells > EMPTY_LIMIT * source.rows:
        raise InputError(
            f"{source.path}: {source.box.voxels} voxels of {source.channels} channels in the header for {source.rows} rows, expected more rows"
        )
    faults = Faults()
    shape = (source.channels, source.box.voxels)
    if 4 * cells <= most_bytes:
        values, flags = np.full(shape, np.nan, np.float32), np.zeros(shape, np.int8)
        block = _Block(values, 0)
        for seen in _checked(source, quality, faults):
            _place(block, seen, quality, faults, source)
    elif scratch is None:
        raise InputError(f"{source.path}: a table of {4 * cells / 1e9:.1f} GB, expected at most {most_bytes / 1e9:.1f} GB without a scratch folder")
    else:
        values, flags = (np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", kind, shape) for name, kind in (("values", "f4"), ("flags", "i1")))
        _fill_by_groups(source, quality, faults, values, scratch, max(1, most_bytes // (4 * source.box.voxels)))
    findings = findings_of(faults, source, quality)
    _settle(values, flags)
    findings += _missing(values, flags, source, quality)
    return Table(source.arranged(values), source.arranged(flags), (*source.notes, *findings))


def fill_times(source: Source, scratch: Path) -> tuple[NDArray[np.float32], ...]:
    """(channel, x, y, z) of each column of arrival times [ns], from a file in the folder `scratch`; NaN where there is none.

    There is none without a row, and where the value is not finite or exactly zero, as the formats have it where no photon arrived; or negative,
    but for the parameters of a formula (timing_par). Rows outside the table are left out: `fill_table` tells of them.
    Raises InputError when the library has no times.
    """
    if not source.times:
        known = "ReflTfirst or timing_par (larsoft), T1 (arcube_lut), t0 (larndsim_npz)"
        raise InputError(f"{source.path}: no arrival times, and the key times asks for them; expected {known}")
    flat = np.lib.format.open_memmap(scratch / "times.npy", "w+", np.float32, (len(source.times), source.channels, source.box.voxels))
    flat[:] = np.nan
    for rows in source.chunks(source.times):
        inside = (rows.voxel >= 0) & (rows.voxel < source.box.voxels) & (rows.channel >= 0) & (rows.channel < source.channels)
        for name, line, value in zip(source.times, flat, rows.values, strict=True):
            arrived = inside & np.isfinite(value) & (value != 0) & ((value > 0) | name.startswith(PARAMETERS))
            line[rows.channel[arrived], rows.voxel[arrived]] = value[arrived]
    return tuple(source.arranged(line) for line in flat)


def _checked(source: Source, quality: Quality, faults: Faults) -> Iterator[_Seen]:
    """The rows that have a place, values that are no shares of photons replaced; faults are counted."""
    wide = source.channels * source.box.voxels >= 2**31
    for rows in source.chunks(source.columns):
        voxel, channel, parts = rows.voxel, rows.channel, rows.values
        inside = _inside(rows, source, faults)
        if inside is not None:
            voxel, channel, parts = voxel[inside], channel[inside], tuple(part[inside] for part in parts)
        if not len(voxel):
            continue
        value, kept = _sound(Rows(voxel, channel, parts), source, quality, faults)
        if kept is not None:
            voxel, channel, value = voxel[kept], channel[kept], value[kept]
            if not len(voxel):
                continue
        kind_of_index = np.int64 if wide else np.int32
        yield _Seen(voxel.astype(kind_of_index, copy=False), channel.astype(kind_of_index, copy=False), value)


def _sound(rows: Rows, source: Source, quality: Quality, faults: Faults) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Sums of the columns, with BAD for those that are no shares of photons, and which rows to keep (None: all)."""
    # the sum of two float32 in float32 is rounded once, as the sum in float64 would be
    total = rows.values[0] if len(rows.values) == 1 else np.sum(rows.values, axis=0)
    named = [*zip(source.columns, rows.values, strict=True), *([(" + ".join(source.columns), total)] if len(rows.values) > 1 else [])]
    useless: NDArray[np.bool_] | None = None
    for column, part in named:

        def name(k: int, part: NDArray[Any] = part) -> str:
            return f"{source.name_of(int(rows.voxel[k]), int(rows.channel[k]))}: {part[k]:.6g}"

        for kind, bad in kinds_of(part).items():
            new = bad if useless is None or column in source.columns else bad & ~useless  # a sum is not bad once more for its parts
            if new.any():
                faults.values.setdefault((column, kind), Tally()).add(new, name)
            useless = bad if useless is None else useless | bad
    value = total.astype(np.float32)
    if useless is None:
        return value, None
    if quality.bad_values == "accept":
        return value, np.isfinite(value)
    value[useless] = BAD
    return value, None


def _inside(rows: Rows, source: Source, faults: Faults) -> NDArray[np.bool_] | None:
    """Which rows lie in the table; None when all do."""
    inside: NDArray[np.bool_] | None = None
    for name, index, bound in (("voxel", rows.voxel, source.box.voxels), ("channel", rows.channel, source.channels)):
        if len(index) and (index.min() < 0 or index.max() >= bound):
            out = (index < 0) | (index >= bound)
            faults.outside.setdefault(name, Tally()).add(out, lambda k: source.name_of(int(rows.voxel[k]), int(rows.channel[k])))
            inside = ~out if inside is None else inside & ~out
    return inside


def _place(block: _Block, seen: _Seen, quality: Quality, faults: Faults, source: Source) -> None:
    """Write rows to their places; repeated ones are counted, and masked where they conflict and the policy says so."""
    flat, (channels, voxels) = block.values.reshape(-1), block.values.shape
    channel = seen.channel - block.first_channel if block.first_channel else seen.channel
    place, key = channel * voxels + seen.voxel, seen.voxel * channels + channel
    place_rises, key_rises = _rises(place), _rises(key)
    block.by_channel = _continued(block.by_channel, place, place_rises)
    block.by_voxel = _continued(block.by_voxel, key, key_rises)
    if block.by_voxel is not None or block.by_channel is not None:
        flat[place] = seen.value
        return
    before = flat[place]
    again = ~np.isnan(before)
    if not (place_rises or key_rises):
        ordered = np.sort(place)
        if (ordered[1:] == ordered[:-1]).any():
            order = np.argsort(place, kind="stable")
            twice = np.flatnonzero(place[order[1:]] == place[order[:-1]])
            before[order[twice + 1]], again[order[twice + 1]] = seen.value[order[twice]], True
    flat[place] = seen.value  # of repeated places the last counts
    if not again.any():
        return
    other = again & (before != seen.value)
    name = lambda k: source.name_of(int(seen.voxel[k]), int(seen.channel[k]))  # noqa: E731
    faults.same.add(again & ~other, name)
    faults.conflicting.add(other, lambda k: f"{name(k)}: {_told(before[k])} and {_told(seen.value[k])}")
    if quality.duplicates_conflicting != "accept":
        flat[place[other]] = BAD
    if quality.duplicates_same == "mask":
        flat[place[again & ~other]] = BAD


def _told(value: np.float32) -> str:
    return "no share of photons" if value == BAD else f"{value:.6g}"


def _rises(index: NDArray[Any]) -> bool:
    return bool((index[1:] > index[:-1]).all())


def _continued(last: int | None, index: NDArray[Any], rises: bool) -> int | None:
    """The last index when the rows still come in order, else None."""
    return int(index[-1]) if last is not None and rises and index[0] > last else None


def _fill_by_groups(source: Source, quality: Quality, faults: Faults, values: NDArray[np.float32], scratch: Path, group: int) -> None:
    """Spill the rows once, a file for each group of channels, then arrange one group at a time."""
    firsts = range(0, source.channels, group)
    index = np.int64 if group * source.box.voxels >= 2**31 else np.int32
    spilled = np.dtype([("voxel", index), ("channel", np.int32), ("value", np.float32)])
    paths = [scratch / f"rows_{first}.bin" for first in firsts]
    with ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for path in paths]
        for seen in _checked(source, quality, faults):
            number = (seen.channel // group).astype(np.uint16)
            order = np.argsort(number, kind="stable")
            rows = np.empty(len(number), spilled)
            rows["voxel"], rows["channel"], rows["value"] = seen.voxel[order], seen.channel[order], seen.value[order]
            ends = np.cumsum(np.bincount(number, minlength=len(files)))
            for file, part in zip(files, np.split(rows, ends[:-1]), strict=True):
                part.tofile(file)
    for first, path in zip(firsts, paths, strict=True):
        block = _Block(np.full((min(group, source.channels - first), source.box.voxels), np.nan, np.float32), first)
        with open(path, "rb") as written:
            while len(rows := np.fromfile(written, spilled, ROWS)):
                voxel, channel, value = (np.ascontiguousarray(rows[name]) for name in ("voxel", "channel", "value"))
                _place(block, _Seen(voxel, channel.astype(index, copy=False), value), quality, faults, source)
        values[first : first + group] = block.values
        path.unlink()


def _settle(values: NDArray[np.float32], flags: NDArray[np.int8]) -> None:
    """Bad values become NaN; these and absent ones are flagged."""
    for line, flag in zip(values, flags, strict=True):
        bad = line == BAD
        flag[np.isnan(line)] = VoxelQuality.absent
        flag[bad], line[bad] = VoxelQuality.masked, np.nan


def _missing(values: NDArray[np.float32], flags: NDArray[np.int8], source: Source, quality: Quality) -> list[str]:
    """Channels without light and voxels without a row, as the policies say."""
    dark: list[int] = []
    padded: list[int] = []
    unknown, first = 0, ""
    for c, (line, flag) in enumerate(zip(values, flags, strict=True)):
        absent = flag == VoxelQuality.absent
        if not np.fmax.reduce(line) > 0 and not (flag == VoxelQuality.masked).any():
            (dark if absent.all() else padded).append(c)
            if quality.missing_channels == "mask":
                flag[:], line[:] = VoxelQuality.masked, np.nan
        elif source.absent == "unknown" and absent.any():
            unknown += int(absent.sum())
            first = first or source.name_of(int(np.argmax(absent)), c)
            if quality.holes == "mask":
                flag[absent] = VoxelQuality.masked
    found = []
    for channels, what in ((dark, "no row"), (padded, "nothing but zeros")):
        if channels:
            text = f"{len(channels)} of {source.channels} channels have {what}: {listed(channels)}"
            found.append(judged(quality.missing_channels, "missing_channels", source.path, text, "light in each", "masked", "kept, as dark"))
    if unknown:
        text = f"{unknown} of {values.size} values are not in the file (first: {first})"
        found.append(judged(quality.holes, "holes", source.path, text, "one for each voxel and channel", "masked", "taken for zeros"))
    return found
