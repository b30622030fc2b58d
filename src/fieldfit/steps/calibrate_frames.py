"""Electrons of one block of shots: read, calibrate, write."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from fieldfit.calibration.frames import calibrated
from fieldfit.config import Imaging
from fieldfit.io.cameras import read_cameras
from fieldfit.io.frames import read_block
from fieldfit.io.products import product, write_product
from fieldfit.paths import shots_below
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)


def calibrate_frames(raw: Path, cameras: Path, output: Path, entry: Imaging, shots: Sequence[int]) -> None:
    """Calibrate the shots of one block, a shot at a time; a bad shot is flagged with its reason in the log and in the attribute `flagged`."""
    views = read_cameras(cameras)
    sizes = {(view.rows, view.columns) for view in views}
    if len(sizes) != 1:
        told = "; ".join(f"camera {view.name} has {view.rows} x {view.columns}" for view in views)
        raise InputError(f"{cameras}: the views differ in resolution_hw ({told}), expected one size for all")
    block = read_block(raw, shots, (len(views), *sizes.pop()))
    frames = xr.DataArray(block.frames, dims=("shot", "view", "row", "column"), coords={"shot": list(block.shots)})
    found, reasons = calibrated(frames, block.status, views, entry.saturation)
    reasons = (*block.reasons, *reasons)
    for reason in reasons:
        log.warning("%s", reason)
    log.info("%d of %d shots are good, %d bad pixels", int((found.status == Status.good).sum()), len(shots), int(found.bad.sum()))
    values = {
        "electrons": found.electrons.data,
        "variance": found.variance.data,
        "pedestal": np.array([view.pedestal for view in views]),
        "time": entry.start + np.array(block.shots) * entry.shot_period_s,
        "status": found.status.values,
    }
    dataset = product("electrons", values, {"shot": block.shots}, flagged="\n".join(reasons) or "none")
    files = shots_below(raw)
    inputs = [cameras, *(files[shot] for shot in block.shots if shot in files)]
    write_product(dataset, output, inputs, entry.model_dump(mode="json"), "Photo-electrons of camera shots", "calibrate_frames")
