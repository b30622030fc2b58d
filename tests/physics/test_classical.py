"""The classical answers: identities of their iterations, and recovery of clouds that were traced photon by photon."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from camera_files import cameras_of
from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.abel import rings, seen_rings
from fieldfit.experiments.magis.densities import Densities, densities
from fieldfit.experiments.magis.iterative import Classical, mlem, mlem_iterations, sirt, sirt_iterations, stopped
from fieldfit.experiments.magis.total_variation import denoised
from fieldfit.fields.correlated import correlated
from fieldfit.fields.voxels import Voxels
from fieldfit.geometry.sparse import SparseMap, sparse_map
from fieldfit.likelihoods import poisson
from fieldfit.simulate.clouds import Cloud, Ring, Source
from fieldfit.simulate.layouts import ring_of_cameras
from fieldfit.simulate.shots import shot_of, true_density

LAYOUT = ring_of_cameras()
CAMERAS = cameras_of(LAYOUT)
ATOMS = 200_000
ROUND = Cloud((40e-6, -30e-6, 20e-6), (3e-4, 4e-4, 3e-4), 0.0, 0.0, 0.0, ATOMS)
DONUT = Ring((30e-6, -20e-6, 10e-6), 0.5e-3, 0.15e-3, (0.0, 1.0, 0.0), ATOMS)


def answered(source: Source, method: str, seed: int = 0, **fit: object) -> Densities:
    entry = Imaging.model_validate(
        {"format": "tiff", "raw": Path("raw"), "cameras": Path("c"), "grid": {"half_width_m": 1.2e-3, "voxels": 32}, "fit": {"method": method, **fit}}
    )
    light = shot_of(LAYOUT, source, 1000.0, np.random.default_rng(seed)).astype(float)[None] - 2.31
    return densities(CAMERAS, light, np.zeros(light.shape[1:], bool), [0], entry)


def error(found: Densities, source: Source) -> float:
    """Relative L2 distance to the true voxel means, absolute scale included."""
    truth, _ = true_density(source, ATOMS, 1.2e-3, 32)
    return float(np.linalg.norm(found.values["density"][0] - truth) / np.linalg.norm(truth))


def system(seed: int = 0) -> tuple[SparseMap, torch.Tensor]:
    """A small map and the photons that a made density leaves behind it, without pedestal."""
    random = np.random.default_rng(seed)
    linear = sparse_map(scipy.sparse.csr_matrix(random.random((60, 20)) * (random.random((60, 20)) < 0.4)), torch.float64)
    return linear, torch.from_numpy(random.poisson(50 * linear(torch.from_numpy(random.random((20, 2)))).numpy()).astype(float))


def test_an_iteration_of_mlem_keeps_all_light_and_never_loses_likelihood():
    linear, counts = system()
    dark = torch.zeros(60, dtype=torch.float64)
    losses = []
    for (density, mean), _ in zip(mlem_iterations(linear, dark, counts, 1.0), range(30), strict=False):
        assert torch.allclose(linear(density).sum(0), counts[linear(torch.ones(20, 1, dtype=torch.float64))[:, 0] > 0].sum(0))
        losses.append(poisson(counts, mean).sum(0))
    assert (torch.stack(losses).diff(dim=0) <= 1e-9).all()


def test_sirt_stays_positive_and_ends_at_least_squares():
    linear, _ = system()
    truth = torch.from_numpy(np.random.default_rng(1).random((20, 2)))
    density = next(
        d for step, (d, _) in enumerate(sirt_iterations(linear, torch.ones(60, dtype=torch.float64), linear(truth) + 1, 1.0)) if step == 800
    )
    assert (density >= 0).all()
    assert torch.allclose(density, truth, atol=1e-3)


@pytest.mark.parametrize("method", [mlem, sirt])
def test_what_a_pixel_shows_that_must_not_count_changes_nothing(method: Callable[..., Classical]):
    linear, counts = system()
    good = torch.ones_like(counts)
    good[5:9, 1] = 0
    blinded = torch.where(good > 0, counts, 1e6)
    found = [method(linear, torch.ones(60, dtype=torch.float64), 0.9 * c, 0.1 * c, 0.9, good=good) for c in (counts, blinded)]
    assert torch.allclose(found[0].density, found[1].density)
    plain = method(linear, torch.ones(60, dtype=torch.float64), 0.9 * counts, 0.1 * counts, 0.9, good=torch.ones_like(counts))
    without = method(linear, torch.ones(60, dtype=torch.float64), 0.9 * counts, 0.1 * counts, 0.9)
    assert torch.allclose(plain.density, without.density)


def test_each_shot_keeps_the_iteration_that_its_held_out_photons_like_best():
    means = [torch.tensor([[a, b]]) for a, b in ((1.0, 9.0), (4.0, 5.0), (8.0, 4.0), (9.0, 1.0))]
    found = stopped(iter([(10 * mean, mean) for mean in means]), torch.tensor([[4.0, 4.0]]), 0.0, 60, 5)
    assert found.iterations.tolist() == [2, 3]
    assert found.density.tolist() == [[40.0, 40.0]]


def test_rings_make_every_profile_that_is_linear_between_them():
    points = torch.from_numpy(1e-3 * np.random.default_rng(2).standard_normal((300, 3)))
    centre = torch.tensor([1e-4, -2e-4, 0.0])
    for axis in range(3):
        drawn = rings(points, centre, axis, 5e-5)
        assert np.allclose(drawn @ np.ones(drawn.shape[1]), 1)
        d = (points - centre).numpy()
        rho = np.hypot(*(d[:, other] for other in range(3) if other != axis))
        across = int((rho / 5e-5).max()) + 2
        assert np.allclose(drawn @ (5e-5 * (np.arange(drawn.shape[1]) % across)), rho)


def test_light_of_rings_is_that_of_the_voxels_that_they_draw():
    linear, _ = system()
    drawn = rings(torch.from_numpy(np.random.default_rng(3).random((20, 3))), torch.zeros(3), 1, 0.3)
    seen, which = seen_rings(linear, drawn)
    weights = np.zeros(drawn.shape[1])
    weights[which] = np.random.default_rng(4).random(len(which))
    assert torch.allclose(seen(torch.from_numpy(weights[which])[:, None]), linear(torch.from_numpy(drawn @ weights)[:, None]))


def test_voxels_are_linear_between_their_centres_and_nothing_beyond_the_cube():
    field = Voxels(2, 1e-3, 8)
    centres = (torch.arange(8) + 0.5) * 2.5e-4 - 1e-3
    grid = torch.stack(torch.meshgrid(centres, centres, centres, indexing="ij"), -1)
    with torch.no_grad():
        field.values[0] = 3 * grid[..., 0] + 2 * grid[..., 1] - grid[..., 2]
        field.values[1] = 1
    points = torch.tensor([[1e-4, -5e-4, 7e-4], [1.1e-3, 0, 0], [0, 0, -9.99e-4]])
    with torch.no_grad():
        values = field(points)
    assert torch.allclose(values[0, 0], 3 * points[0, 0] + 2 * points[0, 1] - points[0, 2], atol=1e-9)
    assert values[1].tolist() == pytest.approx([1, 0, 1])


def test_a_gaussian_cloud_is_known_best_by_the_method_that_knows_most():
    errors = {method: error(answered(ROUND, method), ROUND) for method in ("gaussian", "abel", "mlem", "sirt")}
    print(errors)
    assert errors["gaussian"] < 0.03
    assert errors["gaussian"] < errors["abel"] < errors["mlem"] < 0.35
    assert errors["sirt"] < 0.4


def test_the_abel_transform_knows_a_donut_better_than_voxels_do():
    found = answered(DONUT, "abel")
    assert error(found, DONUT) < 0.15
    assert error(found, DONUT) < 0.6 * error(answered(DONUT, "mlem"), DONUT)
    assert found.values["atom_number"][0] == pytest.approx(ATOMS, rel=0.02)
    assert np.allclose(found.values["position"][0], DONUT.centre, atol=10e-6)


@pytest.mark.slow
def test_a_gaussian_settles_on_a_donut_too_and_chi_square_tells():
    found = answered(DONUT, "gaussian")
    assert found.trusted.all()
    assert found.values["chi2_reduced"][0] > 1.3
    assert error(found, DONUT) > 0.5


def test_the_axis_of_symmetry_is_the_users_to_say():
    lying = Ring(DONUT.centre, DONUT.radius, DONUT.tube, (1.0, 0.0, 0.0), ATOMS)
    assert error(answered(lying, "abel", axis="x"), lying) < 0.5 * error(answered(lying, "abel"), lying)


def test_what_a_method_cannot_give_is_nan():
    found = answered(ROUND, "sirt").values
    for name in ("density_std", "phase", "contrast", "fringe_period", "wavefront", "atom_number_std", "position_std", "size_std"):
        assert np.isnan(found[name]).all(), name
    assert np.isfinite(found["chi2_reduced"]).all()
    gaussian = answered(ROUND, "gaussian").values
    assert np.isfinite(gaussian["density_std"]).all()
    assert (np.abs(gaussian["size"][0] - ROUND.size) < 4 * gaussian["size_std"][0]).all()
    assert np.isnan(gaussian["phase"]).all()


def test_denoising_by_total_variation_moves_plateaus_towards_each_other_by_what_their_edges_cost():
    """Two slabs in a periodic box: each moves by (its edges) cost loose / width, as the derivative of the sum says; edges stay where they are."""
    index = torch.stack(torch.meshgrid(*[torch.arange(n) for n in (12, 3, 3)], indexing="ij"), -1).reshape(-1, 3)
    lattice = replace(correlated(index, 1, 1.0, 1.0), size=(12, 3, 3), place=(index[:, 0] * 3 + index[:, 1]) * 3 + index[:, 2])
    values = torch.where(index[:, :1] < 4, 9.0, 2.0).double().expand(-1, 2).contiguous()
    loose = torch.tensor([[1.0, 2.0]]).double().expand(len(index), -1).contiguous()
    edges = torch.zeros(3, 2, 12, 3, 3, dtype=torch.float64)
    for _ in range(300):
        found, edges = denoised(lattice, values, loose, 0.5, edges)
    for shot in (0, 1):
        moved = 2 * 0.5 * float(loose[0, shot])
        assert torch.allclose(found[:, shot], torch.where(index[:, 0] < 4, 9 - moved / 4, 2 + moved / 8).double(), atol=1e-4)


def test_total_variation_knows_a_donut_better_than_mlem_alone():
    assert error(answered(DONUT, "tv"), DONUT) < 0.85 * error(answered(DONUT, "mlem"), DONUT)
