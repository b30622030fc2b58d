"""The visibility as measured: open, read tracks, calibrate, write."""

import logging
from pathlib import Path

import dask.array as da
import numpy as np
import torch
import xarray as xr
from dask.delayed import delayed

from fieldfit.bridge import describe, field_of
from fieldfit.config import Library
from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.experiments.dune.calibration_result import Calibration
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.optical.box import Box
from fieldfit.io.products import open_product, product, write_product
from fieldfit.io.tracks import read_tracks
from fieldfit.types import InputError

SLAB_VALUES = 1_000_000  # of the map held at a time, with the derivatives that its error takes


def calibrate_visibility(visibility: Path, tracks: Path, output: Path, entry: Library) -> None:
    """Calibrate the field at `visibility` on measured tracks. Raises InputError for tracks that do not fit the library."""
    found = open_product(visibility, "visibility")
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
    values, std = evaluated(result, found, box)
    weights, description = describe(result.field)
    dataset = product(
        "calibration",
        {
            "efficiency": result.efficiency.numpy(),
            "efficiency_std": result.efficiency_std.numpy(),
            "efficiency_run": result.efficiency_run.numpy(),
            "efficiency_run_std": result.efficiency_run_std.numpy(),
            "saturation_pe": result.saturation.numpy(),
            "visibility_calibrated": values,
            "visibility_calibrated_std": std,
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
    write_product(
        dataset, output, [visibility, tracks], entry.model_dump(mode="json"), "Visibility calibrated on tracks", "calibrate_visibility", entry.seed
    )


def evaluated(result: Calibration, found: xr.Dataset, box: Box) -> tuple[da.Array, da.Array]:
    """(calibrated visibility, its std) (channel, x, y, z) at the voxels' centres, evaluated slab by slab as they are written.

    The relative variances of the calibration and of the simulated visibility are added: the correction follows part of the simulation's
    error, which then counts twice.
    """
    channels, (nx, ny, nz) = found.sizes["channel"], box.divisions
    thick = max(1, SLAB_VALUES // (channels * ny * nz))

    def slab(first: int) -> np.ndarray:
        here = slice(first, first + thick)
        points = box.points(here)
        simulated, error = (np.moveaxis(found[name].values[:, here].reshape(channels, -1), 0, 1) for name in ("visibility", "visibility_std"))
        with torch.no_grad():
            x = torch.tensor(points, dtype=torch.float32)
            value, relative = in_chunks(result.field, x).numpy(), result.relative_std(x).numpy()
        std = value * np.hypot(relative, error / np.maximum(simulated, 1e-30))
        return np.moveaxis(np.stack([value, std]).astype(np.float32), 2, 1).reshape(2, channels, -1, ny, nz)

    parts = [da.from_delayed(delayed(slab)(first), (2, channels, min(thick, nx - first), ny, nz), np.float32) for first in range(0, nx, thick)]
    whole = da.concatenate(parts, axis=2)
    return whole[0], whole[1]
