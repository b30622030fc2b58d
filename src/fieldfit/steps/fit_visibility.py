"""The library as a field: open, fit, write."""

from pathlib import Path

import numpy as np

from fieldfit.bridge import describe
from fieldfit.config import Library
from fieldfit.experiments.dune.library import displaced_channels, fill_masked
from fieldfit.experiments.dune.visibility import METHODS, fit_library
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.products import open_product, product, write_product
from fieldfit.types import VoxelQuality

PASSED_ON = ("component", "format", "convention", "quantum_efficiency", "counting", "photons_per_voxel", "box_lower_m", "box_upper_m", "findings")


def fit_visibility(library: Path, output: Path, entry: Library) -> None:
    """Fit one field to the library at `library` and write it with the table and the baselines beside it."""
    found = open_product(library, "library")
    box, disks = box_of(found, library), disks_of(found)
    read = found.visibility.values
    masked = found.quality_mask.values == VoxelQuality.masked
    displaced, _ = displaced_channels(read, box, disks, entry.component)
    factor = [entry.component != "reflected" and c not in displaced for c in range(disks.count)]
    filled = fill_masked(read, masked).astype(np.float32)
    photons = float(found.attrs["photons_per_voxel"])
    fitted = fit_library(filled, masked, box, disks, photons, factor, entry.fit, entry.seed, entry.device)
    weights, description = describe(fitted.field)
    dataset = product(
        "visibility",
        {
            "visibility": fitted.values,
            "visibility_std": fitted.std,
            "library_visibility": filled,
            "counting_std": found.counting_std.values,
            "quality_mask": found.quality_mask.values,
            "channel_position": disks.centre,
            "channel_normal": disks.normal,
            "channel_radius": disks.radius,
            "relative_error": fitted.relative_error,
            "bias": fitted.bias,
            "loss": fitted.loss,
            "field_weights": weights,
        },
        {
            "x": found.x.values,
            "y": found.y.values,
            "z": found.z.values,
            "axis": found.axis.values,
            "method": np.array(METHODS),
            "decade": fitted.decades,
        },
        field=description,
        **{name: str(found.attrs[name]) for name in PASSED_ON},
        **fitted.told,
    )
    write_product(
        dataset, output, [library], entry.model_dump(mode="json"), f"Visibility field, {entry.component} light", "fit_visibility", entry.seed
    )
