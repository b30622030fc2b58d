"""Measured flashes: an HDF5 file with the photo-electrons of each channel, `pe_measured` (flash, channel)."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fieldfit.types import InputError, nearest

DATASET = "pe_measured"


def read_flashes(path: Path, channels: int) -> NDArray[np.float64]:
    """(flash, channel) photo-electrons. Raises InputError when the dataset is missing, has another shape, or holds what is no light."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected measured flashes (HDF5)")
    try:
        with h5py.File(path, "r") as file:
            if DATASET not in file or not isinstance(file[DATASET], h5py.Dataset):
                raise InputError(f"{path}: dataset '{DATASET}' is missing, expected it with (flash, channel){nearest(DATASET, list(file))}")
            if file[DATASET].dtype.kind not in "iuf":
                raise InputError(f"{path}: dataset '{DATASET}' holds {file[DATASET].dtype}, expected numbers")
            found = np.asarray(file[DATASET][()], np.float64)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}), expected measured flashes") from None
    if found.ndim != 2 or found.shape[1] != channels or not len(found):
        raise InputError(f"{path}: {DATASET} has shape {found.shape}, expected (flash, {channels}): the library has {channels} channels")
    bad = ~(np.isfinite(found) & (found >= 0)).all(1)
    if bad.any():
        raise InputError(
            f"{path}: {int(bad.sum())} of {len(found)} flashes hold values that are not finite or negative (first: flash {int(np.argmax(bad))}), "
            "expected photo-electrons"
        )
    return found
