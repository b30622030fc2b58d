"""Two estimators of the same detector agree, light is conserved, and the library's counts are binomial."""

import numpy as np

from fieldfit.simulate.library import trace_library
from fieldfit.simulate.optics import Detector, expect_photons, trace_photons

CENTRE = np.array([[0.0, 0.1, 0.3], [0.5, 0.5, 0.6], [1.0, -0.2, 0.5]])


def detector(**keys: float) -> Detector:
    settings = {"absorption": 20.0, "scattering": 0.9, "reflectivity": 0.3} | keys
    return Detector(np.array([0, -0.5, 0.0]), np.array([1.0, 0.5, 1.0]), CENTRE, np.full(3, 0.15), **settings)


def count_photons(box: Detector, start: np.ndarray, origin: np.ndarray, origins: int, generator: np.random.Generator) -> np.ndarray:
    """(2, origin, channel): photons detected, direct and reflected, one from each row of `start`."""
    counts = np.zeros((2, origins, len(box.centre)), np.int64)
    for arrived in trace_photons(box, start, generator):
        np.add.at(counts, (arrived.reflected.astype(int), origin[arrived.photon], arrived.channel), 1)
    return counts


def test_counting_and_next_event_estimation_agree() -> None:
    generator, n = np.random.default_rng(0), 400_000
    origin = np.arange(n) % 2
    start = np.array([[0.4, 0.1, 0.5], [0.05, 0.1, 0.33]])[origin]
    counted = count_photons(detector(), start, origin, 2, generator).sum(0)
    expected = expect_photons(detector(), start[: n // 4], np.ones(n // 4), origin[: n // 4], 2, generator) * 4
    assert np.all(np.abs(counted - expected) < 4 * np.sqrt(counted + (0.02 * counted) ** 2))


def test_without_matter_and_walls_only_the_solid_angle_remains() -> None:
    generator, n = np.random.default_rng(1), 400_000
    bare = detector(absorption=1e9, scattering=1e9, reflectivity=0.0)
    counts = count_photons(bare, np.tile([0.3, 0.1, 0.3], (n, 1)), np.zeros(n, int), 1, generator)
    share = 0.5 * (1 - 0.3 / np.hypot(0.3, 0.15))
    assert abs(counts[0, 0, 0] - n * share) < 4 * np.sqrt(n * share)
    assert counts[1].sum() == 0


def test_no_light_is_made_on_the_way() -> None:
    bright = detector(absorption=1e9, reflectivity=0.9)
    counts = count_photons(bright, np.full((20_000, 3), 0.3), np.zeros(20_000, int), 1, np.random.default_rng(2))
    assert 0.1 * 20_000 < counts.sum() <= 20_000


def test_a_library_counts_its_voxels_x_fastest() -> None:
    traced = trace_library(detector(), (3, 2, 2), 4000, np.random.default_rng(3))
    counts = traced.counts.sum(0)
    assert counts.shape == (12, 3)
    assert counts[0, 0] > counts[2, 0]  # channel 0 is on the lower x wall
    assert counts[2, 2] > counts[0, 2]  # channel 2 on the upper one


def test_the_shortest_way_is_straight_and_a_mirrored_one_is_longer() -> None:
    traced = trace_library(detector(), (3, 2, 2), 20_000, np.random.default_rng(4))
    counts, (direct, reflected) = traced.counts, traced.first
    far = 2  # the voxel at the upper x end, seen from channel 0 on the lower x wall: 2/3 m is its nearest face
    assert 2 / 3 < direct[far, 0] < 0.9
    assert reflected[far, 0] > direct[far, 0]
    assert np.all(np.isinf(traced.first[counts == 0]))
    lit = counts.sum(0) > 0
    assert np.all(traced.way[lit] / counts.sum(0)[lit] >= traced.first.min(0)[lit] * (1 - 1e-5))
