"""Positions and charges of measured flashes: open a visibility, read flashes, match, write."""

import logging
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.interpolate import RegularGridInterpolator

from fieldfit.bridge import load_field, load_gradient
from fieldfit.config.dune import Library
from fieldfit.experiments.dune.flash import Light
from fieldfit.experiments.dune.flash import match_flashes as matched
from fieldfit.io.flashes import read_flashes
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.products import open_product, product, write_product
from fieldfit.types import FlashStatus

MOST_VOXELS = 20_000  # of the table, from which flashes start
UNLIKELY = 1e-4  # chance of a flash's chi-square, below which no single place explains it


def match_flashes(visibility: Path, calibration: Path | None, flashes: Path, output: Path, entry: Library) -> None:
    """Find the flashes' places with the calibrated visibility, or with the simulated one where there is no calibration."""
    found = open_product(visibility, "visibility")
    box, disks = box_of(found, visibility), disks_of(found)
    counts = read_flashes(flashes, disks.count)
    live = np.ones(disks.count, bool)
    path, table, std = visibility, found.visibility.values, found.visibility_std.values
    if calibration is not None:
        measured = open_product(calibration, "calibration")
        path, table, std = calibration, measured.visibility_calibrated.values, measured.visibility_calibrated_std.values
        live = measured.dead.values == 0
    relative = np.moveaxis(np.where(table > 0, std, 0) / np.where(table > 0, table, 1), 0, -1)
    spread = RegularGridInterpolator(box.centres(), relative, method="nearest", bounds_error=False, fill_value=None)
    values, slopes = load_field(path), load_gradient(path)
    light = Light(
        lambda x: values(x).astype(np.float64), lambda x: slopes(x).astype(np.float64), spread, np.array(box.lower), np.array(box.upper), live
    )
    every = max(1, int(np.ceil((box.voxels / MOST_VOXELS) ** (1 / 3))))
    axes = [centres[every // 2 :: every] for centres in box.centres()]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    starts = np.moveaxis(table[:, every // 2 :: every, every // 2 :: every, every // 2 :: every], 0, -1).reshape(len(voxels), -1)
    result = matched(light, counts, voxels, starts.astype(np.float64))
    status = np.where(result.at_face, FlashStatus.at_face, FlashStatus.good)
    freedom = max(1, int(live.sum()) - 4)
    status = np.where(stats.chi2.sf(result.chi2 * freedom, freedom) < UNLIKELY, FlashStatus.unlikely, status)
    status = np.where(counts[:, live].sum(1) > 0, status, FlashStatus.dark)
    lit = np.where(status == FlashStatus.dark, np.nan, 1.0)
    logging.info("%s: %d flashes, of them %s", flashes, len(counts), {f.name: int((status == f).sum()) for f in FlashStatus})
    dataset = product(
        "flashes",
        {
            "position": result.position * lit[:, None],
            "position_std": result.position_std * lit[:, None],
            "position_looked_up": result.looked_up * lit[:, None],
            "charge": result.charge * lit,
            "charge_std": result.charge_std * lit,
            "chi2_reduced": result.chi2 * lit,
            "pe_measured": counts,
            "pe_predicted": result.charge[:, None] * light.values(result.position) * live,
            "status": status,
            "channel_position": disks.centre,
        },
        {"axis": np.array(["x", "y", "z"])},
        visibility="calibrated" if calibration is not None else "simulated: charges are photons that would be needed if every channel counted all",
        box_lower_m=str(found.attrs["box_lower_m"]),
        box_upper_m=str(found.attrs["box_upper_m"]),
    )
    inputs = [visibility, flashes] + ([calibration] if calibration is not None else [])
    write_product(dataset, output, inputs, entry.model_dump(mode="json"), "Flashes matched to the visibility", "match_flashes", entry.seed)
