"""The camera projector: adjoint, gradient, closed forms, and agreement with photons traced one by one."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from camera_files import cameras_of
from fieldfit.forward.imaging import back_projected, binned, build_projector, light, mean_electrons, variance
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import images
from fieldfit.simulate.layouts import ring_of_cameras
from fieldfit.simulate.rays import traced

LAYOUT = ring_of_cameras()
PITCH = 50e-6


def cameras(pixels: int = 60) -> list[Camera]:
    return [replace(camera, rows=pixels, columns=pixels) for camera in cameras_of(LAYOUT)]


def lattice(side: int, pitch: float = PITCH, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    axis = (torch.arange(side, dtype=dtype) - (side - 1) / 2) * pitch
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("binning", [1, 2])
def test_back_projection_is_the_adjoint_of_projection(binning: int) -> None:
    p = build_projector(cameras(), lattice(5), PITCH, 1000.0, binning)
    n, w = random(len(p.centres), 3), random(len(p.pixel), 3, seed=1)
    assert torch.allclose((light(p, n) * w).sum(), (n * back_projected(p, w)).sum())


def test_gradient_of_the_projection_is_exact() -> None:
    p = build_projector(cameras()[:1], lattice(2)[:3], PITCH, 1.0 / PITCH**3 / 1e-4, 3)
    assert torch.autograd.gradcheck(lambda n: mean_electrons(p, n).log(), random(3, 2).requires_grad_())


def test_a_point_source_lands_where_the_lens_law_says_with_the_electrons_of_its_solid_angle() -> None:
    at = torch.tensor([[0.2e-3, -0.3e-3, 0.15e-3]], dtype=torch.float64)
    views = cameras(200)
    p = build_projector(views, at, PITCH, 1000.0)
    image = torch.zeros(6 * 200 * 200, dtype=torch.float64)
    image[p.pixel] = light(p, torch.full((1, 1), 1 / PITCH**3, dtype=torch.float64))[:, 0]
    rows = torch.arange(200, dtype=torch.float64) + 0.5
    for camera, view in zip(views, image.reshape(6, 200, 200), strict=True):
        d = at[0] - torch.tensor(camera.lens, dtype=torch.float64)
        z = d @ torch.tensor(camera.look, dtype=torch.float64)
        scale = camera.focal_length * 1.1 / z / camera.pitch
        assert float(view.sum()) == pytest.approx(1000 * 0.72 * camera.radius**2 / (4 * float(d @ d)), rel=1e-3)
        assert float((view.sum(1) @ rows) / view.sum()) == pytest.approx(
            float(100 + scale * (d @ torch.tensor(camera.up, dtype=torch.float64))), abs=0.02
        )
        assert float((view.sum(0) @ rows) / view.sum()) == pytest.approx(
            float(100 + scale * (d @ torch.tensor(camera.left, dtype=torch.float64))), abs=0.02
        )


def test_no_light_is_lost_between_pixels_or_by_binning() -> None:
    n = torch.full((27, 1), 1e15, dtype=torch.float64)
    fine, coarse = (build_projector(cameras(), lattice(3), PITCH, 1000.0, b) for b in (1, 2))
    expected = sum(float((1000 * PITCH**3 * 1e15 * images(c, lattice(3)).electrons).sum()) for c in cameras())
    assert float(light(fine, n).sum()) == pytest.approx(expected, rel=1e-6)
    assert float(light(coarse, n).sum()) == pytest.approx(expected, rel=1e-6)
    whole = torch.zeros(1, 6 * 60 * 60, dtype=torch.float64)
    whole[0, fine.pixel] = light(fine, n)[:, 0]
    assert torch.allclose(binned(whole.reshape(1, 6, 60, 60), 2).flatten()[coarse.pixel], light(coarse, n)[:, 0], rtol=1e-6, atol=1e-6)


def test_a_bad_pixel_takes_its_binned_pixel_out() -> None:
    use = torch.ones(6, 60, 60, dtype=torch.bool)
    whole = build_projector(cameras(), lattice(3), PITCH, 1000.0, 2, use)
    use[0, 30, 30] = False
    assert set(whole.pixel.tolist()) - set(build_projector(cameras(), lattice(3), PITCH, 1000.0, 2, use).pixel.tolist()) == {15 * 30 + 15}


def test_a_voxel_behind_a_lens_is_refused() -> None:
    with pytest.raises(ValueError, match="camera 0: 1 voxels lie behind its lens"):
        build_projector(cameras()[:1], torch.tensor([[0.3, 0.0, 0.0]], dtype=torch.float64), PITCH, 1.0)


@pytest.mark.parametrize("view", [0, 1, 3])
def test_image_of_a_voxel_agrees_with_photons_traced_through_the_aperture(view: int) -> None:
    """Mean and variance of the image of a block of voxels, 1 mm out of focus for view 0: the blur circle and the voxels' footprint."""
    centre = np.array([1e-3, 0.1e-3, -0.2e-3])
    random_numbers = np.random.default_rng(3)
    atoms = centre + 3 * PITCH * (random_numbers.random((40_000, 3)) - 0.5)
    seen = traced(LAYOUT["cameras"][view], atoms, 1e5, random_numbers).astype(float)
    p = build_projector(cameras(200)[view : view + 1], torch.from_numpy(centre) + lattice(3), PITCH, 1e5)
    mean = np.zeros(40_000)
    mean[p.pixel.numpy()] = light(p, torch.full((27, 1), 40_000 / (27 * PITCH**3), dtype=torch.float64))[:, 0].numpy()
    mean = mean.reshape(200, 200)
    total = mean.sum()
    assert seen.sum() == pytest.approx(total, abs=4 * math.sqrt(total * 1.1))
    for axis in (0, 1):
        k = np.arange(200) + 0.5
        moments = [(m := (image.sum(1 - axis) @ k) / image.sum(), (image.sum(1 - axis) @ (k - m) ** 2) / image.sum()) for image in (seen, mean)]
        assert moments[0][0] == pytest.approx(moments[1][0], abs=0.03)
        assert moments[0][1] == pytest.approx(moments[1][1], rel=0.02)


