"""Allan deviation of a series with gaps and unequal errors.

    sigma^2(m) = < (ybar_{k+m} - ybar_k)^2 > / 2,    ybar_k: weighted mean of the shots in m consecutive periods from k on

Overlapping estimator (Riley, NIST SP 1065, eq. 11). A gradiometer shot near a fringe's turning point is worth little, so means carry the
shots' weights, differences d are weighted by q = 1 / v^2, v their variance by the shots' errors alone, and that noise is replaced by what
equal shots of the same total weight would have: sigma^2 = sum[q (d^2 - v)] / sum(q) / 2 + shots / sum(w) / m. With equal errors and no gaps
this is allantools.oadev; white noise of sigma a shot gives sigma / sqrt(m), and a signal what it gives without noise.
"""

from collections.abc import Iterator

import allantools
import numpy as np
from jaxtyping import Float, Int

from fieldfit.metrics.periodogram import shot_rate

FILLED = 0.5  # share of a window's weight-bearing periods without which it is not used
BLOCK = 65536  # pairs of windows that are compared together


def allan_deviation(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"]
) -> tuple[Float[np.ndarray, "averaging"], Float[np.ndarray, "averaging"], Float[np.ndarray, "averaging"]]:
    """(averaging time [s], deviation, standard deviation of it) at octaves of the shot period, up to a third of the run.

    NaN where no two windows are filled. Errors from the equivalent degrees of freedom of white frequency noise (allantools.edf_greenhall).
    """
    rate = shot_rate(time)
    slot = np.rint((time - time[0]) * rate).astype(np.int64)
    kept = np.isfinite(value) & np.isfinite(std)
    total, product, filled = np.zeros(slot[-1] + 1), np.zeros(slot[-1] + 1), np.zeros(slot[-1] + 1, np.int32)
    total[slot[kept]] = 1 / std[kept] ** 2
    filled[slot[kept]] = 1
    product[slot[kept]] = total[slot[kept]] * (value[kept] - np.average(value[kept], weights=total[slot[kept]]))
    effective = kept.sum() / total.sum()  # harmonic mean of the variances
    del slot, kept
    spans = 2 ** np.arange(int(np.log2(max(1, len(total) // 3))) + 1)
    deviation, error = np.full(len(spans), np.nan), np.full(len(spans), np.nan)
    for row, m in enumerate(spans):
        if row:  # windows of m periods are two of m / 2
            total, product, filled = (v[: -m // 2] + v[m // 2 :] for v in (total, product, filled))
        scatter, weight, squared = (sum(terms) for terms in zip(*_window_sums(total, product, filled, int(m)), strict=True))
        if not weight:
            continue
        deviation[row] = np.sqrt(max(0.0, scatter / weight / 2 + effective / m))
        # The differences that really count (Kish), as a stretch of a gap-free run: the degrees of freedom are those of that shorter run.
        length = weight**2 / squared + 2 * m
        freedom = max(1.0, float(allantools.edf_greenhall(alpha=0, d=2, m=int(m), N=int(length) + 1, overlapping=True, modified=False)))
        error[row] = deviation[row] / np.sqrt(2 * freedom)
    return spans / rate, deviation, error


def _window_sums(
    total: Float[np.ndarray, "window"], product: Float[np.ndarray, "window"], filled: Int[np.ndarray, "window"], m: int
) -> Iterator[tuple[float, float, float]]:
    """sum[q (d^2 - v)], sum q and sum q^2 over pairs of windows of m periods that follow each other, some of the pairs at a time."""
    for first in range(0, len(total) - m, BLOCK):
        one, other = slice(first, min(first + BLOCK, len(total) - m)), slice(first + m, min(first + BLOCK + m, len(total)))
        sound = (filled[one] >= FILLED * m) & (filled[other] >= FILLED * m)
        before, after = total[one][sound], total[other][sound]
        expected = 1 / before + 1 / after
        difference = product[other][sound] / after - product[one][sound] / before
        yield float(((difference**2 - expected) / expected**2).sum()), float((expected**-2).sum()), float((expected**-4).sum())
