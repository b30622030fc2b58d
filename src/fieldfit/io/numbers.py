"""The acquisition's numbers of shots that lie in one file."""

import numpy as np
from jaxtyping import Int

from fieldfit.paths import LARGEST_SHOT
from fieldfit.types import InputError


def shot_numbers(found: np.ndarray, where: str) -> Int[np.ndarray, "shot"]:
    """As int32, in which products have them. where: file and dataset.

    Raises InputError for one that is no whole number from 0 to LARGEST_SHOT, or is there twice.
    """
    unfit = ~((found >= 0) & (found <= LARGEST_SHOT) & (found == np.floor(found)))
    if unfit.any():
        row = int(np.flatnonzero(unfit)[0])
        raise InputError(f"{where} is {found[row]} in row {row}, expected whole numbers from 0 to {LARGEST_SHOT}")
    value, first, count = np.unique(found, return_index=True, return_counts=True)
    if len(value) < len(found):
        twice = int(count.argmax())
        raise InputError(f"{where} is {value[twice]} in row {first[twice]} and again, expected a number of its own for each shot")
    return found.astype(np.int32)
