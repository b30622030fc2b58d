"""The shots of a run: their numbers and where each lies. No frame is read: the DAG is built from this, and each block's job finds its shots by it.

TIFF and FITS shots are known by the names of their files; HDF5 shot files by their datasets `shot`, `time` and `valid`
(layout: docs/formats.md), of which only the dataset itself is read: no link, no virtual and no external storage is followed.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

import h5py
import numpy as np

from fieldfit.paths import LARGEST_SHOT, shot_files_below, shots_below
from fieldfit.types import InputError, nearest

# HDF5's own filters (deflate, shuffle, fletcher32, szip, nbit, scaleoffset) and lzf, which h5py brings; any other runs a plugin's code.
FILTERS = (1, 2, 3, 4, 5, 6, 32000)
LARGEST_EXPANSION = 1032  # a deflate stream cannot expand by more (RFC 1951); beyond, a header lies
LARGEST_CHUNK = 1 << 28  # bytes that one chunk may take unpacked, unless a single shot takes more
COLUMNS = ("frames", "shot", "time", "valid", "auxiliary")


@dataclass(frozen=True)
class Place:
    """Where a shot lies. path: its file or folder; row: in an HDF5 shot file.

    version: what changes with the row, empty where a file's own size and time tell.
    """

    path: Path
    row: int | None = None
    version: str = ""

    def __str__(self) -> str:
        return str(self.path) if self.row is None else f"{self.path} row {self.row}"


def shots_of(raw: Path, form: str) -> dict[int, tuple[Place, ...]]:
    """Places of every shot by number, ascending; more than one where a number is there more than once.

    form: tiff, fits or hdf5. Raises InputError when there are none, or when a shot file has no readable numbers.
    """
    if form != "hdf5":
        return {number: tuple(Place(path) for path in paths) for number, paths in shots_below(raw, form).items()}
    places, unreadable = readable_shots(raw, form)
    for reason in unreadable.values():
        raise InputError(reason)
    return places


def readable_shots(raw: Path, form: str) -> tuple[dict[int, tuple[Place, ...]], dict[Path, str]]:
    """(places as `shots_of` has them, shot files that cannot be read with the reason): one that is still being written hides no other.

    Raises InputError when no file can be read, or when there are none.
    """
    if form != "hdf5":
        return shots_of(raw, form), {}
    found: dict[int, list[Place]] = {}
    unreadable: dict[Path, str] = {}
    for path in shot_files_below(raw):
        try:
            rows = _rows(path)
        except InputError as error:
            unreadable[path] = str(error)
            continue
        for number, place in rows:
            found.setdefault(number, []).append(place)
    if not found:
        raise InputError("\n".join(unreadable.values()) or f"{raw}: no shots, the datasets 'shot' of its HDF5 files are empty")
    return {number: tuple(found[number]) for number in sorted(found)}, unreadable


def closed_as(catalogue: str) -> str:
    """The state with which a night's catalogue was closed, empty where there is none."""
    try:
        with h5py.File(catalogue, "r") as file:
            return str(file.attrs.get("state", ""))
    except OSError:
        return ""


def version_of(place: Place) -> str:
    """What changes when the shot does: name, size and time of its file, or of each in its folder, or what its row tells.

    A folder's own time stands still while a file in it is being written: a frame that was half there would stay corrupt for good.
    """
    if place.row is not None:
        return place.version
    stat = place.path.stat()
    told = f"{place.path.name} {stat.st_size} {stat.st_mtime_ns}"
    if not S_ISDIR(stat.st_mode):
        return told
    files = []
    with os.scandir(place.path) as entries:
        for entry in entries:
            if not entry.name.startswith("."):  # on its way under another name
                with suppress(FileNotFoundError):
                    files.append(f"{entry.name} {entry.stat().st_size} {entry.stat().st_mtime_ns}")
    return " ".join([told, *sorted(files)])


