"""The rows of a library arranged as a table (channel, x, y, z), checked row by row on the way.

Rows may come in any order. A table that fits the memory given is filled in place; a larger one, and one for which there are workers, is
made as files (`spill.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Quality
from fieldfit.io.optical.block import Block, findings_of_gaps, put, settle
from fieldfit.io.optical.checked import NO_ROWS, checked
from fieldfit.io.optical.larsoft import PARAMETERS
from fieldfit.io.optical.quality import Faults, findings_of
from fieldfit.io.optical.source import Source
from fieldfit.io.optical.spill import fill_files, read_values
from fieldfit.io.workers import ALONE, Workers
from fieldfit.types import InputError, VoxelQuality

EMPTY_LIMIT = 100  # values a row, above which a large header is not believed
LARGE = 2e8  # values


@dataclass(frozen=True)
class Table:
    """values (channel, x, y, z): NaN where the file has no row or a bad one; flags, the same shape: VoxelQuality, `masked` for a bad one.

    read: the values; of a table in a file it opens that anew, so that workers can be sent it.
    """

    values: NDArray[np.float32]
    flags: NDArray[np.int8]
    findings: tuple[str, ...]
    read: Callable[[], NDArray[np.float32]]

    @property
    def bad(self) -> NDArray[np.bool_]:
        """(channel, x, y, z) rows that cannot be used."""
        return np.asarray(self.flags == VoxelQuality.masked)


def fill_table(source: Source, quality: Quality, scratch: Path | None, most_bytes: int, workers: Workers = ALONE) -> Table:
    """Read and check a library.

    scratch: a folder for what does not fit `most_bytes` of memory; the table is then a file in it and lives as long as the folder.
    workers: who reads it. The table and what is told about it are the same whoever does.
    Raises InputError for what the policies call an error, always with the file, the first row by name, what was found and expected.
    """
    cells = source.channels * source.box.voxels
    if cells > LARGE and cells > EMPTY_LIMIT * source.rows:
        raise InputError(
            f"{source.path}: {source.box.voxels} voxels of {source.channels} channels in the header for {source.rows} rows, expected more rows"
        )
    if scratch is not None and (workers is not ALONE or 4 * cells > most_bytes):
        values, flags, faults, gaps = fill_files(source, quality, scratch, most_bytes, workers)
        read = partial(read_values, source, scratch.absolute())
    elif 4 * cells <= most_bytes:
        block, faults, order = Block.empty(source.channels, source.box.voxels), Faults(), NO_ROWS
        values, flags = block.values, block.flags
        for seen in checked(source, quality, None, 0, faults):
            order = order.then(seen.order)
            if order.kept:
                values.reshape(-1)[seen.place] = seen.value
            else:
                put(block, seen.place, seen.value, 0, seen.row, quality, faults, source, seen.order.kept)
        gaps = settle(block, source, quality)
        read = partial(source.arranged, values)
    else:
        raise InputError(f"{source.path}: a table of {4 * cells / 1e9:.1f} GB, expected at most {most_bytes / 1e9:.1f} GB without a scratch folder")
    findings = findings_of(faults, source, quality) + findings_of_gaps(gaps, source, quality)
    return Table(source.arranged(values), source.arranged(flags), (*source.notes, *findings), read)


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
    for rows in source.chunks(source.times, None):
        inside = (rows.voxel >= 0) & (rows.voxel < source.box.voxels) & (rows.channel >= 0) & (rows.channel < source.channels)
        for name, line, value in zip(source.times, flat, rows.values, strict=True):
            arrived = inside & np.isfinite(value) & (value != 0) & ((value > 0) | name.startswith(PARAMETERS))
            line[rows.channel[arrived], rows.voxel[arrived]] = value[arrived]
    return tuple(source.arranged(line) for line in flat)
