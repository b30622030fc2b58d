"""TIFF shots: a folder with a file a view (`frame_cam0.tif`, ...; `frame.tif` for a lone one) or one file with a page a view.

A page holds 8 or 16 bits without sign, or 12 bits packed (TIFF 6.0: rows start at a byte, the first bits are the highest).
Time stamp, from the first page: `time_s` of a JSON image description, else the tag DateTime (whole seconds).
"""

import json
import math
import struct
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from fieldfit.documents import is_number
from fieldfit.hdf5 import LARGEST_EXPANSION
from fieldfit.io.clock import seconds_of
from fieldfit.io.exposure import BadFrame, check_view, stacked, told
from fieldfit.paths import SUFFIXES, check_link
from fieldfit.types import InputError, Status

UNPACKED, LZW, PACKBITS, DEFLATE = 1, 5, 32773, (8, 32946)
LONGEST_DESCRIPTION = 1 << 16  # characters of a description that is looked at for a time


def read_tiff(path: Path, sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """(view, row, column) uint8 or uint16 frames of one shot, filled up with zeros to the largest of `sizes`, (rows, columns) of each view.

    Raises BadFrame naming file and view.
    """
    pages = pages_of(path, len(sizes))
    for view, (file, page) in enumerate(pages):
        check_page(file, page, view, sizes[view])
    frames = []
    for view, (file, page) in enumerate(pages):
        with _open(file, view) as tiff:
            try:
                header: Any = tiff.pages[page]
                frames.append(_twelve_bits(tiff, header) if _is_packed(header) else header.asarray())
            except Exception as error:
                raise BadFrame(Status.corrupt, f"{file}: view {view} cannot be decoded ({told(error)}), the file is truncated or damaged") from None
    kinds = [frame.dtype for frame in frames]
    if len(set(kinds)) > 1:
        view = next(view for view, kind in enumerate(kinds) if kind != kinds[0])
        raise BadFrame(Status.corrupt, f"{path}: view {view} has type {kinds[view]}, view 0 has {kinds[0]}, expected one type a shot")
    return stacked(frames)


def tiff_time(path: Path) -> float:
    """Time stamp [s], NaN where the shot has none. Raises BadFrame for one that cannot be read."""
    file = pages_of(path, 1)[0][0] if path.is_dir() else path
    with _open(file, 0) as tiff:
        try:
            header: Any = tiff.pages[0]
            description = str(header.description)[:LONGEST_DESCRIPTION]
            tag = header.tags.get(306)
            date = None if tag is None else str(tag.value).strip(" \0")
        except Exception as error:
            raise BadFrame(Status.corrupt, f"{file}: view 0: unreadable header ({told(error)}), the file is truncated or damaged") from None
    try:
        described = json.loads(description)
    except (ValueError, RecursionError):
        described = None
    if isinstance(described, dict) and "time_s" in described:
        time = described["time_s"]
        if not is_number(time):
            raise BadFrame(Status.mistimed, f"{file}: time_s of the image description is {time!r}, expected seconds")
        return float(time)
    if date is None:
        return math.nan
    try:
        return seconds_of(datetime.strptime(date, "%Y:%m:%d %H:%M:%S").isoformat())
    except ValueError:
        raise BadFrame(Status.mistimed, f"{file}: tag DateTime is {date[:40]!r}, expected YYYY:MM:DD HH:MM:SS") from None


def pages_of(path: Path, views: int) -> list[tuple[Path, int]]:
    """(file, page) of each view of a shot. Raises BadFrame when views are missing or there are too many."""
    if path.is_dir():
        named = [path / f"frame_cam{view}.tif" for view in range(views)]
        if views == 1 and not named[0].exists() and (path / "frame.tif").exists():
            named = [path / "frame.tif"]
        named = [p if p.exists() or not p.with_suffix(".tiff").exists() else p.with_suffix(".tiff") for p in named]
        for view, file in enumerate(named):
            try:
                check_link(path.parent, file)
            except InputError as error:
                raise BadFrame(Status.corrupt, f"{error} (view {view})") from None
        absent = [p.name for p in named if not p.is_file()]
        if absent:
            found = sorted(p.name for p in path.iterdir() if p.suffix in SUFFIXES["tiff"])
            view = named.index(path / absent[0])
            raise BadFrame(Status.missing, f"{path}: view {view} ({absent[0]}) is missing, found {', '.join(found) or 'no TIFF file'}")
        return [(p, 0) for p in named]
    with _open(path, 0) as tiff:
        try:
            count, cut = len(tiff.pages), _chain_is_cut(tiff)
        except Exception as error:
            raise BadFrame(Status.corrupt, f"{path}: view 0: unreadable pages ({told(error)}), the file is truncated or damaged") from None
    if cut:
        raise BadFrame(Status.corrupt, f"{path}: view {count}: the file is truncated after {count} of {views} pages")
    if count != views:
        flag = Status.missing if count < views else Status.corrupt
        raise BadFrame(flag, f"{path}: view {min(count, views)}: {count} pages, expected {views}, a page a view")
    return [(path, view) for view in range(views)]


def check_page(path: Path, page: int, view: int, shape: tuple[int, ...]) -> None:
    """Raise BadFrame when the header of a page tells another shape or type than expected, or more pixels than the file can hold."""
    where = f"{path}: view {view}"
    with _open(path, view) as tiff:
        try:
            header: Any = tiff.pages[page]
            found, kind, samples, bits = tuple(header.shape), header.dtype, int(header.samplesperpixel), int(header.bitspersample)
            packing, name = int(header.compression), getattr(header.compression, "name", str(header.compression))
            inside = [(int(o), int(n)) for o, n in zip(header.dataoffsets, header.databytecounts, strict=True)]
            plain = packing == UNPACKED and not header.is_tiled and int(header.fillorder) == 1
        except Exception as error:
            raise BadFrame(Status.corrupt, f"{where}: unreadable header ({told(error)}), the file is truncated or damaged") from None
    if samples != 1:
        raise BadFrame(Status.corrupt, f"{where} has {samples} values a pixel (a colour picture), expected one")
    if bits not in (8, 12, 16) and kind in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise BadFrame(Status.corrupt, f"{where} has {bits} bits a pixel, expected 8, 12 or 16")
    check_view(where, found, kind, shape)
    if bits == 12 and not plain:
        raise BadFrame(Status.corrupt, f"{where} has 12-bit pixels in tiles or compressed ({name}), expected plain strips")
    if packing not in (UNPACKED, LZW, PACKBITS, *DEFLATE):
        raise BadFrame(Status.corrupt, f"{where} is compressed by {name}, expected none, deflate, LZW or packbits")
    if packing not in tifffile.TIFF.DECOMPRESSORS:
        raise BadFrame(Status.corrupt, f"{where} is compressed by {name}: reading it needs the package imagecodecs (pip install imagecodecs)")
    size = path.stat().st_size
    ends = max((offset + length for offset, length in inside), default=0)
    held = sum(length for _, length in inside)
    wanted = shape[0] * -(-shape[1] * bits // 8)
    if max(ends, held) > size or (packing == UNPACKED and held < wanted) or (packing in DEFLATE and held * LARGEST_EXPANSION < wanted):
        raise BadFrame(Status.corrupt, f"{where} is truncated: its header places pixels up to byte {ends}, the file has {size} bytes")


def _is_packed(page: Any) -> bool:
    return int(page.bitspersample) == 12


def _twelve_bits(tiff: tifffile.TiffFile, page: Any) -> np.ndarray:
    """(row, column) of a page with two pixels in three bytes, strip by strip."""
    rows, columns = page.shape
    data = bytearray()
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        data += tiff.filehandle.read(length)
    width = -(-columns * 12 // 8)
    lines = np.zeros((rows, -(-columns // 2) * 3), np.uint16)
    lines[:, :width] = np.frombuffer(data, np.uint8, rows * width).reshape(rows, width)
    first, middle, last = lines[:, 0::3], lines[:, 1::3], lines[:, 2::3]
    return np.stack([first << 4 | middle >> 4, (middle & 15) << 8 | last], -1).reshape(rows, -1)[:, :columns]


def _open(path: Path, view: int) -> tifffile.TiffFile:
    if not path.is_file():  # a pipe would be waited for
        raise BadFrame(Status.corrupt, f"{path}: view {view}: no file, expected a TIFF")
    try:
        return tifffile.TiffFile(path)
    except Exception as error:
        raise BadFrame(Status.corrupt, f"{path}: view {view}: not a readable TIFF ({told(error)}), the file is truncated or damaged") from None


def _chain_is_cut(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page that can be read points at a further one: the file then ends too early. A sound TIFF ends its chain with 0."""
    form, stream = tiff.tiff, tiff.filehandle
    try:
        stream.seek(tiff.pages[-1].offset)
        tags = struct.unpack(form.tagnoformat, stream.read(form.tagnosize))[0]
        stream.seek(tiff.pages[-1].offset + form.tagnosize + tags * form.tagsize)
        return bool(struct.unpack(form.offsetformat, stream.read(form.offsetsize))[0])
    except (IndexError, struct.error, OSError):
        return True
