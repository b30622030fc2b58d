"""Sines in an unevenly sampled series: amplitude by weighted least squares, one frequency at a time, over gaps.

At each frequency the model is constant + a cos(2 pi f t) + b sin(2 pi f t) with weights 1/variance (generalised Lomb-Scargle: Zechmeister
and Kuerster, A&A 496, 577 (2009)); amplitude = sqrt(a^2 + b^2), its variance from the inverse of the 3 x 3 normal matrix. The sums over
shots are a non-uniform Fourier transform (Greengard and Lee, SIAM Rev. 46, 443 (2004)), a band of frequencies at a time: what is in memory
does not grow with the number of frequencies.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

FINER = 12  # grid points in 1 / duration
BAND = 43690 * FINER  # frequencies at a time, where the grid is FINER than 1 / duration: just below 2^19
WIDTH = 16  # grid cells over which a sample is spread: relative error 1e-13 at 2-fold oversampling
STEEP = 2.3 * WIDTH
BLOCK = 4096  # samples spread together


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
    return float(1 / np.median(steps, overwrite_input=True))


def frequency_grid(time: Float[np.ndarray, "shot"], finer: int = FINER) -> tuple[float, int]:
    """(step [Hz], count) of the frequencies step, 2 step, ... count step: multiples of 1 / (finer duration) inside (0, half the shot rate)."""
    step = 1 / (finer * float(np.ptp(time)))
    return step, math.ceil(0.5 * shot_rate(time) / step - 1e-9) - 1


def bands(count: int, finer: int = FINER) -> list[tuple[int, int]]:
    """(first, count) of the bands that make up frequencies 1 ... count; the series fills as many cells of each one's grid whatever `finer` is."""
    size = BAND // FINER * finer
    return [(first, min(size, count + 1 - first)) for first in range(1, count + 1, size)]


def combs_of(time: Float[np.ndarray, "shot"], step: float) -> int:
    """How many times 1 / step is longer than the series with the kernel's margins."""
    return max(1, math.ceil(1 / (step * (time[-1] - time[0])) - 1e-9) - 1)


def fourier_sums(
    time: Float[np.ndarray, "shot"], rows: Callable[[slice], Float[np.ndarray, "series shot"]], step: float, first: int, count: int, combs: int
) -> Iterator[Complex[np.ndarray, "series frequency"]]:
    """sum_s value_s exp(-2 pi i k step (t_s - t_0)) for k = first ... first + count - 1, comb by comb: k = first + comb, first + comb + combs, ...

    time ascends, rows: the values of some shots. The middle frequency is brought to 0 and the samples are spread over a uniform grid of at least
    2 count cells in 1 / step by the kernel exp(STEEP (sqrt(1 - x^2) - 1)), |x| < 1 over WIDTH cells (Barnett, Magland and af Klinteberg, SIAM
    J. Sci. Comput. 41, C479 (2019)). Where 1 / step is `combs` times longer than the series, a comb is a Fourier transform of the filled cells.
    """
    wanted = max(16, math.ceil(2 * count / combs))
    unit = 1 << max(0, wanted.bit_length() - 4)
    cells = unit * math.ceil(wanted / unit)  # of a comb: no large prime factors
    size, lowest, half = cells * combs, -(count // 2), WIDTH // 2
    folds = math.ceil((math.ceil((time[-1] - time[0]) * step * size) + WIDTH + 1) / cells)
    grid = _spread(time, rows, step, first - lowest, size, folds * cells)
    place = np.arange(folds * cells) - half
    grid *= np.exp(-2j * np.pi / size * lowest * place)
    onward = np.exp(-2j * np.pi / size * place)
    for comb in range(min(combs, count)):
        mode = np.arange(lowest + comb, lowest + count, combs)
        folded = np.roll(grid.reshape(len(grid), folds, cells).sum(1), -half, axis=1)
        yield np.fft.fft(folded)[:, : len(mode)] / _transform(mode * (2 * np.pi / size))
        grid *= onward


def _spread(
    time: np.ndarray, rows: Callable[[slice], np.ndarray], step: float, middle: int, size: int, filled: int
) -> Complex[np.ndarray, "series cell"]:
    """The samples times exp(-2 pi i middle step t) in the filled ones of `size` cells in 1 / step; time[0] lies WIDTH / 2 cells from the edge."""
    grid = np.zeros((len(rows(slice(0, 1))), filled), complex)
    for begin in range(0, len(time), BLOCK):
        part = slice(begin, begin + BLOCK)
        turns = (time[part] - time[0]) * step
        position = turns * size + WIDTH // 2
        cell = np.ceil(position).astype(np.int64) - WIDTH // 2 + np.arange(WIDTH)[:, None]
        kernel = _kernel(cell - position)
        angle = 2 * np.pi * (turns * middle % 1.0)
        edge = int(cell[0, 0])
        index, span = (cell - edge).ravel(), int(cell[-1, -1]) - edge + 1
        for row, value in zip(grid[:, edge : edge + span], rows(part), strict=True):
            row.real += np.bincount(index, (kernel * (value * np.cos(angle))).ravel(), span)
            row.imag -= np.bincount(index, (kernel * (value * np.sin(angle))).ravel(), span)
    return grid


def _kernel(cells: np.ndarray) -> np.ndarray:
    """Weight of a grid cell that far from the sample."""
    return np.exp(STEEP * (np.sqrt(np.maximum(0.0, 1 - (cells * (2 / WIDTH)) ** 2)) - 1))


def _transform(angle: np.ndarray) -> np.ndarray:
    """Fourier transform of the kernel on the grid, at radians a cell."""
    return 1 + sum(2 * _kernel(np.array(cell)) * np.cos(angle * cell) for cell in range(1, WIDTH // 2 + 1))


def in_bands(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], finer: int = FINER
) -> Iterator[Periodogram]:
    """The periodogram, one band after the other."""
    step, count = frequency_grid(time, finer)
    return (one_band(time, value, std, step, *each) for each in bands(count, finer))


def periodogram(time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], finer: int = FINER) -> Periodogram:
    """Least-squares amplitude at every frequency of the grid. Shots that are not finite are left out, but still span the time."""
    found = list(in_bands(time, value, std, finer))
    return Periodogram(*(np.concatenate([getattr(p, name) for p in found]) for name in ("frequency", "amplitude", "std", "significance")))


def one_band(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], step: float, first: int, count: int
) -> Periodogram:
    """Least-squares amplitude at the frequencies k step, k = first ... first + count - 1."""
    out, combs = np.empty((3, count)), combs_of(time, step)
    for comb, found in enumerate(_by_comb(time, value, std, step, first, count)):
        out[:, comb::combs] = found
    return Periodogram(step * np.arange(first, first + count), *out)


