"""Radiosity and photon-by-photon simulation of one box agree, and no light is made."""

import numpy as np
import pytest

from fieldfit.simulate.optics import Detector, expect_photons
from fieldfit.simulate.radiosity import MatteBox, direct_light, reflected_light, voxel_light

LOW, HIGH = np.array([0.0, -0.5, 0.0]), np.array([1.0, 0.5, 1.2])
CENTRE = np.array([[0.0, -0.2, 0.3], [0.0, 0.2, 0.8], [0.5, 0.5, 0.6], [0.4, 0.1, 1.2]])
NORMAL = np.array([[1.0, 0, 0], [1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]])


def box(reflectivity: float = 0.4, attenuation: float = 1.5, patch: float = 0.1) -> MatteBox:
    return MatteBox(LOW, HIGH, CENTRE, NORMAL, np.full(4, 0.1), attenuation, (reflectivity,) * 6, patch)


def test_it_agrees_with_photons_traced_one_by_one() -> None:
    points = np.array([[0.3, 0.0, 0.4], [0.7, -0.3, 0.9], [0.5, 0.2, 0.2]])
    traced = Detector(LOW, HIGH, CENTRE, np.full(4, 0.1), absorption=1.5, scattering=1e9, reflectivity=0.4)
    samples = 60_000
    origin = np.repeat(np.arange(3), samples)
    light = expect_photons(traced, points[origin], np.full(len(origin), 1 / samples), origin, 3, np.random.default_rng(1))
    found = direct_light(box(), points) + reflected_light(box(), points)
    assert np.allclose(found, light, rtol=0.03)


def test_walls_that_lose_nothing_give_all_light_to_the_patches() -> None:
    everything = box(reflectivity=0.0, attenuation=1e9)
    assert np.allclose(reflected_light(everything, np.array([[0.5, 0.0, 0.6]])), 0)
    bright, dim = box(0.8), box(0.2)
    point = np.array([[0.5, 0.0, 0.6]])
    assert (reflected_light(bright, point) > 4 * reflected_light(dim, point)).all()
    assert direct_light(bright, point) == pytest.approx(direct_light(dim, point))


def test_a_voxel_holds_the_mean_of_its_points() -> None:
    direct, reflected = voxel_light(box(), (4, 5, 6))
    generator = np.random.default_rng(0)
    index = 2 * 30 + 1 * 6 + 4  # x 2, y 1, z 4
    edge = (HIGH - LOW) / np.array([4, 5, 6])
    points = LOW + (np.array([2, 1, 4]) + generator.random((4000, 3))) * edge
    assert np.allclose(direct[index], direct_light(box(), points).mean(0), rtol=0.02)
    assert np.allclose(reflected[index], reflected_light(box(), points).mean(0), rtol=0.02)
