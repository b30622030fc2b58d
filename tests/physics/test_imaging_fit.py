"""Density fits recover clouds that were traced photon by photon, and their stated errors are true."""

from pathlib import Path

import numpy as np
import pytest
import torch

from camera_files import cameras_of
from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.densities import Densities, densities
from fieldfit.experiments.magis.imaging import thinned
from fieldfit.experiments.magis.start import least_contrast, moments, strongest_wave, views_of, wave_at
from fieldfit.simulate.clouds import Cloud
from fieldfit.simulate.layouts import ring_of_cameras
from fieldfit.simulate.shots import shot_of
from fieldfit.units import TAU

LAYOUT = ring_of_cameras()
CAMERAS = cameras_of(LAYOUT)
ENTRY = Imaging.model_validate({"format": "tiff", "raw": Path("raw"), "cameras": Path("cameras"), "grid": {"half_width_m": 1.2e-3, "voxels": 32}})
SMALL = Cloud((40e-6, -30e-6, 20e-6), (3.5e-4, 4e-4, 3e-4), TAU / 377e-6, 0.6, 0.7, 200_000)


def electrons_of(cloud: Cloud | None, seed: int) -> np.ndarray:
    return shot_of(LAYOUT, cloud, 1000.0, np.random.default_rng(seed)).astype(float) - 2.31


def fitted(clouds: list[Cloud], entry: Imaging = ENTRY, seed: int = 0) -> Densities:
    light = np.stack([electrons_of(cloud, 100 * seed + place) for place, cloud in enumerate(clouds)])
    return densities(CAMERAS, light, np.zeros(light.shape[1:], bool), list(range(len(clouds))), entry)


def test_moments_of_the_views_are_those_of_the_cloud() -> None:
    cloud = Cloud(SMALL.centre, SMALL.size, SMALL.wave_number, 0.0, 0.0, 200_000)
    found = moments(views_of(CAMERAS), electrons_of(cloud, 1), np.ones((6, 200, 200), bool), 1000.0)
    assert np.allclose(found.centre, cloud.centre, atol=8e-6)
    assert np.allclose(np.sqrt(np.diag(found.covariance)), cloud.size, rtol=0.05)
    assert found.atoms == pytest.approx(200_000, rel=0.05)


def test_moments_of_shots_too_dim_to_see_are_no_wider_than_their_frames() -> None:
    views = views_of(CAMERAS)
    widest = 2 * (200 * max(view.pixel for view in views) / 3) ** 2
    for seed in range(12):  # pixels that stand out by chance may lie on a line, whose covariance has no inverse
        dim = shot_of(LAYOUT, SMALL, 50.0, np.random.default_rng(seed)).astype(float) - 2.31
        with np.errstate(over="raise", invalid="raise"):
            values = np.linalg.eigvalsh(moments(views, dim, np.ones(dim.shape, bool), 50.0).covariance)
        assert 0 < values[0] <= values[-1] < widest


def test_the_spectra_give_the_wave_vector_and_none_where_there_is_no_wave() -> None:
    for contrast in (0.6, 0.0):
        cloud = Cloud(SMALL.centre, SMALL.size, SMALL.wave_number, contrast, 0.7, 200_000)
        light = electrons_of(cloud, 2)
        start = moments(views_of(CAMERAS), light, np.ones(light.shape, bool), 1000.0)
        wave = strongest_wave(views_of(CAMERAS), light, light + 2.31, start)
        if contrast:
            assert wave is not None
            assert wave.vector[1] == pytest.approx(cloud.wave_number, abs=0.3 / 4e-4)
        else:
            assert wave is None


def test_dim_shots_show_a_fringe_from_the_least_contrast_on_and_one_that_is_known_before_that() -> None:
    """The dark part of the frame has fifty times the light of the cloud, and hides neither its size nor its fringe."""
    views, found, known, least = views_of(CAMERAS), [], [], []
    for seed, contrast in enumerate((0.9, 0.9, 0.9, 0.3, 0.3, 0.1, 0.1)):
        cloud = Cloud(SMALL.centre, SMALL.size, SMALL.wave_number, contrast, 0.7, 200_000)
        light = shot_of(LAYOUT, cloud, 100.0, np.random.default_rng(seed)).astype(float) - 2.31
        start = moments(views, light, np.ones(light.shape, bool), 100.0)
        assert np.allclose(np.sqrt(np.diag(start.covariance)), cloud.size, rtol=0.2)
        found.append(strongest_wave(views, light, light + 2.31, start))
        known.append(wave_at(views, light, light + 2.31, start, np.array([0.0, SMALL.wave_number, 0.0])))
        least.append(least_contrast(views, light, light + 2.31, start))
    assert all(wave is not None and wave.vector[1] == pytest.approx(SMALL.wave_number, rel=0.1) for wave in found[:3])
    assert found[3:] == [None] * 4
    assert [wave is not None for wave in known] == [True] * 5 + [False] * 2
    assert 0.5 < min(least) < max(least) < 0.7


