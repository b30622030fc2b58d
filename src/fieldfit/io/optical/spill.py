"""A table that is made as files: the rows are written once, a file for each part of the library and each group of channels, and arranged group
by group. Memory is bounded by one group and one chunk, whatever the size.

The parts are read independently of each other, and so are the groups arranged: whoever does it, in whatever order, finds the same. A task
that is done twice, since its worker was lost at its end, writes the same files again.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Quality
from fieldfit.io.optical.block import Block, Gaps, put, settle
from fieldfit.io.optical.checked import NO_ROWS, Order, checked
from fieldfit.io.optical.quality import Faults
from fieldfit.io.optical.source import Part, Source
from fieldfit.io.whole import refusals_told, whole
from fieldfit.io.workers import Workers

EACH = 4  # parts and groups a worker: none waits long for the last one
VALUE_BYTES = 5  # of memory: a value and its flag


@dataclass(frozen=True)
class _Task:
    """What all tasks have in common. group: channels in each group of them, but the last."""

    source: Source
    quality: Quality
    scratch: Path
    group: int

    def path(self, number: int, group: int) -> Path:
        """The rows of a part in a group."""
        return self.scratch / f"rows_{group}_{number}.bin"

    @property
    def kinds(self) -> tuple[np.dtype, np.dtype, np.dtype]:
        """Of place (in the group), row (in the part) and value."""
        place = np.int64 if self.group * self.source.box.voxels >= 2**31 else np.int32
        return np.dtype(place), np.promote_types(np.uint32, np.min_scalar_type(self.source.rows)), np.dtype(np.float32)


@dataclass(frozen=True)
class _Spilled:
    """A part's rows. counts (chunk, group): how many; orders: of each chunk."""

    faults: Faults
    counts: NDArray[np.int64]
    orders: tuple[Order, ...]


@dataclass(frozen=True)
class _Piece:
    """A part's rows in one group, chunk by chunk. fresh: they continue the order of all before; distinct: of the chunk itself."""

    path: Path
    counts: list[int]
    fresh: list[bool]
    distinct: list[bool]


def fill_files(
    source: Source, quality: Quality, scratch: Path, most_bytes: int, workers: Workers
) -> tuple[NDArray[np.float32], NDArray[np.int8], Faults, Gaps]:
    """values, flags (channel, voxel), files in the folder `scratch`, settled; most_bytes: of memory for each worker.

    Raises InputError when the library cannot be read, or the disk is full.
    """
    channels, voxels = source.channels, source.box.voxels
    group = min(max(1, most_bytes // (VALUE_BYTES * voxels)), -(-channels // (EACH * workers.count)))
    task, firsts = _Task(source, quality, scratch.absolute(), group), range(0, channels, group)
    for name, kind in (("values", "f4"), ("flags", "i1")):  # made here, filled by the workers, and not opened before they are done
        np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", kind, (channels, voxels))
    parts, faults, gaps = source.parts(EACH * workers.count), Faults(), Gaps()
    spilled: list[_Spilled] = []
    for found in workers.run(partial(_spill, task), enumerate(parts)):
        faults.join(found.faults)
        spilled.append(found)
        logging.info("%s: part %d of %d read", source.path, len(spilled), len(parts))
    pieces = [_pieces(task, spilled, g) for g in range(len(firsts))]
    for first, some, (more, missing) in zip(firsts, pieces, workers.run(partial(_arrange, task), zip(firsts, pieces, strict=True)), strict=True):
        faults.join(more)
        gaps.join(missing)
        for piece in some:
            piece.path.unlink()
        logging.info("%s: %d of %d channels arranged", source.path, min(first + group, channels), channels)
    values, flags = (np.load(scratch / f"{name}.npy", mmap_mode="r+") for name in ("values", "flags"))
    return values, flags, faults, gaps


def read_values(source: Source, scratch: Path) -> NDArray[np.float32]:
    """(channel, x, y, z) of the table that `fill_files` made in the folder, read as it is used."""
    return source.arranged(np.load(scratch / "values.npy", mmap_mode="r"))


def _spill(task: _Task, numbered: tuple[int, Part | None]) -> _Spilled:
    """Read and check the rows of a part, and write them, a file a group."""
    number, part = numbered
    source, faults, orders, counts = task.source, Faults(), [], []
    groups, size = -(-source.channels // task.group), task.group * source.box.voxels
    kinds = task.kinds
    with ExitStack() as stack:
        files = [stack.enter_context(open(stack.enter_context(whole(task.path(number, g))), "wb")) for g in range(groups)]
        for seen in checked(source, task.quality, part, number, faults):
            row = np.arange(seen.row.start, seen.row.start + len(seen.place))
            belongs = seen.channel // task.group
            order = np.argsort(belongs.astype(np.uint16), kind="stable")  # sorted by radix
            count = np.bincount(belongs, minlength=groups)
            columns: tuple[NDArray[Any], ...] = (seen.place - belongs * size, row, seen.value)
            columns = tuple(column.astype(kind, copy=False)[order] for column, kind in zip(columns, kinds, strict=True))
            for file, first, last in zip(files, np.cumsum(count) - count, np.cumsum(count), strict=True):
                for column in columns:
                    file.write(column[first:last].data)
            counts.append(count)
            orders.append(seen.order)
    return _Spilled(faults, np.array(counts, np.int64).reshape(-1, groups), tuple(orders))


def _pieces(task: _Task, spilled: list[_Spilled], group: int) -> list[_Piece]:
    """What a group is arranged from, in the file's order."""
    order, pieces = NO_ROWS, []
    for number, part in enumerate(spilled):
        fresh = []
        for of_chunk in part.orders:
            order = order.then(of_chunk)
            fresh.append(order.kept)
        pieces.append(_Piece(task.path(number, group), part.counts[:, group].tolist(), fresh, [of_chunk.kept for of_chunk in part.orders]))
    return pieces


def _arrange(task: _Task, firsts_and_pieces: tuple[int, list[_Piece]]) -> tuple[Faults, Gaps]:
    """Arrange a group of channels, and write it to its place in the files of values and flags."""
    first, pieces = firsts_and_pieces
    source, faults = task.source, Faults()
    block = Block.empty(min(task.group, source.channels - first), source.box.voxels, first)
    flat = block.values.reshape(-1)
    for number, piece in enumerate(pieces):
        for (place, row, value), fresh, distinct in zip(_read(piece, task.kinds), piece.fresh, piece.distinct, strict=True):
            if fresh:
                flat[place] = value
            else:
                put(block, place, value, number, row, task.quality, faults, source, distinct)
    gaps = settle(block, source, task.quality)
    for name, array in (("values", block.values), ("flags", block.flags)):
        path = task.scratch / f"{name}.npy"
        with refusals_told(path), open(path, "r+b") as file:  # written, not mapped: a full disk is an error and no signal
            file.seek(np.lib.format.open_memmap(path, "r").offset + first * source.box.voxels * array.itemsize)
            file.write(array.data)
    return faults, gaps


def _read(piece: _Piece, kinds: tuple[np.dtype, ...]) -> Iterator[tuple[NDArray[Any], ...]]:
    """The columns of each chunk."""
    with open(piece.path, "rb") as file:
        for count in piece.counts:
            yield tuple(np.fromfile(file, kind, count) for kind in kinds)
