"""HDF5 shot files: many shots a file, a row a shot. The layout is in docs/formats.md.

frames (shot, view, row, column) uint8 or uint16, shot (shot), time (shot) [s]; optional valid (shot, view), auxiliary/* (shot).
Only the chunks of one row are read at a time. Where a row was never written, HDF5 would give zeros: the shot is missing instead.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from fieldfit.catalogue import Place, column, open_shot_file
from fieldfit.hdf5 import LARGEST_CHUNK, LARGEST_EXPANSION, dataset_in, names_in
from fieldfit.io.clock import seconds_of
from fieldfit.io.exposure import BadFrame, check_view
from fieldfit.types import InputError, Status

MOST_CHUNKS = 4096  # of one shot
MOST_CHANNELS = 1000


@dataclass(frozen=True)
class Channel:
    """An auxiliary channel of a block: values (shot), NaN where a shot has none."""

    name: str
    units: str
    values: np.ndarray


def read_row(path: Path, row: int, shape: tuple[int, int, int]) -> np.ndarray:
    """(view, row, column) uint8 or uint16 frames of one shot. Raises BadFrame naming file, row and view."""
    where = f"{path} row {row}"
    try:
        with open_shot_file(path) as file:
            frames = dataset_in(file, "frames", path)
            if frames is None:
                raise BadFrame(Status.missing, f"{path}: no dataset 'frames', found {', '.join(names_in(file)) or 'nothing'}")
            if frames.ndim != 4:
                raise BadFrame(Status.corrupt, f"{path}: dataset 'frames' has shape {frames.shape}, expected (shot, view, row, column)")
            if row >= len(frames):
                raise BadFrame(Status.missing, f"{where} has no frames: the dataset 'frames' has {len(frames)} rows, 'shot' has more")
            if frames.shape[1] != shape[0] and frames.shape[2:] == shape[1:]:
                flag = Status.missing if frames.shape[1] < shape[0] else Status.corrupt
                raise BadFrame(flag, f"{path}: view {min(frames.shape[1], shape[0])}: 'frames' has {frames.shape[1]} views, expected {shape[0]}")
            check_view(f"{path}: dataset 'frames'", frames.shape[1:], frames.dtype.newbyteorder("="), shape)
            _check_valid(file, path, row, shape[0])
            _check_chunks(frames, path, row)
            return np.asarray(frames[row], frames.dtype.newbyteorder("="))
    except BadFrame:
        raise
    except InputError as error:
        raise BadFrame(Status.corrupt, f"{error} (row {row})") from None


def row_time(path: Path, row: int) -> float:
    """Time stamp [s], NaN where the file or the row has none. Raises BadFrame for one that cannot be read."""
    try:
        with open_shot_file(path) as file:
            time = column(file, "time", path, "iuf", 1)
            if time is None or row >= len(time) or math.isnan(time[row]):
                return math.nan
            epoch = file["time"].attrs.get("epoch")
    except InputError as error:
        raise BadFrame(Status.mistimed, str(error)) from None
    if not math.isfinite(time[row]):
        raise BadFrame(Status.mistimed, f"{path} row {row}: 'time' is {time[row]}, expected seconds")
    if epoch is None:
        return float(time[row])
    try:
        return seconds_of(str(epoch)) + float(time[row])
    except ValueError:
        raise BadFrame(Status.mistimed, f"{path}: attribute 'epoch' of 'time' is {str(epoch)[:40]!r}, expected YYYY-MM-DDThh:mm:ssZ") from None


def read_auxiliary(places: Sequence[Place | None]) -> tuple[tuple[Channel, ...], tuple[str, ...]]:
    """(channels of a block by name, one line for each that cannot be used). places: of each shot, None where it has none."""
    found: dict[str, Channel] = {}
    notes: list[str] = []
    for path in dict.fromkeys(place.path for place in places if place):
        rows = [(n, place.row) for n, place in enumerate(places) if place and place.path == path and place.row is not None]
        try:
            with open_shot_file(path) as file:
                names = _auxiliary_names(file, path)
                for name in names:
                    try:
                        values = column(file, f"auxiliary/{name}", path, "iuf", 1)
                    except InputError as error:
                        notes.append(str(error))
                        continue
                    if values is None:
                        continue
                    units = str(file[f"auxiliary/{name}"].attrs.get("units", "not stated"))
                    channel = found.setdefault(name, Channel(name, units, np.full(len(places), np.nan)))
                    if channel.units != units:
                        notes.append(f"{path}: 'auxiliary/{name}' is in {units}, in {channel.units} before: left out of this file's shots")
                        continue
                    for n, row in rows:
                        channel.values[n] = values[row] if row < len(values) else np.nan
        except InputError as error:
            notes.append(str(error))
    return tuple(found[name] for name in sorted(found)), tuple(notes)


def _auxiliary_names(file: h5py.File, path: Path) -> list[str]:
    link = file.get("auxiliary", getlink=True)
    if link is None:
        return []
    if not isinstance(link, h5py.HardLink) or not isinstance(file["auxiliary"], h5py.Group):
        raise InputError(f"{path}: 'auxiliary' is a link or a dataset, expected a group; its channels are left out")
    if len(file["auxiliary"]) > MOST_CHANNELS:
        raise InputError(f"{path}: 'auxiliary' has {len(file['auxiliary'])} channels, expected at most {MOST_CHANNELS}; they are left out")
    return names_in(file["auxiliary"])


def _check_valid(file: h5py.File, path: Path, row: int, views: int) -> None:
    valid = column(file, "valid", path, "biu", 2)
    if valid is None:
        return
    if valid.shape[1] != views:
        raise BadFrame(Status.corrupt, f"{path}: dataset 'valid' has shape {valid.shape}, expected (shot, {views})")
    if row >= len(valid):
        raise BadFrame(Status.missing, f"{path} row {row}: the dataset 'valid' has {len(valid)} rows, 'shot' has more")
    absent = np.flatnonzero(valid[row] == 0)
    if absent.size:
        told = ", ".join(str(view) for view in absent)
        raise BadFrame(Status.missing, f"{path} row {row}: view {told} is missing ('valid' is false)")


def _check_chunks(frames: h5py.Dataset, path: Path, row: int) -> None:
    """Raise BadFrame unless all of a row is stored, inside of the file, and small enough to unpack."""
    where, size, itemsize = f"{path} row {row}", path.stat().st_size, frames.dtype.itemsize
    if frames.chunks is None:
        offset = frames.id.get_offset()
        if offset is None or offset + frames.nbytes > size:
            raise BadFrame(Status.corrupt, f"{where}: 'frames' of shape {frames.shape} needs {frames.nbytes} bytes, the file has {size}")
        return
    cell = math.prod(frames.chunks) * itemsize
    if cell > max(LARGEST_CHUNK, math.prod(frames.shape[1:]) * itemsize):
        raise BadFrame(Status.corrupt, f"{where}: 'frames' has chunks of shape {frames.chunks}, {cell} bytes; expected a shot or less a chunk")
    corners = [range(0, n, chunk) for n, chunk in zip(frames.shape[1:], frames.chunks[1:], strict=True)]
    if math.prod(len(corner) for corner in corners) > MOST_CHUNKS:
        raise BadFrame(Status.corrupt, f"{where}: 'frames' has chunks of shape {frames.chunks}, more than {MOST_CHUNKS} a shot")
    for corner in itertools.product(*corners):
        chunk = frames.id.get_chunk_info_by_coord((row - row % frames.chunks[0], *corner))
        if chunk.byte_offset is None:
            raise BadFrame(Status.missing, f"{where}: view {corner[0]} was never written")
        if chunk.byte_offset + chunk.size > size or chunk.size * LARGEST_EXPANSION < cell:
            raise BadFrame(
                Status.corrupt, f"{where}: view {corner[0]}: {chunk.size} bytes at {chunk.byte_offset} for {cell} of pixels, the file has {size}"
            )