def test_blur_vanishes_in_focus_and_grows_as_stated() -> None:
    camera = cameras(200)[0]
    seen = images(camera, torch.tensor([[0.0, 0.0, 0.0], [1e-3, 0.0, 0.0]], dtype=torch.float64))
    blur = 2 * seen.row_blur * camera.pixel_at_object  # a disc's radius is twice its standard deviation along an axis
    assert float(blur[0]) == pytest.approx(0, abs=1e-9)
    assert float(2 * blur[1]) == pytest.approx(2 * camera.radius * 1e-3 / 0.175, rel=0.02)


@pytest.mark.parametrize("binning", [1, 2])
def test_pixels_scatter_by_photons_and_finite_atoms(binning: int) -> None:
    """Shots traced photon by photon, of the same cloud with its atoms drawn anew."""
    draw, size, atoms, photons = np.random.default_rng(3), 2e-4, 20_000, 2e4
    camera = LAYOUT["cameras"][0] | {"resolution_hw": [60, 60]}
    shots = [traced(camera, size * draw.standard_normal((draw.poisson(atoms), 3)), photons, draw) for _ in range(400)]
    p = build_projector(cameras()[:1], lattice(32), PITCH, photons, binning)
    counts = binned(torch.from_numpy(np.stack(shots)[:, None].astype(float)), binning).flatten(1).T[p.pixel]
    where = lattice(32)
    cloud = atoms * torch.exp(-0.5 * (where / size).square().sum(1)) / (2 * math.pi * size**2) ** 1.5
    seen = light(p, cloud[:, None])[:, 0]
    bright = seen > 0.2 * seen.max()
    scatter = (counts - seen[:, None]).square().mean(1)[bright]
    without_pedestal = variance(p, seen + p.pedestal)[bright] - p.pedestal[bright]
    assert float((scatter / without_pedestal).mean()) == pytest.approx(1, abs=0.06)
    assert float((scatter / seen[bright]).mean()) > 1.5
