"""Electrons of one block of shots: read, calibrate, write."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from fieldfit.calibration.frames import calibrated, regions
from fieldfit.config import Imaging
from fieldfit.io.cameras import read_cameras
from fieldfit.io.frames import read_block
from fieldfit.io.products import product, write_product
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)


def calibrate_frames(raw: Path, cameras: Path, output: Path, entry: Imaging, shots: Sequence[int]) -> None:
    """Calibrate the shots of one block, a shot at a time; a bad shot is flagged with its reason in the log and in the attribute `flagged`.

    A shot file of many shots is not among the inputs with their checksums: the attribute `frames` has its rows and the checksum of their frames.
    """
    views = read_cameras(cameras, entry.grid.half_width_m)
    sizes = {view.sensor for view in views}
    if len(sizes) != 1:
        told = "; ".join(f"camera {view.name} has {view.sensor[0]} x {view.sensor[1]}" for view in views)
        raise InputError(f"{cameras}: the sensors differ in resolution_hw ({told}), expected one size for all")
    number = 1 + max(view.frame for view in views)
    block = read_block(raw, shots, [sizes.pop()] * number, entry.format, entry.start, entry.shot_period_s, entry.adc_step)
    frames = xr.DataArray(regions(block.frames, views), dims=("shot", "view", "row", "column"), coords={"shot": list(block.shots)})
    found, reasons = calibrated(frames, block.status, views, entry.saturation or block.full_scale)
    for note in block.notes:
        log.info("%s", note)
    reasons = (*block.reasons, *reasons)
    for reason in reasons:
        log.warning("%s", reason)
    log.info("%d of %d shots are good, %d bad pixels", int((found.status == Status.good).sum()), len(shots), int(found.bad.sum()))
    values = {
        "electrons": found.electrons.data,
        "variance": found.variance.data,
        "pedestal": np.array([view.pedestal for view in views]),
        "time": block.time,
        "status": found.status.values,
    }
    if block.auxiliary:
        values["auxiliary_value"] = np.stack([channel.values for channel in block.auxiliary], -1)
        values["auxiliary_units"] = np.array([channel.units for channel in block.auxiliary])
    labels = {"shot": block.shots, "auxiliary": [channel.name for channel in block.auxiliary]}
    dataset = product("electrons", values, labels, flagged="\n".join(reasons) or "none", frames=block.source)
    write_product(dataset, output, [cameras, *block.files], entry.model_dump(mode="json"), "Photo-electrons of camera shots", "calibrate_frames")
