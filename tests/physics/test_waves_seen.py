"""Which fringes a set-up sees: the information of a fringe is in closed form, and a line of sight along the wave shows none."""

import math

import numpy as np
import pytest
import torch

from camera_files import cameras_of
from fieldfit.experiments.magis.waves_seen import Cloud, phase_information, waves_seen
from fieldfit.simulate.layouts import dome_of_mirrors, ring_of_cameras, twelve_cameras

CLOUD = Cloud(0.5e-3, 0.8, 1e9, 1e6)


def along(*directions: tuple[float, float, float], period: float) -> torch.Tensor:
    return 2 * math.pi / period * torch.tensor(directions, dtype=torch.float64)


def test_without_a_pedestal_the_information_is_that_of_whole_fringes() -> None:
    contrast = torch.tensor([0.0, 0.3, 0.8, 1.0], dtype=torch.float64)
    assert torch.allclose(phase_information(contrast, 1e5, 20.0, 0.0), 1e5 * (1 - (1 - contrast.square()).sqrt()))


def test_information_is_the_sum_over_pixels() -> None:
    """Fringes at many phases on a Gaussian, pixel by pixel: sum (dmean/dphi)^2 / mean."""
    size, electrons, pedestal, contrast = 15.0, 4e4, 2.3, 0.6
    r, c = np.mgrid[-90:91, -90:91]
    light = electrons / (2 * np.pi * size**2) * np.exp(-0.5 * (r**2 + c**2) / size**2)
    phases = 0.9 * r + 2 * np.pi * np.arange(8)[:, None, None] / 8
    told = (light * contrast * np.sin(phases)) ** 2 / (light * (1 + contrast * np.cos(phases)) + pedestal)
    found = phase_information(torch.tensor([contrast], dtype=torch.float64), electrons, size, pedestal)
    assert float(found[0]) == pytest.approx(told.sum((1, 2)).mean(), rel=2e-3)


def test_level_cameras_see_fringes_along_y_and_raised_ones_do_not() -> None:
    found = waves_seen(cameras_of(ring_of_cameras()), along((0, 1, 0), period=100e-6), CLOUD)
    assert found.seen[0].tolist() == [True, False, True, False, True, False]
    # Three views of 1e9 photons: 9.3e4 electrons each at 1 - sqrt(1 - (0.8 * 0.85)^2), and a million atoms at 1 - 0.6.
    ideal = 3 * 9.3e4 * (1 - math.sqrt(1 - 0.68**2))
    assert math.sqrt(1 / ideal + 1 / 4e5) < float(found.phase_std[0]) < 1.2 * math.sqrt(1 / ideal + 1 / 4e5)


def test_a_fringe_that_no_view_sees_is_told() -> None:
    between = (math.cos(math.radians(15)), 0.0, math.sin(math.radians(15)))  # 15 degrees off every level line of sight's right angle
    waves = along(between, (0, 1, 0), period=60e-6)
    assert waves_seen(cameras_of(ring_of_cameras()), waves, CLOUD).seen.any(1).tolist() == [False, True]
    assert waves_seen(cameras_of(dome_of_mirrors()), along((0, 1, 0), period=150e-6), CLOUD).seen.any(1).tolist() == [False]


def test_more_views_see_more() -> None:
    waves = along((0.6, 0.64, 0.48), (0, 1, 0), (0.8, 0.6, 0), period=377e-6)
    six, twelve = (waves_seen(cameras_of(layout()), waves, CLOUD) for layout in (ring_of_cameras, twelve_cameras))
    assert (twelve.phase_std < six.phase_std).all()
