"""Raw frames of one block -> electrons above the pedestal, variance, and a flag a shot.

    electrons = DN / gain - pedestal,      variance = max(DN / gain, 1)   (Poisson)

The pedestal is a Poisson number of electrons with a known mean (camera file), so it is subtracted in the mean only; a fit adds
the mean back and keeps the counts Poisson. Bad pixels are found from the block itself; their variance is infinite.
"""

from collections.abc import Sequence

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute
from scipy.ndimage import median_filter

from fieldfit.geometry.cameras import Camera
from fieldfit.types import Status

EMPTY_SIGMA = 6.0  # light above the pedestal, in standard deviations of the pedestal's sum, below which a shot is dark
BLOCKED_SHARE = 0.2  # of the median view's light, each view weighted by the light that its aperture catches
BAD_SIGMA = 8.0  # counts beyond those of the neighbours ...
BAD_SHARE = 0.5  # ... and this share of them on top: fringes and edges must not count as bad pixels
SAMPLED = 64  # shots from which bad pixels are found: bounds the memory
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def calibrated(frames: xr.DataArray, status: np.ndarray, cameras: Sequence[Camera], saturation: int) -> tuple[xr.Dataset, tuple[str, ...]]:
    """(electrons and variance (shot, view, row, column), bad (view, row, column) and status (shot), reasons).

    frames: (shot, view, row, column) [DN], a dask array, passed through a shot at a time; status: flags that the reader gave.
    A dark shot becomes empty; one with a pixel (bad ones apart) at or above `saturation` DN saturated; one with a dark view among
    bright ones corrupt. Flagged shots are NaN. One reason a newly flagged shot, naming shot and view.
    """
    status = np.array(status, np.int8)
    gain = np.array([camera.gain for camera in cameras])
    pedestal = np.array([camera.pedestal for camera in cameras])
    counts = frames.data / gain[:, None, None]
    readable = np.flatnonzero(status == Status.good)
    bad = bad_pixels(*_typical(counts, readable))
    above = frames.data >= saturation
    light, bright = compute(da.where(bad, 0.0, counts - pedestal[:, None, None]).sum((2, 3)), (above & ~bad).sum((2, 3)))
    noise = np.sqrt(pedestal * (~bad).sum((1, 2)))
    catch = np.array([c.efficiency * (c.radius / c.focus) ** 2 for c in cameras])
    reasons = []
    for place in readable:
        shot = int(frames.shot[place]) if "shot" in frames.coords else int(place)
        relative = light[place] / catch
        if bright[place].any():
            view = int(np.argmax(bright[place]))
            status[place], why = Status.saturated, f"view {view} has {int(bright[place, view])} pixels at or above {saturation} DN"
        elif light[place].sum() < EMPTY_SIGMA * np.sqrt((noise**2).sum() + 1):
            spread = float(np.sqrt((noise**2).sum()))
            status[place], why = Status.empty, f"{light[place].sum():.0f} electrons above the pedestal in all views, noise {spread:.0f}"
        elif relative.min() < BLOCKED_SHARE * np.median(relative):
            view = int(np.argmin(relative))
            status[place], why = Status.corrupt, f"view {view} is dark while others are bright: {light[place, view]:.0f} electrons above the pedestal"
        else:
            continue
        reasons.append(f"shot {shot} is {Status(status[place]).name}: {why}")
    good = (status == Status.good)[:, None, None, None]
    electrons = da.where(good, counts - pedestal[:, None, None], np.nan).astype(np.float32)
    variance = da.where(good, da.where(bad, np.inf, da.maximum(counts, 1.0)), np.nan).astype(np.float32)
    dims = ("shot", "view", "row", "column")
    data = {"electrons": (dims, electrons), "variance": (dims, variance), "bad": (dims[1:], bad), "status": ("shot", status)}
    return xr.Dataset(data, coords={"shot": frames.shot} if "shot" in frames.coords else None), tuple(reasons)


def regions(frames: da.Array, cameras: Sequence[Camera]) -> da.Array:
    """(shot, view, row, column): each view's region of its sensor's frame. frames: (shot, frame, row, column)."""
    parts = []
    for camera in cameras:
        row, column = camera.corner
        parts.append(frames[:, camera.frame, row : row + camera.rows, column : column + camera.columns])
    return da.stack(parts, axis=1).rechunk({1: -1})


def bad_pixels(total: np.ndarray, shots: int) -> np.ndarray:
    """(view, row, column) of pixels whose counts `total` in `shots` shots leave those of their eight neighbours: hot, or dead.

    A pixel is bad beyond 8 standard deviations plus half of the neighbours' median. A dead pixel can be told only where
    enough light falls on the neighbours.
    """
    if not shots:
        return np.zeros(total.shape, bool)
    around = np.stack([median_filter(view, footprint=RING, mode="reflect") for view in total])
    return np.abs(total - around) > BAD_SIGMA * np.sqrt(np.maximum(around, 1)) + BAD_SHARE * around


def _typical(counts: da.Array, readable: np.ndarray) -> tuple[np.ndarray, int]:
    """(counts, number of shots): the median over evenly spaced readable shots, at most SAMPLED, times their number.

    The median, so that a pixel which is bright in one odd shot only is not taken for a bad one.
    """
    if not readable.size:
        return np.zeros(counts.shape[1:]), 0
    chosen = readable[np.unique(np.linspace(0, len(readable) - 1, min(SAMPLED, len(readable))).astype(int))]
    return np.median(counts[chosen].astype(np.float32).compute(), axis=0) * len(chosen), len(chosen)
