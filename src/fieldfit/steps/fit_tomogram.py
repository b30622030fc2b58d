"""An X-ray scan as a tomogram: read, find beam and axis, fit, write."""

import logging
from pathlib import Path

import numpy as np

from fieldfit.bridge import describe
from fieldfit.config.gallery import Tomography
from fieldfit.experiments.gallery.axis import axis_of
from fieldfit.experiments.gallery.beam import beam_of
from fieldfit.experiments.gallery.tomogram import METHODS, Bench, Tomogram, depths, hull, reconstruct, split
from fieldfit.fields.plane import joined
from fieldfit.io.data_exchange import read_scan
from fieldfit.io.products import product, write_product
from fieldfit.types import InputError
from fieldfit.units import UM

NOT_TRUTH = "relative_to_fbp and relative_to_sirt compare with reconstructions from the most views, which are references and not the truth"


def fit_tomogram(raw: Path, output: Path, entry: Tomography) -> None:
    """Reconstruct every row by every method, once for each number of views."""
    scan = read_scan(Path(raw), entry.rows)
    every = sorted(entry.every)
    views = [split(len(scan.angle), n, entry.held_out, str(raw)) for n in every]
    beam = beam_of(scan, entry.gain, str(raw))
    columns = beam.incident.shape[2]
    if entry.axis is not None and not 0 <= entry.axis <= columns - 1:
        raise InputError(f"key 'axis' is {entry.axis:g}, expected a column of the detector, 0 to {columns - 1}")
    axis = axis_of(depths(beam), scan.angle) if entry.axis is None else entry.axis
    logging.info("gain %.4g counts a photon, read noise %.3g photons, axis at column %.2f", beam.gain, beam.pedestal**0.5, axis)
    bench = Bench(scan.angle, axis, hull(beam, scan.angle, axis))
    found = [reconstruct(beam, bench, part, entry.fit) for part in views]
    pixel = 1.0 if entry.pixel_um is None else entry.pixel_um * UM
    weights, description = describe(joined([one.field for one in found], pixel))
    side = len(bench.inside)
    place = (np.arange(side) - (side - 1) / 2) * pixel
    dataset = product(
        "tomogram",
        {
            "attenuation": np.stack([one.attenuation for one in found], 1) / pixel,
            "held_out_chi2": np.stack([one.chi2 for one in found], 1),
            "held_out_chi2_object": np.stack([one.chi2_object for one in found], 1),
            "relative_to_fbp": _distance(found, bench.inside, "fbp"),
            "relative_to_sirt": _distance(found, bench.inside, "sirt"),
            "kept_step": np.stack([one.steps for one in found], 1),
            "duration": np.stack([one.seconds for one in found], 1),
            "fringe": np.stack([one.fringe for one in found]) * pixel**2,
            "variation": np.stack([one.variation for one in found]),
            "views_used": np.array([len(part.used) for part in views]),
            "rotation_axis": np.array(axis),
            "field_weights": weights.reshape(len(every), len(scan.rows), -1),
        },
        {"method": np.array(METHODS), "every": np.array(every), "row": np.array(scan.rows), "x": place, "y": place},
        field=description,
        length_unit="m" if entry.pixel_um else "detector pixel",
        axis_from="the configuration" if entry.axis is not None else "moments of the views, then held-out views (experiments/gallery/axis.py)",
        comment=NOT_TRUTH,
    )
    if entry.pixel_um is None:
        for name in ("attenuation", "fringe", "x", "y"):
            dataset[name].attrs["units"] = "1"
    write_product(
        dataset, Path(output), [Path(raw)], entry.model_dump(mode="json"), "Tomogram, field beside FBP and SIRT", "fit_tomogram", entry.seed
    )


def _distance(found: list[Tomogram], inside: np.ndarray, method: str) -> np.ndarray:
    """(method, every, row): relative L2 distance to `method` at the most views, where the object can be."""
    reference = found[0].attenuation[METHODS.index(method)][:, inside]
    apart = [np.linalg.norm(one.attenuation[:, :, inside] - reference, axis=2) / np.linalg.norm(reference, axis=1) for one in found]
    return np.stack(apart, 1)
