"""Raw frames of one block -> electrons above the pedestal, variance, and a flag a shot.

    electrons = (DN - dark) / (gain flat),      variance = max(electrons flat + noise, 1) / flat^2

dark [DN]: the frame without light; gain [DN/electron]; flat: response of a pixel, 1 on average; noise: variance of a pixel without light
[electrons^2], the error of its dark included. Light is Poisson, and Poisson numbers of mean `noise` vary as much as what is there without it:
electrons flat + noise is close to Poisson (Snyder, Helstrom, Lanterman, Faisal & White, J. Opt. Soc. Am. A 12, 272 (1995)). A fit adds `noise`
to the mean, as the pedestal. Where no calibration is given, the camera file says the gain and a Poisson pedestal: dark = gain noise, flat = 1.

Pixels that are bad in all shots, or beyond a smaller view, have an infinite variance; so have, in one shot, those that a cosmic ray hit, and
their electrons are the median of their surroundings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute
from scipy.ndimage import median_filter

from fieldfit.calibration.cosmic import SHARP, facing, healed, hits, usual_brightest
from fieldfit.calibration.faults import Seen, faults, strips_of
from fieldfit.geometry.cameras import Camera
from fieldfit.types import Status

BAD_SIGMA = 8.0  # counts beyond those of the neighbours ...
BAD_SHARE = 0.5  # ... and this share of them on top: fringes and edges must not count as bad pixels
SAMPLED, SAMPLE_BYTES = 64, 1 << 28  # shots from which bad pixels are found, and the memory that they may take
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
DIMS = ("shot", "view", "row", "column")


@dataclass(frozen=True)
class Response:
    """What the sensors make of electrons, for the views of a run.

    gain (view) [DN/electron]; dark (view, row, column) [DN]; flat (view, row, column); noise (view): variance of a pixel without light
    [electrons^2]; bad (view, row, column); saturation (view) [DN].
    """

    gain: np.ndarray
    dark: np.ndarray
    flat: np.ndarray
    noise: np.ndarray
    bad: np.ndarray
    saturation: np.ndarray


def stated(cameras: Sequence[Camera], saturation: float) -> Response:
    """The response that the camera file states: a gain and a Poisson pedestal."""
    shape = (len(cameras), cameras[0].rows, cameras[0].columns)
    gain, pedestal = (np.array([getattr(camera, name) for camera in cameras], float) for name in ("gain", "pedestal"))
    dark = np.broadcast_to((gain * pedestal)[:, None, None], shape)
    return Response(gain, dark, np.ones(shape, np.float32), pedestal, np.zeros(shape, bool), np.full(len(cameras), float(saturation)))


def calibrated(
    frames: xr.DataArray,
    status: np.ndarray,
    cameras: Sequence[Camera],
    responses: Sequence[Response],
    chosen: np.ndarray | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> tuple[xr.Dataset, tuple[str, ...]]:
    """(electrons and variance (shot, view, row, column), bad (view, row, column), pedestal (view), hit_pixels and status (shot)), reasons.

    frames: (shot, view, row, column) [DN], a dask array, passed through a shot at a time; status: flags that the reader gave;
    chosen (shot): which of `responses` holds for each shot, the first when left out; sizes: (rows, columns) of each view that are real,
    all when left out. Flagged shots are NaN. One reason a newly flagged shot, naming shot and view (`calibration.faults`).
    """
    status = np.array(status, np.int8)
    chosen = np.zeros(len(status), int) if chosen is None else chosen
    shape = frames.shape[1:]
    sizes = [(shape[1], shape[2])] * shape[0] if sizes is None else sizes
    noise = np.array([responses[place].noise for place in chosen])
    saturation = np.array([responses[place].saturation for place in chosen])
    electrons, flat = _electrons(frames.data, responses, chosen)
    counts = electrons * flat + noise[:, :, None, None]
    readable = np.flatnonzero(status == Status.good)
    beyond = ~_inside(sizes, shape)
    above = frames.data >= saturation[:, :, None, None]
    sample, blinded = _sample(counts, above, readable)
    bad = beyond | np.any([responses[place].bad for place in set(chosen[readable].tolist())], axis=0)
    if len(sample):
        # A median knows nothing of what is odd in a few shots, but draws a bright spot that moves sharper than it is; a mean does not.
        bad |= bad_pixels(np.median(sample, axis=0) * len(sample), len(sample)) & bad_pixels(sample.sum(0), len(sample))
    usual = usual_brightest(sample[~blinded[:, ~bad].any(1)])
    hit = counts.map_blocks(_hits, bad, usual, dtype=bool)
    seen, number = _seen(electrons, above, hit, bad, noise, saturation, sizes)
    reasons = []
    catch = np.array([c.efficiency * (c.radius / c.focus) ** 2 for c in cameras])
    for place, (flag, why) in sorted(faults(seen, readable.tolist(), catch).items()):
        status[place] = flag
        reasons.append(f"shot {int(frames.shot[place]) if 'shot' in frames.coords else place} is {flag.name}: {why}")
    good = (status == Status.good)[:, None, None, None]
    variance = da.where(bad | hit, np.inf, da.maximum(counts, 1.0) / flat**2)
    electrons = da.map_blocks(_healed, da.where(beyond, 0.0, electrons), hit, bad, dtype=electrons.dtype)
    data: dict[str, Any] = {
        "electrons": (DIMS, da.where(good, electrons, np.nan).astype(np.float32)),
        "variance": (DIMS, da.where(good, variance, np.nan).astype(np.float32)),
        "bad": (DIMS[1:], bad),
        "pedestal": ("view", noise[status == Status.good].mean(0) if good.any() else noise.mean(0)),
        "hit_pixels": ("shot", np.where(status == Status.good, number, 0)),
        "status": ("shot", status),
    }
    return xr.Dataset(data, coords={"shot": frames.shot} if "shot" in frames.coords else None), tuple(reasons)


def regions(frames: Any, cameras: Sequence[Camera], sizes: Sequence[tuple[int, int]]) -> Any:
    """(..., view, row, column): each view's region of its sensor's frame, filled up beyond its own rows and columns by its last ones.

    frames: (..., frame, row, column), an array of NumPy or dask; sizes: (rows, columns) of each view that are real.
    """
    parts = []
    for camera, (rows, columns) in zip(cameras, sizes, strict=True):
        row, column = camera.corner
        part = frames[..., camera.frame, row : row + rows, column : column + columns]
        fill = [(0, 0)] * (part.ndim - 2) + [(0, camera.rows - rows), (0, camera.columns - columns)]
        parts.append(np.pad(part, fill, mode="edge") if rows < camera.rows or columns < camera.columns else part)
    whole = np.stack(parts, axis=-3)
    return whole.rechunk(dict.fromkeys((-3, -2, -1), -1)) if isinstance(whole, da.Array) else whole


def bad_pixels(total: np.ndarray, shots: int) -> np.ndarray:
    """(view, row, column) of pixels whose counts `total` in `shots` shots leave those of their eight neighbours: hot, or dead.

    A pixel is bad beyond 8 standard deviations plus half of the neighbours' median, where it is also sharper than an image can be
    (`calibration.cosmic`): of the pairs that face each other across it, a dead one has less than a third of the faintest, a hot one more than
    three times that and half more than the brightest, which lies along a line. A dead pixel can be told only where enough light falls around.
    """
    if not shots:
        return np.zeros(total.shape, bool)
    around = np.stack([median_filter(view, footprint=RING, mode="reflect") for view in total])
    found = np.abs(total - around) > BAD_SIGMA * np.sqrt(np.maximum(around, 1)) + BAD_SHARE * np.maximum(around, 0)
    for view, image in zip(found, total, strict=True):
        places = np.argwhere(view)
        value, (faintest, brightest) = image[tuple(places.T)], facing(image, np.zeros(image.shape, bool), places)
        hot, dead = (value > SHARP * faintest) & (value > (1 + BAD_SHARE) * brightest), SHARP * value < faintest
        view[tuple(places[~hot & ~dead].T)] = False
    return found


def _electrons(frames: da.Array, responses: Sequence[Response], chosen: np.ndarray) -> tuple[da.Array, da.Array]:
    """(electrons above the pedestal, flat) of every shot, both (shot, view, row, column)."""
    electrons, flats = [], []
    for which, members in groupby(range(len(chosen)), lambda place: int(chosen[place])):
        own, places = responses[which], list(members)
        flat = da.from_array(np.asarray(own.flat, np.float32)[None], chunks=-1)
        dark = da.from_array(np.asarray(own.dark, np.float32)[None], chunks=-1)
        gain = np.asarray(own.gain, np.float32)[:, None, None]
        electrons.append((frames[places[0] : places[-1] + 1] - dark) / (gain * flat))
        flats.append(da.concatenate([flat] * len(places)))
    return da.concatenate(electrons), da.concatenate(flats)


def _inside(sizes: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> np.ndarray:
    inside = np.zeros(shape, bool)
    for view, (rows, columns) in enumerate(sizes):
        inside[view, :rows, :columns] = True
    return inside


def _sample(counts: da.Array, above: da.Array, readable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(counts, whether they are at or above saturation) of evenly spaced readable shots, at most SAMPLED; both (shot, view, row, column)."""
    number = min(SAMPLED, len(readable), max(1, SAMPLE_BYTES // (4 * counts[0].size))) if readable.size else 0
    chosen = readable[np.unique(np.linspace(0, len(readable) - 1, number).astype(int))]
    sample, blinded = compute(counts[chosen].astype(np.float32), above[chosen])
    return sample, blinded


def _hits(counts: np.ndarray, bad: np.ndarray, usual: np.ndarray | None) -> np.ndarray:
    return np.stack([hits(shot, bad, usual) for shot in counts])


def _healed(electrons: np.ndarray, hit: np.ndarray, bad: np.ndarray) -> np.ndarray:
    return np.stack([healed(shot, struck, bad) for shot, struck in zip(electrons, hit, strict=True)])


def _seen(
    electrons: da.Array,
    above: da.Array,
    hit: da.Array,
    bad: np.ndarray,
    noise: np.ndarray,
    saturation: np.ndarray,
    sizes: Sequence[tuple[int, int]],
) -> tuple[Seen, np.ndarray]:
    """(what the checks of shots look at, number of hit pixels (shot)): one pass over the frames."""
    strips = strips_of(sizes, bad.shape) & ~bad
    used = da.where(bad | hit, 0.0, electrons)
    full = above & ~bad & ~hit
    sums = [used.sum((2, 3)), da.stack([(used * strip).sum((2, 3)) for strip in strips], -1), full.sum((2, 3)), hit.sum((1, 2, 3))]
    light, sides, filled, number = compute(*sums)
    each = np.sqrt(noise * (~bad).sum((1, 2))), np.sqrt(noise * strips.sum((2, 3)).max(0))
    return Seen(light, each[0], sides, each[1], filled, saturation), number
