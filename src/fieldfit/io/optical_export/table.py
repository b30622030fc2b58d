"""A visibility on the voxels of a box, on disk while it is written to other formats: larger tables than the memory are streamed by planes.

Formats whose voxel number is ix + iy NX + iz NX NY take planes of constant z, those in C order over (x, y, z) planes of constant x.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from fieldfit.io.optical.box import Box

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """values (x, y, z, channel): share of the photons made in a voxel that arrive at a channel, without efficiency; mapped from a file."""

    values: Floats
    box: Box

    @property
    def channels(self) -> int:
        return int(self.values.shape[-1])

    def along_z(self) -> Iterator[Floats]:
        """Planes of constant z as (y, x, channel): voxels in the order x fastest, then y, then z."""
        for z in range(self.box.divisions[2]):
            yield np.ascontiguousarray(self.values[:, :, z].swapaxes(0, 1))

    def along_x(self) -> Iterator[Floats]:
        """Planes of constant x as (y, z, channel): C order over (x, y, z, channel)."""
        for x in range(self.box.divisions[0]):
            yield np.array(self.values[x])


@dataclass(frozen=True)
class Times:
    """names: columns of arrival times, as a library names them; table: timing x channel in place of channels [ns]."""

    names: tuple[str, ...]
    table: Table

    def column(self, name: str) -> Floats:
        """(x, y, z, channel) of one of the names."""
        channels, k = self.table.channels // len(self.names), self.names.index(name)
        return self.table.values[..., k * channels : (k + 1) * channels]


@contextmanager
def spooled(planes: Iterator[Floats], box: Box, channels: int, folder: Path) -> Iterator[Table]:
    """A table of `planes` of constant x (y, z, channel), in a file below `folder` that is removed at the end.

    Raises ValueError when there are more or fewer planes than divisions along x.
    """
    with TemporaryDirectory(prefix=".table.", dir=folder) as room:
        shape = (*box.divisions, channels)
        values = np.lib.format.open_memmap(Path(room) / "table.npy", mode="w+", dtype=np.float32, shape=shape)
        for row, plane in zip(values, planes, strict=True):
            row[...] = plane
        yield Table(values, box)


def voxels_of(box: Box, edges: tuple[float, float, float]) -> Box:
    """The same box cut into voxels of about `edges` [m]: the nearest whole number of them along each axis, at least one."""
    x, y, z = (max(1, round((high - low) / edge)) for low, high, edge in zip(box.lower, box.upper, edges, strict=True))
    return Box(box.lower, box.upper, (x, y, z))
