"""HDF5 files that somebody else wrote: opened, and taken at their word only where the file itself holds what its headers say.

Only a dataset itself is read: no link, no virtual and no external storage is followed, so that nothing outside of the file is opened, and
no filter is run that needs a plugin.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fieldfit.types import InputError, nearest

# HDF5's own filters (deflate, shuffle, fletcher32, szip, nbit, scaleoffset) and lzf, which h5py brings; any other runs a plugin's code.
FILTERS = (1, 2, 3, 4, 5, 6, 32000)
LARGEST_EXPANSION = 1032  # a deflate stream cannot expand by more (RFC 1951); beyond, a header lies
LARGEST_CHUNK = 1 << 28  # bytes that one chunk may take unpacked, unless a single shot takes more
LARGEST_TABLE = 1 << 30  # bytes of a dataset that is taken into memory whole: zeros can fill it from a file of a megabyte


@contextmanager
def opened(path: Path, expected: str, advice: str = "", form: str = "HDF5") -> Iterator[h5py.File]:
    """The open file. expected: what it should be, in words; advice: what to say instead where it is damaged; form: what it is called.

    Raises InputError when it is absent or no HDF5, and for whatever HDF5 finds damaged while it is open.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected {expected}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as {form} ({told}){advice or f', expected {expected}'}") from None


def names_in(group: h5py.Group) -> list[str]:
    """Names of a group's members as text: those of a damaged file can be any bytes."""
    return [name if isinstance(name, str) else repr(name) for name in group]


def member_in(file: h5py.File, name: str, path: Path) -> Any:
    """The group, dataset or type of that name, None where there is none. Raises InputError for a link, on the way as well."""
    room: Any = file
    for part in name.split("/"):
        link = room.get(part, getlink=True) if isinstance(room, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            where = f"{link.filename}:{link.path}" if isinstance(link, h5py.ExternalLink) else link.path
            raise InputError(f"{path}: '{name}' is a link to {where}, expected the dataset itself: links are not followed")
        room = room[part]
    return room


def dataset_in(file: h5py.File, name: str, path: Path) -> h5py.Dataset | None:
    """The dataset, None where there is none. Raises InputError for anything that would read another file or run a plugin."""
    found = member_in(file, name, path)
    if found is None:
        return None
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{path}: '{name}' is a {type(found).__name__.lower()}, expected a dataset")
    check_own(found, name, path)
    return found


def check_own(dataset: h5py.Dataset, name: str, path: Path) -> None:
    """Raise InputError for a dataset whose values lie elsewhere, or need a plugin."""
    if dataset.is_virtual:
        there = dataset.virtual_sources()[0].file_name
        raise InputError(f"{path}: dataset '{name}' is virtual (its values lie in {there}), expected them in the file")
    if dataset.external:
        raise InputError(f"{path}: dataset '{name}' has its values in {dataset.external[0][0]}, other files are not opened")
    properties = dataset.id.get_create_plist()
    for code, _, _, label in (properties.get_filter(place) for place in range(properties.get_nfilters())):
        if code not in FILTERS:
            told = f"{code} ({label.decode(errors='replace')})" if label else str(code)
            raise InputError(
                f"{path}: dataset '{name}' is packed by filter {told}, expected one that needs no plugin: "
                "deflate, shuffle, fletcher32, szip, nbit, scaleoffset or lzf"
            )


def required(file: h5py.File, name: str, path: Path, expected: str) -> h5py.Dataset:
    """The dataset. expected: what the file should have, in words. Raises InputError as `dataset_in` does, and where there is none."""
    found = dataset_in(file, name, path)
    if found is None:
        names, words = names_in(file), re.findall(r"\w+", expected)
        hint = nearest(name, [other for other in names if other not in words])
        raise InputError(f"{path}: dataset '{name}' is missing (found: {', '.join(names[:12]) or 'none'}), expected {expected}{hint}")
    return found


def numbers(dataset: h5py.Dataset, name: str, path: Path) -> np.ndarray:
    """All values of a dataset of numbers. Raises InputError for another type, and as `values` does."""
    if dataset.dtype.kind not in "iuf":
        raise InputError(f"{path}: dataset '{name}' has type {dataset.dtype}, expected numbers")
    return values(dataset, name, path)


def values(dataset: h5py.Dataset, name: str, path: Path) -> np.ndarray:
    """All of a dataset that is taken into memory whole. Raises InputError when that is more than the file holds, or more than LARGEST_TABLE."""
    check_stored(dataset, name, path)
    if dataset.nbytes > LARGEST_TABLE:
        raise InputError(f"{path}: dataset '{name}' of shape {dataset.shape} takes {dataset.nbytes} bytes, expected {LARGEST_TABLE} at most")
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
