"""How a quantity went over a night: medians and spreads of equal spans of time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Trend:
    """time: middle of each span that has a value; low, high: quantiles 0.16 and 0.84 of its shots, one sigma of a Gaussian."""

    time: Float[np.ndarray, "span"]
    median: Float[np.ndarray, "span"]
    low: Float[np.ndarray, "span"]
    high: Float[np.ndarray, "span"]


def trend(time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], spans: int = 120) -> Trend:
    """Quantiles of `value` in at most `spans` equal spans of time; shots without a value or a time are left out."""
    kept = np.isfinite(time) & np.isfinite(value)
    time, value = time[kept], value[kept]
    if not len(time):
        return Trend(*(np.zeros(0) for _ in range(4)))
    edges = np.linspace(time.min(), time.max(), spans + 1)
    span = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, spans - 1)
    order = np.argsort(span, kind="stable")
    parts = np.split(value[order], np.flatnonzero(np.diff(span[order])) + 1)
    low, median, high = np.array([np.quantile(part, (0.16, 0.5, 0.84)) for part in parts]).T
    middle = (edges[:-1] + edges[1:]) / 2
    return Trend(middle[np.unique(span)], median, low, high)