def _rows(path: Path) -> list[tuple[int, Place]]:
    """(number, place) of every row of a shot file, in the file's order.

    A row's version has the file's inode, so that a file renamed over it is a new one, and the row's number, time and validity; a file
    that grows leaves its earlier rows as they are. The last row may still be on its way: it has the file's size and time as well.
    """
    stat = path.stat()
    with open_shot_file(path) as file:
        numbers = column(file, "shot", path, "iu", 1)
        if numbers is None:
            close = next((name for name in names_in(file) if name not in COLUMNS and nearest("shot", [name])), "")
            hint = f"; is '{close}' meant?" if close else ""
            raise InputError(f"{path}: no dataset 'shot', found {', '.join(names_in(file)) or 'nothing'}{hint}")
        time, valid = column(file, "time", path, "iuf", 1), column(file, "valid", path, "biu", 2)
        epoch = "" if time is None else str(file["time"].attrs.get("epoch", ""))
    wrong = np.flatnonzero((numbers < 0) | (numbers > LARGEST_SHOT))
    if wrong.size:
        raise InputError(f"{path}: dataset 'shot' is {numbers[wrong[0]]} in row {wrong[0]}, expected a number from 0 to {LARGEST_SHOT}")
    told = [f"{path.name} {stat.st_ino} {epoch} {row} {number}" for row, number in enumerate(numbers.tolist())]
    for row in range(len(told)):
        if time is not None and row < len(time):
            told[row] += f" {time[row]!r}"
        if valid is not None and row < len(valid):
            told[row] += f" {valid[row].tobytes().hex()}"
    if told:
        told[-1] += f" {stat.st_size} {stat.st_mtime_ns}"
    return [(number, Place(path, row, told[row])) for row, number in enumerate(numbers.tolist())]


@contextmanager
def open_shot_file(path: Path) -> Iterator[h5py.File]:
    """The open file. Raises InputError when it is no HDF5, and for whatever HDF5 finds damaged while it is open."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: cannot be read as HDF5 ({told}). A file that is being written should get its name when it is closed; "
            "move a damaged one out of the folder"
        ) from None


def names_in(group: h5py.Group) -> list[str]:
    """Names of a group's members as text: those of a damaged file can be any bytes."""
    return [name if isinstance(name, str) else repr(name) for name in group]


def dataset_in(file: h5py.File, name: str, path: Path) -> h5py.Dataset | None:
    """The dataset, None where there is none. Raises InputError for anything that would read another file or run a plugin."""
    room = file
    for part in name.split("/"):
        link = room.get(part, getlink=True) if isinstance(room, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            where = f"{link.filename}:{link.path}" if isinstance(link, h5py.ExternalLink) else link.path
            raise InputError(f"{path}: '{name}' is a link to {where}, expected the dataset itself: links are not followed")
        room = room[part]
    if not isinstance(room, h5py.Dataset):
        raise InputError(f"{path}: '{name}' is a {type(room).__name__.lower()}, expected a dataset")
    if room.is_virtual:
        raise InputError(f"{path}: dataset '{name}' is virtual (its values lie in {room.virtual_sources()[0].file_name}), expected them in the file")
    if room.external:
        raise InputError(f"{path}: dataset '{name}' has its values in {room.external[0][0]}, expected them in the file: other files are not opened")
    properties = room.id.get_create_plist()
    for code, _, _, label in (properties.get_filter(place) for place in range(properties.get_nfilters())):
        if code not in FILTERS:
            told = f"{code} ({label.decode(errors='replace')})" if label else str(code)
            raise InputError(
                f"{path}: dataset '{name}' is packed by filter {told}, expected one that needs no plugin: "
                "deflate, shuffle, fletcher32, szip, nbit, scaleoffset or lzf"
            )
    return room


def column(file: h5py.File, name: str, path: Path, kinds: str, ndim: int) -> np.ndarray | None:
    """Values of a small dataset, None where there is none.

    kinds: NumPy kinds of number. Raises InputError for another type or rank, and when the dataset claims more than the file can hold.
    """
    dataset = dataset_in(file, name, path)
    if dataset is None:
        return None
    if dataset.dtype.kind not in kinds or dataset.ndim != ndim:
        expected = {"iu": "whole numbers", "iuf": "numbers", "biu": "true or false"}[kinds]
        dims = "(shot)" if ndim == 1 else "(shot, view)"
        raise InputError(f"{path}: dataset '{name}' has shape {dataset.shape} and type {dataset.dtype}, expected {dims} and {expected}")
    check_stored(dataset, name, path)
    return np.asarray(dataset[()])


def check_stored(dataset: h5py.Dataset, name: str, path: Path) -> None:
    """Raise InputError when a header promises more than the file holds."""
    packed = dataset.id.get_create_plist().get_nfilters() > 0
    stored = min(dataset.id.get_storage_size(), path.stat().st_size)
    if dataset.nbytes > (LARGEST_EXPANSION if packed else 1) * stored:
        raise InputError(
            f"{path}: dataset '{name}' of shape {dataset.shape} needs {dataset.nbytes} bytes, the file stores {stored}: was it cut short?"
        )
    if dataset.chunks is None:
        return
    if math.prod(dataset.chunks) * dataset.dtype.itemsize > LARGEST_CHUNK:
        raise InputError(f"{path}: dataset '{name}' has chunks of shape {dataset.chunks}, expected at most {LARGEST_CHUNK} bytes")
    wanted = math.prod(-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() < wanted:
        raise InputError(f"{path}: dataset '{name}' has {dataset.id.get_num_chunks()} of {wanted} chunks: was it cut short?")
