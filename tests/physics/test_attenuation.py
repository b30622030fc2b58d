"""Strips keep areas, are exact in their gradient, agree with a disc's chords, and the beam follows Beer-Lambert with a fringe that keeps the light."""

import math

import numpy as np
import pytest
import torch

from fieldfit.forward.attenuation import Strips, optical_depth, raster, strips_of, transmitted

ANGLES = torch.tensor([0.0, 0.3, math.pi / 4, 1.2, math.pi / 2, 2.5], dtype=torch.float64)
COLUMNS, AXIS, SIDE = 31, 14.3, 12


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def strips() -> Strips:
    return strips_of(ANGLES, COLUMNS, AXIS, torch.ones(SIDE, SIDE, dtype=torch.bool))


def test_projection_and_gradient_are_adjoint(strips: Strips):
    field, data = random(SIDE**2, 3).requires_grad_(), random(len(ANGLES) * COLUMNS, 3, seed=1)
    (optical_depth(strips, field) * data).sum().backward()
    assert torch.allclose((field.grad * field).sum(), (optical_depth(strips, field) * data).sum(), rtol=1e-12)


def test_gradient_through_beam_and_fringe():
    few = strips_of(ANGLES[:2], 9, 4.2, torch.ones(3, 3, dtype=torch.bool))
    incident = 100 + 10 * random(18, 2)

    def light(mu: torch.Tensor, fringe: torch.Tensor) -> torch.Tensor:
        return transmitted(few, optical_depth(few, mu), incident, fringe)

    assert torch.autograd.gradcheck(light, (random(9, 2).requires_grad_(), random(2).requires_grad_()))


def test_every_view_sees_all_of_a_voxels_area(strips: Strips):
    area = optical_depth(strips, torch.ones(SIDE**2, 1, dtype=torch.float64)).reshape(len(ANGLES), COLUMNS).sum(1)
    assert torch.allclose(area, torch.full_like(area, float(SIDE**2)), rtol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, 1.9])
def test_a_strip_holds_the_area_that_many_points_of_the_voxel_have_in_it(angle: float):
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[3, 8] = True
    found = strips_of(torch.tensor([angle], dtype=torch.float64), COLUMNS, AXIS, inside).lengths.matrix.to_dense()[:, 0].numpy()
    x, y = raster(SIDE)[3 * SIDE + 8].numpy()
    at = (np.arange(1000) + 0.5) / 1000 - 0.5
    column = AXIS + (x + at[:, None]) * math.cos(angle) + (y + at) * math.sin(angle)
    counted = np.bincount(np.floor(column + 0.5).astype(int).ravel(), minlength=COLUMNS) / 1e6
    assert np.abs(found - counted).max() < 2e-3


def test_a_disc_is_seen_as_its_chords():
    side, radius = 80, 30.0
    x, y = raster(side).T
    inside = torch.ones(side, side, dtype=torch.bool)
    strips = strips_of(ANGLES, 101, 50.0, inside)
    fine = (torch.arange(8, dtype=torch.float64) + 0.5) / 8 - 0.5
    disc = ((x[:, None, None] + fine[:, None]) ** 2 + (y[:, None, None] + fine) ** 2 < radius**2).double().mean((1, 2))
    depth = optical_depth(strips, disc[:, None])[:, 0].reshape(len(ANGLES), 101)
    edge = (torch.arange(102, dtype=torch.float64) - 50.5).clamp(-radius, radius)
    area = edge * (radius**2 - edge**2).sqrt() + radius**2 * torch.asin(edge / radius)  # of the disc below a chord
    assert float((depth - area.diff())[:, 25:76].abs().max()) < 0.006 * 2 * radius  # at the limb the voxels' own width shows
    assert torch.allclose(depth.sum(1), area.diff().sum().expand(len(ANGLES)), rtol=1e-3)


def test_a_view_from_behind_sees_the_mirror_image(strips: Strips):
    there = strips_of(torch.tensor([0.4], dtype=torch.float64), COLUMNS, 15.0, torch.ones(SIDE, SIDE, dtype=torch.bool))
    back = strips_of(torch.tensor([0.4 + math.pi], dtype=torch.float64), COLUMNS, 15.0, torch.ones(SIDE, SIDE, dtype=torch.bool))
    mu = random(SIDE**2, 1)
    assert torch.allclose(optical_depth(there, mu).flip(0), optical_depth(back, mu), atol=1e-9)


def test_beam_follows_beer_lambert_without_a_fringe(strips: Strips):
    depth, incident = 2 * random(len(ANGLES) * COLUMNS, 2), 1e3 * random(len(ANGLES) * COLUMNS, 2, seed=2)
    assert torch.allclose(transmitted(strips, depth, incident, torch.zeros(2, dtype=torch.float64)), incident * torch.exp(-depth))


def test_a_fringe_moves_light_and_makes_none(strips: Strips):
    depth, ones = 2 * random(len(ANGLES) * COLUMNS, 2), torch.ones(len(ANGLES) * COLUMNS, 2, dtype=torch.float64)
    light = transmitted(strips, depth, ones, torch.tensor([0.5, 1.5], dtype=torch.float64))
    plain = torch.exp(-depth)
    assert torch.allclose(light.sum(0), plain.sum(0))
    assert not torch.allclose(light, plain, rtol=1e-2)


def test_a_step_gets_its_bright_side_outside(strips: Strips):
    depth = torch.where(torch.arange(COLUMNS) < 15, 0.0, 1.0).double().repeat(len(ANGLES))[:, None]
    light = transmitted(strips, depth, torch.ones_like(depth), torch.tensor([0.3], dtype=torch.float64)).reshape(len(ANGLES), COLUMNS)
    assert (light[:, 14] > 1).all()
    assert (light[:, 15] < math.exp(-1)).all()


def test_negative_light_and_an_empty_raster_are_refused(strips: Strips):
    dark = torch.ones(len(ANGLES) * COLUMNS, 1, dtype=torch.float64)
    dark[7] = -1
    with pytest.raises(ValueError, match=f"1 of {len(dark)} rays are negative"):
        transmitted(strips, torch.zeros_like(dark), dark, torch.zeros(1, dtype=torch.float64))
    with pytest.raises(ValueError, match="no voxel is inside"):
        strips_of(ANGLES, COLUMNS, AXIS, torch.zeros(SIDE, SIDE, dtype=torch.bool))
