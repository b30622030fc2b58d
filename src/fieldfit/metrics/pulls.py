"""Pulls: (estimate - truth) / claimed standard deviation. A true uncertainty gives mean 0 and width 1."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pulls:
    """mean and width of the pulls with their standard errors, from `count` values that were finite."""

    mean: float
    mean_std: float
    width: float
    width_std: float
    count: int


def pulls(estimate: np.ndarray, truth: np.ndarray, std: np.ndarray, period: float | None = None) -> Pulls:
    """Pulls over all finite values; differences are wrapped into half a `period` around 0 where one is given.

    Raises ValueError when fewer than two values are finite.
    """
    difference = np.asarray(estimate) - np.asarray(truth)
    if period is not None:
        difference = (difference + period / 2) % period - period / 2
    ratio = (difference / np.asarray(std)).ravel()
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) < 2:
        raise ValueError(f"{len(ratio)} finite pulls, expected at least two")
    width = float(ratio.std(ddof=1))
    return Pulls(float(ratio.mean()), width / np.sqrt(len(ratio)), width, width / np.sqrt(2 * (len(ratio) - 1)), len(ratio))
