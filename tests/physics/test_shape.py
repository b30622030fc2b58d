"""Free shapes draw what is no Gaussian, traced photon by photon, better than MLEM does, with errors that are true; a hit pixel does not count."""

import numpy as np
import pytest
import torch
from test_imaging_fit import CAMERAS, ENTRY, LAYOUT, SMALL

from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.densities import Densities, densities
from fieldfit.simulate.clouds import Ring
from fieldfit.simulate.shots import shot_of, true_density

DONUT = Ring((20e-6, 0.0, -30e-6), 0.5e-3, 0.16e-3, (0.0, 1.0, 0.0), 300_000)


def error_of(density: np.ndarray, truth: np.ndarray) -> float:
    a, b = density / density.sum(), truth / truth.sum()
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    return shot_of(LAYOUT, DONUT, 1000.0, np.random.default_rng(7)).astype(float)[None] - 2.31


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return true_density(DONUT, DONUT.atoms, ENTRY.grid.half_width_m, ENTRY.grid.voxels)[0]


def fitted(light: np.ndarray, entry: Imaging = ENTRY, hit: np.ndarray | None = None) -> Densities:
    return densities(CAMERAS, light, np.zeros(light.shape[1:], bool), list(range(len(light))), entry, hit)


@pytest.fixture(scope="module")
def donut(light: np.ndarray) -> Densities:
    return fitted(light)


def test_a_donut_is_drawn_better_than_by_mlem(donut: Densities, light: np.ndarray, truth: np.ndarray) -> None:
    classical = fitted(light, ENTRY.model_copy(update={"fit": ENTRY.fit.model_copy(update={"method": "mlem"})}))
    assert donut.values["kept_step"][0] > 0
    assert donut.trusted.all()
    assert np.isnan(donut.values["phase"]).all()  # a ring seen edge-on has a wave in its spectra; the photons do not want it
    assert error_of(donut.values["density"][0], truth) < 0.08
    assert error_of(donut.values["density"][0], truth) < 0.5 * error_of(classical.values["density"][0], truth)


def test_its_errors_are_those_that_it_states(donut: Densities, truth: np.ndarray) -> None:
    error, std = donut.values["density"][0] - truth, donut.values["density_std"][0]
    core = truth > 0.1 * truth.max()
    # One shot's voxels err together: the share within one standard deviation scatters a lot from shot to shot, their sizes less.
    assert 0.35 < float((np.abs(error) < std)[core].mean()) < 0.9
    assert float(np.sqrt((error[core] ** 2).mean() / (std[core] ** 2).mean())) == pytest.approx(1, abs=0.6)


def test_the_field_gives_the_density_back_and_is_dark_outside(donut: Densities) -> None:
    with torch.no_grad():
        middle = donut.field(
            torch.tensor([list(DONUT.centre), [DONUT.centre[0] + DONUT.radius, DONUT.centre[1], DONUT.centre[2]], [1.1e-3, 1.1e-3, 1.1e-3]])
        )
    assert float(middle[0, 1]) > 20 * float(middle[0, 0]) > 0
    assert float(middle[0, 2]) < 1e-3 * float(middle[0, 1])


def test_hit_pixels_do_not_count() -> None:
    clean = shot_of(LAYOUT, SMALL, 1000.0, np.random.default_rng(5)).astype(float)[None] - 2.31
    hit = np.random.default_rng(6).random(clean.shape) < 0.002
    struck = np.where(hit, 1.5 * clean + 30, clean)  # stand-ins that are not very good
    found, expected, overlooked = fitted(struck, hit=hit), fitted(clean), fitted(struck)
    for name in ("phase", "contrast", "atom_number"):
        assert abs(found.values[name][0] - expected.values[name][0]) < expected.values[f"{name}_std"][0], name
    assert found.values["chi2_reduced"][0] == pytest.approx(1, abs=0.1)
    assert overlooked.values["chi2_reduced"][0] > 1.3
