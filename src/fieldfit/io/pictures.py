"""Reader of fringe pictures: npz with `frames` (shot, row, column) in photo-electrons and `pixel_object_m`, the pixel's edge at the cloud."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from fieldfit.types import InputError, Status, nearest

KEYS = ("frames", "pixel_object_m")


@dataclass(frozen=True)
class Stack:
    """frames: photo-electrons with their pedestal in; status: saturated or corrupt where a picture says so itself; pixel: edge [m]."""

    frames: Float[np.ndarray, "shot row column"]
    status: Int[np.ndarray, "shot"]
    shots: Int[np.ndarray, "shot"]
    pixel: float


def read_pictures(path: Path) -> Stack:
    """All pictures of a file, in order.

    A picture with a negative or non-finite pixel is flagged corrupt, one that reaches the largest integer of its type saturated; their
    pixels are set to 0. An optional key `shot` holds the DAQ's numbers, counted from 0 otherwise.
    Raises InputError naming file and key when the file is no npz, a key is absent, or shapes and types are not as expected.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected an npz with {' and '.join(KEYS)}")
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as found:
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: a single array, expected an npz with {' and '.join(KEYS)}")
            names = list(found)
            for key in KEYS:
                if key not in names:
                    close = next((nearest(name, [key]) and name for name in names if nearest(name, [key])), "")
                    hint = f"; is '{close}' meant?" if close else ""
                    raise InputError(f"{path}: no key '{key}', found {', '.join(sorted(names)) or 'nothing'}{hint}")
            frames, pixel = found["frames"], found["pixel_object_m"]
            shots = found["shot"] if "shot" in names else None
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as npz ({error}), expected {' and '.join(KEYS)}") from None
    if frames.ndim != 3 or 0 in frames.shape or min(frames.shape[1:]) < 8:
        raise InputError(f"{path}: key 'frames' has shape {frames.shape}, expected (shot, row, column) with at least 8 x 8 pixels")
    if frames.dtype.kind not in "iuf":
        raise InputError(f"{path}: key 'frames' has type {frames.dtype}, expected integers or floats (photo-electrons)")
    if pixel.size != 1 or pixel.dtype.kind not in "iuf" or not (np.isfinite(pixel).all() and 0 < float(pixel.reshape(-1)[0]) < 1):
        raise InputError(f"{path}: key 'pixel_object_m' is {pixel!r}, expected one positive length in metres")
    if shots is not None and (shots.shape != frames.shape[:1] or shots.dtype.kind not in "iu"):
        raise InputError(f"{path}: key 'shot' has shape {shots.shape} and type {shots.dtype}, expected {frames.shape[:1]} integers")
    numbers = np.arange(len(frames)) if shots is None else shots.astype(np.int64)
    status = np.full(len(frames), int(Status.good))
    if frames.dtype.kind != "f":
        status[(frames == np.iinfo(frames.dtype).max).any((1, 2))] = int(Status.saturated)
    values = frames.astype(np.float64)
    status[~np.isfinite(values).all((1, 2)) | (values < 0).any((1, 2))] = int(Status.corrupt)
    values[(status == Status.corrupt) | (status == Status.saturated)] = 0.0
    return Stack(values, status, numbers, float(pixel.reshape(-1)[0]))


def pictures_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the file's arrays by key, from their headers alone. Raises InputError when it is no npz or a key is absent."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected an npz with {' and '.join(KEYS)}")
    try:
        shapes = _check_sizes(path)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as npz ({error}), expected {' and '.join(KEYS)}") from None
    for key in KEYS:
        if key not in shapes:
            raise InputError(f"{path}: no key '{key}', found {', '.join(sorted(shapes)) or 'nothing'}{nearest(key, shapes)}")
    return shapes


def _check_sizes(path: Path) -> dict[str, tuple[int, ...]]:
    """What the headers inside the npz promise against what the archive holds, before memory is taken for it; the shapes by key."""
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            if item.file_size > 1100 * item.compress_size + 4096:  # deflate never shrinks by more than 1032
                raise InputError(f"{path}: key '{item.filename.removesuffix('.npy')}' claims {item.file_size} bytes from {item.compress_size}")
            with archive.open(item) as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(stream)
                wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize + stream.tell()
            shapes[item.filename.removesuffix(".npy")] = shape
            if wanted != item.file_size:
                key = item.filename.removesuffix(".npy")
                raise InputError(f"{path}: key '{key}' of shape {shape} and type {dtype} needs {wanted} bytes, the file holds {item.file_size}")
    return shapes
