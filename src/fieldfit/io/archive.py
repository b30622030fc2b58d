"""NumPy archives (npz) that somebody else wrote: a member is taken into memory only where its header and the archive agree about its size.

Nothing is unpickled, and nothing is unpacked to a file: a member's name is a key and no path.
"""

import math
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from fieldfit.types import InputError, nearest

PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LARGEST_EXPANSION = 1032  # a deflate stream cannot expand by more (RFC 1951)
SUFFIX = ".npy"


@dataclass(frozen=True)
class Header:
    """Of a member. size: bytes of its values."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    size: int


@contextmanager
def opened(path: Path, expected: str) -> Iterator[zipfile.ZipFile]:
    """The open archive. expected: what it should be, in words. Raises InputError when it is absent or none, and for what is found damaged in it."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected {expected}")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    except Exception as error:  # zlib, lzma and zipfile raise many kinds without a common base
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as npz ({told}), expected {expected}") from None


def keys_of(archive: zipfile.ZipFile) -> list[str]:
    """Names of the arrays, in the order of the archive."""
    return [name.removesuffix(SUFFIX) for name in archive.namelist()]


def header_of(archive: zipfile.ZipFile, key: str, path: Path, expected: str) -> Header:
    """What a member's header says, checked against the archive; nothing is unpacked but the header.

    Raises InputError when the key is absent or there twice, packed by what can expand without limit, of objects, or of another size.
    """
    keys = keys_of(archive)
    if keys.count(key) != 1:
        hint = nearest(key, [other for other in keys if other not in re.findall(r"\w+", expected)])
        there = f"key {key} is there {keys.count(key)} times" if key in keys else f"no key {key}"
        raise InputError(f"{path}: {there} (keys found: {', '.join(sorted(keys)[:12]) or 'none'}), expected {expected}{hint}")
    item = archive.getinfo(key + SUFFIX) if key + SUFFIX in archive.namelist() else archive.getinfo(key)
    if item.compress_type not in PLAIN or item.flag_bits & 1:
        raise InputError(f"{path}: key {key} is encrypted or packed by method {item.compress_type}, expected stored or deflated")
    if item.file_size > LARGEST_EXPANSION * item.compress_size + 4096:
        raise InputError(f"{path}: key {key} claims {item.file_size} bytes from {item.compress_size}, more than deflate can give")
    with archive.open(item) as stream:
        found = skipped_header(stream, key, path)
        held = item.file_size - stream.tell()
    if found.size != held:
        raise InputError(f"{path}: key {key} of shape {found.shape} and type {found.dtype} needs {found.size} bytes, the file holds {held}")
    return found


def array_of(archive: zipfile.ZipFile, key: str, header: Header, path: Path) -> np.ndarray:
    """The values of a member, whole. Raises InputError when they end early."""
    with archive.open(key + SUFFIX) as stream:
        skipped_header(stream, key, path)
        data = stream.read(header.size)
    if len(data) != header.size:
        raise InputError(f"{path}: key {key} ends early, expected a whole file")
    return np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.fortran else "C")


def skipped_header(stream: IO[bytes], key: str, path: Path) -> Header:
    """The header at the start of a member. Raises InputError when it is none, or of objects, which only unpickling would make."""
    try:
        version = npy.read_magic(stream)
        shape, fortran, dtype = npy.read_array_header_1_0(stream) if version == (1, 0) else npy.read_array_header_2_0(stream)
    except Exception as error:  # of a damaged header, Python's parser tells in many kinds
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path}: key {key} has no NumPy header ({told}), expected an array") from None
    if dtype.hasobject:
        raise InputError(f"{path}: key {key} holds Python objects, expected numbers: nothing is unpickled")
    sizes = tuple(int(n) for n in shape)
    if min(sizes, default=0) < 0:
        raise InputError(f"{path}: key {key} has shape {sizes}, expected no negative size")
    return Header(sizes, dtype, bool(fortran), math.prod(sizes) * dtype.itemsize)
