"""Densities of one block of shots: read, fit, write."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fieldfit.bridge import describe
from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.alignment import moved_views, setup_told, told, usual_shift
from fieldfit.experiments.magis.densities import Densities, densities, of_batch
from fieldfit.experiments.magis.precision import COEFFICIENTS
from fieldfit.experiments.magis.volume import axis_of
from fieldfit.fields.field import Field
from fieldfit.fields.fringed import Fringed
from fieldfit.geometry.blur import with_blurs
from fieldfit.io.cameras import read_cameras
from fieldfit.io.geometry import read_geometry
from fieldfit.io.products import open_product, product, write_product
from fieldfit.metrics.fsc import shell_correlation
from fieldfit.types import Status
from fieldfit.units import UM

log = logging.getLogger(__name__)
MISFIT = 1.5  # chi-square a degree of freedom beyond which a shot is told of
LINEAR = "linear propagation of photon and atom statistics through"
STD_METHODS = {
    "field": f"{LINEAR} envelope, fringe and a coarse shape; of a free shape: samples",
    "gaussian": f"{LINEAR} the envelope and a coarse shape; what else is no Gaussian is not in it",
}
METHODS = {
    "resolution_method": "two binomial halves of the photons, each by MLEM stopped on the other half; fourth root of a Hann window as mask; "
    "first crossing of 0.143, and of plateau + 0.143 (1 - plateau)",
}


def fit_density(electrons: Path, cameras: Path, output: Path, entry: Imaging, geometry: Path | None = None) -> None:
    """Fit every good shot of the block together; a flagged shot is passed on with its flag and no density.

    geometry: the run's refined views, where they are. A shot that shows the cloud elsewhere in one view than in the others is flagged.
    """
    shots = open_product(electrons, "electrons")
    status = shots.status.values.copy()
    good = np.flatnonzero(status == Status.good)
    flagged = [] if shots.attrs["flagged"] == "none" else [shots.attrs["flagged"]]
    # With a calibration the sensors' own noise without light takes the place of the camera file's pedestal.
    described = read_cameras(cameras, entry.grid.half_width_m)
    described = read_geometry(geometry, described) if geometry else described
    described = with_blurs(described, entry.optics, entry.grid.half_width_m, entry.setup.shortest)
    views = [replace(view, pedestal=float(pedestal)) for view, pedestal in zip(described, shots.pedestal.values, strict=True)]
    found: Densities | None = None
    if good.size:
        unusable = np.isinf(shots.variance.values[good])
        bad = unusable.all(0)
        hit = unusable & ~bad
        found = densities(views, shots.electrons.values[good], bad, shots.shot.values[good].tolist(), entry, hit if hit.any() else None)
        aligned, lines = _aligned([view.name for view in views], found, shots.shot.values[good])
        status[good[~aligned]] = Status.misaligned
        flagged += lines
        for place in good[aligned & ~found.trusted]:
            status[place] = Status.not_converged
            flagged.append(f"shot {int(shots.shot[place])} is not_converged: the fit of the density has not settled")
            log.warning("%s", flagged[-1])
        found = replace(found, trusted=found.trusted & aligned)
        for line in _misfits(found, shots.shot.values[good], entry):
            flagged.append(line)
            log.warning("%s", line)
    trusted = good[found.trusted] if found else good
    values, field = _scattered(found, len(status), good, trusted, entry)
    weights, told = describe(field)
    weights[status != Status.good] = np.nan
    axis = axis_of(entry.grid)
    nothing = np.zeros((entry.grid.voxels,) * 3, np.float32)
    shells = shell_correlation(nothing, nothing, 2 * entry.grid.half_width_m / entry.grid.voxels)
    dataset = product(
        "density",
        {**values, "half_bit": shells.half_bit, "field_weights": weights, "time": shots.time.values, "status": status},
        {
            "shot": shots.shot.values,
            "x": axis,
            "y": axis,
            "z": axis,
            "spatial_frequency": shells.frequency,
            "axis": ["x", "y", "z"],
            "coefficient": list(COEFFICIENTS),
            "image_axis": ["row", "column"],
        },
        field=told,
        flagged="\n".join(flagged) or "none",
        method=entry.fit.method,
        density_std_method=STD_METHODS.get(entry.fit.method, "not measured: the method has no error of its own"),
        **METHODS,
    )
    inputs = [electrons, cameras] + ([geometry] if geometry else [])
    write_product(dataset, output, inputs, entry.model_dump(mode="json"), "Atom densities of camera shots", "fit_density", entry.seed)


def _misfits(found: Densities, shots: np.ndarray, entry: Imaging) -> list[str]:
    """What to tell of shots whose views show more than the density holds; they keep their status."""
    chi2, voxel = found.values["chi2_reduced"], 2 * entry.grid.half_width_m / entry.grid.voxels / UM
    return [
        f"shot {shots[place]} has a chi-square of {chi2[place]:.1f} a degree of freedom: its views show what the density does not hold, "
        f"be it finer than voxels of {voxel:.0f} um, seen by other cameras than the file's, or unlike `fit.method: {entry.fit.method}`"
        for place in np.flatnonzero(found.trusted & (chi2 > MISFIT))
    ]


def _aligned(names: Sequence[str], found: Densities, shots: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(whether each shot's views agree, or disagree as usual; what to tell)."""
    if "view_shift" not in found.values:  # a classical reconstruction on voxels: no shift was measured
        return np.ones(len(shots), bool), []
    shift, std = found.values["view_shift"], found.values["view_shift_std"]
    moved = moved_views(shift, std)
    aligned = np.array([view is None for view in moved])
    off = shift - usual_shift(shift)
    lines = [told(names, int(shots[m]), view, off[m, view], std[m, view]) for m, view in enumerate(moved) if view is not None]
    usual = aligned if aligned.any() else ~aligned
    lines += setup_told(names, shift[usual], std[usual])
    for line in lines:
        log.warning("%s", line)
    return aligned, lines


def _scattered(found: Densities | None, shots: int, good: np.ndarray, trusted: np.ndarray, entry: Imaging) -> tuple[dict[str, np.ndarray], Field]:
    """The fitted shots at their places among all, NaN elsewhere."""
    side = entry.grid.voxels
    if found is None:
        empty = dict.fromkeys(("density", "density_std"), np.full((shots, side, side, side), np.nan, np.float32))
        lone = dict.fromkeys(("chi2_reduced", "resolution_split_half"), np.full(shots, np.nan))
        return lone | empty, Fringed(shots, entry.grid.half_width_m, 2)
    values = {}
    keep = np.isin(good, trusted)
    for name, part in found.values.items():
        whole = np.full((shots, *part.shape[1:]), np.nan, np.float32 if part.ndim > 2 else np.float64)
        whole[trusted] = part[keep]
        values[name] = whole
    field = of_batch(found.field, shots)
    with torch.no_grad():
        for name, value in field.state_dict().items():
            value[good] = found.field.state_dict()[name]
    return values, field
