"""Reader of X-ray scans in the Data Exchange layout (De Carlo et al., J. Synchrotron Rad. 21, 1224 (2014)), HDF5.

exchange/data (view, row, column), exchange/data_white and exchange/data_dark (frame, row, column), detector counts;
exchange/theta (view), in degrees unless its attribute `units` says rad. Nothing else is read; only the rows asked for are taken into memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from fieldfit.hdf5 import LARGEST_TABLE, check_stored, dataset_in, member_in, names_in, opened
from fieldfit.types import InputError, nearest

DATA, WHITE, DARK, THETA = "exchange/data", "exchange/data_white", "exchange/data_dark", "exchange/theta"
MOST_ROWS = 64  # that one entry takes: each is a fit of its own
LEAST_VIEWS, LEAST_COLUMNS = 8, 16


@dataclass(frozen=True)
class Scan:
    """counts: of the detector, as it wrote them; white and dark: frames with and without the beam, nothing in it; angle [rad];
    rows: their numbers in the file."""

    counts: Float[np.ndarray, "view row column"]
    white: Float[np.ndarray, "frame row column"]
    dark: Float[np.ndarray, "frame row column"]
    angle: Float[np.ndarray, "view"]
    rows: tuple[int, ...]


def read_scan(path: Path, rows: Sequence[int] | None = None) -> Scan:
    """The scan at `path`, all its rows or those listed.

    Raises InputError naming dataset, row and column: a dataset is absent, a link, or has another shape or type; the angles are not one a view
    and finite; a count is not finite; a row does not exist; a pixel's dark is not below its white, so that no beam reaches it.
    """
    path = Path(path)
    with opened(path, f"a Data Exchange file with {DATA}, {WHITE}, {DARK} and {THETA}") as file:
        found = {name: _dataset(file, name, path) for name in (DATA, WHITE, DARK, THETA)}
        shape = found[DATA].shape
        _check_shapes(path, found)
        wanted = tuple(range(shape[1])) if rows is None else tuple(rows)
        for row in wanted:
            if not 0 <= row < shape[1]:
                raise InputError(f"{path}: row {row} of key 'rows' does not exist, expected 0 to {shape[1] - 1}")
        if len(wanted) > MOST_ROWS or not wanted or len(set(wanted)) < len(wanted):
            raise InputError(f"{path}: {len(wanted)} rows are asked for, expected 1 to {MOST_ROWS} different ones: name them by the key 'rows'")
        taken = sum(8 * found[name].shape[0] * len(wanted) * shape[2] for name in (DATA, WHITE, DARK))
        if taken > LARGEST_TABLE:
            raise InputError(f"{path}: {len(wanted)} rows take {taken} bytes, expected {LARGEST_TABLE} at most: name fewer by the key 'rows'")
        counts, white, dark = (np.stack([found[name][:, row].astype(np.float64) for row in wanted], axis=1) for name in (DATA, WHITE, DARK))
        angle = found[THETA][()].astype(np.float64)
        units = found[THETA].attrs.get("units", "degrees")
    units = units.decode(errors="replace") if isinstance(units, bytes) else str(units)
    if not units.lower().startswith(("deg", "rad", "°")):
        raise InputError(f"{path}: {THETA} has units {units!r}, expected degrees or rad")
    if not np.isfinite(angle).all():
        raise InputError(f"{path}: {THETA} is {angle[~np.isfinite(angle)][0]} at view {int(np.argmin(np.isfinite(angle)))}, expected finite angles")
    for name, values in ((DATA, counts), (WHITE, white), (DARK, dark)):
        if not np.isfinite(values).all():
            frame, row, column = np.argwhere(~np.isfinite(values))[0]
            raise InputError(f"{path}: {name} is {values[frame, row, column]} at frame {frame}, row {wanted[row]}, column {column}, expected counts")
    lit = white.mean(0) - dark.mean(0)
    if (lit <= 0).any():
        row, column = np.argwhere(lit <= 0)[0]
        raise InputError(
            f"{path}: {int((lit <= 0).sum())} of {lit.size} pixels have a dark that is not below their white, the first at row {wanted[row]}, "
            f"column {column}: dark {dark.mean(0)[row, column]:.6g}, white {white.mean(0)[row, column]:.6g}; expected a beam on every pixel"
        )
    return Scan(counts, white, dark, angle if units.lower().startswith("rad") else np.deg2rad(angle), wanted)


def scan_header(path: Path) -> tuple[int, int, int]:
    """(view, row, column) of a scan, its datasets checked as `read_scan` does and none of them read. Raises InputError."""
    with opened(path, f"a Data Exchange file with {DATA}, {WHITE}, {DARK} and {THETA}") as file:
        found = {name: _dataset(file, name, path) for name in (DATA, WHITE, DARK, THETA)}
        _check_shapes(path, found)
        views, rows, columns = found[DATA].shape
    return views, rows, columns


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    found = dataset_in(file, name, path)
    if found is None:
        group = member_in(file, "exchange", path)
        names = names_in(group) if isinstance(group, h5py.Group) else []
        told = ", ".join(f"exchange/{known}" for known in names) or ", ".join(names_in(file)) or "nothing"
        others = [f"exchange/{known}" for known in names if f"exchange/{known}" not in (DATA, WHITE, DARK, THETA)]
        close = next((other for other in others if nearest(other, [name])), "")
        raise InputError(f"{path}: no dataset '{name}', found {told}" + (f"; is '{close}' meant?" if close else ""))
    if found.dtype.kind not in "iuf":
        raise InputError(f"{path}: dataset '{name}' has type {found.dtype}, expected numbers")
    check_stored(found, name, path)
    return found


def _check_shapes(path: Path, found: dict[str, h5py.Dataset]) -> None:
    """From the headers, before anything is read."""
    shape = found[DATA].shape
    if len(shape) != 3 or shape[0] < LEAST_VIEWS or shape[1] < 1 or shape[2] < LEAST_COLUMNS:
        raise InputError(
            f"{path}: dataset '{DATA}' has shape {shape}, expected (view, row, column) with {LEAST_VIEWS} views and {LEAST_COLUMNS} columns or more"
        )
    for name in (WHITE, DARK):
        other = found[name].shape
        if len(other) != 3 or other[0] < 1 or other[1:] != shape[1:]:
            raise InputError(f"{path}: dataset '{name}' has shape {other}, expected (frame, {shape[1]}, {shape[2]}) like '{DATA}'")
    if found[THETA].shape != shape[:1]:
        raise InputError(f"{path}: dataset '{THETA}' has shape {found[THETA].shape}, expected ({shape[0]},), an angle for each view of '{DATA}'")
