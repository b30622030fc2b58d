"""What a sensor does to light, from frames without light and from evenly lit ones.

    DN = dark + gain (flat n + noise),  n Poisson                  variance of a pixel = gain mean + v0      (photon transfer)

Means and variances [DN, DN^2] above the dark; v0: variance without light. Two flats of the same light are subtracted, the second scaled to
the first, so that the pattern of the pixels drops out (Janesick, Photon Transfer, SPIE Press (2007)):

    d = a - r b,  r = <a>/<b>:    <d^2>/(1 + r^2) = gain <a>(1 + r)/(1 + r^2) + v0

The line is fitted from the lowest level upwards as long as the levels lie on it. Where the variance has sunk below half of it the sensor
is full. Neighbours are taken to be independent: charge that spreads between them (brighter-fatter) lowers the variance of high levels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.ndimage import median_filter
from scipy.stats import chi2

from fieldfit.calibration.frames import RING, Response, regions, stated
from fieldfit.contract.magis import SensorPixel
from fieldfit.geometry.cameras import Camera
from fieldfit.types import InputError

HIT_SIGMA = 8.0  # beyond the rest of a pixel's frames: a cosmic ray
HOT_SIGMA, HOT_NOISE = 8.0, 3.0  # dark beyond that of the neighbours, in robust standard deviations and in the noise of a frame
NOISY, BY_CHANCE = 4.0, 1e-3  # times the usual variance, and the number of pixels of a sensor that chance may call noisy
DEAD_SHARE = 0.5  # of the neighbours' response
QUANTUM = 1 / 12  # DN^2: noise of rounding, below which no variance is believed
LEVEL_SIGMA = 5.0  # a level that much below the line is not on it
FULL_SHARE = 0.5  # of the line's variance: below, the sensor is full
CLEAR = 5.0  # standard deviations below the full level that a used level must lie
PAIR_SHARE = 0.2  # by which two flats of a pair may differ
WORST_GAIN = 0.2  # relative error of a gain that is still one
MEDIAN_SQUARE = float(chi2.median(1))  # of a normal number

# Pairs of flats (row, column) [DN], read anew with each call.
Pairs = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class Dark:
    """level, level_std (row, column) [DN]; variance, variance_std: of a pixel, v0 [DN^2]; quality (row, column): SensorPixel."""

    level: np.ndarray
    level_std: np.ndarray
    variance: float
    variance_std: float
    quality: np.ndarray


@dataclass(frozen=True)
class Levels:
    """Of each pair of flats (level), over the good pixels. mean, variance and its standard deviation: as above [DN, DN^2];
    top: mean with the dark [DN]; spread: of the pixels' means [DN]."""

    mean: np.ndarray
    variance: np.ndarray
    variance_std: np.ndarray
    top: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Transfer:
    """gain [DN/electron]; saturation: full level with the dark [DN], NaN where no flat reached it; used (level): on the line."""

    gain: float
    gain_std: float
    saturation: float
    saturation_std: float
    used: np.ndarray


def dark_of(frames: Iterable[np.ndarray]) -> Dark:
    """Mean of two or more frames without light, pixel by pixel, and their noise. frames: (row, column) [DN], one after the other.

    A pixel's largest value is left out where it stands out of its others: a cosmic ray.
    """
    number, total, squares, largest = 0, np.array(0.0), np.array(0.0), np.array(0.0)
    for frame in frames:
        values = frame.astype(float)
        number, total, squares, largest = number + 1, total + values, squares + values**2, np.maximum(largest, values)
    usual = np.median(np.maximum(squares - total**2 / number, 0)) / chi2.median(number - 1)
    usual = max(float(usual), QUANTUM)
    struck = largest - (total - largest) / (number - 1) > HIT_SIGMA * np.sqrt(usual)
    kept = number - struck
    level = (total - struck * largest) / kept
    free = np.maximum(kept - 1, 1)
    variance = np.maximum(squares - struck * largest**2 - kept * level**2, 0) / free
    quality = np.where(variance > np.maximum(NOISY, chi2.isf(BY_CHANCE / level.size, free) / free) * usual, SensorPixel.noisy, SensorPixel.good)
    beyond = level - median_filter(level, footprint=RING, mode="reflect")
    robust = 1.4826 * float(np.median(np.abs(beyond)))
    quality[beyond > max(HOT_SIGMA * robust, HOT_NOISE * np.sqrt(usual))] = SensorPixel.hot
    fine = variance[(quality == SensorPixel.good) & (kept > 1)]
    pooled = float(fine.mean())
    std = np.sqrt(np.maximum(variance, pooled) / kept)
    return Dark(level, std, pooled, float(fine.std() / np.sqrt(fine.size)), quality.astype(np.int8))


def levels_of(pairs: Pairs, dark: Dark) -> Levels:
    """Mean and variance of each pair. Raises InputError when the two of a pair differ in light."""
    good = dark.quality == SensorPixel.good
    found = []
    for number, (one, other) in enumerate(pairs()):
        a, b = ((frame - dark.level)[good] for frame in (one, other))
        r = a.mean() / b.mean()
        if not abs(r - 1) < PAIR_SHARE:
            told = f"pair {number} of the flats has {a.mean():.0f} and {b.mean():.0f} DN above the dark"
            raise InputError(f"{told}, expected the same light in both: two numbers in a row are a pair")
        both, square, scale = (a + b) / 2, (a - r * b) ** 2, 1 + r**2
        dark_part = scale * dark.variance
        light_part = max(float(np.median(square)) / MEDIAN_SQUARE - dark_part, 0.0) / max(float(np.median(both)), 1.0)
        square = square[square < HIT_SIGMA**2 * (dark_part + light_part * np.maximum(both, 0) + QUANTUM)]  # cosmic rays left out
        mean, variance, error = a.mean() * (1 + r) / scale, square.mean() / scale, square.std() / np.sqrt(square.size) / scale
        found.append((mean, variance, max(error, QUANTUM / np.sqrt(square.size)), (one[good].mean() + other[good].mean()) / 2, both.std()))
    return Levels(*np.array(found).T)