def test_thinned_photons_add_up_and_do_not_depend_on_the_block() -> None:
    counts = torch.poisson(torch.full((500, 2), 9.0), generator=torch.Generator().manual_seed(0))
    kept, out = thinned(counts, 0.1, [4, 5], 1)
    assert torch.equal(kept + out, counts)
    assert torch.equal(thinned(counts[:, 1:], 0.1, [5], 1)[1][:, 0], out[:, 1])
    assert float(out.mean()) == pytest.approx(0.9, abs=0.1)


@pytest.fixture(scope="module")
def pair() -> Densities:
    plain = Cloud(SMALL.centre, SMALL.size, SMALL.wave_number, 0.0, 0.0, 200_000)
    return fitted([SMALL, plain])


def test_a_fringed_cloud_is_recovered_within_its_errors(pair: Densities) -> None:
    truth = {"phase": 0.7, "contrast": 0.6, "fringe_period": 377e-6, "atom_number": 2e5, "position": SMALL.centre, "size": SMALL.size}
    for name, value in truth.items():
        pull = (pair.values[name][0] - np.array(value)) / pair.values[f"{name}_std"][0]
        assert np.abs(pull).max() < 4, (name, pull)
    assert pair.trusted.all()
    assert pair.values["chi2_reduced"] == pytest.approx(1, abs=0.1)


def test_a_cloud_without_a_fringe_gets_none(pair: Densities) -> None:
    assert np.isnan(pair.values["phase"][1])
    assert np.isfinite(pair.values["density"][1]).all()
    assert (pair.values["density"] >= 0).all()


def test_the_lumps_of_few_bright_atoms_do_not_pass_for_a_shape() -> None:
    """20 electrons an atom: drawn as a shape, its lumps would gain more of the held-out photons than the fringe does."""
    atoms = 30_000
    few = Cloud(SMALL.centre, SMALL.size, SMALL.wave_number, 0.6, 0.7, atoms)
    light = shot_of(LAYOUT, few, 1e9 / atoms, np.random.default_rng(5)).astype(float)[None] - 2.31
    entry = ENTRY.model_copy(update={"photons_per_atom": 1e9 / atoms, "fit": ENTRY.fit.model_copy(update={"steps": 4})})
    found = densities(CAMERAS, light, np.zeros(light.shape[1:], bool), [0], entry).values
    assert found["kept_step"].tolist() == [0]
    assert found["phase"][0] == pytest.approx(0.7, abs=4 * found["phase_std"][0])


def test_the_density_is_absolute(pair: Densities) -> None:
    assert np.allclose(pair.values["density"].sum((1, 2, 3)) * 75e-6**3, 200_000, rtol=0.02)


@pytest.mark.slow
def test_stated_errors_are_true_over_repeats() -> None:
    """16 clouds of known truth, traced anew each: pulls have mean 0 and width 1."""
    clouds = []
    random = np.random.default_rng(8)
    for _ in range(16):
        centre = tuple((20e-6 * random.standard_normal(3)).tolist())
        clouds.append(Cloud(centre, (4e-4,) * 3, TAU / 377e-6, 0.7, float(random.uniform(-3, 3)), int(random.poisson(500_000))))
    found = fitted(clouds, ENTRY.model_copy(update={"grid": ENTRY.grid.model_copy(update={"half_width_m": 1.6e-3, "voxels": 64})}), seed=1)
    truth = {
        "contrast": np.full(16, 0.7),
        "fringe_period": np.full(16, 377e-6),
        "atom_number": np.array([c.atoms for c in clouds]),
        "position": np.array([c.centre for c in clouds]),
        "size": np.array([c.size for c in clouds]),
        "wavefront": np.zeros((16, 3)),
    }
    pulls = {name: ((found.values[name] - value) / found.values[f"{name}_std"]) for name, value in truth.items()}
    turn = found.values["phase"] - np.array([c.phase for c in clouds])
    pulls["phase"] = np.angle(np.exp(1j * turn)) / found.values["phase_std"]
    for name, pull in pulls.items():
        print(name, pull.mean(0), pull.std(0))
        # The stated error of the atom number holds the scatter of the atoms drawn, which the truth given here already contains.
        low = 0.2 if name == "atom_number" else 0.55
        assert (np.abs(pull.mean(0)) < 0.9).all(), (name, pull.mean(0))
        assert (pull.std(0, ddof=1) < 1.5).all(), (name, pull.std(0))
        assert (pull.std(0, ddof=1) > low).all(), (name, pull.std(0))


@pytest.mark.parametrize("period", [150e-6, 190e-6])
def test_a_deep_fine_fringe_costs_no_atoms(period: float) -> None:
    """Its samples on the lattice are negative between the crests, so that what is drawn is dark there. Two voxels a period are too coarse for a free
    shape, which would be taken for what the voxels miss."""
    cloud = Cloud((40e-6, -30e-6, 20e-6), (2.5e-4, 2.5e-4, 2.5e-4), TAU / period, 1.0, 0.7, 200_000)
    found = fitted([cloud], seed=9).values
    for name, true in (("atom_number", 200_000), ("contrast", 1.0), ("phase", 0.7)):
        assert abs(found[name][0] - true) < 3 * found[f"{name}_std"][0], name
    assert found["kept_step"][0] == 0
    assert found["chi2_reduced"][0] == pytest.approx(1, abs=0.02)
