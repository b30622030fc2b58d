"""A fit to a counted library recovers the truth off the grid, better than the table, with an uncertainty that means what it says."""

import numpy as np
import pytest
import torch

from fieldfit.config.dune import VisibilityFit
from fieldfit.experiments.dune.visibility_errors import METHODS, Judged, errors_of, judged_fit
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.simulate.optics import disk_share

BOX = Box((0.0, -0.5, 0.0), (1.0, 0.5, 1.2), (10, 10, 12))
CENTRE = np.array([[-0.05, -0.2, 0.3], [-0.05, 0.2, 0.9], [0.5, 0.55, 0.6]])
DISKS = Disks(CENTRE, np.array([[1.0, 0, 0], [1.0, 0, 0], [0, -1.0, 0]]), np.full(3, 0.1))
PHOTONS = 100_000.0


def truth(points: np.ndarray) -> np.ndarray:
    """(n, channel): solid angle, attenuation, and a glow of the walls, in NumPy."""
    values = []
    for centre, normal, radius in zip(DISKS.centre, DISKS.normal, DISKS.radius, strict=True):
        away = points - centre
        height, square = away @ normal, np.square(away).sum(-1)
        direct = disk_share(height, np.sqrt(np.maximum(square - height**2, 0)), radius) * np.exp(-np.sqrt(square) / 0.9)
        values.append(direct + 3e-4 * (1 + 0.5 * np.cos(2 * points[:, 2]) * points[:, 0]))
    return np.stack(values, 1)


def counted(seed: int) -> np.ndarray:
    """(channel, x, y, z): photons from random places in each voxel."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*BOX.centres(), indexing="ij"), -1).reshape(-1, 3)
    places = grid[:, None] + (generator.random((len(grid), 64, 3)) - 0.5) * BOX.pitch
    mean = truth(places.reshape(-1, 3)).reshape(len(grid), 64, 3).mean(1)
    return np.moveaxis((generator.poisson(PHOTONS * mean) / PHOTONS).reshape(*BOX.divisions, 3), -1, 0).astype(np.float32)


def fitted(values: np.ndarray, seed: int = 1, masked: np.ndarray | None = None, **settings: int) -> Judged:
    masked = np.zeros(values.shape, bool) if masked is None else masked
    chosen = VisibilityFit(**({"steps": 400, "batch": 1024, "width": 48} | settings))
    return judged_fit(lambda c: (values[c], masked[c]), BOX, DISKS, PHOTONS, [True] * 3, chosen, seed, "cpu")


GRID = np.stack(np.meshgrid(*BOX.centres(), indexing="ij"), -1).reshape(-1, 3)


def on_grid(fit: Judged) -> np.ndarray:
    """(voxel, channel)."""
    with torch.no_grad():
        return in_chunks(fit.fitted.field, torch.tensor(GRID, dtype=torch.float32)).numpy().astype(np.float64)


@pytest.fixture(scope="module")
def fits() -> list[Judged]:
    return [fitted(counted(seed), seed) for seed in (1, 2, 3)]


def at_centres(fit: Judged) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value = on_grid(fit)
    return truth(GRID), value, fit.errors.std(fit.errors.depth(GRID), value)


def test_the_truth_is_recovered_better_than_by_the_table(fits: list[Judged]) -> None:
    for fit, seed in zip(fits, (1, 2, 3), strict=True):
        true, value, _ = at_centres(fit)
        table = np.moveaxis(counted(seed), 0, -1).reshape(-1, 3)
        error = np.abs(value / true - 1).mean()
        assert error < 0.03 and error < 0.4 * np.abs(table / true - 1).mean()
        assert abs(value.sum() / true.sum() - 1) < 0.01


def test_pulls_have_mean_zero_and_width_one(fits: list[Judged]) -> None:
    pulls = np.concatenate([((value - true) / std).ravel() for true, value, std in map(at_centres, fits)])
    assert abs(pulls.mean()) < 0.35
    assert 0.7 < pulls.std() < 1.35


def test_errors_from_a_part_of_the_voxels_are_alike(fits: list[Judged], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldfit.experiments.dune.visibility_errors.ERROR_VALUES", BOX.voxels)
    some, _ = errors_of(fits[0].fitted, BOX)
    _, value, std = at_centres(fits[0])
    assert abs(np.median(some.std(some.depth(GRID), value) / std) - 1) < 0.2


def test_held_out_errors_set_the_field_beside_its_baselines(fits: list[Judged]) -> None:
    fit = fits[0].score
    assert fit.relative_error.shape == (len(METHODS), len(fit.decades)) == fit.bias.shape
    field, trilinear, nearest, noise = np.nanmean(fit.relative_error, axis=1)
    assert noise * 0.7 < field < trilinear < nearest


def test_masked_voxels_do_not_pull() -> None:
    values = counted(4)
    masked = np.zeros(values.shape, bool)
    masked[:, 4:6, 4:6, 5:7] = True
    broken = np.where(masked, np.float32(0.5), values)
    fit = fitted(broken, 1, masked, steps=200, width=32)
    expected = truth(GRID)
    rows = np.moveaxis(masked, 0, -1).reshape(-1, 3)
    assert np.abs(on_grid(fit) / expected - 1)[rows].max() < 0.3


def test_the_same_seed_gives_the_same_field() -> None:
    values = counted(5)
    again = [on_grid(fitted(values, 7, steps=5, batch=64, width=8)) for _ in range(2)]
    assert np.array_equal(*again)


def test_each_voxel_weighs_by_the_photons_made_in_it() -> None:
    """A region with few photons has wrong values within its noise: taken for as good as the rest it pulls, by its photons it does not."""
    made = np.full(BOX.divisions, PHOTONS)
    made[:, :, 6:] = 30.0
    generator, values = np.random.default_rng(6), counted(6)
    mean = np.moveaxis(truth(GRID).reshape(*BOX.divisions, 3), -1, 0)
    values = np.where(made < PHOTONS, generator.poisson(mean * made) / made, values).astype(np.float32)
    none = np.zeros(BOX.divisions, bool)
    settings = VisibilityFit(steps=400, batch=1024, width=48)
    errors = []
    for photons in (made, float(np.median(made))):
        fit = judged_fit(lambda c: (values[c], none), BOX, DISKS, photons, [True] * 3, settings, 1, "cpu")
        errors.append(np.abs(np.log(on_grid(fit) / truth(GRID)))[(made == PHOTONS).ravel()].mean())
    assert errors[0] < 0.03 and errors[0] < errors[1]
