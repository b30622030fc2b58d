"""Measured flashes: an HDF5 file with the photo-electrons of each channel, `pe_measured` (flash, channel)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldfit.hdf5 import numbers, opened, required
from fieldfit.types import InputError

DATASET = "pe_measured"


def read_flashes(path: Path, channels: int) -> NDArray[np.float64]:
    """(flash, channel) photo-electrons. Raises InputError when the dataset is missing, has another shape, or holds what is no light."""
    path = Path(path)
    with opened(path, "measured flashes (HDF5)") as file:
        found = numbers(required(file, DATASET, path, "it with (flash, channel)"), DATASET, path).astype(np.float64)
    if found.ndim != 2 or found.shape[1] != channels or not len(found):
        raise InputError(f"{path}: {DATASET} has shape {found.shape}, expected (flash, {channels}): the library has {channels} channels")
    bad = ~(np.isfinite(found) & (found >= 0)).all(1)
    if bad.any():
        raise InputError(
            f"{path}: {int(bad.sum())} of {len(found)} flashes hold values that are not finite or negative (first: flash {int(np.argmax(bad))}), "
            "expected photo-electrons"
        )
    return found
