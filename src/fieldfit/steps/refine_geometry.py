"""Where the views really stand: read shots or a target's sightings, refine, write."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from fieldfit.config.magis import Imaging, Refine
from fieldfit.experiments.magis.alignment import setup_told
from fieldfit.experiments.magis.geometry import Refined, prior_of
from fieldfit.experiments.magis.geometry import refine_geometry as refined_by_shots
from fieldfit.experiments.magis.target import OUTLIER, fit_view, joined, outliers
from fieldfit.geometry.blur import with_blurs
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.corrections import DEGREES, UNITS, corrected, degrees_of, place_slopes, places
from fieldfit.io.cameras import read_cameras
from fieldfit.io.products import open_product, product, write_product
from fieldfit.io.target import read_target
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)
GAUGE = (
    "moving, turning or scaling the whole world changes no image: of these answers the one with the smallest corrections "
    "in units of correction_prior, so that the mean correction stays zero"
)
CHI2_LIMIT = 1.3  # a pixel, of a view after the refinement: beyond it pose, magnification and focus do not explain the images
OTHER_SHAPE = 2.0  # the same of the median view: then the clouds' shape is wrong, not the geometry
FAR = 5.0  # standard deviations of the prior


def refine_geometry(electrons: Sequence[Path], cameras: Path, output: Path, entry: Imaging) -> None:
    """Refine the views of a run, from a target's sightings where the entry names them, else from the good shots of its first blocks.

    Raises InputError where there is no good shot, a sighting is wrong, or one does not fit the others.
    """
    refine = entry.refine or Refine()
    views = read_cameras(cameras, entry.grid.half_width_m)
    by_target = refine.target is not None
    values, labels, told = _from_target(refine, views) if by_target else _from_shots(electrons, views, entry, refine)
    for line in told["flagged"].split("\n"):
        log.warning("%s", line)
    dataset = product("geometry", values, labels, views="\n".join(view.name for view in views), **told)
    inputs = [*([refine.target] if refine.target else electrons), cameras]
    write_product(dataset, output, inputs, entry.model_dump(mode="json"), "Refined views of camera shots", "refine_geometry", entry.seed)


Parts = tuple[dict[str, Any], dict[str, Any], dict[str, str]]  # variables, coordinates, attributes of the product


def _from_shots(electrons: Sequence[Path], views: Sequence[Camera], entry: Imaging, refine: Refine) -> Parts:
    blocks = [open_product(path, "electrons") for path in electrons]
    light, bad, shots, pedestal = _good(blocks, refine.shots, electrons)
    views = with_blurs(views, entry.optics, entry.grid.half_width_m, entry.setup.shortest)
    views = [replace(view, pedestal=float(own)) for view, own in zip(views, pedestal, strict=True)]
    found = refined_by_shots(views, light, bad, shots, entry, refine)
    if np.median(found.after.chi2) > OTHER_SHAPE:
        raise InputError(
            f"{', '.join(map(str, electrons))}: chi-square {np.median(found.after.chi2):.1f} a pixel in the refined views, expected about 1: "
            f"the shots do not show Gaussian clouds, with a fringe or without, from which alone the geometry is refined; give a target's sightings"
        )
    values, labels = _corrections(views, found.corrections, found.covariance, refine)
    values |= {
        "chi2_before": found.before.chi2,
        "chi2_after": found.after.chi2,
        "residual_before": found.before.residuals,
        "residual_after": found.after.residuals,
        "used": found.used.astype(np.int8),
    }
    for name, fitness in (("before", found.before), ("after", found.after)):
        values |= {f"shift_{name}": fitness.shift, f"shift_{name}_std": fitness.shift_std}
        values[f"reprojection_{name}"] = np.sqrt((fitness.shift[found.used] ** 2).sum(-1).mean(0))
    lines = _found(views, found, values, shots)
    told = {"refined_from": f"the clouds of {int(found.used.sum())} shots", "binning": str(found.binning), "gauge": GAUGE}
    return values, {**labels, "shot": shots}, {**told, "converged": str(found.converged).lower(), "flagged": "\n".join(lines) or "none"}


def _from_target(refine: Refine, views: Sequence[Camera]) -> Parts:
    assert refine.target is not None
    sightings = read_target(refine.target, views)
    priors = prior_of(refine, views)
    fits = [fit_view(view, own.points, own.places, own.std, prior) for view, own, prior in zip(views, sightings, priors, strict=True)]
    for view, own, fit in zip(views, sightings, fits, strict=True):
        worst = outliers(fit.after, own.std)
        if worst.size:
            first = worst[0]
            off = float(np.hypot(*fit.after[first]))
            raise InputError(
                f"{refine.target}: line {own.lines[first]}: view {view.name} shows this point {off:.2f} pixels "
                f"({off / own.std[first]:.0f} standard deviations) from where its other sightings put it, {len(worst) - 1} more are off; "
                f"expected all within {OUTLIER:g}: is it another point, a wrong std_px, or more than pose, magnification and focus?"
            )
    values, labels = _corrections(views, *joined(fits), refine)
    values["sightings"] = np.array([len(own.std) for own in sightings])
    for name in ("before", "after"):
        missing: list[np.ndarray] = [getattr(fit, name) for fit in fits]
        values[f"reprojection_{name}"] = np.array([np.sqrt((rest**2).sum(1).mean()) for rest in missing])
        values[f"chi2_{name}"] = np.array([((rest / own.std[:, None]) ** 2).mean() for rest, own in zip(missing, sightings, strict=True)])
    lines = _far(views, values) + ([] if all(fit.converged for fit in fits) else ["the refinement has not converged"])
    told = {"refined_from": "a target of known points", "gauge": "none: the target's points fix the world"}
    return values, labels, {**told, "converged": str(all(fit.converged for fit in fits)).lower(), "flagged": "\n".join(lines) or "none"}


def _good(blocks: Sequence[xr.Dataset], number: int, paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, list[int], np.ndarray]:
    """(electrons (shot, view, row, column), bad pixels, shot numbers, pedestals) of the first good shots."""
    light, infinite = [], []
    shots: list[int] = []
    for block in blocks:
        for place in np.flatnonzero(block.status.values == Status.good)[: number - len(shots)]:
            light.append(block.electrons.values[place])
            infinite.append(np.isinf(block.variance.values[place]))
            shots.append(int(block.shot[place]))
    if not shots:
        reasons = "\n".join(line for block in blocks for line in str(block.attrs["flagged"]).split("\n"))
        raise InputError(f"{', '.join(map(str, paths))}: no good shot to refine the geometry from, expected at least one:\n{reasons}")
    return np.stack(light), np.logical_and.reduce(infinite), shots, blocks[0].pedestal.values


def _corrections(
    cameras: Sequence[Camera], corrections: Sequence[np.ndarray], covariance: np.ndarray, refine: Refine
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(variables, coordinates) of the refined views."""
    table = {name: np.full((len(cameras), len(DEGREES)), np.nan) for name in ("correction", "correction_std", "correction_prior")}
    refined = [corrected(camera, values.tolist()) for camera, values in zip(cameras, corrections, strict=True)]
    origin, first = torch.zeros(1, 3, dtype=torch.float64), 0
    shift, shift_std = np.zeros((2, len(cameras), 2))
    for view, (camera, values, prior) in enumerate(zip(cameras, corrections, prior_of(refine, cameras), strict=True)):
        at = [DEGREES.index(name) for name in degrees_of(camera)]
        own = covariance[first : first + len(at), first : first + len(at)]
        first += len(at)
        for name, column in (("correction", values), ("correction_std", np.sqrt(own.diagonal())), ("correction_prior", prior)):
            table[name][view, at] = column
        slope = place_slopes(camera, values.tolist(), origin)[0].numpy()
        shift[view] = (places(refined[view], origin) - places(camera, origin))[0].numpy()
        shift_std[view] = np.sqrt((slope @ own @ slope.T).diagonal())
    nowhere = (np.nan,) * 3
    variables = {
        **table,
        "degree_units": np.array([UNITS[name] for name in DEGREES]),
        "lens_position": np.array([camera.lens for camera in refined]),
        "look": np.array([camera.look for camera in refined]),
        "left": np.array([camera.left for camera in refined]),
        "up": np.array([camera.up for camera in refined]),
        "focal_length": np.array([camera.focal_length for camera in refined]),
        "magnification": np.array([camera.magnification for camera in refined]),
        "mirror_centre": np.array([camera.mirror.centre if camera.mirror else nowhere for camera in refined]),
        "mirror_normal": np.array([camera.mirror.normal if camera.mirror else nowhere for camera in refined]),
        "image_shift": shift,
        "image_shift_std": shift_std,
    }
    return variables, {"degree": list(DEGREES), "axis": ["x", "y", "z"], "image_axis": ["row", "column"]}


