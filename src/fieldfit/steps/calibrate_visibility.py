"""The visibility as measured: open, read tracks, calibrate, write."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from fieldfit.bridge import describe, field_of
from fieldfit.config.dune import Library
from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.experiments.dune.calibration_result import Calibration
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.optical.box import Box
from fieldfit.io.products import by_channel, open_product, product, write_product
from fieldfit.io.tracks import read_tracks
from fieldfit.types import InputError

SLAB_VALUES = 1_000_000  # of the map held at a time, with the derivatives that its error takes


def calibrate_visibility(visibility: Path, tracks: Path, output: Path, entry: Library) -> None:
    """Calibrate the field at `visibility` on measured tracks. Raises InputError for tracks that do not fit the library."""
    found = open_product(visibility, "visibility", chunks={})
    box, disks = box_of(found, visibility), disks_of(found)
    base = field_of(found, visibility)
    assert isinstance(base, VisibilityField)
    data = read_tracks(tracks, disks.count, box)
    used = entry.fit_tracks or max(1, data.count * 5 // 7)
    if used > data.count:
        raise InputError(f"key 'fit_tracks' is {used}, {tracks} holds {data.count} tracks; expected at most that")
    runs, run = np.unique(data.run, return_inverse=True)
    track = np.repeat(np.arange(data.count), np.diff(data.offset))
    point, photons, owner, measured, of, ceiling = (
        torch.from_numpy(a) for a in (data.point, data.photons, track, data.measured, run.reshape(-1), data.ceiling)
    )
    result = calibrate(base, point, photons, owner, measured, used, run=of, ceiling=ceiling)
    logging.info("%s: %s", tracks, result.told)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".calibrate-") as scratch:
        values, std = evaluated(result, found, box, Path(scratch))
        weights, description = describe(result.field)
        dataset = product(
            "calibration",
            {
                "efficiency": result.efficiency.numpy(),
                "efficiency_std": result.efficiency_std.numpy(),
                "efficiency_run": result.efficiency_run.numpy(),
                "efficiency_run_std": result.efficiency_run_std.numpy(),
                "saturation_pe": result.saturation.numpy(),
                "visibility_calibrated": by_channel(lambda c: values[c], len(values), values.shape[1:], np.float32),
                "visibility_calibrated_std": by_channel(lambda c: std[c], len(std), std.shape[1:], np.float32),
                "track_pe_measured": data.measured,
                "track_pe_predicted": result.predicted.numpy(),
                "track_used": np.arange(data.count) < used,
                "track_weight": result.track_weight.numpy(),
                "track_run": data.run,
                "dead": result.dead.numpy(),
                "channel_position": disks.centre,
                "field_weights": weights,
            },
            {"x": found.x.values, "y": found.y.values, "z": found.z.values, "axis": found.axis.values, "run": runs},
            field=description,
            **{name: str(found.attrs[name]) for name in ("component", "box_lower_m", "box_upper_m", "findings")},
            **result.told,
        )
        config, title = entry.model_dump(mode="json"), "Visibility calibrated on tracks"
        write_product(dataset, output, [visibility, tracks], config, title, "calibrate_visibility", entry.seed)


def evaluated(result: Calibration, found: xr.Dataset, box: Box, scratch: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(calibrated visibility, its std) (channel, x, y, z) at the voxels' centres, in files.

    The relative variances of the calibration and of the simulated visibility are added: the correction follows part of the simulation's
    error, which then counts twice.
    """
    channels, (nx, ny, nz) = found.sizes["channel"], box.divisions
    values, std = (np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", "f4", (channels, nx, ny, nz)) for name in ("values", "std"))
    for c in range(channels):  # the simulation's relative error: a product's chunks are channels, and what follows goes by planes
        std[c] = found.visibility_std[c].values / np.maximum(found.visibility[c].values, 1e-30)
    thick = max(1, SLAB_VALUES // (channels * ny * nz))
    for first in range(0, nx, thick):
        here = slice(first, first + thick)
        points = torch.tensor(box.points(here), dtype=torch.float32)
        with torch.no_grad():
            values[:, here] = in_chunks(result.field, points).T.reshape(channels, -1, ny, nz).numpy()
        relative = result.relative_std(points).T.reshape(channels, -1, ny, nz).numpy()
        std[:, here] = values[:, here] * np.hypot(relative, std[:, here])
    return values, std
