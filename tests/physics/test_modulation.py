"""A view shows a wave as its line of sight, its lens, its focus and its pixels let it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import aperture, images, pixel_position
from fieldfit.geometry.modulation import modulation, sight_of

ALONG_X = Camera("a", (-0.175, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 0.175 * 0.1 / 1.1, 4e-3, 0.1, 2.4e-6, 200, 200, 0.7, 2.0)
PINHOLE = replace(ALONG_X, radius=1e-6)
SIZE = 0.4e-3


def shown(camera: Camera, k: tuple[float, float, float], size: float = SIZE) -> float:
    return float(modulation([sight_of(camera)], torch.tensor([k], dtype=torch.float64), size)[0, 0])


def test_a_wave_across_the_line_of_sight_loses_only_to_the_pixel() -> None:
    k = 2 * math.pi / 150e-6
    assert shown(PINHOLE, (0, 0, k)) == pytest.approx(np.sinc(24 / 150))
    assert shown(PINHOLE, (0, k / math.sqrt(2), k / math.sqrt(2))) == pytest.approx(np.sinc(24 / 150 / math.sqrt(2)) ** 2)


def test_a_wave_along_the_line_of_sight_is_washed_out_by_the_size_of_the_cloud() -> None:
    k = 3 / SIZE
    assert shown(PINHOLE, (k, 0, 0)) == pytest.approx(math.exp(-4.5), rel=1e-4)


def test_a_wave_finer_than_two_pixels_is_not_shown() -> None:
    assert shown(PINHOLE, (0, 0, 2 * math.pi / 50e-6)) > 0.5
    assert shown(PINHOLE, (0, 0, 2 * math.pi / 47e-6)) == 0


def test_a_disc_out_of_focus_blurs_by_its_own_transform() -> None:
    """A thin cloud 2 mm behind the plane of focus: 2 J1(x) / x, x = k R dz / z_f."""
    from scipy.special import j1

    behind = replace(ALONG_X, lens=(-0.177, 0.0, 0.0))
    k = 2 * math.pi / 300e-6
    x = k * behind.radius * 2e-3 / 0.175
    pixel = np.sinc(300e-6**-1 * 24e-6 * 0.177 / 0.175)
    assert shown(behind, (0, 0, k), size=1e-9) == pytest.approx(abs(2 * j1(x) / x) * pixel, rel=1e-3)


@pytest.mark.parametrize(("turned", "period"), [(0.0, 80e-6), (0.03, 100e-6), (0.08, 150e-6)])
def test_rays_of_a_fringed_cloud_show_the_same_contrast(turned: float, period: float) -> None:
    """Points drawn from the cloud and rays drawn over the lens, in full perspective."""
    camera = replace(ALONG_X, lens=(-0.1745, 0.0, 0.002))  # out of focus, and not straight ahead
    k = 2 * math.pi / period * torch.tensor([math.sin(turned), 0.3, math.cos(turned)], dtype=torch.float64)
    random = torch.Generator().manual_seed(1)
    number = 400_000
    points = SIZE * torch.randn(number, 3, generator=random, dtype=torch.float64)
    fringed = torch.rand(number, generator=random, dtype=torch.float64) < 0.5 * (1 + (points @ k).cos())
    points = points[fringed]
    row, column, depth = pixel_position(camera, points)
    a = torch.rand(len(points), generator=random, dtype=torch.float64).sqrt() * camera.radius
    turn = 2 * math.pi * torch.rand(len(points), generator=random, dtype=torch.float64)
    scale = camera.focal_length * (1 + camera.magnification) / (depth * camera.pitch) * (depth - camera.focus) / camera.focus
    at = torch.stack([row + scale * a * turn.cos(), column + scale * a * turn.sin()])
    at = at.floor() + 0.5  # pixels
    slope = sight_of(camera).slope
    q = torch.linalg.solve(slope @ slope.T, slope @ k)
    found = 2 * float(torch.exp(-1j * (q @ at)).mean().abs())
    assert found == pytest.approx(shown(camera, tuple(k.tolist())), abs=0.01)


def test_a_mirrors_edge_narrows_the_cone_of_rays() -> None:
    from fieldfit.geometry.cameras import Mirror

    mirror = Mirror((-0.01, 0.0, 0.0), (-1.0, 0.0, 0.0), 0.15e-3)
    narrow = replace(ALONG_X, mirror=mirror)
    origin = torch.zeros(1, 3, dtype=torch.float64)
    k = (0.0, 0.0, 2 * math.pi / 60e-6)
    assert float(aperture(narrow, origin).share[0]) < float(aperture(ALONG_X, origin).share[0])
    assert shown(ALONG_X, k) < shown(narrow, k) < shown(PINHOLE, k)
    assert float(images(narrow, origin).electrons[0]) < float(images(ALONG_X, origin).electrons[0])