def _found(cameras: Sequence[Camera], found: Refined, values: dict[str, Any], shots: Sequence[int]) -> list[str]:
    """What a person should know, a line each."""
    names = [camera.name for camera in cameras]
    lines = [
        f"shot {shots[place]} was left out: its views do not agree with how the other shots show them"
        for place in np.flatnonzero(~found.used).tolist()
    ]
    if not found.converged:
        lines.append("the refinement has not converged")
    for view in np.flatnonzero(found.after.chi2 > CHI2_LIMIT):
        lines.append(
            f"view {names[view]}: chi-square {found.after.chi2[view]:.2f} a pixel after the refinement, expected about 1: "
            "pose, magnification and focus do not explain its images (residual_after)"
        )
    return lines + _far(cameras, values) + setup_told(names, found.after.shift[found.used], found.after.shift_std[found.used])


def _far(cameras: Sequence[Camera], values: dict[str, Any]) -> list[str]:
    """Corrections that the prior did not expect, a line each."""
    with np.errstate(invalid="ignore"):
        far = np.abs(values["correction"]) / values["correction_prior"]
    return [
        f"view {cameras[view].name}: {DEGREES[degree]} is {far[view, degree]:.1f} standard deviations of its prior from the camera file"
        for view, degree in np.argwhere(far > FAR).tolist()
    ]
