"""The library as a field: open, fit, write."""

from pathlib import Path

import dask.array as da
import numpy as np
import torch
import xarray as xr
from dask.delayed import delayed

from fieldfit.bridge import describe
from fieldfit.config import Library
from fieldfit.experiments.dune.library import displaced_channels, fill_masked
from fieldfit.experiments.dune.visibility_errors import METHODS, Errors, judged_fit
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.optical.box import Box
from fieldfit.io.products import open_product, product, write_product
from fieldfit.types import VoxelQuality

PASSED_ON = ("component", "format", "convention", "quantum_efficiency", "counting", "photons_per_voxel", "box_lower_m", "box_upper_m", "findings")
SLAB_VALUES = 8_000_000  # of the products held at a time


def fit_visibility(library: Path, output: Path, entry: Library) -> None:
    """Fit one field to the library at `library` and write it with the table and the baselines beside it."""
    found = open_product(library, "library", chunks={"channel": 1})
    box, disks = box_of(found, library), disks_of(found)
    displaced, _ = displaced_channels(found.visibility.values, box, disks, entry.component)
    factor = [entry.component != "reflected" and c not in displaced for c in range(disks.count)]
    photons = float(found.attrs["photons_per_voxel"])

    def read(channel: int) -> tuple[np.ndarray, np.ndarray]:
        masked = found.quality_mask[channel].values == VoxelQuality.masked
        return fill_masked(found.visibility[channel].values[None], masked[None])[0].astype(np.float32), masked

    judged = judged_fit(read, box, disks, photons, factor, entry.fit, entry.seed, entry.device, symmetry=not displaced)
    fitted, score = judged.fitted, judged.score
    weights, description = describe(fitted.field)
    values, std = evaluated(fitted.field, judged.errors, found, box)
    dataset = product(
        "visibility",
        {
            "visibility": values,
            "visibility_std": std,
            "library_visibility": da.stack([da.from_delayed(delayed(read)(c)[0], box.divisions, np.float32) for c in range(disks.count)]),
            "counting_std": found.counting_std.data,
            "quality_mask": found.quality_mask.data,
            "channel_position": disks.centre,
            "channel_normal": disks.normal,
            "channel_radius": disks.radius,
            "relative_error": score.relative_error,
            "bias": score.bias,
            "loss": fitted.losses.mean(1),
            "field_weights": weights,
        },
        {
            "x": found.x.values,
            "y": found.y.values,
            "z": found.z.values,
            "axis": found.axis.values,
            "method": np.array(METHODS),
            "decade": score.decades,
        },
        field=description,
        **{name: str(found.attrs[name]) for name in PASSED_ON},
        **judged.told,
    )
    write_product(
        dataset, output, [library], entry.model_dump(mode="json"), f"Visibility field, {entry.component} light", "fit_visibility", entry.seed
    )


def evaluated(field: VisibilityField, errors: Errors, found: xr.Dataset, box: Box) -> tuple[da.Array, da.Array]:
    """(visibility, its std) (channel, x, y, z) at the voxels' centres, evaluated slab by slab as they are written."""
    channels, (nx, ny, nz) = found.sizes["channel"], box.divisions
    thick = max(1, SLAB_VALUES // (channels * ny * nz))

    def slab(first: int) -> np.ndarray:
        axes = (box.centres()[0][first : first + thick], *box.centres()[1:])
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        with torch.no_grad():
            device = next(field.parameters()).device
            value = in_chunks(field, torch.tensor(points, dtype=torch.float32, device=device)).cpu().numpy().astype(np.float64)
        both = np.stack([value, errors.std(points, value)]).astype(np.float32)
        return np.moveaxis(both, 2, 1).reshape(2, channels, len(axes[0]), ny, nz)

    parts = [da.from_delayed(delayed(slab)(first), (2, channels, min(thick, nx - first), ny, nz), np.float32) for first in range(0, nx, thick)]
    whole = da.concatenate(parts, axis=2)
    return whole[0], whole[1]
