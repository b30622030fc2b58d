"""Where the rotation axis falls on the detector.

First the moments: a view's centre of mass runs as  axis + x cos(angle) + y sin(angle)  (the first of the conditions of Helgason and Ludwig),
a linear least-squares problem over all views. Then held-out views: SIRT on every second view, binned, for a fan of axes around that one;
the one that predicts the other views best, by a parabola through the lowest five.
"""

import numpy as np
import torch
from jaxtyping import Float

from fieldfit.experiments.gallery.baselines import sirt
from fieldfit.forward.attenuation import optical_depth, strips_of

FAN = np.arange(-8, 9) * 0.5  # columns of the binned detector
STEPS = 100
COARSE = 128  # columns to which the detector is binned, about


def axis_of(depth: Float[np.ndarray, "row view column"], angle: Float[np.ndarray, "view"]) -> float:
    """Column of the axis, for all rows together. depth: line integrals, about zero beside the object."""
    column = np.arange(depth.shape[2])
    centre = (depth * column).sum(2) / depth.sum(2)
    basis = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], 1)
    start = float(np.linalg.lstsq(basis, centre.T, rcond=None)[0][0].mean())
    size = max(1, round(depth.shape[2] / COARSE))
    return start + size * _refined(_binned(depth, size, start), angle)


def _binned(depth: np.ndarray, size: int, start: float) -> np.ndarray:
    """(view, column) of the rows' sum, `size` columns in one, with `start` in the middle of an odd number of them."""
    number = depth.shape[2] // size // 2 * 2 - 1
    edge = start - size * number / 2 + np.arange(number + 1) * size  # in columns, whose centres are whole
    total = np.concatenate([np.zeros((*depth.shape[1:2], 1)), depth.sum(0).cumsum(1)], 1)
    at = np.clip(edge + 0.5, 0, depth.shape[2])
    return np.diff(np.stack([np.interp(at, np.arange(depth.shape[2] + 1), row) for row in total]), axis=1) / size


def _refined(depth: np.ndarray, angle: np.ndarray) -> float:
    """How far the axis lies from the middle column, in columns."""
    columns = depth.shape[1]
    middle = (columns - 1) / 2
    # Shifted by their spectra, which does not smooth: interpolation would, most at half columns, and smooth views are easier to predict.
    spectrum = np.fft.rfft(depth, 2 * columns, axis=1)
    phase = np.exp(2j * np.pi * np.fft.rfftfreq(2 * columns)[:, None] * FAN)
    shifted = np.fft.irfft(spectrum[:, :, None] * phase, 2 * columns, axis=1)[:, :columns]  # (view, column, shift)
    place = np.arange(columns) - middle
    inside = torch.from_numpy(place[:, None] ** 2 + place**2 < middle**2)
    fitted, kept = (strips_of(torch.from_numpy(angle[k::2]).float(), columns, middle, inside) for k in (0, 1))
    data = [torch.from_numpy(shifted[k::2].reshape(-1, len(FAN))).float() for k in (0, 1)]
    values = sirt(fitted, data[0], torch.zeros(len(fitted.voxel), len(FAN)), STEPS)
    error = (optical_depth(kept, values) - data[1]).square().sum(0).double().numpy()
    best = int(np.clip(np.argmin(error), 2, len(FAN) - 3))
    bend, slope, _ = np.polyfit(FAN[best - 2 : best + 3], error[best - 2 : best + 3], 2)
    return float(np.clip(-0.5 * slope / bend, FAN[0], FAN[-1])) if bend > 0 else float(FAN[best])