def transfer(levels: Levels, dark: Dark) -> Transfer:
    """Gain by a line through (0, v0), and where it ends. Raises InputError when the flats are too faint for a gain."""
    order = np.argsort(levels.mean)
    mean, error, above = levels.mean[order], levels.variance_std[order], levels.variance[order] - dark.variance
    on = 1
    while on < len(mean):
        gain, std = _line(mean[:on], above[:on], error[:on], dark.variance_std)
        if above[on] < gain * mean[on] - LEVEL_SIGMA * np.hypot(error[on], std * mean[on]):
            break
        on += 1
    used = np.arange(len(mean)) < on
    gain, std = _line(mean[used], above[used], error[used], dark.variance_std)
    full = np.flatnonzero(~used & (above + dark.variance < FULL_SHARE * (gain * mean + dark.variance)))
    saturation = saturation_std = np.nan
    if full.size:
        saturation, saturation_std = (float(part[order][full[0]]) for part in (levels.top, levels.spread))
        # A level whose brightest pixels are full lies a little below the line already.
        clear = used & (saturation - levels.top[order] > CLEAR * np.sqrt(np.maximum(above + dark.variance, 0)))
        used = clear if clear.any() else used
        gain, std = _line(mean[used], above[used], error[used], dark.variance_std)
    if not std < WORST_GAIN * gain:
        told = f"gain {gain:.3g} +- {std:.2g} DN an electron from flats of up to {mean[used].max():.3g} DN above the dark"
        raise InputError(f"{told}: expected brighter flats, or more of them")
    back = np.empty(len(mean), bool)
    back[order] = used
    return Transfer(gain, std, saturation, saturation_std, back)


def _line(mean: np.ndarray, above: np.ndarray, error: np.ndarray, common: float) -> tuple[float, float]:
    """(slope through zero, its standard deviation). common: error [DN^2] that all of `above` share."""
    weight = mean / error**2
    norm = float((weight * mean).sum())
    return float((weight * above).sum()) / norm, float(np.sqrt(1 / norm + (weight.sum() / norm * common) ** 2))


def flat_of(pairs: Pairs, dark: Dark, levels: Levels, found: Transfer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(response, its standard deviation, quality), all (row, column), from the pairs on the line; a hit pixel is left out of its pair.

    The response is 1 on average over the good pixels, and has the unevenness of the light in it.
    """
    good = dark.quality == SensorPixel.good
    light, expected, number = (np.zeros(dark.level.shape) for _ in range(3))
    for place, (one, other) in enumerate(pairs()):
        if not found.used[place]:
            continue
        a, b = one - dark.level, other - dark.level
        r, level = a[good].mean() / b[good].mean(), (a[good].mean() + b[good].mean()) / 2
        fine = np.abs(a - r * b) < HIT_SIGMA * np.sqrt(2 * levels.variance[place] * np.maximum((a + b) / (2 * level), 1))
        light, expected, number = light + fine * (a + b), expected + fine * 2 * level, number + fine * 2
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = light / expected
        std = np.sqrt(found.gain * np.maximum(light, 0) + number * dark.variance + (number * dark.level_std) ** 2) / expected
    quality = dark.quality.copy()
    around = median_filter(np.nan_to_num(flat), footprint=RING, mode="reflect")
    quality[good & ~(flat > DEAD_SHARE * around)] = SensorPixel.dead
    mean = flat[quality == SensorPixel.good].mean()
    return flat / mean, std / mean, quality


def response_of(product: xr.Dataset, cameras: Sequence[Camera], sizes: Sequence[tuple[int, int]], saturation: float | None, full: float) -> Response:
    """The response of the views' pixels, from a product `sensor`. What it has not measured (NaN) is as the camera file states.

    The error of the dark, from a finite number of frames, is the same in all shots; in each one it is noise, and counted as such.
    sizes: (rows, columns) of each view that are real; saturation: of the configuration; full: the largest value, where that is left out [DN].
    """
    own = stated(cameras, full if saturation is None else saturation)
    frame = [camera.frame for camera in cameras]
    gain, level = product.gain.values[frame], product.saturation.values[frame]
    gain = np.where(np.isfinite(gain), gain, own.gain)
    level = np.where(np.isfinite(level), level if saturation is None else np.minimum(level, own.saturation), own.saturation)
    bad = regions(product.quality.values != SensorPixel.good, cameras, sizes)
    flat = np.where(bad, 1.0, np.nan_to_num(regions(product.flat.values, cameras, sizes), nan=1.0))
    dark = regions(product.dark.values, cameras, sizes)
    error = product.dark_std.where(product.quality == SensorPixel.good) ** 2
    noise = (product.dark_variance + error.mean(("row", "column"))).values[frame] / gain**2
    return Response(gain, np.nan_to_num(dark), flat, noise, bad, level)
