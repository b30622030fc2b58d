"""The visibility as measured: open, read tracks, calibrate, write."""

import logging
from pathlib import Path

import numpy as np
import torch

from fieldfit.bridge import describe, field_of
from fieldfit.config import Library
from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.products import open_product, product, write_product
from fieldfit.io.tracks import read_tracks
from fieldfit.types import InputError


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
    track = np.repeat(np.arange(data.count), np.diff(data.offset))
    point, photons, owner, measured = (torch.from_numpy(a) for a in (data.point, data.photons, track, data.measured))
    result = calibrate(base, point, photons, owner, measured, used)
    logging.info("%s: %s", tracks, result.told)
    axes = np.meshgrid(found.x.values, found.y.values, found.z.values, indexing="ij")
    centres = torch.tensor(np.stack(axes, -1).reshape(-1, 3), dtype=torch.float32)
    with torch.no_grad():
        values = in_chunks(result.field, centres).numpy().T.reshape(disks.count, *box.divisions)
    weights, description = describe(result.field)
    dataset = product(
        "calibration",
        {
            "efficiency": result.efficiency.numpy(),
            "efficiency_std": result.efficiency_std.numpy(),
            "visibility_calibrated": values,
            "track_pe_measured": data.measured,
            "track_pe_predicted": result.predicted.numpy(),
            "track_used": np.arange(data.count) < used,
            "dead": result.dead.numpy(),
            "channel_position": disks.centre,
            "field_weights": weights,
        },
        {"x": found.x.values, "y": found.y.values, "z": found.z.values, "axis": found.axis.values},
        field=description,
        **{name: str(found.attrs[name]) for name in ("component", "box_lower_m", "box_upper_m", "findings")},
        **result.told,
    )
    write_product(
        dataset, output, [visibility, tracks], entry.model_dump(mode="json"), "Visibility calibrated on tracks", "calibrate_visibility", entry.seed
    )
