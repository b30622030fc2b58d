"""Electrons of one block of shots: read, calibrate, write."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from fieldfit.calibration.frames import Response, calibrated, regions, stated
from fieldfit.calibration.sensor import response_of
from fieldfit.config.magis import Imaging
from fieldfit.geometry.cameras import Camera
from fieldfit.io.cameras import frame_sizes, read_cameras, region_sizes
from fieldfit.io.exposure import largest
from fieldfit.io.frames import Block, read_block
from fieldfit.io.products import open_product, product, write_product
from fieldfit.types import InputError, Status
from fieldfit.validity import valid_at

log = logging.getLogger(__name__)


def calibrate_frames(raw: Path, cameras: Path, output: Path, entry: Imaging, shots: Sequence[int], sensors: Sequence[Path] = ()) -> None:
    """Calibrate the shots of one block, a shot at a time; a bad shot is flagged with its reason in the log and in the attribute `flagged`.

    sensors: products of the calibrations that may hold for the block; without any, gain and pedestal are those of the camera file.
    A shot file of many shots is not among the inputs with their checksums: the attribute `frames` has its rows and the checksum of their frames.
    """
    views, sizes = read_cameras(cameras, entry.grid.half_width_m), region_sizes(cameras, entry.grid.half_width_m)
    block = read_block(raw, shots, frame_sizes(cameras), entry.format, entry.start, entry.shot_period_s, entry.adc_step)
    if sensors:
        responses, chosen, status, reasons = _valid(sensors, block, views, sizes, entry.saturation)
    else:
        responses, chosen, status, reasons = [stated(views, entry.saturation or block.full_scale)], np.zeros(len(shots), int), block.status, ()
    frames = xr.DataArray(regions(block.frames, views, sizes), dims=("shot", "view", "row", "column"), coords={"shot": list(block.shots)})
    found, more = calibrated(frames, status, views, responses, chosen, sizes)
    for note in block.notes:
        log.info("%s", note)
    reasons = (*block.reasons, *reasons, *more)
    for reason in reasons:
        log.warning("%s", reason)
    for shot in found.shot[found.hit_pixels > 0]:
        log.info("shot %d: %d pixels hit by cosmic rays are left out", shot, found.hit_pixels.sel(shot=shot))
    log.info("%d of %d shots are good, %d bad pixels", int((found.status == Status.good).sum()), len(shots), int(found.bad.sum()))
    values = {name: found[name].data for name in ("electrons", "variance", "pedestal", "hit_pixels", "status")}
    values["time"] = block.time
    if block.auxiliary:
        values["auxiliary_value"] = np.stack([channel.values for channel in block.auxiliary], -1)
        values["auxiliary_units"] = np.array([channel.units for channel in block.auxiliary])
    labels = {"shot": block.shots, "auxiliary": [channel.name for channel in block.auxiliary]}
    told = {"flagged": "\n".join(reasons) or "none", "frames": block.source, "calibrations": " ".join(path.stem for path in sensors) or "none"}
    inputs = [cameras, *sensors, *block.files]
    title = "Photo-electrons of camera shots"
    write_product(product("electrons", values, labels, **told), output, inputs, entry.model_dump(mode="json"), title, "calibrate_frames")


def _valid(
    sensors: Sequence[Path], block: Block, views: Sequence[Camera], sizes: Sequence[tuple[int, int]], saturation: int | None
) -> tuple[list[Response], np.ndarray, np.ndarray, tuple[str, ...]]:
    """(responses, which of them holds for each shot (shot), status (shot), one reason a shot that none holds for)."""
    responses, intervals = [], {}
    shape = largest([view.sensor for view in {view.frame: view for view in views}.values()])
    for path in sensors:
        found = open_product(path, "sensor")
        if found.dark.shape != shape:
            raise InputError(f"{path}: its sensors have shape {found.dark.shape}, expected {shape} (sensor, row, column) from the camera description")
        responses.append(response_of(found, views, sizes, saturation, block.full_scale))
        intervals[path.stem] = (float(found.valid_from), float(found.valid_until))
    names = list(intervals)
    chosen, status, reasons = np.zeros(len(block.shots), int), block.status.copy(), []
    known = ", ".join(f"'{name}' from {start:g} s until {end:g} s" for name, (start, end) in intervals.items())
    for place in np.flatnonzero(status == Status.good):
        name = valid_at(intervals, float(block.time[place]))
        if name is None:
            status[place] = Status.uncalibrated
            when = float(block.time[place])
            reasons.append(f"shot {block.shots[place]} is uncalibrated: no calibration covers its time {when!r} s; near it: {known}")
        else:
            chosen[place] = names.index(name)
    return responses, chosen, status, tuple(reasons)
