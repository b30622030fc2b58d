"""The fringed density: derivatives are exact, voxel means are integrals, and a product gives the field back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fieldfit.bridge import describe, load_field
from fieldfit.fields.fringed import Fringed, density, interpolation, slopes
from fieldfit.io.products import product, write_product

SHAPE = torch.tensor([[np.log(1e6), 0.02, -0.03, 0.01, 1.4, 1.2, 1.5, 0.3, -0.2, 0.4]], dtype=torch.float64)
WAVE = torch.tensor([[4.0, 30.0, -3.0, 0.5, 0.6]], dtype=torch.float64)


def points(n: int, scale: float = 0.3, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_slopes_are_the_derivatives_of_the_density() -> None:
    x, free = points(20), torch.ones(1, 20, dtype=torch.float64)
    both = torch.cat([SHAPE, WAVE], 1)
    truth = torch.autograd.functional.jacobian(lambda p: density(p[:, :10], p[:, 10:], x, free)[0], both)[:, 0].T
    assert torch.allclose(slopes(SHAPE, WAVE, x, free)[1][0], truth, rtol=1e-9, atol=1e-6)


def test_the_envelope_holds_its_atoms() -> None:
    axis = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64)
    x = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    total = density(SHAPE, torch.zeros(1, 5, dtype=torch.float64), x, torch.ones(1, len(x), dtype=torch.float64)).sum() * 0.05**3
    assert torch.allclose(total, torch.tensor(1e6, dtype=torch.float64), rtol=1e-5)


def over_cubes(x: torch.Tensor, edge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(points (n * 512, 3) in cubes around `x`, their weights (512)), by Gauss and Legendre."""
    at, weight = (torch.from_numpy(part / 2) for part in np.polynomial.legendre.leggauss(8))
    cube = edge * torch.stack(torch.meshgrid(at, at, at, indexing="ij"), -1).reshape(-1, 3)
    return (x[:, None] + cube).reshape(-1, 3), (weight[:, None, None] * weight[:, None] * weight).flatten()


def test_the_mean_over_a_voxel_is_the_integral_over_it() -> None:
    """A quarter of the smallest size and a third of a period wide."""
    x, edge = points(8, 0.2), 0.06
    inside, weight = over_cubes(x, edge)
    fine = density(SHAPE, WAVE, inside, torch.ones(1, len(inside), dtype=torch.float64)).reshape(8, -1) @ weight
    mean = density(SHAPE, WAVE, x, torch.ones(1, 8, dtype=torch.float64), edge)[0]
    peak = density(SHAPE, WAVE, x, torch.ones(1, 8, dtype=torch.float64))[0].max()
    assert float((mean - fine).abs().max() / peak) < 3e-4


def test_samples_that_are_drawn_as_squares_make_the_density_again() -> None:
    """The mean of `undo` over the cube is the density at its centre."""
    x, edge = points(8, 0.2), 0.06
    inside, weight = over_cubes(x, edge)
    blurred = density(SHAPE, WAVE, inside, torch.ones(1, len(inside), dtype=torch.float64), edge, undo=True).reshape(8, -1) @ weight
    true = density(SHAPE, WAVE, x, torch.ones(1, 8, dtype=torch.float64))[0]
    assert float((blurred - true).abs().max() / true.max()) < 3e-4


def test_a_cube_wider_than_the_envelope_leaves_finite_samples() -> None:
    x = points(8, 0.2)
    drawn = density(SHAPE, WAVE, x, torch.ones(1, 8, dtype=torch.float64), 2.0, undo=True)
    assert torch.isfinite(drawn).all()


@pytest.mark.parametrize("wild", [800.0, torch.nan, -800.0])
def test_a_member_gone_wild_is_not_finite_and_harms_no_other(wild: float) -> None:
    x, both = points(8, 0.2), SHAPE.repeat(2, 1)
    both[0, 4:10] = wild
    drawn = density(both, WAVE.repeat(2, 1), x, torch.ones(2, 8, dtype=torch.float64), 0.06, undo=True)
    alone = density(SHAPE, WAVE, x, torch.ones(1, 8, dtype=torch.float64), 0.06, undo=True)
    assert not torch.isfinite(drawn[0]).all()
    assert torch.allclose(drawn[1], alone[0])


def test_interpolation_is_exact_for_linear_functions_and_its_gradient_is_its_adjoint() -> None:
    x = points(50).clamp(-1, 1)
    between = interpolation(x, 5)
    axis = torch.linspace(-1, 1, 5, dtype=torch.float64)
    nodes = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    assert torch.allclose(between.matrix @ nodes, x, atol=1e-12)
    w, v = points(50)[:, :1], points(125, seed=2)[:, :1]
    assert torch.allclose(((between.matrix @ v) * w).sum(), (v * (between.transposed @ w)).sum())
    assert torch.autograd.gradcheck(between, torch.rand(125, 1, dtype=torch.float64, requires_grad=True))


def test_a_free_shape_has_its_nodes_where_it_says() -> None:
    field = Fringed(1, 2e-3, 3, (0.1, 0.0, -0.2), 0.5)
    with torch.no_grad():
        field.shape.copy_(SHAPE)
        field.logarithm[0, 2, 1, 0] = 0.7
        at = torch.tensor([[0.6, 0.0, -0.7], [0.1, 0.0, -0.2]])
        assert torch.allclose(field.free(at)[0], torch.tensor([0.7, 0.0]).exp(), rtol=1e-5)


def test_a_density_product_gives_its_field_back(tmp_path: Path) -> None:
    field = Fringed(2, 2e-3, 5)
    with torch.no_grad():
        field.shape.copy_(SHAPE.expand(2, -1))
        field.wave.copy_(WAVE.expand(2, -1))
        field.logarithm.uniform_(generator=torch.Generator().manual_seed(0))
    weights, told = describe(field)
    nothing = np.full((2, 8, 8, 8), np.nan, np.float32)
    values = {"density": nothing, "density_std": nothing, "chi2_reduced": np.zeros(2), "resolution_split_half": np.zeros(2), "field_weights": weights,
              "time": np.zeros(2), "status": np.array([0, 3])}  # fmt: skip
    path = tmp_path / "density.nc"
    write_product(product("density", values, {}, field=told, flagged="none"), path, [], {}, "test", "test")
    at = np.random.default_rng(0).normal(0, 5e-4, (40, 3))
    found = load_field(path)(at)
    with torch.no_grad():
        assert np.allclose(found[0], field(torch.from_numpy(at).float())[0].numpy(), rtol=1e-5)
    assert np.isnan(found[1]).all()
