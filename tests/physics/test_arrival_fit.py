"""Arrival times of photons traced one by one are recovered off the grid, better than by the table, with an error that means what it says."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

from fieldfit.config.dune import VisibilityFit
from fieldfit.experiments.dune.arrival import ArrivalFit, fit_arrivals
from fieldfit.experiments.dune.visibility_errors import Judged, judged_fit
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.simulate.library import Traced, trace_library
from fieldfit.simulate.optics import Detector

BOX = Box((0.0, -0.5, 0.0), (1.0, 0.5, 1.2), (8, 8, 10))
DETECTOR = Detector(
    np.array(BOX.lower), np.array(BOX.upper), np.array([[0, -0.2, 0.3], [0, 0.2, 0.9], [0.5, 0.5, 0.6]]), np.full(3, 0.1), 20.0, 0.9, 0.3
)
DISKS = Disks(DETECTOR.centre, DETECTOR.normals(), DETECTOR.radius)
PHOTONS, REPEATS = 6_000, 8
NAMES = ["first reflected", "first", "delay"]


def columns(traced: Traced) -> np.ndarray:
    """(timing, channel, x, y, z) [ns]; NaN without photons."""
    return np.stack([by_place(part) for part in traced.times()])


def by_place(rows: np.ndarray) -> np.ndarray:
    """(channel, x, y, z) of (voxel, channel), x fastest."""
    nx, ny, nz = BOX.divisions
    return rows.reshape(nz, ny, nx, -1).transpose(3, 2, 1, 0)


@dataclass(frozen=True)
class Case:
    """One library with its fits, and the mean of many others at the same voxels."""

    times: np.ndarray
    visibility: Judged
    fit: ArrivalFit
    truth: np.ndarray
    truth_std: np.ndarray


@pytest.fixture(scope="module")
def case() -> Case:
    traced = [trace_library(DETECTOR, BOX.divisions, PHOTONS, np.random.default_rng(seed)) for seed in range(1 + REPEATS)]
    times = columns(traced[0]).astype(np.float32)
    values = by_place(traced[0].counts.sum(0) / PHOTONS).astype(np.float32)
    others = np.stack([columns(one) for one in traced[1:]])
    masked = np.zeros(values.shape, bool)
    settings = VisibilityFit(steps=1200, width=48)
    judged = judged_fit(lambda c: (values[c], masked[c]), BOX, DISKS, float(PHOTONS), [True] * 3, settings, 1, "cpu")
    fit = fit_arrivals(lambda c: times[:, c], NAMES, judged.fitted, judged.errors, BOX, DISKS)
    count = np.isfinite(others).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Case(times, judged, fit, np.nanmean(others, 0), np.nanstd(others, 0) / np.sqrt(np.maximum(count - 1, 1)))


def at_centres(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Field and its std (timing, channel, x, y, z)."""
    points = torch.tensor(BOX.points(), dtype=torch.float32)
    with torch.no_grad():
        found = case.fit.field(points).permute(1, 2, 0).numpy()
        visibility = in_chunks(case.visibility.fitted.field, points).numpy()
    depth = case.visibility.errors.depth(BOX.points())
    std = np.stack([np.stack([case.fit.std(k, depth, visibility[:, c]) for c in range(3)]) for k in range(3)])
    return found.reshape(3, 3, *BOX.divisions), std.reshape(3, 3, *BOX.divisions)


def test_times_are_recovered_better_than_by_the_table_and_its_interpolation(case: Case) -> None:
    found, _ = at_centres(case)
    inner = (slice(None), slice(1, -1), slice(1, -1), slice(1, -1))
    for k in range(3):
        there = np.isfinite(case.truth[k]) & np.isfinite(case.times[k]) & (case.truth_std[k] < 0.3)
        field, table = (
            np.square((values - case.truth[k])[there]).mean() - np.square(case.truth_std[k][there]).mean() for values in (found[k], case.times[k])
        )
        assert field < 0.35 * table  # squared: 1.7 times nearer, at the least of the three
        # trilinear between the table's neighbours, at twice the spacing that a user's points have at most: beaten too
        neighbours = np.stack([(np.roll(case.times[k], 1, a) + np.roll(case.times[k], -1, a)) / 2 for a in (1, 2, 3)]).mean(0)
        inside = there[inner] & np.isfinite(neighbours[inner])
        trilinear = np.square((neighbours - case.truth[k])[inner][inside]).mean()
        assert np.square((found[k] - case.truth[k])[inner][inside]).mean() < trilinear


def test_pulls_have_mean_zero_and_width_one(case: Case) -> None:
    found, std = at_centres(case)
    for k in range(3):
        pull = (found[k] - case.truth[k]) / np.hypot(std[k], case.truth_std[k])
        pull = pull[np.isfinite(pull)]
        assert abs(pull.mean()) < 0.35
        assert 0.7 < pull.std() < 1.3


def test_the_first_arrival_is_the_straight_way_at_the_group_velocity(case: Case) -> None:
    """Within a voxel's half diagonal of it where the light is bright; read off the whole field, since its parts share what they say."""
    found, _ = at_centres(case)
    bright = np.moveaxis(case.visibility.fitted.field(torch.tensor(BOX.points(), dtype=torch.float32)).detach().numpy(), -1, 0) > 0.005
    away = np.linalg.norm(BOX.points() - DETECTOR.centre[:, None], axis=2)
    late = found[1].reshape(3, -1) - 7.46 * away
    assert np.abs(late[bright]).max() < 7.46 * (np.linalg.norm(BOX.pitch) / 2 + DETECTOR.radius[0])


def test_mirror_images_share_their_times() -> None:
    """Two sensors that are images of each other in z: fitted as one head, and the field shows each its own side."""
    detector = Detector(np.array(BOX.lower), np.array(BOX.upper), np.array([[0, 0.1, 0.3], [0, 0.1, 0.9]]), np.full(2, 0.1), 20.0, 0.9, 0.3)
    traced = trace_library(detector, BOX.divisions, 4000, np.random.default_rng(5))
    times = columns(traced).astype(np.float32)
    values = by_place(traced.counts.sum(0) / 4000).astype(np.float32)
    masked = np.zeros(values.shape, bool)
    disks = Disks(detector.centre, detector.normals(), detector.radius)
    settings = VisibilityFit(steps=200, width=24)
    judged = judged_fit(lambda c: (values[c], masked[c]), BOX, disks, 4000.0, [True] * 2, settings, 1, "cpu")
    assert len(judged.fitted.heads.first) == 1
    fit = fit_arrivals(lambda c: times[:, c], NAMES, judged.fitted, judged.errors, BOX, disks)
    with torch.no_grad():
        found = fit.field(torch.tensor([[0.4, 0.2, 0.25], [0.4, 0.2, 0.95]]))
    torch.testing.assert_close(found[0, :, 0], found[1, :, 1])
    assert (found[0, 1, 0] < found[0, 1, 1]).item()
    assert RegularGridInterpolator(BOX.centres(), times[1, 0])([[0.4, 0.2, 0.25]])[0] == pytest.approx(float(found[0, 1, 0]), abs=1.0)
