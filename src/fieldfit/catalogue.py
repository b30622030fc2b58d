"""The shots of a run: their numbers and where each lies. No frame is read: the DAG is built from this, and each block's job finds its shots by it.

TIFF and FITS shots are known by the names of their files; HDF5 shot files by their datasets `shot`, `time` and `valid`
(layout: docs/formats.md), of which only the dataset itself is read: no link, no virtual and no external storage is followed.
"""

import os
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

import h5py
import numpy as np

from fieldfit.hdf5 import dataset_in, names_in, opened, values
from fieldfit.paths import LARGEST_SHOT, shot_files_below, shots_below
from fieldfit.types import InputError, nearest

MOST_ROWS = 10_000_000  # of a shot file: each is a line of the catalogue in memory
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
    Raises InputError when the file is not there.
    """
    if place.row is not None:
        return place.version
    try:
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
    except OSError as error:  # a link to nothing or to itself, or a file that has just gone
        raise InputError(f"{place.path}: cannot be looked at ({error.strerror}), expected the file of a shot") from None


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
        if len(numbers) > MOST_ROWS:
            raise InputError(f"{path}: dataset 'shot' has {len(numbers)} rows, expected {MOST_ROWS} at most: several files")
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


def open_shot_file(path: Path) -> AbstractContextManager[h5py.File]:
    """The open file. Raises InputError when it is no HDF5, and for whatever HDF5 finds damaged while it is open."""
    return opened(
        path,
        "an HDF5 shot file",
        ". A file that is being written should get its name when it is closed; move a damaged one out of the folder",
    )


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
    return values(dataset, name, path)
