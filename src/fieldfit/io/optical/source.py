"""What every format of an optical library is read as: rows of (voxel, channel, value), and what has to be known to arrange them.

A reader opens its file, checks its header and returns a `Source`. Nothing large is in memory then: `chunks` streams the rows, with voxels
and channels in the file's own numbering and unchecked, so that a message can name a bad one as the file does. A file that can be read from
its middle says where, in `cuts`: its parts can be read at the same time. `table.fill_table` checks the rows and arranges them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box

Component = Literal["direct", "reflected", "total"]
Order = Literal["x fastest", "z fastest"]
Part = tuple[int, int]  # two of a source's cuts
Efficiency = Literal["not in it", "in it", "not known"]

ROWS = 500_000  # in memory at a time; larger chunks leave the processor's cache and are no faster


@dataclass(frozen=True)
class Rows:
    """Some rows of a file. voxel, channel (row): whole numbers as the file has them; values: one array (row) for each column asked for."""

    voxel: NDArray[Any]
    channel: NDArray[Any]
    values: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Source:
    """An open library.

    columns: those whose sum is the visibility of `component`; times: columns of arrival times [ns] that can be asked for too.
    order, y_falls: how a voxel's number runs through the box; a number's first y lies at the box's upper y when y_falls.
    rows: how many there are; absent: what a voxel and channel without a row means.
    convention, efficiency, notes: what a user should know, for the record.
    chunks: (columns, part) -> their rows, of the whole file where part is None. cuts: rising, from the file's begin to its end, in its own
    counting; none where it can only be read from its begin.
    disks: sensors that the file itself places; made (x, y, z): photons made in each voxel, where the file counts them.
    """

    path: Path
    box: Box
    channels: int
    component: Component
    columns: tuple[str, ...]
    order: Order
    rows: int
    absent: Literal["zero", "unknown"]
    convention: str
    efficiency: Efficiency
    chunks: Callable[[tuple[str, ...], Part | None], Iterator[Rows]]
    name_of: Callable[[int, int], str]
    cuts: tuple[int, ...] = ()
    times: tuple[str, ...] = ()
    y_falls: bool = False
    disks: Disks | None = None
    made: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def parts(self, most: int) -> list[Part | None]:
        """The file in at most so many parts, in its order, about equally long: as its cuts allow."""
        if most < 2 or len(self.cuts) < 3:
            return [None]
        ideal = np.linspace(self.cuts[0], self.cuts[-1], most + 1)
        ends = np.array(self.cuts)[np.unique(np.searchsorted(self.cuts, ideal))].tolist()
        return list(zip(ends[:-1], ends[1:], strict=True))

    def arranged(self, flat: NDArray[Any]) -> NDArray[Any]:
        """(channel, x, y, z), x, y and z rising: a view of (channel, voxel number)."""
        nx, ny, nz = self.box.divisions
        if self.order == "x fastest":
            view = flat.reshape(len(flat), nz, ny, nx).transpose(0, 3, 2, 1)
        else:
            view = flat.reshape(len(flat), nx, ny, nz)
        return view[:, :, ::-1] if self.y_falls else view

    def number_of(self, index: tuple[int, ...]) -> int:
        """The file's number of the voxel at (x, y, z) of the arranged table."""
        (nx, ny, nz), (x, y, z) = self.box.divisions, index
        y = ny - 1 - y if self.y_falls else y
        return int(x + nx * (y + ny * z)) if self.order == "x fastest" else int((x * ny + y) * nz + z)

    def name_at(self, index: tuple[int, ...], channel: int) -> str:
        """What the file calls the voxel at (x, y, z) of the arranged table, and a channel."""
        return self.name_of(self.number_of(index), channel)


def rows_of_slab(voxel: NDArray[Any], first_channel: int, values: tuple[NDArray[Any], ...]) -> Rows:
    """Rows of some voxels (n) and consecutive channels; values: arrays (n, channel)."""
    channels = values[0].shape[1]
    channel = np.arange(first_channel, first_channel + channels, dtype=np.int64)
    return Rows(np.repeat(voxel, channels), np.tile(channel, len(voxel)), tuple(v.reshape(-1) for v in values))
