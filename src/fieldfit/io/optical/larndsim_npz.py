"""Look-up tables of larnd-sim, as DUNE/larnd-sim, larndsim/lightLUT.py uses them.

A compressed NumPy archive with the key `arr`: (nx, ny, nz, channel) of records with `vis` (share of the photons), `t0` (first arrival
[ns]) and `time_dist` (their distribution). Three kinds of records are about: vis, t0, time_dist in float32; the same with t0_avg; and the
smaller one since May 2024, t0 float16 and time_dist uint16 (pull request 224). Older archives are padded with channels of zeros (issue
223), whose light is lost without a word. The tables come from ArgonCube LUTs, so the sensors' efficiency is in them. The axes are those of
larnd-sim, whose x is the z of such a LUT, over one TPC; the archive does not say where that lies: the key `geometry` does.

The second index runs along y: downwards from the top until November 2025, upwards since (pull request 300, which reversed the 2x2 files
and reordered their channels): key `y_order`.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from fieldfit.config.dune import Geometry
from fieldfit.io.archive import SUFFIX, Header, header_of, opened, skipped_header
from fieldfit.io.optical.box import given_box
from fieldfit.io.optical.source import ROWS, Rows, Source, rows_of_slab
from fieldfit.types import InputError, nearest

EXPECTED = "a larnd-sim look-up table (npz)"
KEY = "arr"
LARGEST_RECORD = 2**16  # bytes of one: some thousand times in time_dist
RECORD_BYTES = 16 * 2**20  # read at a time


def open_larndsim_npz(path: Path, channels: int | None, geometry: Geometry | None, y_falls: bool) -> Source:
    """A larnd-sim table. Raises InputError when the file is none, its header and its size disagree, or it contradicts the config."""
    array = _header(path)
    *divisions, count = array.shape
    if geometry is None:
        raise InputError(f"{path}: a larnd-sim table does not say where it lies; expected the key geometry: {{min_cm, max_cm, divisions}}")
    box = given_box(geometry)
    if tuple(divisions) != box.divisions:
        raise InputError(f"{path}: arr has {divisions} voxels along x, y, z, the key geometry has divisions {list(box.divisions)}; expected the same")
    if channels is not None and count != channels:
        raise InputError(
            f"{path}: arr has {count} channels, the channel file has {channels} sensors; expected the same number "
            "(archives from before May 2024 are padded with channels of zeros)"
        )
    names = array.dtype.names or ()
    nx, ny, nz = divisions
    x_fastest = array.fortran

    def name_of(voxel: int, channel: int) -> str:
        x, y, z = np.unravel_index(voxel, (nx, ny, nz), order="F" if x_fastest else "C")
        return f"arr[{x}, {y}, {z}, {channel}]"

    return Source(
        path=path,
        box=box,
        channels=count,
        component="total",
        columns=("vis",),
        order="x fastest" if x_fastest else "z fastest",
        y_falls=y_falls,
        rows=math.prod(array.shape),
        absent="unknown",
        convention=f"larnd-sim npz: arr (x, y, z, channel) of {', '.join(names)}, y {'falls' if y_falls else 'rises'}",
        efficiency="in it",
        chunks=lambda columns, _: _rows(path, array, columns),
        name_of=name_of,
        times=tuple(name for name in ("t0", "t0_avg") if name in names),
    )


def _rows(path: Path, array: Header, columns: tuple[str, ...]) -> Iterator[Rows]:
    voxels, channels = math.prod(array.shape[:3]), array.shape[3]
    at_once = max(1, min(ROWS, RECORD_BYTES // array.dtype.itemsize))
    with opened(path, EXPECTED) as archive, archive.open(f"{KEY}{SUFFIX}") as file:
        skipped_header(file, KEY, path)
        if array.fortran:  # a channel after the other
            for channel in range(channels):
                for first in range(0, voxels, at_once):
                    part = _records(file, array.dtype, min(at_once, voxels - first), path)[:, None]
                    yield rows_of_slab(np.arange(first, first + len(part)), channel, tuple(part[name] for name in columns))
        else:
            slab = max(1, at_once // channels)
            for first in range(0, voxels, slab):
                part = _records(file, array.dtype, min(slab, voxels - first) * channels, path).reshape(-1, channels)
                yield rows_of_slab(np.arange(first, first + len(part)), 0, tuple(part[name] for name in columns))


def _records(file: IO[bytes], dtype: np.dtype, count: int, path: Path) -> Any:
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise InputError(f"{path}: arr ends early, expected a whole file")
    return np.frombuffer(data, dtype)


def _header(path: Path) -> Header:
    with opened(path, EXPECTED) as archive:
        header = header_of(archive, KEY, path, EXPECTED)
    dtype = header.dtype
    if dtype.names is None or "vis" not in dtype.names or dtype["vis"].kind != "f" or dtype["vis"].shape:
        found = f"records of {', '.join(dtype.names)}" if dtype.names else str(dtype)
        raise InputError(f"{path}: arr holds {found}, expected records of vis (real), t0, time_dist{nearest('vis', dtype.names or ())}")
    if dtype.itemsize > LARGEST_RECORD:
        raise InputError(f"{path}: arr has records of {dtype.itemsize} bytes, expected {LARGEST_RECORD} at most")
    if len(header.shape) != 4 or not all(header.shape):
        raise InputError(f"{path}: arr has shape {header.shape}, expected (nx, ny, nz, channel)")
    return header
