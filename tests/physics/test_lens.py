"""Optics of one view against photons drawn one by one: mirror edges, glass, distortion, diffraction."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fieldfit.geometry.cameras import Camera, Distortion, Glass, Mirror, reflected
from fieldfit.geometry.lens import AIRY, aperture, images, pixel_position

STRAIGHT = Camera("c", (-0.32, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 0.06, 0.02, 0.2, 7e-6, 400, 400, 0.8, 2.0)
NORMAL = (-0.8, -0.6, 0.0)
VIEW = reflected(STRAIGHT, Mirror((0.0075, 0.0205, 0.0), NORMAL, 0.0025), "m")
POINTS = torch.tensor([[0.0, 0.0, 0.0], [8e-4, -5e-4, 3e-4], [-1e-3, 1e-3, -1e-3], [1e-3, 1.5e-3, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize("point", POINTS)
def test_a_mirror_lets_through_what_photons_find_open(point: torch.Tensor) -> None:
    """Rays towards places spread evenly over the mirror, turned there, and followed to the lens: to 2e-4 of the light, which tells a mirror's place."""
    seen, number = aperture(VIEW, point[None]), 400_000
    n = np.array(NORMAL)
    across = np.stack([np.array([0.6, -0.8, 0.0]), np.array([0.0, 0.0, 1.0])])
    k = np.arange(number) + 0.5  # a sunflower
    radius, angle = 0.0025 * np.sqrt(k / number), math.pi * (1 + 5**0.5) * k
    at = np.array([0.0075, 0.0205, 0.0]) + (radius * np.array([np.cos(angle), np.sin(angle)])).T @ across
    way = at - point.numpy()
    distance = np.linalg.norm(way, axis=1)
    weight = math.pi * 0.0025**2 * np.abs(way @ n) / (4 * math.pi * distance**3)  # solid angle of the mirror's surface over 4 pi
    onward = way - 2 * (way @ n)[:, None] * n
    steps = (np.array(STRAIGHT.lens)[0] - at[:, 0]) / onward[:, 0]
    hit = (at + steps[:, None] * onward)[:, 1:]
    passed = (steps > 0) & ((hit**2).sum(1) < STRAIGHT.radius**2)
    assert float(seen.share[0]) == pytest.approx(float((weight * passed).mean()), rel=2e-4)
    w = weight * passed / (weight * passed).sum()
    # left is y and up is z of the straight camera, which the reflected axes name on the virtual lens.
    mean = np.array([w @ hit[:, 1], w @ hit[:, 0]])
    variance = np.array([w @ (hit[:, 1] - mean[0]) ** 2, w @ (hit[:, 0] - mean[1]) ** 2])
    assert np.allclose(seen.mean[0], mean, atol=2e-4)
    assert np.allclose(seen.variance[0], variance, rtol=0.03)


def test_a_mirror_image_is_that_of_the_mirrored_point() -> None:
    n = torch.tensor(NORMAL, dtype=torch.float64)
    centre = torch.tensor([0.0075, 0.0205, 0.0], dtype=torch.float64)
    mirrored = POINTS - 2 * ((POINTS - centre) @ n)[:, None] * n
    for here, there in zip(pixel_position(VIEW, POINTS), pixel_position(STRAIGHT, mirrored), strict=True):
        assert torch.allclose(here, there)


def test_glass_brings_a_point_nearer_by_its_thickness_times_one_minus_one_over_n() -> None:
    glass = replace(STRAIGHT, glass=Glass(6.35e-3, 1.4667))
    straight = pixel_position(STRAIGHT, POINTS)[2] - pixel_position(glass, POINTS)[2]
    assert torch.allclose(straight, torch.full((len(POINTS),), 6.35e-3 * (1 - 1 / 1.4667), dtype=torch.float64), rtol=1e-4)
    # An oblique ray by Snell's law: the way along the glass is t tan(theta'), so the point seems nearer by t (1 - tan(theta') / tan(theta)).
    steep = torch.tensor([[0.0, 0.1, 0.0]], dtype=torch.float64)
    theta = math.atan2(0.1, 0.32)
    inside = math.asin(math.sin(theta) / 1.4667)
    expected = 6.35e-3 * (1 - math.tan(inside) / math.tan(theta))
    assert float(pixel_position(STRAIGHT, steep)[2] - pixel_position(glass, steep)[2]) == pytest.approx(expected, rel=1e-9)


def test_distortion_moves_points_as_brown_says() -> None:
    bent = replace(STRAIGHT, distortion=Distortion(k1=0.3, p1=0.01, p2=-0.02))
    point = torch.tensor([[0.0, 0.032, 0.016]], dtype=torch.float64)
    left, up = 0.1, 0.05
    square = left**2 + up**2
    expected = (
        up * (1 + 0.3 * square) + 0.01 * (square + 2 * up**2) - 2 * 0.02 * up * left,
        left * (1 + 0.3 * square) + 2 * 0.01 * up * left - 0.02 * (square + 2 * left**2),
    )
    scale = 0.06 * 1.2 / 7e-6
    row, column, _ = pixel_position(bent, point)
    assert (float(row), float(column)) == pytest.approx((200 + scale * expected[0], 200 + scale * expected[1]))


def test_diffraction_is_the_whole_blur_in_focus() -> None:
    small = replace(STRAIGHT, radius=0.5e-3, wavelength=461e-9)
    at = torch.tensor([[small.focus - 0.32, 0.0, 0.0]], dtype=torch.float64)
    number = 0.06 * 1.2 / 1e-3
    assert float(images(small, at).row_blur) == pytest.approx(AIRY * 461e-9 * number / 7e-6, rel=1e-6)
