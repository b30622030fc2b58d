"""The rows of a library, checked one by one, and whether they come in an order in which no place can be there twice."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Quality
from fieldfit.io.optical.quality import Faults, Tally, kinds_of
from fieldfit.io.optical.source import Part, Rows, Source

BAD = np.float32(-np.inf)  # stands in a table that is being filled for a value that cannot be used

Span = tuple[int, int] | None  # first and last of numbers that rise; None: they do not


@dataclass(frozen=True)
class Order:
    """by_voxel: rows rise by voxel, then channel, as LArSoft writes; by_channel: by channel, then voxel."""

    by_voxel: Span
    by_channel: Span

    @property
    def kept(self) -> bool:
        """In one of the two orders, so that no place is there twice."""
        return self.by_voxel is not None or self.by_channel is not None

    def then(self, later: "Order") -> "Order":
        """That of these rows and later ones together."""
        return Order(_joined(self.by_voxel, later.by_voxel), _joined(self.by_channel, later.by_channel))


NO_ROWS = Order((2**63 - 1, -1), (2**63 - 1, -1))


@dataclass(frozen=True)
class Checked:
    """Rows of one chunk inside the table. place (row): channel x voxels + voxel; value: BAD for one that cannot be used;
    channel; row: numbers of these rows in their part of the file."""

    place: NDArray[Any]
    value: NDArray[np.float32] = field(repr=False)
    channel: NDArray[Any]
    row: range
    order: Order


def checked(source: Source, quality: Quality, part: Part | None, number: int, faults: Faults) -> Iterator[Checked]:
    """The rows of a part of the file (None: all) that have a place, values that are no shares of photons replaced; faults are counted.

    number: of the part. Memory is that of one chunk.
    """
    index = np.int64 if source.channels * source.box.voxels >= 2**31 else np.int32
    first = 0
    for rows in source.chunks(source.columns, part):
        voxel, channel, values = rows.voxel, rows.channel, rows.values
        row = range(first, first + len(voxel))
        first += len(voxel)
        inside = _inside(rows, source, faults, number, row)
        if inside is not None:
            voxel, channel, values = voxel[inside], channel[inside], tuple(value[inside] for value in values)
        value, kept = _sound(Rows(voxel, channel, values), source, quality, faults, number, row)
        if kept is not None:
            voxel, channel, value = voxel[kept], channel[kept], value[kept]
        if not len(voxel):
            continue
        voxel, channel = voxel.astype(index, copy=False), channel.astype(index, copy=False)
        place = channel * source.box.voxels + voxel
        yield Checked(place, value, channel, row, Order(_span(voxel * source.channels + channel), _span(place)))


def _inside(rows: Rows, source: Source, faults: Faults, number: int, row: range) -> NDArray[np.bool_] | None:
    """Which rows lie in the table; None when all do."""
    inside: NDArray[np.bool_] | None = None
    for name, index, bound in (("voxel", rows.voxel, source.box.voxels), ("channel", rows.channel, source.channels)):
        if len(index) and (index.min() < 0 or index.max() >= bound):
            out = (index < 0) | (index >= bound)
            told = lambda k: source.name_of(int(rows.voxel[k]), int(rows.channel[k]))  # noqa: E731
            faults.outside.setdefault(name, Tally()).add(out, told, number, row)
            inside = ~out if inside is None else inside & ~out
    return inside


def _sound(
    rows: Rows, source: Source, quality: Quality, faults: Faults, number: int, row: range
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Sums of the columns, with BAD for those that are no shares of photons, and which rows to keep (None: all)."""
    # the sum of two float32 in float32 is rounded once, as the sum in float64 would be
    total = rows.values[0] if len(rows.values) == 1 else np.sum(rows.values, axis=0)
    named = [*zip(source.columns, rows.values, strict=True), *([(" + ".join(source.columns), total)] if len(rows.values) > 1 else [])]
    useless: NDArray[np.bool_] | None = None
    for column, part in named:

        def name(k: int, part: NDArray[Any] = part) -> str:
            return f"{source.name_of(int(rows.voxel[k]), int(rows.channel[k]))}: {part[k]:.6g}"

        for kind, bad in kinds_of(part).items():
            new = bad if useless is None or column in source.columns else bad & ~useless  # a sum is not bad once more for its parts
            if new.any():
                faults.values.setdefault((column, kind), Tally()).add(new, name, number, row)
            useless = bad if useless is None else useless | bad
    value = total.astype(np.float32)
    if useless is None:
        return value, None
    if quality.bad_values == "accept":
        return value, np.isfinite(value)
    value[useless] = BAD
    return value, None


def _span(index: NDArray[Any]) -> Span:
    return (int(index[0]), int(index[-1])) if (index[1:] > index[:-1]).all() else None


def _joined(these: Span, later: Span) -> Span:
    return (min(these[0], later[0]), max(these[1], later[1])) if these and later and these[1] < later[0] else None