def _by_comb(
    time: np.ndarray, value: np.ndarray, std: np.ndarray, step: float, first: int, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(amplitude, std, significance) at every combs-th of the frequencies, from the first one, from the second one, ..."""

    def weight(part: slice) -> np.ndarray:
        kept = np.isfinite(value[part]) & np.isfinite(std[part])
        return np.divide(1.0, std[part] ** 2, where=kept, out=np.zeros(len(kept)))

    def weighted(part: slice) -> np.ndarray:
        here = weight(part)
        return np.multiply(here, value[part] - mean, where=here > 0, out=np.zeros(len(here)))

    mean, parts, combs = 0.0, [slice(begin, begin + BLOCK) for begin in range(0, len(time), BLOCK)], combs_of(time, step)
    total = sum(float(weight(part).sum()) for part in parts)
    mean = sum(float(weighted(part).sum()) for part in parts) / total
    once = fourier_sums(time, lambda part: np.stack([weight(part), weighted(part)]), step, first, count, combs)
    twice = fourier_sums(time, lambda part: weight(part)[None], 2 * step, first, count, combs)
    return (_solved(total, one, two, data) for (one, data), (two,) in zip(once, twice, strict=True))


def _solved(total: float, one: np.ndarray, two: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(amplitude, std, significance) from the sums of the weights, at f and 2 f, and of the weighted values at f."""
    cos, sin = one.real, -one.imag
    cc, ss, cs = (total + two.real) / 2 - cos**2 / total, (total - two.real) / 2 - sin**2 / total, -two.imag / 2 - cos * sin / total
    determinant = np.maximum(cc * ss - cs**2, 1e-14 * total**2)
    yc, ys = data.real, -data.imag
    a, b = (ss * yc - cs * ys) / determinant, (cc * ys - cs * yc) / determinant
    angle = np.arctan2(b, a)
    variance = (np.cos(angle) ** 2 * ss - 2 * np.cos(angle) * np.sin(angle) * cs + np.sin(angle) ** 2 * cc) / determinant
    return np.hypot(a, b), np.sqrt(variance), np.sqrt(np.maximum(a * yc + b * ys, 0.0))


def strongest(
    time: Float[np.ndarray, "shot"], value: Float[np.ndarray, "shot"], std: Float[np.ndarray, "shot"], finer: int = FINER
) -> tuple[float, float]:
    """(frequency, significance) of the most significant sine."""
    step, count = frequency_grid(time, finer)
    combs, best = combs_of(time, step), (-1.0, 0)
    for first, size in bands(count, finer):
        for comb, (_, _, significance) in enumerate(_by_comb(time, value, std, step, first, size)):
            at = int(significance.argmax())
            best = max(best, (float(significance[at]), first + comb + combs * at))
    return step * best[1], best[0]


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
    step, count = frequency_grid(time, finer=1)
    edges = np.linspace(0, count, max(1, min(bins, count // 4)) + 1).astype(int)
    power = np.zeros(len(edges) - 1)
    for band in in_bands(time, residual, std, finer=1):
        at = np.searchsorted(edges, np.rint(band.frequency / step) - 1, side="right") - 1
        power += np.bincount(at, band.amplitude**2, len(power))
    for frequency, amplitude in lines if lines is not None else []:
        nearest = min(max(round(frequency / step), 1), count)
        power[np.searchsorted(edges, nearest - 1, side="right") - 1] += amplitude**2
    return step * (edges[:-1] + edges[1:] + 1) / 2, np.sqrt(power * live / 2 / np.diff(edges))
