"""Allan deviation of a series with gaps and unequal errors.

    sigma^2(m) = < (ybar_{k+m} - ybar_k)^2 > / 2,    ybar_k: weighted mean of the shots in m consecutive periods from k on

Overlapping estimator (Riley, NIST SP 1065, eq. 11). A gradiometer shot near a fringe's turning point is worth little, so means carry the
shots' weights, differences d are weighted by q = 1 / v^2, v their variance by the shots' errors alone, and that noise is replaced by what
equal shots of the same total weight would have: sigma^2 = sum[q (d^2 - v)] / sum(q) / 2 + shots / sum(w) / m. With equal errors and no gaps
this is allantools.oadev; white noise of sigma a shot gives sigma / sqrt(m), and a signal what it gives without noise.
"""

import allantools
import numpy as np
from jaxtyping import Float

from fieldfit.metrics.periodogram import shot_rate

FILLED = 0.5  # share of a window's weight-bearing periods without which it is not used


def allan_deviation(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"]
) -> tuple[Float[np.ndarray, "averaging"], Float[np.ndarray, "averaging"], Float[np.ndarray, "averaging"]]:
    """(averaging time [s], deviation, standard deviation of it) at octaves of the shot period, up to a third of the run.

    NaN where no two windows are filled. Errors from the equivalent degrees of freedom of white frequency noise (allantools.edf_greenhall).
    """
    rate = shot_rate(time)
    slot = np.rint((time - time[0]) * rate).astype(np.int64)
    kept = np.isfinite(value) & np.isfinite(std)
    weight, data = np.zeros(slot[-1] + 1), np.zeros(slot[-1] + 1)
    weight[slot[kept]] = 1 / std[kept] ** 2
    data[slot[kept]] = value[kept] - np.average(value[kept], weights=1 / std[kept] ** 2)
    effective = kept.sum() / weight.sum()  # harmonic mean of the variances
    sums = [np.concatenate([[0.0], np.cumsum(v)]) for v in (weight, weight * data, (weight > 0).astype(float))]
    spans = 2 ** np.arange(int(np.log2(max(1, len(weight) // 3))) + 1)
    deviation, error = np.full(len(spans), np.nan), np.full(len(spans), np.nan)
    for row, m in enumerate(spans):
        total, product, filled = (v[m:] - v[:-m] for v in sums)
        sound = filled >= FILLED * m
        mean = np.divide(product, total, where=sound & (total > 0), out=np.zeros_like(product))
        variance = np.divide(1.0, total, where=sound & (total > 0), out=np.full_like(product, np.inf))
        both = sound[m:] & sound[:-m]
        if not both.any():
            continue
        expected = variance[m:][both] + variance[:-m][both]
        difference = mean[m:][both] - mean[:-m][both]
        share = expected**-2 / (expected**-2).sum()
        deviation[row] = np.sqrt(max(0.0, (share * (difference**2 - expected)).sum() / 2 + effective / m))
        # The differences that really count (Kish), as a stretch of a gap-free run: the degrees of freedom are those of that shorter run.
        length = 1 / (share**2).sum() + 2 * m
        freedom = max(1.0, float(allantools.edf_greenhall(alpha=0, d=2, m=int(m), N=int(length) + 1, overlapping=True, modified=False)))
        error[row] = deviation[row] / np.sqrt(2 * freedom)
    return spans / rate, deviation, error
