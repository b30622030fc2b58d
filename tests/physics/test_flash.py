"""Flashes come back from the light that they make, better than by looking them up, with pulls of width one."""

import numpy as np
import pytest

from fieldfit.experiments.dune.flash import Flashes, Light, match_flashes
from fieldfit.simulate.optics import disk_share

LOWER, UPPER = np.array([0.0, -0.7, 0.0]), np.array([1.5, 0.7, 2.0])
CENTRE = np.array([[-0.05, y, z] for y in (-0.4, 0.1, 0.5) for z in (0.3, 0.8, 1.3, 1.8)])
LIVE = np.arange(12) != 5
AXES = [low + (np.arange(n) + 0.5) * (high - low) / n for low, high, n in zip(LOWER, UPPER, (10, 10, 14), strict=True)]
VOXELS = np.stack(np.meshgrid(*AXES, indexing="ij"), -1).reshape(-1, 3)


def seen(points: np.ndarray) -> np.ndarray:
    """(n, channel) photo-electrons per photon: solid angle, attenuation and a glow."""
    away = points[:, None] - CENTRE
    height, square = away[:, :, 0], np.square(away).sum(-1)
    share = disk_share(height.ravel(), np.sqrt(np.maximum(square - height**2, 0)).ravel(), 0.1).reshape(height.shape)
    return 0.02 * (share * np.exp(-np.sqrt(square) / 1.5) + 1e-4 * (1 + 0.2 * points[:, :1])) * LIVE


def slopes(points: np.ndarray, step: float = 1e-4) -> np.ndarray:
    return np.stack([(seen(points + step * axis) - seen(points - step * axis)) / (2 * step) for axis in np.eye(3)], -1)


def light(relative: float = 0.0) -> Light:
    return Light(seen, slopes, lambda x: np.full((len(x), 12), relative), LOWER, UPPER, LIVE)


def flashes(count: int, seed: int, photons: float, off: float = 0.0) -> tuple[np.ndarray, np.ndarray, Flashes]:
    """(places, charges, matched); off: relative error of the visibility that the light has and the fit knows of."""
    generator = np.random.default_rng(seed)
    place = LOWER + (0.15 + 0.7 * generator.random((count, 3))) * (UPPER - LOWER)
    charge = photons * generator.gamma(8, 1 / 8, count)
    mean = charge[:, None] * seen(place) * (1 + off * generator.normal(size=(count, 12)))
    return place, charge, match_flashes(light(off), generator.poisson(np.maximum(mean, 0)).astype(float), VOXELS, seen(VOXELS))


@pytest.mark.parametrize(("photons", "off"), [(3e7, 0.0), (3e8, 0.02)])
def test_pulls_have_width_one(photons: float, off: float) -> None:
    place, charge, found = flashes(400, 1, photons, off)
    inside = ~found.at_face
    assert inside.mean() > 0.9
    pulls = np.concatenate([(found.position - place) / found.position_std, ((found.charge - charge) / found.charge_std)[:, None]], 1)[inside]
    assert np.abs(pulls.mean(0)).max() < 0.3
    assert 0.85 < pulls.std() < 1.15
    assert 0.8 < found.chi2[inside].mean() < 1.2


def test_the_gradient_finds_what_looking_up_misses() -> None:
    place, _, found = flashes(100, 2, 3e8)
    error = [np.median(np.linalg.norm(x - place, axis=1)) for x in (found.position, found.looked_up)]
    assert error[0] < 0.5 * error[1]


def test_a_flash_without_light_is_nowhere() -> None:
    found = match_flashes(light(), np.zeros((2, 12)), VOXELS, seen(VOXELS))
    assert (found.charge == 0).all() and np.isfinite(found.position).all()
