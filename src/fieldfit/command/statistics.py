"""Statistics of a product's variable, read a slab at a time: a table of the visibility may be larger than memory."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

SLAB = 1 << 22  # values in memory at a time
SAMPLE = 1 << 20  # values that the median is taken of, evenly spread, where there are more


@dataclass(frozen=True)
class Statistics:
    """Of one variable. low, median, high: of its finite values, NaN without any; median of a sample where `sampled`; absent: share of NaN.

    flags: how many values have each flag, by name; words: the first different texts of a text variable."""

    low: float = math.nan
    median: float = math.nan
    high: float = math.nan
    absent: float = 0.0
    sampled: bool = False
    flags: tuple[tuple[str, int], ...] = ()
    words: tuple[str, ...] = ()


def statistics(variable: xr.DataArray) -> Statistics:
    """Statistics of a variable of any type and size."""
    if variable.dtype.kind in "OUS":
        return Statistics(words=tuple(dict.fromkeys(str(word) for word in np.asarray(variable.values).reshape(-1))))
    if "flag_meanings" in variable.attrs:
        return Statistics(flags=_flags(variable))
    low, high, absent, kept = math.inf, -math.inf, 0, []
    every = max(1, variable.size // SAMPLE)
    for values in slabs(variable):
        flat = np.asarray(values, np.float64).reshape(-1)
        absent += int(np.isnan(flat).sum())
        finite = flat[np.isfinite(flat)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            kept.append(finite[every // 2 :: every])
    sample = np.concatenate(kept) if kept else np.zeros(0)
    if not sample.size:
        return Statistics(low if kept else math.nan, math.nan, high if kept else math.nan, absent / max(1, variable.size))
    return Statistics(low, float(np.median(sample)), high, absent / variable.size, every > 1)


def slabs(variable: xr.DataArray, most: int = SLAB) -> Iterator[np.ndarray]:
    """The variable's values in parts of at most `most` each (a row along its last dimension is never cut), in the file's order."""
    if variable.size <= most or variable.ndim < 2:
        yield np.asarray(variable.values)
        return
    row = variable.size // len(variable)
    if row > most:
        for one in range(len(variable)):
            yield from slabs(variable[one], most)
        return
    step = most // row
    for first in range(0, len(variable), step):
        yield np.asarray(variable[first : first + step].values)


def _flags(variable: xr.DataArray) -> tuple[tuple[str, int], ...]:
    names = flag_names(variable)
    found: Counter[int] = Counter()
    for values in slabs(variable):
        for value, count in zip(*np.unique(values, return_counts=True), strict=True):
            found[int(value)] += int(count)
    return tuple((names.get(value, f"flag {value}"), found[value]) for value in sorted(found))


def flag_names(variable: xr.DataArray) -> dict[int, str]:
    """Names of a flag variable's values."""
    values = np.atleast_1d(variable.attrs["flag_values"]).tolist()
    return dict(zip(map(int, values), str(variable.attrs["flag_meanings"]).split(), strict=True))
