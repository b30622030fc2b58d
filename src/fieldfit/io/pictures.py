"""Reader of fringe pictures: npz with `frames` (shot, row, column) in photo-electrons and `pixel_object_m`, the pixel's edge at the cloud."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from fieldfit.io.archive import array_of, header_of, keys_of, opened
from fieldfit.io.numbers import shot_numbers
from fieldfit.types import InputError, Status

KEYS = ("frames", "pixel_object_m")
MOST_PIXELS = 1 << 27  # of all pictures together: a gigabyte as floats


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
    expected = " and ".join(KEYS)
    with opened(path, f"an npz with {expected}") as archive:
        wanted = [*KEYS, *(key for key in ("shot",) if key in keys_of(archive))]
        headers = {key: header_of(archive, key, path, expected) for key in wanted}
        pixels = math.prod(headers["frames"].shape)
        if pixels > MOST_PIXELS or max(headers[key].size for key in wanted) > 8 * MOST_PIXELS:
            raise InputError(f"{path}: key 'frames' has shape {headers['frames'].shape}, expected {MOST_PIXELS} pixels at most: several files")
        found = {key: array_of(archive, key, headers[key], path) for key in wanted}
    frames, pixel, shots = found["frames"], found["pixel_object_m"], found.get("shot")
    if frames.ndim != 3 or 0 in frames.shape or min(frames.shape[1:]) < 8:
        raise InputError(f"{path}: key 'frames' has shape {frames.shape}, expected (shot, row, column) with at least 8 x 8 pixels")
    if frames.dtype.kind not in "iuf":
        raise InputError(f"{path}: key 'frames' has type {frames.dtype}, expected integers or floats (photo-electrons)")
    if pixel.size != 1 or pixel.dtype.kind not in "iuf" or not (np.isfinite(pixel).all() and 0 < float(pixel.reshape(-1)[0]) < 1):
        raise InputError(f"{path}: key 'pixel_object_m' is {pixel!r}, expected one positive length in metres")
    if shots is not None and (shots.shape != frames.shape[:1] or shots.dtype.kind not in "iu"):
        raise InputError(f"{path}: key 'shot' has shape {shots.shape} and type {shots.dtype}, expected {frames.shape[:1]} integers")
    numbers = np.arange(len(frames), dtype=np.int32) if shots is None else shot_numbers(shots, f"{path}: key 'shot'")
    status = np.full(len(frames), int(Status.good))
    if frames.dtype.kind != "f":
        status[(frames == np.iinfo(frames.dtype).max).any((1, 2))] = int(Status.saturated)
    values = frames.astype(np.float64)
    status[~np.isfinite(values).all((1, 2)) | (values < 0).any((1, 2))] = int(Status.corrupt)
    values[(status == Status.corrupt) | (status == Status.saturated)] = 0.0
    return Stack(values, status, numbers, float(pixel.reshape(-1)[0]))


def pictures_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the file's arrays by key, from their headers alone. Raises InputError when it is no npz or a key is absent."""
    expected = " and ".join(KEYS)
    with opened(path, f"an npz with {expected}") as archive:
        return {key: header_of(archive, key, path, expected).shape for key in [*KEYS, *(key for key in keys_of(archive) if key not in KEYS)]}
