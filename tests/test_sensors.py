"""The solid angle of a disk is exact on and off its axis, by two independent ways."""

import math

import numpy as np
import pytest
import torch

from fieldfit.geometry.sensors import FAR, Sensors, complete_elliptic, disk_share, far_share, solid_angle_share
from fieldfit.simulate import optics

DISK = Sensors(torch.zeros(1, 3).double(), torch.tensor([[1.0, 0.0, 0.0]]).double(), torch.tensor([0.1]).double())


def share(*point: float) -> float:
    return float(solid_angle_share(DISK, torch.tensor([point], dtype=torch.float64)))


@pytest.mark.parametrize("height", [1e-3, 0.03, 0.1, 1.0, 10.0])
def test_on_the_axis_the_closed_form_holds(height: float) -> None:
    assert math.isclose(share(height, 0, 0), 0.5 * (1 - height / math.hypot(height, 0.1)), rel_tol=1e-6)


@pytest.mark.parametrize("point", [(0.05, 0.03, 0.0), (0.05, 0.1, 0.0), (0.05, 0.15, 0.02), (0.01, 0.3, 0.0), (2.0, 1.0, 3.0)])
def test_off_the_axis_it_is_the_integral_over_the_disk(point: tuple[float, float, float]) -> None:
    radius, angle = (np.arange(1500) + 0.5) / 1500 * 0.1, (np.arange(600) + 0.5) / 600 * 2 * np.pi
    y, z = radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)
    square = point[0] ** 2 + (point[1] - y) ** 2 + (point[2] - z) ** 2
    integral = (point[0] / square**1.5 * radius[:, None]).sum() * 0.1 / 1500 * 2 * np.pi / 600 / (4 * np.pi)
    assert math.isclose(share(*point), integral, rel_tol=1e-5)


def test_two_elliptic_algorithms_agree() -> None:
    points = np.random.default_rng(0).random((200, 3))
    other = optics.disk_share(points[:, 0], np.hypot(points[:, 1], points[:, 2]), 0.1)
    assert np.allclose(solid_angle_share(DISK, torch.tensor(points))[:, 0], other, rtol=1e-6)


def test_behind_the_disk_nothing_is_seen() -> None:
    behind = torch.tensor([[-0.5, 0.0, 0.0]])
    assert float(solid_angle_share(DISK, behind)) == 0


def test_the_normal_turns_the_disk() -> None:
    turned = Sensors(DISK.centre, torch.tensor([[0.0, 0.0, -1.0]]).double(), DISK.radius)
    assert math.isclose(float(solid_angle_share(turned, torch.tensor([[0.0, 0.2, -0.3]]))), share(0.3, 0.2, 0.0), rel_tol=1e-5)


def test_the_elliptic_integral_of_a_circle_is_half_pi() -> None:
    one = torch.ones(1, dtype=torch.float64)
    assert math.isclose(float(complete_elliptic(one, one, one, one)), math.pi / 2)


def test_the_series_is_the_closed_form_far_away() -> None:
    random = np.random.default_rng(1)
    distance = torch.tensor(0.1 * FAR * random.uniform(1, 10, 20000))
    height = distance * torch.tensor(random.uniform(1e-2, 1, 20000))
    radius = torch.full_like(height, 0.1)
    exact = disk_share(height, distance.square(), radius)
    assert torch.allclose(far_share(height, distance.square(), radius), exact, rtol=3e-7, atol=0)
    single = far_share(height.float(), distance.square().float(), radius.float())
    assert torch.allclose(single.double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_its_gradient_is_finite_and_continuous_from_near_to_far(precision: torch.dtype) -> None:
    points = torch.tensor(
        [[0.3, 0, 0], [2.0, 0, 0], [-1.0, 0, 0], [0, 0, 0], [0.3, 0.39999, 0], [0.3, 0.40001, 0]], dtype=precision, requires_grad=True
    )
    (slopes,) = torch.autograd.grad(solid_angle_share(DISK, points).sum(), points)
    assert slopes.isfinite().all() and torch.allclose(slopes[4], slopes[5], rtol=2e-3)
    along = torch.stack(
        [torch.func.jvp(lambda x: solid_angle_share(DISK, x), (points.detach(),), (e.expand(6, 3),))[1][:, 0] for e in torch.eye(3, dtype=precision)],
        1,
    )
    assert torch.allclose(along, slopes, rtol=1e-5)
    if precision is torch.float64:
        assert torch.autograd.gradcheck(lambda x: solid_angle_share(DISK, x), points[[4, 5]].detach().requires_grad_())
