"""What is seen of a product: at one shot, one channel, one place (`--at shot=17`), or its middle, and along which axis."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fieldfit.command.overview import in_full
from fieldfit.types import InputError, nearest

if TYPE_CHECKING:
    import xarray as xr

LISTED = 8
SLICES = (("y", "x", "z"), ("y", "z", "x"), ("x", "z", "y"))  # up, across, cut


def at(dataset: "xr.Dataset", places: Iterable[str], product: Path) -> "xr.Dataset":
    """The dataset at each place, DIMENSION=VALUE: of real numbers at the nearest within a step, else at that very value.

    Raises InputError for a dimension or a value that the product does not have, naming those that are near.
    """
    for place in places:
        name, _, value = (part.strip() for part in place.partition("="))
        dims = [str(dim) for dim in dataset.dims]
        if name not in dims:
            raise InputError(f"{product}: --at {place}: no dimension '{name}'{nearest(name, dims)} (dimensions: {', '.join(dims)})")
        ticks = dataset[name].values
        found = _index(ticks, value)
        if found is None:
            raise InputError(f"{product}: --at {place}: no such {name}, expected {_told(ticks, value)}")
        dataset = dataset.isel({name: found})
    return dataset


def central(variable: "xr.DataArray", dataset: "xr.Dataset", kept: int) -> tuple["xr.DataArray", str]:
    """The last `kept` dimensions in the middle of the others (of shots: the first good one), and where that is, in words."""
    at, words = {}, []
    for dim in variable.dims[: max(0, variable.ndim - kept)]:
        good: np.ndarray = np.flatnonzero(dataset.status.values == 0) if dim == "shot" and "status" in dataset else np.zeros(0, int)
        at[dim] = int(good[0]) if good.size else 0 if dim in ("shot", "channel", "timing", "method", "every") else variable.sizes[dim] // 2
        words.append(f"{dim} {in_full(variable[dim].values[at[dim]])}")
    return variable.isel(at), ", ".join(words)


def over(variable: "xr.DataArray", dataset: "xr.Dataset") -> "xr.DataArray":
    """What a one-dimensional plot has along its axis: numbers of the last dimension, or the variable that the dimension is an index into."""
    dim = str(variable.dims[-1])
    indexed = str(dataset[dim].attrs.get("long_name", "")).removeprefix("index into ")
    if indexed in dataset and dataset[indexed].dims == (dim,) and indexed != variable.name:
        return dataset[indexed]
    if dataset[dim].dtype.kind in "OUS":
        return dataset[dim].copy(data=np.arange(dataset.sizes[dim]))
    return dataset[dim]


def _index(ticks: np.ndarray, value: str) -> int | None:
    if ticks.dtype.kind in "OUS":
        return next((k for k, tick in enumerate(ticks) if str(tick) == value), None)
    try:
        away = np.abs(ticks - float(value))
    except ValueError:
        return None
    step = np.abs(np.diff(ticks)).max(initial=0.0) if ticks.dtype.kind == "f" else 0
    return int(away.argmin()) if away.size and away.min() <= step else None


def _told(ticks: np.ndarray, value: str) -> str:
    if ticks.dtype.kind in "OUS":
        names = [str(tick) for tick in ticks]
        return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "") + nearest(value, names)
    span = f"{ticks.min():.7g} to {ticks.max():.7g}" if ticks.size else "nothing: it is empty"
    return f"a number from {span}" if ticks.dtype.kind == "f" else f"a whole number, {span}, that is there"
