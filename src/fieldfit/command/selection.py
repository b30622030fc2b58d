"""A product at one shot, one channel, one place: `--at shot=17`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fieldfit.types import InputError, nearest

if TYPE_CHECKING:
    import xarray as xr

LISTED = 8


def at(dataset: "xr.Dataset", places: Iterable[str], product: Path) -> "xr.Dataset":
    """The dataset at each place, DIMENSION=VALUE: of real numbers at the nearest within a step, else at that very value.

    Raises InputError for a dimension or a value that the product does not have, naming those that are near.
    """
    for place in places:
        name, _, text = (part.strip() for part in place.partition("="))
        dims = [str(dim) for dim in dataset.dims]
        if name not in dims:
            raise InputError(f"{product}: --at {place}: no dimension '{name}'{nearest(name, dims)} (dimensions: {', '.join(dims)})")
        ticks = dataset[name].values
        found = _index(ticks, text)
        if found is None:
            raise InputError(f"{product}: --at {place}: no such {name}, expected {_told(ticks, text)}")
        dataset = dataset.isel({name: found})
    return dataset


def _index(ticks: np.ndarray, text: str) -> int | None:
    if ticks.dtype.kind in "OUS":
        return next((k for k, tick in enumerate(ticks) if str(tick) == text), None)
    try:
        away = np.abs(ticks - float(text))
    except ValueError:
        return None
    step = np.abs(np.diff(ticks)).max(initial=0.0) if ticks.dtype.kind == "f" else 0
    return int(away.argmin()) if away.size and away.min() <= step else None


def _told(ticks: np.ndarray, text: str) -> str:
    if ticks.dtype.kind in "OUS":
        names = [str(tick) for tick in ticks]
        return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "") + nearest(text, names)
    span = f"{ticks.min():.7g} to {ticks.max():.7g}" if ticks.size else "nothing: it is empty"
    return f"a number from {span}" if ticks.dtype.kind == "f" else f"a whole number, {span}, that is there"
