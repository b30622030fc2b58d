"""Arrival times fitted to a library, beside the library itself and its interpolation.

    uv run python benchmarks/arrival.py [--photons 20000] [--repeats 40]

A box with three disks is traced photon by photon: one library of 14 x 14 x 18 voxels with the first reflected arrival, the first arrival and the
mean delay after it; and at points between its voxels the means of many such libraries, which are the truth. Prints Markdown: rms error [ns]
of nearest voxel, trilinear and field, the field's stated one, pulls, and the cost of the fit.
"""

import argparse
import time

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator

from fieldfit.config.dune import VisibilityFit
from fieldfit.experiments.dune.arrival import fit_arrivals
from fieldfit.experiments.dune.visibility_errors import judged_fit
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.simulate.library import Traced, trace_library
from fieldfit.simulate.optics import Detector

BOX = Box((0.0, -0.5, 0.0), (1.0, 0.5, 1.2), (14, 14, 18))
CENTRE = np.array([[0, -0.2, 0.3], [0, 0.2, 0.9], [0.5, 0.5, 0.6]])
NAMES = ["first reflected", "first", "mean delay"]
SHIFT = 0.37  # of a voxel along each axis, by which the points lie off the centres


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photons", type=int, default=20_000, help="a voxel")
    parser.add_argument("--repeats", type=int, default=40, help="libraries that make the truth")
    asked = parser.parse_args()
    box = Detector(np.array(BOX.lower), np.array(BOX.upper), CENTRE, np.full(3, 0.1), 20.0, 0.9, 0.3)
    disks = Disks(box.centre, box.normals(), box.radius)
    traced = trace_library(box, BOX.divisions, asked.photons, np.random.default_rng(0))
    table, values = columns(traced, BOX), by_place(traced.counts.sum(0) / asked.photons, BOX).astype(np.float32)
    masked = np.zeros(values.shape, bool)
    judged = judged_fit(lambda c: (values[c], masked[c]), BOX, disks, float(asked.photons), [True] * 3, VisibilityFit(), 1, "auto")
    began = time.process_time()
    fit = fit_arrivals(lambda c: table[:, c].astype(np.float32), NAMES, judged.fitted, judged.errors, BOX, disks)
    cost = time.process_time() - began

    # the same voxels, moved by a part of one: a box that lacks its last layers
    low, pitch = np.array(BOX.lower), np.array(BOX.pitch)
    few = 7, 7, 9
    moved = Box(*(tuple(float(v) for v in low + pitch * (SHIFT + n)) for n in (np.zeros(3), np.array(few))), few)
    inner = [moved_library(box, moved, asked.photons, np.random.default_rng(1 + k)) for k in range(asked.repeats)]
    count = np.isfinite(inner).sum(0)
    truth, spread = np.nanmean(inner, 0), np.nanstd(inner, 0) / np.sqrt(np.maximum(count - 1, 1))
    points = moved.points()
    with torch.no_grad():
        found = fit.field(torch.tensor(points, dtype=torch.float32)).permute(1, 2, 0).numpy().reshape(truth.shape)
        visibility = in_chunks(judged.fitted.field, torch.tensor(points, dtype=torch.float32)).numpy()
    depth = judged.errors.depth(points)
    print(f"fit of {len(NAMES)} columns, {BOX.voxels} voxels, 3 channels: {cost:.1f} CPU-s\n")
    print("| column | truth known to | nearest voxel | trilinear | field | stated | pulls, mean and width |\n|---|---|---|---|---|---|---|")
    for k, name in enumerate(NAMES):
        std = np.stack([fit.std(k, depth, visibility[:, c]) for c in range(3)]).reshape(truth[k].shape)
        filled = np.where(np.isfinite(table[k]), table[k], np.nanmean(table[k]))
        nearest, linear = (
            np.stack([RegularGridInterpolator(BOX.centres(), one, method)(points) for one in filled]).reshape(truth[k].shape)
            for method in ("nearest", "linear")
        )
        use = np.isfinite(truth[k]) & (count[k] > asked.repeats // 2)
        noise = np.square(spread[k][use]).mean()
        errors = [np.sqrt(max(0.0, np.square((v - truth[k])[use]).mean() - noise)) for v in (nearest, linear, found[k])]
        pull = ((found[k] - truth[k]) / np.hypot(std, spread[k]))[use]
        told = " | ".join(f"{v:.3f}" for v in (np.sqrt(noise), *errors, np.sqrt(np.square(std[use]).mean())))
        print(f"| {name} [ns] | {told} | {pull.mean():+.2f}, {pull.std():.2f} |")


def columns(traced: Traced, box: Box) -> np.ndarray:
    """(timing, channel, x, y, z) [ns]; NaN without photons."""
    return np.stack([by_place(part, box) for part in traced.times()])


def by_place(rows: np.ndarray, box: Box) -> np.ndarray:
    """(channel, x, y, z) of (voxel, channel), x fastest."""
    nx, ny, nz = box.divisions
    return rows.reshape(nz, ny, nx, -1).transpose(3, 2, 1, 0)


def moved_library(detector: Detector, box: Box, photons: int, generator: np.random.Generator) -> np.ndarray:
    """The columns of a library of the detector whose voxels are those of another box inside it."""
    return columns(trace_library(detector, box.divisions, photons, generator, np.array(box.lower), np.array(box.upper)), box)


if __name__ == "__main__":
    main()
