"""A fitted visibility as other tools want it: means over voxels of any size, and what an evaluator without torch has to know.

A library's value is the mean over its voxel. Voxels larger than those that the field was fitted on are cut into parts no larger than these,
and each part's mean is taken by the 2 x 2 x 2 Gauss rule (`forward.visibility.voxel_mean`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fieldfit.fields.arrival import ArrivalField
from fieldfit.fields.calibrated import CalibratedField
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks, voxel_mean
from fieldfit.io.optical.box import Box
from fieldfit.io.optical_export.table import Floats

Visibility = VisibilityField | CalibratedField


def arriving(field: Visibility) -> Callable[[Tensor], Tensor]:
    """The light that arrives at the channels, without efficiency: what optical libraries hold."""
    return field.arriving if isinstance(field, CalibratedField) else field


def planes_of(field: Visibility, box: Box, own: Box, device: torch.device) -> Iterator[Floats]:
    """Means of the arriving light over the voxels of `box`, in planes of constant x as (y, z, channel). own: the box as it was fitted.

    They are shares of photons, so that what a correction lifts above 1 is 1.
    """
    values = arriving(field.to(device))
    parts = np.ceil(box.pitch / own.pitch - 1e-6).astype(int).clip(min=1)
    edges = torch.tensor(box.pitch / parts, dtype=torch.float32, device=device)
    inner = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n - 0.5 for n in parts], indexing="ij"), -1).reshape(-1, 3) * box.pitch
    channels = len(field.settings().get("base", field.settings())["radius"])
    x, y, z = box.centres()
    for at in x:
        centres = np.stack(np.meshgrid([at], y, z, indexing="ij"), -1).reshape(-1, 3)
        with torch.no_grad():
            total = torch.zeros(len(centres), channels, dtype=torch.float64, device=device)
            for shift in inner:
                points = torch.tensor(centres + shift, dtype=torch.float32, device=device)
                total += in_chunks(lambda p: voxel_mean(values, p, edges), points)
        yield (total / len(inner)).clamp(max=1).float().cpu().numpy().reshape(len(y), len(z), channels)


def times_of(field: ArrivalField, box: Box, device: torch.device) -> Iterator[Floats]:
    """Arrival times [ns] at the centres of the voxels of `box`, in planes of constant x as (y, z, timing x channel); 0 where there is none."""
    there = field.to(device)
    nx, ny, nz = box.divisions
    for k in range(nx):
        points = torch.tensor(box.points(slice(k, k + 1)), dtype=torch.float32, device=device)
        with torch.no_grad():
            yield in_chunks(there, points).nan_to_num().cpu().numpy().reshape(ny, nz, -1)


def told_of(field: Visibility) -> dict[str, Any]:
    """What `io.optical_export.evaluate` needs beside the tensors: sensors, box, and the constants of the formula."""
    base = field.base if isinstance(field, CalibratedField) else field
    told = base.settings() | {"omegas": base.network(0).omegas}
    if isinstance(field, CalibratedField):
        return told | {"degree": field.degree, "gives": "detected photo-electrons per photon", "points": "m"}
    return told | {"gives": "share of photons that arrive", "points": "m"}
