"""From simulated files to a calibration, step by step: what one step writes the next one reads, and `load_field` evaluates."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import uproot
import xarray as xr

import fieldfit
from fieldfit.config.dune import Library
from fieldfit.config.load import load_entry
from fieldfit.report.dune import pictures
from fieldfit.steps.calibrate_visibility import calibrate_visibility
from fieldfit.steps.export_visibility import export_visibility
from fieldfit.steps.fit_visibility import fit_visibility
from fieldfit.steps.match_flashes import match_flashes
from fieldfit.steps.read_library import read_library
from fieldfit.steps.simulate_library import simulate_library
from fieldfit.types import InputError

SHARED = Path(__file__).parents[1] / "../shared/data/larsoft"


def entry_in(folder: Path, **changes: Any) -> Library:
    keys: dict[str, Any] = {
        "format": "larsoft",
        "library": str(folder / "library.root"),
        "channels": str(folder / "channels.json"),
        "tracks": str(folder / "tracks.h5"),
        "flashes": str(folder / "flashes.h5"),
        "photons_per_voxel": 1000,
        "times": True,
        "geometry": {"min_cm": [0, -50, 0], "max_cm": [100, 50, 160], "divisions": [6, 6, 8]},
        "simulate": {"photons": 1000, "divisions": [6, 6, 8], "tracks": 12, "flashes": 20},
        "fit": {"steps": 60, "width": 24, "batch": 256},
    }
    found: Library = load_entry("dune", keys | changes)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("box")
    entry = entry_in(folder)
    assert entry.tracks is not None
    simulate_library(entry, folder / "truth.json")
    read_library(entry.library, entry.channels, folder / "library.nc", entry)
    fit_visibility(folder / "library.nc", folder / "visibility.nc", entry)
    calibrate_visibility(folder / "visibility.nc", entry.tracks, folder / "calibration.nc", entry)
    assert entry.flashes is not None
    match_flashes(folder / "visibility.nc", folder / "calibration.nc", entry.flashes, folder / "flashes.nc", entry)
    return folder


def test_the_library_is_sound(made: Path) -> None:
    library = xr.open_dataset(made / "library.nc")
    assert library.visibility.dims == ("channel", "x", "y", "z") and library.visibility.shape == (8, 6, 6, 8)
    assert "geometry" not in library.attrs["findings"]
    assert float(library.z.max()) == pytest.approx(1.5)


def test_the_products_field_gives_its_own_grid(made: Path) -> None:
    for name, variable in (("visibility", "visibility"), ("calibration", "visibility_calibrated")):
        product = xr.open_dataset(made / f"{name}.nc")
        points = np.stack(np.meshgrid(product.x, product.y, product.z, indexing="ij"), -1).reshape(-1, 3)
        values = fieldfit.load_field(made / f"{name}.nc")(points)
        assert np.allclose(values.T.reshape(product[variable].shape), product[variable], rtol=1e-3, atol=1e-9)


def test_arrival_times_are_fitted_and_go_back_into_a_library(made: Path, tmp_path: Path) -> None:
    product = xr.open_dataset(made / "visibility.nc")
    assert product.timing_label.values.tolist() == ["ReflTfirst", "timing_par[0]", "timing_par[1]"]
    points = np.stack(np.meshgrid(product.x, product.y, product.z, indexing="ij"), -1).reshape(-1, 3)
    found = fieldfit.load_arrival(made / "visibility.nc")(points)
    np.testing.assert_allclose(found.transpose(0, 2, 1).reshape(product.arrival.shape), product.arrival.values, rtol=1e-4, atol=1e-3)
    library = xr.open_dataset(made / "library.nc").arrival
    first = library[1].values
    lit = np.isfinite(first)
    away = np.linalg.norm(points - product.channel_position.values[:, None], axis=2) - product.channel_radius.values[:, None]
    nearest = away.reshape(first.shape) - np.linalg.norm([1 / 6, 1 / 6, 1.6 / 8]) / 2  # from the voxel's corner to the disk's edge
    assert (first[lit] >= 7.46 * nearest[lit] - 1e-3).all()
    assert np.corrcoef(product.arrival[1].values.ravel(), away.ravel())[0, 1] > 0.9
    assert (product.arrival_std > 0).all()

    entry = entry_in(made, export={"formats": ["larsoft", "larndsim_npz"]})
    export_visibility(made / "visibility.nc", None, tmp_path, entry)
    with uproot.open(tmp_path / "photon_library.root") as file:
        rows = file["pmtresponse/PhotonLibraryData"].arrays(library="np")
    voxel = rows["Voxel"]
    place = rows["OpChannel"], voxel % 6, voxel // 6 % 6, voxel // 36
    np.testing.assert_allclose(rows["ReflTfirst"], product.arrival[0].values[place], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(rows["timing_par"], product.arrival[1:].values[:, *place].T, rtol=1e-4, atol=1e-3)


def test_a_library_without_times_is_told(made: Path, tmp_path: Path) -> None:
    entry = entry_in(tmp_path, library=str(tmp_path / "bare.root"), channels=str(made / "channels.json"), quality={"holes": "accept"})
    with uproot.open(made / "library.root") as file:
        rows = file["PhotonLibraryData"].arrays(["Voxel", "OpChannel", "Visibility", "ReflVisibility"], library="np")
    with uproot.recreate(entry.library) as file:
        file.mktree("PhotonLibraryData", {name: v.dtype for name, v in rows.items()}).extend(rows)
    with pytest.raises(InputError, match=r"bare.root: no arrival times, and the key times asks for them; expected ReflTfirst or timing_par"):
        read_library(entry.library, entry.channels, tmp_path / "library.nc", entry)
    plain = entry.model_copy(update={"times": False})
    read_library(plain.library, plain.channels, tmp_path / "library.nc", plain)
    fit_visibility(tmp_path / "library.nc", tmp_path / "visibility.nc", plain)
    with pytest.raises(InputError, match=r"visibility.nc: holds no arrival times, expected a visibility that was fitted with the key times: true"):
        fieldfit.load_arrival(tmp_path / "visibility.nc")


def test_the_calibration_finds_the_dead_channel_and_the_efficiencies(made: Path) -> None:
    calibration = xr.open_dataset(made / "calibration.nc")
    truth = np.array(json.loads((made / "truth.json").read_text())["efficiency"])
    assert np.array_equal(calibration.efficiency == 0, truth == 0) and np.array_equal(calibration.dead == 1, truth == 0)
    alive = truth > 0
    assert np.abs(calibration.efficiency.values[alive] / truth[alive] - 1).max() < 0.35  # few photons; the map takes the rest
    assert int(calibration.track_used.sum()) == 12 * 5 // 7
    assert np.array_equal(calibration.efficiency_run.values, calibration.efficiency.values[None]) and calibration.run.values.tolist() == [0]
    assert np.isnan(calibration.saturation_pe).all() and float(calibration.track_weight.min()) >= 0
    std = (calibration.visibility_calibrated_std / calibration.visibility_calibrated)[np.flatnonzero(alive)]
    assert 0 < float(std.min()) and float(std.max()) < 2 and (calibration.visibility_calibrated_std[np.flatnonzero(~alive)] == 0).all()


def test_runs_and_their_numbers_are_kept(made: Path, tmp_path: Path) -> None:
    with h5py.File(made / "tracks.h5") as source, h5py.File(tmp_path / "t.h5", "w") as other:
        for name in source:
            other[name] = source[name][()]
        other["run"] = np.repeat([41, 40, 45], 4)
    calibrate_visibility(made / "visibility.nc", tmp_path / "t.h5", tmp_path / "calibration.nc", entry_in(made))
    found = xr.open_dataset(tmp_path / "calibration.nc")
    assert found.run.values.tolist() == [40, 41, 45] and found.track_run.values.tolist() == [41] * 4 + [40] * 4 + [45] * 4
    assert found.efficiency_run.shape == (3, 8) and "3 runs" in found.attrs["drift"]
    assert (found.efficiency_run_std.sel(run=45) >= found.efficiency_std * 0.99).all()  # no track of that run was fitted


def test_the_report_has_its_pictures(made: Path) -> None:
    found = pictures(made / "visibility.nc", made / "calibration.nc", made / "flashes.nc")
    assert len(found) >= 3 and all(picture.caption and picture.figure.axes for picture in found)


def test_too_many_fit_tracks_are_told(made: Path) -> None:
    with pytest.raises(InputError, match=r"key 'fit_tracks' is 13, .* holds 12 tracks"):
        calibrate_visibility(made / "visibility.nc", made / "tracks.h5", made / "none.nc", entry_in(made, fit_tracks=13))
    assert not (made / "none.nc").exists()


def test_tracks_of_another_detector_are_told(made: Path, tmp_path: Path) -> None:
    with h5py.File(made / "tracks.h5") as source, h5py.File(tmp_path / "t.h5", "w") as other:
        for name in source:
            other[name] = source[name][()]
        del other["pe_measured"]
        other["pe_measured"] = np.ones((12, 5))
    with pytest.raises(InputError, match="the library has 8 channels"):
        calibrate_visibility(made / "visibility.nc", tmp_path / "t.h5", tmp_path / "none.nc", entry_in(made))


def test_a_damaged_library_is_masked_and_fitted(made: Path, tmp_path: Path) -> None:
    with uproot.open(made / "library.root") as file:
        name = next(name for name in file.keys(cycle=False) if name.endswith("PhotonLibraryData"))
        rows = file[name].arrays(library="np")
    rows = {key: values[rows["OpChannel"] != 5] for key, values in rows.items()}
    rows["Visibility"] = rows["Visibility"].copy()
    rows["Visibility"][[3, 40]] = np.nan, 1.5
    with uproot.recreate(tmp_path / "library.root") as file:
        file.mktree("PhotonLibraryData", {key: (values.dtype, values.shape[1:]) for key, values in rows.items()}).extend(rows)
    entry = entry_in(tmp_path, channels=str(made / "channels.json"), tracks=None, simulate=None)
    read_library(entry.library, entry.channels, tmp_path / "library.nc", entry)
    library = xr.open_dataset(tmp_path / "library.nc")
    assert (library.quality_mask.sel(channel=5) == 2).all() and int((library.quality_mask == 2).sum()) >= 6 * 6 * 8 + 2
    for told in ("of Visibility are NaN", "of Visibility are above 1", "1 of 8 channels have no row: 5; masked"):
        assert told in library.attrs["findings"]
    fit_visibility(tmp_path / "library.nc", tmp_path / "visibility.nc", entry)
    visibility = xr.open_dataset(tmp_path / "visibility.nc")
    assert np.isfinite(visibility.visibility).all() and visibility.attrs["quantum_efficiency"] == "not in it"


@pytest.mark.filterwarnings("error:The specified chunks separate the stored chunks")
def test_a_library_larger_than_the_memory_gives_the_same(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldfit.steps.read_library.TABLE_BYTES", 5000)
    for step in ("fit_visibility", "calibrate_visibility"):
        monkeypatch.setattr(f"fieldfit.steps.{step}.SLAB_VALUES", 1)
    entry = entry_in(made)
    read_library(entry.library, entry.channels, tmp_path / "library.nc", entry)
    fit_visibility(tmp_path / "library.nc", tmp_path / "visibility.nc", entry)
    calibrate_visibility(tmp_path / "visibility.nc", entry.tracks, tmp_path / "calibration.nc", entry)
    for name in ("library.nc", "visibility.nc"):
        xr.testing.assert_equal(xr.open_dataset(tmp_path / name), xr.open_dataset(made / name))
    xr.testing.assert_allclose(xr.open_dataset(tmp_path / "calibration.nc"), xr.open_dataset(made / "calibration.nc"))
    assert {path.name.removesuffix(".sha256") for path in tmp_path.iterdir()} == {"library.nc", "visibility.nc", "calibration.nc"}


def test_an_error_leaves_no_table_behind(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldfit.steps.read_library.TABLE_BYTES", 5000)
    channels = json.loads((made / "channels.json").read_text())
    for channel in channels:
        channel["centre"][2] = 160 - channel["centre"][2]
    (tmp_path / "channels.json").write_text(json.dumps(channels))
    entry = entry_in(made, channels=str(tmp_path / "channels.json"))
    with pytest.raises(InputError, match=r"policy quality\.misplaced_sensors: error"):
        read_library(entry.library, entry.channels, tmp_path / "out" / "library.nc", entry)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"geometry": None}, "key 'geometry' is missing"),
        ({"simulate": {"photons": 1000, "divisions": [6, 6, 9]}}, "key 'simulate.divisions' is .6, 6, 9., 'geometry.divisions' is .6, 6, 8."),
        ({"photons_per_voxel": 5}, "key 'photons_per_voxel' is 5, 'simulate.photons' is 1000"),
    ],
)
def test_a_contradicting_simulation_is_told(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    entry = entry_in(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        simulate_library(entry, tmp_path / "truth.json")


@pytest.mark.slow
def test_the_reference_library_is_fitted_better_than_it_interpolates(tmp_path: Path) -> None:
    if not (SHARED / "photon_library.root").is_file():
        pytest.skip("the reference library is not here")
    keys = {"format": "larsoft", "library": SHARED / "photon_library.root", "channels": SHARED / "channels.json", "photons_per_voxel": 300000}
    entry = load_entry("dune", {k: str(v) if isinstance(v, Path) else v for k, v in keys.items()})
    read_library(entry.library, entry.channels, tmp_path / "library.nc", entry)
    fit_visibility(tmp_path / "library.nc", tmp_path / "visibility.nc", entry)
    truth = np.load(SHARED / "truth_offgrid.npz", allow_pickle=False)
    true = truth["visibility"] + truth["refl_visibility"]
    found = fieldfit.load_field(tmp_path / "visibility.nc")(truth["position_cm"] * 0.01)
    assert np.mean(2 * np.abs(found - true) / (found + true)) < 0.015
    assert abs(found.sum() / true.sum() - 1) < 0.005


def test_flashes_lie_where_they_were_made(made: Path) -> None:
    found, truth = xr.open_dataset(made / "flashes.nc"), json.loads((made / "truth.json").read_text())
    place = 0.01 * np.array(truth["flash_position_cm"])
    error = np.linalg.norm(found.position.values - place, axis=1)
    assert np.median(error) < 0.2  # of a box of 1.6 m, with eight sensors and a library of 1000 photons a voxel
    ratio = found.charge.values / np.array(truth["flash_photons"])
    assert abs(np.median(ratio) - 1) < 0.2
    assert (found.status.values != 3).mean() > 0.5


def test_a_dark_flash_is_flagged_and_a_wrong_file_is_told(made: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "flashes.h5", "w") as file:
        file["pe_measured"] = np.stack([np.zeros(8), np.full(8, 20.0)])
    match_flashes(made / "visibility.nc", None, tmp_path / "flashes.h5", tmp_path / "flashes.nc", entry_in(made))
    found = xr.open_dataset(tmp_path / "flashes.nc")
    assert found.status.values[0] == 1 and np.isnan(found.position.values[0]).all() and np.isfinite(found.charge.values[1])
    with h5py.File(tmp_path / "wrong.h5", "w") as file:
        file["pe_mesured"] = np.zeros((2, 8))
    with pytest.raises(InputError, match=r"'pe_measured' is missing.*did you mean 'pe_mesured'"):
        match_flashes(made / "visibility.nc", None, tmp_path / "wrong.h5", tmp_path / "none.nc", entry_in(made))
    with h5py.File(tmp_path / "wrong.h5", "w") as file:
        file["pe_measured"] = np.full((2, 8), -1.0)
    with pytest.raises(InputError, match=r"2 of 2 flashes.*negative"):
        match_flashes(made / "visibility.nc", None, tmp_path / "wrong.h5", tmp_path / "none.nc", entry_in(made))
    assert not (tmp_path / "none.nc").exists()
