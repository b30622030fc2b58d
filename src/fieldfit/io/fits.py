"""FITS shots: one file with an image extension a view (the primary array may be the first), or one cube (view, row, column).

Extensions named VIEW0, VIEW1, ... or CAM0, CAM1, ... are taken by these names, others in their order. Integers of 8 or 16 bits, without
sign by BZERO 32768 (FITS 4.0, section 4.4.2.5) or not negative. Nothing is scaled by BSCALE and nothing decompressed.
Time stamp, from the first header that has one: TIME_S [s], DATE-OBS (ISO 8601, UTC) or MJD-OBS [d].
"""

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from fieldfit.io.clock import seconds_of
from fieldfit.io.exposure import BadFrame, check_view, largest, stacked, told
from fieldfit.types import Status

NAME = re.compile(r"^(?:VIEW|CAM)_?(\d+)$", re.IGNORECASE)
FIRST_BYTES = b"SIMPLE  ="  # of a FITS file that is not wrapped in gzip, which would unpack to any size
MJD_1970 = 40587.0
DAY_S = 86400.0


def read_fits(path: Path, sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """(view, row, column) uint8 or uint16 frames of one shot, filled up with zeros to the largest of `sizes`, (rows, columns) of each view.

    Raises BadFrame naming file and view.
    """
    with _open(path) as units:
        images = [unit for unit in units if unit.header.get("NAXIS", 0) > 0 and isinstance(unit, fits.PrimaryHDU | fits.ImageHDU)]
        packed = [unit.name or str(place) for place, unit in enumerate(units) if "ZIMAGE" in unit.header]
        if packed:
            raise BadFrame(Status.corrupt, f"{path}: extension {packed[0]} is tile-compressed, expected a plain image (funpack undoes it)")
        size = path.stat().st_size
        for place, unit in enumerate(images):
            ends = unit.fileinfo()["datLoc"] + unit.size
            if ends > size:
                where = f"{path}: image {unit.name or place}"
                raise BadFrame(Status.corrupt, f"{where} is truncated: its header places pixels up to byte {ends}, the file has {size} bytes")
        if len(images) == 1 and images[0].header["NAXIS"] == 3:
            found, shape = tuple(images[0].shape), largest(sizes)
            if len(set(sizes)) > 1:
                told_sizes = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
                raise BadFrame(Status.corrupt, f"{path}: one cube for views of {told_sizes}, expected an extension a view")
            if found[1:] == shape[1:] and found[0] != shape[0]:
                flag = Status.missing if found[0] < shape[0] else Status.corrupt
                raise BadFrame(flag, f"{path}: view {min(found[0], shape[0])}: a cube of {found[0]} views, expected {shape[0]}")
            return _pixels(images[0], f"{path}: the cube", shape)
        frames = [_pixels(unit, f"{path}: view {view}", sizes[view]) for view, unit in enumerate(_views(path, images, len(sizes)))]
    kinds = [frame.dtype for frame in frames]
    if len(set(kinds)) > 1:
        view = next(view for view, kind in enumerate(kinds) if kind != kinds[0])
        raise BadFrame(Status.corrupt, f"{path}: view {view} has type {kinds[view]}, view 0 has {kinds[0]}, expected one type a shot")
    return stacked(frames)


def fits_time(path: Path) -> float:
    """Time stamp [s], NaN where the shot has none. Raises BadFrame for one that cannot be read."""
    with _open(path) as units:
        header = next((u.header for u in units if any(key in u.header for key in ("TIME_S", "DATE-OBS", "MJD-OBS"))), None)
        if header is None:
            return math.nan
        key = next(key for key in ("TIME_S", "DATE-OBS", "MJD-OBS") if key in header)
        value, system = header[key], str(header.get("TIMESYS", "UTC")).strip()
    if key != "TIME_S" and system != "UTC":
        raise BadFrame(Status.mistimed, f"{path}: keyword TIMESYS is {system!r} beside {key}, expected UTC")
    if key == "DATE-OBS":
        try:
            return seconds_of(str(value))
        except ValueError:
            raise BadFrame(Status.mistimed, f"{path}: keyword DATE-OBS is {str(value)[:40]!r}, expected YYYY-MM-DDThh:mm:ss") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadFrame(Status.mistimed, f"{path}: keyword {key} is {value!r}, expected a number")
    return float(value) if key == "TIME_S" else (float(value) - MJD_1970) * DAY_S


def _views(path: Path, images: list[Any], views: int) -> list[Any]:
    """The image of each view, by name where the extensions have names, else in their order."""
    named = [(match, unit) for unit in images if (match := NAME.match(unit.name))]
    if named and len(named) == len(images):
        by_view = {int(match[1]): unit for match, unit in named}
        absent = [view for view in range(views) if view not in by_view]
        if absent:
            raise BadFrame(Status.missing, f"{path}: view {absent[0]} is missing, found {', '.join(unit.name for unit in images)}")
        if len(images) != views:
            raise BadFrame(Status.corrupt, f"{path}: {len(images)} views ({', '.join(unit.name for unit in images)}), expected {views}")
        return [by_view[view] for view in range(views)]
    if len(images) != views:
        flag = Status.missing if len(images) < views else Status.corrupt
        raise BadFrame(flag, f"{path}: view {min(len(images), views)}: {len(images)} images, expected {views}, an extension a view, or a cube")
    return images


def _pixels(unit: Any, where: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of an image as its header scales them, without sign."""
    header = unit.header
    bits, zero, scale, blank = header["BITPIX"], header.get("BZERO", 0), header.get("BSCALE", 1), header.get("BLANK")
    if (bits, zero, scale) not in ((8, 0, 1), (16, 0, 1), (16, 32768, 1)):
        raise BadFrame(
            Status.corrupt,
            f"{where} has BITPIX {bits}, BZERO {zero}, BSCALE {scale}; expected BITPIX 8 or 16, BSCALE 1, BZERO 0 or (16 bits without sign) 32768",
        )
    check_view(where, tuple(unit.shape), np.dtype(np.uint8 if bits == 8 else np.uint16), shape)
    stored = np.asarray(unit.data)
    if blank is not None and (stored == blank).any():
        raise BadFrame(Status.corrupt, f"{where} has {int((stored == blank).sum())} blank pixels (BLANK {blank})")
    if bits == 8:
        return stored.astype(np.uint8)
    if not zero and (stored < 0).any():
        raise BadFrame(Status.corrupt, f"{where} has {int((stored < 0).sum())} negative pixels (BITPIX 16 without BZERO 32768)")
    return (stored.astype(np.int32) + int(zero)).astype(np.uint16)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The file's units, read from disk as they are used; whatever astropy finds damaged becomes a BadFrame."""
    if not path.is_file():  # a pipe would be waited for
        raise BadFrame(Status.corrupt, f"{path}: view 0: no file, expected a FITS file")
    try:
        with path.open("rb") as stream:
            first = stream.read(len(FIRST_BYTES))
        if first != FIRST_BYTES:
            raise BadFrame(Status.corrupt, f"{path}: view 0: not a readable FITS (it begins with {first!r}), the file is truncated or damaged")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what astropy repairs in a header; sizes are checked here
            with fits.open(path, memmap=False, do_not_scale_image_data=True, disable_image_compression=True) as units:
                yield units
    except BadFrame:
        raise
    except Exception as error:
        raise BadFrame(Status.corrupt, f"{path}: not a readable FITS ({told(error)}), the file is truncated or damaged") from None
