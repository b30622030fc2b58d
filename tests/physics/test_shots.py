"""Simulated shots: the stated number of photons, finite atoms, dark last shot, the same bytes from the same seed."""

import json
from pathlib import Path

import numpy as np
import pytest

from fieldfit.config import SimulateShots
from fieldfit.io.cameras import read_cameras
from fieldfit.io.frames import read_block
from fieldfit.simulate.shots import Cloud, atoms_in, ring_of_cameras, traced, write_shots
from fieldfit.types import Status
from fieldfit.units import TAU

REFERENCE = Path(__file__).parents[2] / "../shared/data/ring6/cameras.json"
ENTRY = SimulateShots(shots=3, photons=2e7)


def test_the_readers_read_what_is_written_and_the_seed_decides_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shots(tmp_path / name, tmp_path / f"{name}.json", tmp_path / f"{name}_truth.json", ENTRY, 1000.0, 3)
    cameras = read_cameras(tmp_path / "a.json")
    block = read_block(tmp_path / "a", [0, 1, 2], (6, 200, 200))
    assert (block.status == Status.good).all()
    assert (block.frames == read_block(tmp_path / "b", [0, 1, 2], (6, 200, 200)).frames).all().compute()
    light = (block.frames.sum((2, 3)) - 2.31 * 40_000).compute()
    expected = [2e7 * c.efficiency * c.radius**2 / (4 * c.focus**2) for c in cameras]
    assert np.abs(light[:2] - expected).max() < 5 * np.sqrt(2.31 * 40_000 + 2 * max(expected) + (max(expected) * 0.007) ** 2)
    assert np.abs(light[2]).max() < 5 * np.sqrt(2.31 * 40_000)
    told = json.loads((tmp_path / "a_truth.json").read_text())["shots"]
    assert [shot["dark"] for shot in told] == [False, False, True]
    assert "shots" not in json.loads((tmp_path / "a.json").read_text())


def test_the_ring_of_cameras_is_the_reference_one() -> None:
    if not REFERENCE.exists():
        pytest.skip("shared/data/ring6 is not here")
    for ours, theirs in zip(ring_of_cameras()["cameras"], json.loads(REFERENCE.read_text())["cameras"], strict=True):
        for key in ("lens_position_m", "look", "left", "up", "sensor_position_m", "aperture_diameter_m"):
            assert np.allclose(ours[key], theirs[key], atol=1e-9), (ours["id"], key)


def test_atoms_carry_the_stated_fringe() -> None:
    cloud = Cloud((0, 0, 0), (5e-4,) * 3, TAU / 377e-6, 0.8, 0.4, 200_000)
    wave = np.exp(1j * cloud.wave_number * atoms_in(cloud, np.random.default_rng(0))[:, 1]).mean()
    assert 2 * np.abs(wave) == pytest.approx(0.8, abs=0.012)
    assert -np.angle(wave) == pytest.approx(0.4, abs=0.015)


def test_pixels_vary_more_than_poisson_because_atoms_are_finite() -> None:
    """All light of one atom shares its fate: the total of a view has variance mu (1 + q), q detected photons an atom in it."""
    camera, random = ring_of_cameras()["cameras"][0], np.random.default_rng(1)
    totals = []
    for _ in range(400):
        atoms = 1e-4 * random.standard_normal((random.poisson(200), 3))
        totals.append(traced(camera, atoms, 2e4, random).sum())
    q = 2e4 * 0.72 * 0.5 * (1 - 1 / np.sqrt(1 + (camera["aperture_diameter_m"] / 2 / 0.175) ** 2))
    assert np.var(totals) / np.mean(totals) == pytest.approx(1 + q, rel=0.25)
