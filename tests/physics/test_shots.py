"""Simulated shots: the stated number of photons, finite atoms, dark last shot, the same bytes from the same seed; repeats, faults and truth."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from fieldfit.config.load import load_config
from fieldfit.config.magis import SimulateShots
from fieldfit.io.cameras import read_cameras
from fieldfit.io.frames import read_block
from fieldfit.simulate.clouds import Cloud
from fieldfit.simulate.layouts import MOVED_M, MOVED_RAD, ring_of_cameras
from fieldfit.simulate.rays import traced
from fieldfit.simulate.shots import SATURATED_DN, atoms_in, write_shots
from fieldfit.types import InputError, Status
from fieldfit.units import TAU

REFERENCE = Path(__file__).parents[2] / "../shared/data/ring6/cameras.json"
SCORE = Path(__file__).parents[2] / "../shared/score/density.py"
ENTRY = SimulateShots(shots=3, photons=2e7)


def run_of(folder: Path, seed: int = 3, **keys: Any) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
    """(frames (shot, view, row, column), camera file, truth) of six cameras."""
    entry = SimulateShots.model_validate({"photons": 2e7, **keys})
    write_shots(folder / "raw", folder / "cameras.json", folder / "cameras.truth.json", entry, 1000.0, seed)
    block = read_block(folder / "raw", list(range(entry.shots)), [(200, 200)] * 6)
    return block.frames.compute(), *(json.loads((folder / name).read_text()) for name in ("cameras.json", "cameras.truth.json"))


def test_the_readers_read_what_is_written_and_the_seed_decides_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shots(tmp_path / name, tmp_path / f"{name}.json", tmp_path / f"{name}_truth.json", ENTRY, 1000.0, 3)
    cameras = read_cameras(tmp_path / "a.json")
    block = read_block(tmp_path / "a", [0, 1, 2], [(200, 200)] * 6)
    assert (block.status == Status.good).all()
    assert (block.frames == read_block(tmp_path / "b", [0, 1, 2], [(200, 200)] * 6).frames).all().compute()
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


def test_repeats_show_the_same_cloud_with_its_atoms_drawn_anew(tmp_path: Path) -> None:
    frames, _, truth = run_of(tmp_path, shots=4, repeats=2, dark="none")
    told = truth["shots"]
    assert [shot["cloud"] for shot in told] == [0, 0, 1, 1]
    assert told[0]["phase_rad"] == told[1]["phase_rad"] != told[2]["phase_rad"]
    assert told[0]["position_m"] == told[1]["position_m"]
    assert told[0]["atoms"] != told[1]["atoms"]
    assert not any(shot["dark"] for shot in told)
    assert (frames[0] != frames[1]).any()


def test_a_dome_is_one_page_with_every_mirrors_light(tmp_path: Path) -> None:
    entry = SimulateShots(shots=1, photons=1e7, layout="dome", object="spots", jitter_um=0)
    write_shots(tmp_path / "raw", tmp_path / "cameras.json", tmp_path / "truth.json", entry, 1000.0, 3)
    frame = read_block(tmp_path / "raw", [0], [(2560, 2560)]).frames[0, 0].compute().astype(float)
    views = read_cameras(tmp_path / "cameras.json")
    assert len(views) == 18
    for view in views:
        (row, column), noise = view.corner, np.sqrt(2 * view.rows * view.columns)
        light = frame[row : row + view.rows, column : column + view.columns].sum() - 2 * view.rows * view.columns
        assert light > 5 * noise, view.name


# ---------------------------------------------------------------- truth beside the shots


def test_a_density_product_can_be_scored_against_the_truth(tmp_path: Path) -> None:
    """The truth itself, binned to 64 voxels, scores 0: the layout is the scorer's."""
    if not SCORE.exists():
        pytest.skip("shared/score is not here")
    _, cameras, truth = run_of(tmp_path, shots=3, truth_density=True, period_um=300)
    assert cameras["shots"][2] == {"shot": 2, "truth": None, "cloud": None, "n_atoms": 0}
    listed = cameras["shots"][1]
    assert listed["n_atoms"] == truth["shots"][1]["atoms"]
    assert listed["cloud"]["fringe_period_um"] == 300
    assert len(read_cameras(tmp_path / "cameras.json")) == 6
    held = np.load(tmp_path / listed["truth"], allow_pickle=False)
    assert held["density"].shape == (128,) * 3
    density = held["density"].astype(float).reshape((64, 2) * 3).mean((1, 3, 5))
    axis = held["coords_m"].reshape(64, 2).mean(1)
    product = xr.Dataset(
        {"density": (("shot", "x", "y", "z"), density[None]), "status": ("shot", [0])}, {"shot": [1], "x": axis, "y": axis, "z": axis}
    )
    product.to_netcdf(tmp_path / "density.nc")
    command = [sys.executable, SCORE, tmp_path / "density.nc", tmp_path / listed["truth"], tmp_path / "cameras.json", "--shot", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(said)
    assert found["relative_l2"] < 1e-6
    assert found["fringe_ratio"] == pytest.approx(1)
    assert found["atoms_ratio"] == pytest.approx(1, abs=0.02)  # 20,000 atoms scatter by 0.7 %; the cube cuts 0.4 %


def test_repeats_share_a_density_and_clouds_outside_have_none(tmp_path: Path) -> None:
    _, cameras, _ = run_of(tmp_path, shots=4, repeats=2, dark="none", truth_density=True, object="letters", faults={3: "outside"})
    names = [shot["truth"] for shot in cameras["shots"]]
    assert names[0] == names[1] != names[2]
    assert names[3] is None
    assert "fringe_period_um" not in cameras["shots"][0]["cloud"]
    assert sorted(path.name for path in (tmp_path / "cameras.truth").iterdir()) == ["cloud0000.npz", "cloud0001.npz"]


# ---------------------------------------------------------------- faults


def test_each_fault_does_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    faults = {1: "saturated", 2: "blocked", 3: "cosmic", 4: "moved", 5: "outside"}
    frames, cameras, truth = run_of(tmp_path, shots=6, photons=2e8, dark="none", faults=faults)
    assert [shot.get("fault") for shot in truth["shots"]] == [None, *faults.values()]
    light = frames.astype(float) - 2.31
    noise = 5 * np.sqrt(2.31 * 40_000)
    good = light[0].sum((1, 2)).mean()
    others = np.array([0, 2, 3, 4, 5])
    assert np.abs(light[:5, others].sum((2, 3)) - good).max() < 0.1 * good
    assert (frames[1, 1] == SATURATED_DN).any() and frames[1, others].max() < 200
    assert abs(light[2, 1].sum()) < noise
    assert (frames[3, 1] > 250).sum() > 5 and frames[3, others].max() < 200
    assert np.abs(light[5].sum((1, 2))).max() < noise
    k = np.arange(200) + 0.5
    columns = [(frame.sum(0) @ k) / frame.sum() for frame in light[[0, 4], 1]]
    stated = -(MOVED_M + MOVED_RAD * 0.175) * 0.1 / 2.4e-6  # a lens further left, looking further left
    assert columns[1] - columns[0] == pytest.approx(stated, abs=3)
    assert cameras["cameras"] == ring_of_cameras()["cameras"]


def test_misplaced_views_are_told_in_the_truth_alone(tmp_path: Path) -> None:
    _, cameras, truth = run_of(tmp_path, shots=1, misplaced_um=50, misturned_mrad=0.2)
    assert cameras["cameras"] == ring_of_cameras()["cameras"]
    moves = [
        np.array(true[key]) - np.array(stated[key])
        for true, stated in zip(truth["cameras"], cameras["cameras"], strict=True)
        for key in ("lens_position_m", "look")
    ]
    assert np.sqrt(np.square(moves[::2]).mean()) == pytest.approx(50e-6, rel=0.5)
    assert np.sqrt(np.square(moves[1::2]).sum(1).mean() / 2) == pytest.approx(0.2e-3, rel=0.5)
    for true in truth["cameras"]:
        axes = np.array([true[key] for key in ("look", "left", "up")])
        assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        assert np.allclose(np.array(true["sensor_position_m"]) - true["lens_position_m"], -0.0175 * axes[0])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"object": "mesh"}, "key 'mesh' names no file, expected an STL file with `object: mesh`"),
        ({"mesh": "a.stl"}, "key 'mesh' names 'a.stl' for object 'cloud'"),
        ({"shots": 4, "faults": {3: "moved"}}, "key 'faults' names shot 3, expected lit shots, 0 to 2"),
        ({"faults": {1: "moving"}}, "'moving'"),
        ({"layout": "ring7"}, "'ring7'"),
        ({"glass": {"index": 0.9}}, "0.9"),
    ],
)
def test_each_impossible_wish_is_told(keys: dict[str, Any], told: str) -> None:
    entry = {"format": "tiff", "raw": "raw", "cameras": "cameras.json", "simulate": keys}
    with pytest.raises(InputError, match=f"magis.run.simulate.*{told}"):
        load_config({"magis": {"run": entry}})


def test_a_missing_mesh_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.stl: no such file"):
        run_of(tmp_path, object="mesh", mesh=tmp_path / "none.stl")
    assert not (tmp_path / "raw").exists()
