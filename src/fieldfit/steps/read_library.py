"""The library as a Dataset: read, check, write."""

import logging
from pathlib import Path

import numpy as np

from fieldfit.config import Library
from fieldfit.experiments.dune.library import check_library
from fieldfit.io.channels import read_channels
from fieldfit.io.products import product, write_product
from fieldfit.io.root_library import read_root_library


def read_library(library: Path, channels: Path, output: Path, entry: Library) -> None:
    """Write the validated library with its counting uncertainty and findings. Raises InputError for what cannot be used."""
    disks = read_channels(channels)
    raw = read_root_library(library, entry.component, disks.count, entry.geometry)
    checked = check_library(raw.values, raw.box, disks, entry.photons_per_voxel, entry.component)
    findings = raw.notes + checked.findings
    for finding in findings:
        logging.warning("%s: %s", library, finding)
    x, y, z = raw.box.centres()
    dataset = product(
        "library",
        {
            "visibility": checked.values,
            "counting_std": checked.std,
            "quality_mask": checked.quality,
            "channel_position": disks.centre,
            "channel_normal": disks.normal,
            "channel_radius": disks.radius,
        },
        {"x": x.astype(np.float32), "y": y.astype(np.float32), "z": z.astype(np.float32), "axis": np.array(["x", "y", "z"])},
        component=entry.component,
        counting=checked.counting,
        photons_per_voxel=f"{checked.photons:.9g}",
        box_lower_m=" ".join(f"{v:.9g}" for v in raw.box.lower),
        box_upper_m=" ".join(f"{v:.9g}" for v in raw.box.upper),
        findings="\n".join(findings) or "none",
    )
    write_product(dataset, output, [library, channels], entry.model_dump(mode="json"), f"Optical library, {entry.component} light", "read_library")
