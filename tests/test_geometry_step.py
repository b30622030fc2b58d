"""The geometry in the steps: a target's product read back by the density fit, moved views flagged, bad targets refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fieldfit.config.load import load_config
from fieldfit.config.magis import Imaging, Refine
from fieldfit.experiments.magis.geometry import prior_of
from fieldfit.geometry.corrections import corrected, degrees_of, places
from fieldfit.io.cameras import read_cameras
from fieldfit.io.geometry import read_geometry
from fieldfit.io.products import open_product
from fieldfit.io.target import COLUMNS
from fieldfit.plan import Plan
from fieldfit.report.geometry import pictures
from fieldfit.simulate.layouts import dome_of_mirrors, ring_of_cameras
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.estimate_phase import estimate_phase
from fieldfit.steps.fit_density import fit_density
from fieldfit.steps.refine_geometry import refine_geometry
from fieldfit.steps.simulate_shots import simulate_shots
from fieldfit.types import InputError, Status

POINTS = torch.from_numpy(np.random.default_rng(0).normal(0, 5e-4, (20, 3)))


def entry_of(folder: Path, off: float = 0.0, **more: object) -> Imaging:
    keys = {"format": "tiff", "raw": folder / "raw", "cameras": folder / "cameras.json", "seed": 5, "grid": {"voxels": 32}, "fit": {"steps": 10}}
    simulate = {"shots": 4, "photons": 2e8, "dark": "none", "misplaced_um": 50 * off, "misturned_mrad": 0.2 * off, "faults": {2: "moved"}}
    return Imaging.model_validate(keys | {"simulate": simulate} | more)


def sightings(folder: Path, layout: dict) -> tuple[list, list[list]]:
    """(real views, lines of a target file) of views that differ from the camera file as the prior says."""
    (folder / "cameras.json").write_text(json.dumps(layout))
    random = np.random.default_rng(2)
    real, lines = [], []
    for camera in read_cameras(folder / "cameras.json"):
        real.append(corrected(camera, (prior_of(Refine(), [camera])[0] * random.standard_normal(len(degrees_of(camera)))).tolist()))
        seen = places(real[-1], POINTS).numpy() + np.array(camera.corner) + 0.01 * random.standard_normal((len(POINTS), 2))
        lines += [[camera.name, *point, *place, 0.01] for point, place in zip(POINTS.tolist(), seen.tolist(), strict=True)]
    return real, lines


def write(path: Path, lines: list[list]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *lines])
    return path


@pytest.mark.parametrize("layout", [ring_of_cameras(), dome_of_mirrors()], ids=["cameras", "mirrors"])
def test_a_targets_product_gives_the_real_views_back(tmp_path: Path, layout: dict) -> None:
    real, lines = sightings(tmp_path, layout)
    entry = entry_of(tmp_path, refine=str(write(tmp_path / "target.csv", lines)))
    refine_geometry([], tmp_path / "cameras.json", tmp_path / "geometry.nc", entry)
    found = open_product(tmp_path / "geometry.nc", "geometry")
    views = read_geometry(tmp_path / "geometry.nc", read_cameras(tmp_path / "cameras.json"))
    for view, true in zip(views, real, strict=True):
        assert float((places(view, POINTS) - places(true, POINTS)).abs().max()) < 0.03
        assert (view.corner, view.axis, view.rows) == (true.corner, true.axis, true.rows)
    assert np.abs(found.chi2_after - 1).max() < 0.6
    assert (found.chi2_before > 3 * found.chi2_after).all()
    assert found.attrs["gauge"].startswith("none")
    assert found.attrs["flagged"] == "none"
    assert len(pictures(tmp_path / "geometry.nc")) == 1


def test_a_sighting_of_another_point_is_refused_by_its_line(tmp_path: Path) -> None:
    _, lines = sightings(tmp_path, ring_of_cameras())
    lines[27][4] += 3.0
    entry = entry_of(tmp_path, refine={"target": write(tmp_path / "target.csv", lines)})
    with pytest.raises(InputError, match=r"target.csv: line 29: view 1 shows this point .* from where its other sightings put it"):
        refine_geometry([], tmp_path / "cameras.json", tmp_path / "geometry.nc", entry)
    assert not (tmp_path / "geometry.nc").exists()


def test_a_product_of_other_views_is_refused(tmp_path: Path) -> None:
    _, lines = sightings(tmp_path, ring_of_cameras())
    refine_geometry([], tmp_path / "cameras.json", tmp_path / "g.nc", entry_of(tmp_path, refine=str(write(tmp_path / "target.csv", lines))))
    with pytest.raises(InputError, match=r"g.nc: has the views 0, 1, 2, 3, 4, 5, expected those of the camera file, 0, 1, 2"):
        read_geometry(tmp_path / "g.nc", read_cameras(tmp_path / "cameras.json")[:3])


def calibrated(folder: Path, off: float) -> Path:
    """Four shots, a camera moved in one of them; the set-up not where the camera file says."""
    entry = entry_of(folder, off)
    simulate_shots(folder / "raw", folder / "cameras.json", folder / "truth.json", entry)
    calibrate_frames(folder / "raw", folder / "cameras.json", folder / "electrons.nc", entry, [0, 1, 2, 3])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibrated(tmp_path_factory.mktemp("moved"), 0.0)


def test_a_moved_camera_is_named_and_the_other_shots_stay_good(run: Path) -> None:
    fit_density(run / "electrons.nc", run / "cameras.json", run / "density.nc", entry_of(run))
    found = open_product(run / "density.nc", "density")
    assert found.status.values.tolist() == [0, 0, Status.misaligned, 0]
    assert "shot 2 is misaligned: the images of view 1 lie " in found.attrs["flagged"]
    assert "set-up" not in found.attrs["flagged"]
    assert np.isfinite(found.view_shift.values[[0, 1, 3]]).all()
    assert np.isnan(found.density.values[2]).all()
    estimate_phase([run / "density.nc"], run / "phase.nc", entry_of(run))
    assert np.isfinite(open_product(run / "phase.nc", "phase").phase.values[[0, 1, 3]]).all()


@pytest.mark.slow
def test_a_set_up_that_is_off_is_told_and_refined_views_make_the_contrast_whole(tmp_path: Path) -> None:
    folder = calibrated(tmp_path, 1.0)
    fit_density(folder / "electrons.nc", folder / "cameras.json", folder / "density.nc", entry_of(folder))
    assert "the set-up is misaligned: views " in open_product(folder / "density.nc", "density").attrs["flagged"]
    entry = entry_of(folder, refine="shots")
    refine_geometry([folder / "electrons.nc"], folder / "cameras.json", folder / "geometry.nc", entry)
    geometry = open_product(folder / "geometry.nc", "geometry")
    assert geometry.used.values.tolist() == [1, 1, 0, 1]
    assert "shot 2 was left out" in geometry.attrs["flagged"]
    assert "set-up" not in geometry.attrs["flagged"]
    assert len(pictures(folder / "geometry.nc")) == 2
    fit_density(folder / "electrons.nc", folder / "cameras.json", folder / "refined.nc", entry, folder / "geometry.nc")
    found = open_product(folder / "refined.nc", "density")
    assert found.status.values.tolist() == [0, 0, Status.misaligned, 0]
    assert "set-up" not in found.attrs["flagged"]
    assert np.abs((found.contrast - 0.8) / found.contrast_std).max() < 4


def test_no_good_shot_is_refused_with_the_reasons(run: Path) -> None:
    dark = open_product(run / "electrons.nc", "electrons")
    dark["status"][:] = Status.empty
    dark.attrs["flagged"] = "shot 0 is empty: no light"
    dark.drop_vars("auxiliary_label", errors="ignore").to_netcdf(run / "dark.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"dark.nc: no good shot to refine the geometry from, expected at least one:\nshot 0 is empty"):
        refine_geometry([run / "dark.nc"], run / "cameras.json", run / "none.nc", entry_of(run, refine="shots"))


def test_a_run_is_refined_from_its_first_blocks_or_from_a_target_alone() -> None:
    entry = {"format": "tiff", "raw": "raw", "cameras": "c.json", "block_size": 4, "simulate": {"shots": 20}}
    plan = Plan(load_config({"magis": {"a": entry | {"refine": {"shots": 6}}, "b": entry | {"refine": "points.csv"}, "c": entry}}))
    assert plan.refined == ["a", "b"]
    assert plan.shots.refined_from("a") == ["0000", "0001"]
    assert plan.shots.refined_from("b") == []
    assert "results/magis/a/geometry.nc" in plan.everything()
    assert "results/magis/c/geometry.nc" not in plan.everything()


def test_a_wrong_key_of_refine_is_told() -> None:
    with pytest.raises(InputError, match=r"unknown key 'magis.a.refine.shift'; did you mean 'shift_um'"):
        load_config({"magis": {"a": {"format": "tiff", "raw": "raw", "cameras": "c.json", "refine": {"shift": 5}}}})
