"""A fitted visibility in the layouts of other tools: open, evaluate on voxels once, write each format."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from fieldfit.bridge import field_of
from fieldfit.config.dune import Export, Library
from fieldfit.experiments.dune.export import Visibility, planes_of, times_of, told_of
from fieldfit.experiments.dune.onnx_model import write_onnx
from fieldfit.fields.arrival import ArrivalField
from fieldfit.fields.calibrated import CalibratedField
from fieldfit.fields.visibility import VisibilityField
from fieldfit.fitting.fit import device_of
from fieldfit.io.channels import Disks
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.optical.box import Box
from fieldfit.io.optical_export.light_lut import write_light_lut
from fieldfit.io.optical_export.photon_library import write_photon_library
from fieldfit.io.optical_export.photonlib import write_photonlib
from fieldfit.io.optical_export.table import Floats, Table, Times, spooled, voxels_of
from fieldfit.io.optical_export.weights import named_tensors, write_evaluator, write_weights
from fieldfit.io.products import open_product
from fieldfit.io.whole import whole
from fieldfit.paths import EFFICIENCIES, EXPORTS
from fieldfit.units import CM

TABLES = ("larsoft", "larndsim_npz", "photonlib_h5")


def export_visibility(visibility: Path, calibration: Path | None, folder: Path, entry: Library) -> None:
    """Write the files of `entry.export` into `folder`: of the field at `calibration` where it is given, of that at `visibility` otherwise."""
    found = open_product(visibility, "visibility", chunks={})
    calibrated = open_product(calibration, "calibration", chunks={}) if calibration else None
    own, disks = box_of(found, visibility), disks_of(found)
    path, source = (calibration, calibrated) if calibration and calibrated is not None else (visibility, found)
    field = field_of(source, path)
    assert isinstance(field, VisibilityField | CalibratedField)
    folder.mkdir(parents=True, exist_ok=True)
    if calibrated is not None:
        _write_efficiencies(folder / EFFICIENCIES, calibrated, calibration)
    _write_models(folder, source, field, own, entry.export)
    if set(TABLES) & set(entry.export.formats):
        box = _voxels(own, entry.export)
        device, nx = device_of(entry.device), box.divisions[0]
        with ExitStack() as stack:
            planes = _shown(planes_of(field, box, own, device), nx, "voxels")
            table, times = stack.enter_context(spooled(planes, box, disks.count, folder)), None
            if "arrival" in found:
                arrival = field_of(found, visibility, "arrival_field")
                assert isinstance(arrival, ArrivalField)
                planes = _shown(times_of(arrival, box, device), nx, "times")
                held = stack.enter_context(spooled(planes, box, len(found.timing) * disks.count, folder))
                times = Times(tuple(str(name) for name in found.timing.values), held)
            _write_tables(folder, table, times, disks, None if calibrated is None else calibrated.efficiency.values, entry)


def _write_models(folder: Path, source: xr.Dataset, field: Visibility, own: Box, export: Export) -> None:
    told = told_of(field)
    for form in ("onnx", "onnx_gradient"):
        if form in export.formats:
            (file,) = EXPORTS[form]
            off = write_onnx(folder / file, field, (list(own.lower), list(own.upper)), told, sloped=form == "onnx_gradient")
            logging.info("%s: at most %.2g of the value from the field", folder / file, off)
    if "numpy" in export.formats:
        weights, evaluator = EXPORTS["numpy"]
        layout = json.loads(source.attrs["field"])["layout"]
        write_weights(folder / weights, named_tensors(source.field_weights.values, layout), told)
        write_evaluator(folder / evaluator)


def _write_tables(folder: Path, table: Table, times: Times | None, disks: Disks, efficiency: np.ndarray | None, entry: Library) -> None:
    nx, _, nz = table.box.divisions
    for form in entry.export.formats:
        if form not in TABLES:
            continue
        (file,) = EXPORTS[form]
        if form == "larsoft":
            write_photon_library(folder / file, _shown(table.along_z(), nz, file), table.box, table.channels, entry.component, times)
        elif form == "photonlib_h5":
            write_photonlib(folder / file, _shown(table.along_z(), nz, file), table.box, table.channels, efficiency)
        else:
            write_light_lut(folder / file, _shown(table.along_x(), nx, file), table.box, disks, efficiency, times)
        logging.info("%s: %d values, %d bytes", folder / file, table.values.size, (folder / file).stat().st_size)


def _voxels(own: Box, export: Export) -> Box:
    if export.voxel_cm is None:
        return own
    edges = export.voxel_cm if isinstance(export.voxel_cm, tuple) else (export.voxel_cm,) * 3
    box = voxels_of(own, (edges[0] * CM, edges[1] * CM, edges[2] * CM))
    logging.info("voxels of %s cm, %s along x, y, z", " x ".join(f"{edge / CM:.6g}" for edge in box.pitch), box.divisions)
    return box


def _write_efficiencies(path: Path, calibrated: xr.Dataset, calibration: Path | None) -> None:
    told: dict[str, Any] = {
        "meaning": "detected photo-electrons per photon that arrives at the channel; 0 for a dead one",
        "calibration": str(calibration),
        "channel": [int(number) for number in calibrated.channel.values],
        "efficiency": [float(f"{value:.7g}") for value in calibrated.efficiency.values],
        "efficiency_std": [None if np.isnan(value) else float(f"{value:.7g}") for value in calibrated.efficiency_std.values],
    }
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(told, indent=1) + "\n")


def _shown(planes: Iterator[Floats], count: int, name: str) -> Iterator[Floats]:
    return iter(tqdm(planes, total=count, desc=f"export_visibility {name}", file=sys.stderr, mininterval=2.0, leave=False))
