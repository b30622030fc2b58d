"""Sines in an unevenly sampled series: amplitude by weighted least squares, one frequency at a time, over gaps.

At each frequency the model is constant + a cos(2 pi f t) + b sin(2 pi f t) with weights 1/variance (generalised Lomb-Scargle: Zechmeister
and Kuerster, A&A 496, 577 (2009)); amplitude = sqrt(a^2 + b^2), its variance from the inverse of the 3 x 3 normal matrix. All frequencies
at once: the sums over shots are a non-uniform Fourier transform by Gaussian gridding (Greengard and Lee, SIAM Rev. 46, 443 (2004)).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

FINER = 12  # grid points in 1 / duration
SPREAD = 14  # grid cells on either side over which a sample is spread: relative error 1e-12 at 2-fold oversampling
BLOCK = 65536  # samples spread together


@dataclass(frozen=True)
class Periodogram:
    """frequency [Hz]; amplitude and its standard deviation in the series' unit. significance: amplitude over its deviation, both
    quadratures counted: sqrt of the drop of chi-square."""

    frequency: Float[np.ndarray, "frequency"]
    amplitude: Float[np.ndarray, "frequency"]
    std: Float[np.ndarray, "frequency"]
    significance: Float[np.ndarray, "frequency"]


def shot_rate(time: Float[np.ndarray, "shot"]) -> float:
    """Shots a second from the median distance of neighbours; gaps do not count.

    Raises ValueError when time does not ascend or there are fewer than two shots.
    """
    steps = np.diff(time)
    if not len(steps) or not (steps > 0).all():
        raise ValueError(f"time of {len(time)} shots does not ascend")
    return float(1 / np.median(steps))


def frequencies(time: Float[np.ndarray, "shot"], finer: int = FINER) -> Float[np.ndarray, "frequency"]:
    """Multiples of 1 / (finer duration) inside (0, half the shot rate)."""
    step = 1 / (finer * float(np.ptp(time)))
    return step * np.arange(1, math.ceil(0.5 * shot_rate(time) / step - 1e-9))


def fourier_sums(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "series shot"], step: float, count: int
) -> Complex[np.ndarray, "series count"]:
    """sum_s value_s exp(-2 pi i k step t_s) for k = 0 ... count - 1.

    Symbols of the paper: M = 2 count modes, a grid of R M points, width tau = pi SPREAD / (M^2 R (R - 1/2)).
    """
    size = 1 << max(7, math.ceil(math.log2(4 * count)))  # R >= 2
    modes, ratio = 2 * count, size / (2 * count)
    tau = math.pi * SPREAD / (modes**2 * ratio * (ratio - 0.5))
    offsets = np.arange(-SPREAD, SPREAD + 1)
    grid = np.zeros((len(value), size))
    for first in range(0, len(time), BLOCK):
        part = slice(first, first + BLOCK)
        position = (time[part] * step) % 1.0 * size
        cell = np.rint(position).astype(np.int64)[:, None] + offsets
        kernel = np.exp(-(((cell - position[:, None]) * (2 * math.pi / size)) ** 2) / (4 * tau))
        for row, weights in enumerate(value[:, part]):
            grid[row] += np.bincount((cell % size).ravel(), weights=(weights[:, None] * kernel).ravel(), minlength=size)
    sharpen = math.sqrt(math.pi / tau) * np.exp(np.arange(count) ** 2 * tau) / size
    return np.fft.rfft(grid, axis=1)[:, :count] * sharpen


def periodogram(time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], finer: int = FINER) -> Periodogram:
    """Least-squares amplitude at every frequency of `frequencies(time)`. Shots that are not finite are left out, but still span the time."""
    grid = frequencies(time, finer)
    kept = np.isfinite(value) & np.isfinite(std)
    weight = 1 / std[kept] ** 2
    total = weight.sum()
    centred = value[kept] - (weight * value[kept]).sum() / total
    sums = fourier_sums(time[kept], np.stack([weight, weight * centred]), 1 / (finer * float(np.ptp(time))), 2 * len(grid) + 1)
    one, two, data = sums[0, 1 : len(grid) + 1], sums[0, 2::2], sums[1, 1 : len(grid) + 1]
    cos, sin = one.real, -one.imag
    cc, ss, cs = (total + two.real) / 2 - cos**2 / total, (total - two.real) / 2 - sin**2 / total, -two.imag / 2 - cos * sin / total
    determinant = np.maximum(cc * ss - cs**2, 1e-14 * total**2)
    yc, ys = data.real, -data.imag
    a, b = (ss * yc - cs * ys) / determinant, (cc * ys - cs * yc) / determinant
    amplitude = np.hypot(a, b)
    angle = np.arctan2(b, a)
    variance = (np.cos(angle) ** 2 * ss - 2 * np.cos(angle) * np.sin(angle) * cs + np.sin(angle) ** 2 * cc) / determinant
    return Periodogram(grid, amplitude, np.sqrt(variance), np.sqrt(np.maximum(a * yc + b * ys, 0.0)))


def threshold(count: int, finer: int = FINER, false_alarm: float = 1e-3) -> float:
    """Significance that noise alone reaches anywhere in a grid of `count` frequencies with probability `false_alarm`.

    exp(-z^2 / 2) for each of the count / finer independent frequencies (Scargle, ApJ 263, 835 (1982), eq. 14).
    """
    return math.sqrt(2 * math.log(max(2.0, count / finer) / false_alarm))


def amplitude_density(
    time: Float[np.ndarray, "shot"],
    residual: Float[np.ndarray, "shot"],
    std: Float[np.ndarray, "shot"],
    lines: Float[np.ndarray, "line 2"] | None = None,
    bins: int = 128,
) -> tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "bin"]]:
    """(frequency, one-sided amplitude density), the unit of `residual` per sqrt(Hz), averaged in power over equal bins of frequency.

    A weighted least-squares amplitude A of white noise has <A^2> = 4 / sum(w); with the live time L = shots / rate the power density is
    A^2 L / 2, so that white noise of sigma a shot reads sigma sqrt(2 / rate) and a line of amplitude A integrates to A^2 / 2. Shots of little
    weight count as little: sigma is then the harmonic mean sqrt(shots / sum(w)). Weights that change from shot to shot would spread a strong
    line over all frequencies, so known `lines` (frequency, amplitude) are to be out of `residual` and are put back into their own bins.
    """
    kept = int((np.isfinite(residual) & np.isfinite(std)).sum())
    live = kept / shot_rate(time)
    found = periodogram(time, residual, std, finer=1)
    power = found.amplitude**2 * live / 2
    for frequency, amplitude in lines if lines is not None else []:
        power[np.argmin(np.abs(found.frequency - frequency))] += amplitude**2 * live / 2
    count = max(1, min(bins, len(power) // 4))
    edges = np.linspace(0, len(power), count + 1).astype(int)
    counts = np.diff(edges)
    return np.add.reduceat(found.frequency, edges[:-1]) / counts, np.sqrt(np.add.reduceat(power, edges[:-1]) / counts)
