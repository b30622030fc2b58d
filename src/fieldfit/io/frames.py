"""Camera frames as TIFF: one folder a shot with a file a view (`frame_cam0.tif`, ...), or one multi-page TIFF a shot (page = view).

A shot that cannot be read is flagged and its reason kept; it never stops its block. Files are read lazily, a shot a dask chunk,
so that a block of any length passes through calibration in bounded memory.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import tifffile
from dask.delayed import delayed

from fieldfit.paths import shots_below
from fieldfit.types import InputError, Status

SUFFIXES = (".tif", ".tiff")
# A deflate stream cannot expand by more than 1032 to 1 (RFC 1951); anything beyond is a header that lies.
LARGEST_EXPANSION = 1032


class BadFrame(ValueError):
    """A shot that cannot be used: its flag and the reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Block:
    """A block of shots as the camera wrote them.

    shots: numbers, ascending; frames: (shot, view, row, column) [DN] dask array, a shot a chunk, zeros where a shot is flagged;
    status: (shot,) flags; reasons: one line a flagged shot, naming file and view.
    """

    shots: tuple[int, ...]
    frames: da.Array
    status: np.ndarray
    reasons: tuple[str, ...]


def read_block(raw: Path, shots: Sequence[int], shape: tuple[int, int, int]) -> Block:
    """The shots of one block.

    raw: folder of the run; shots: their numbers; shape: (view, row, column) that the cameras have.
    Raises InputError when the folder has none of the shots, or when every shot of the block is bad, with each one's reason.
    """
    files = shots_below(Path(raw))
    status = np.zeros(len(shots), np.int8)
    reasons: list[str] = []
    parts: list[da.Array] = []
    empty = da.zeros(shape, dtype=np.uint16, chunks=shape)
    for place, shot in enumerate(shots):
        try:
            if shot not in files:
                raise BadFrame(Status.missing, f"{raw}: shot {shot} is missing, expected shot{shot:03d} or shot{shot:03d}.tif")
            for view, (path, page) in enumerate(pages_of(files[shot], shape[0])):
                check_page(path, page, view, shape[1:])
            # Headers can be whole where the pixels are not, so every page is decoded once here, one at a time, and then let go.
            read_shot(files[shot], shape)
        except BadFrame as bad:
            status[place] = bad.status
            reasons.append(f"shot {shot} is {bad.status.name}: {bad}")
            parts.append(empty)
        else:
            parts.append(da.from_delayed(delayed(read_shot, pure=True)(files[shot], shape), shape, dtype=np.uint16))
    if len(shots) and (status != Status.good).all():
        raise InputError(f"{raw}: none of the {len(shots)} shots of this block can be read:\n" + "\n".join(reasons))
    return Block(tuple(shots), da.stack(parts), status, tuple(reasons))


def pages_of(path: Path, views: int) -> list[tuple[Path, int]]:
    """(file, page) of each view of a shot. Raises BadFrame when views are missing or there are too many."""
    if path.is_dir():
        named = [path / f"frame_cam{view}.tif" for view in range(views)]
        named = [p if p.exists() or not p.with_suffix(".tiff").exists() else p.with_suffix(".tiff") for p in named]
        absent = [p.name for p in named if not p.is_file()]
        if absent:
            found = sorted(p.name for p in path.iterdir() if p.suffix in SUFFIXES)
            view = named.index(path / absent[0])
            raise BadFrame(Status.missing, f"{path}: view {view} ({absent[0]}) is missing, found {', '.join(found) or 'no TIFF file'}")
        return [(p, 0) for p in named]
    with _open(path, 0) as tiff:
        count, cut = len(tiff.pages), _chain_is_cut(tiff)
    if cut:
        raise BadFrame(Status.corrupt, f"{path}: view {count}: the file is truncated after {count} of {views} pages")
    if count != views:
        flag = Status.missing if count < views else Status.corrupt
        raise BadFrame(flag, f"{path}: view {min(count, views)}: {count} pages, expected {views}, a page a view")
    return [(path, view) for view in range(views)]


def check_page(path: Path, page: int, view: int, shape: tuple[int, ...]) -> None:
    """Raise BadFrame when the header of a page tells another shape or type than expected, or more pixels than the file can hold."""
    with _open(path, view) as tiff:
        try:
            header = tiff.pages[page]
            found, kind, packed = tuple(header.shape), header.dtype, int(header.compression) != 1
            inside = [(int(o), int(n)) for o, n in zip(header.dataoffsets, header.databytecounts, strict=True)]
        except Exception as error:
            raise BadFrame(Status.corrupt, f"{path}: view {view}: unreadable header ({_told(error)}), the file is truncated or damaged") from None
    size = path.stat().st_size
    if found != shape:
        raise BadFrame(Status.corrupt, f"{path}: view {view} has shape {found}, expected {shape} from the camera description")
    if kind != np.uint16:
        raise BadFrame(Status.corrupt, f"{path}: view {view} has type {kind}, expected uint16")
    ends = max((offset + length for offset, length in inside), default=0)
    held = sum(length for _, length in inside)
    wanted = 2 * int(np.prod(shape))
    if ends > size or (not packed and held < wanted) or held * LARGEST_EXPANSION < wanted:
        raise BadFrame(Status.corrupt, f"{path}: view {view} is truncated: its header places pixels up to byte {ends}, the file has {size} bytes")


def read_shot(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """(view, row, column) uint16 frames of one shot. Raises BadFrame when a page cannot be decoded."""
    frames = np.zeros(shape, np.uint16)
    for view, (file, page) in enumerate(pages_of(path, shape[0])):
        with _open(file, view) as tiff:
            try:
                frames[view] = tiff.pages[page].asarray()
            except Exception as error:
                raise BadFrame(Status.corrupt, f"{file}: view {view} cannot be decoded ({_told(error)}), the file is truncated or damaged") from None
    return frames


def _open(path: Path, view: int) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path)
    except Exception as error:
        raise BadFrame(Status.corrupt, f"{path}: view {view}: not a readable TIFF ({_told(error)}), the file is truncated or damaged") from None


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


def _told(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
