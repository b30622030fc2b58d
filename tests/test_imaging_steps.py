"""The imaging steps: raw shots to phase, flags carried through, and bad input told in one message."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fieldfit.bridge import load_field
from fieldfit.config.magis import Imaging
from fieldfit.io.products import open_product
from fieldfit.report.imaging import pictures
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.estimate_phase import estimate_phase
from fieldfit.steps.fit_density import fit_density
from fieldfit.steps.simulate_shots import simulate_shots
from fieldfit.types import InputError, Status


def entry_of(folder: Path, **more: object) -> Imaging:
    keys = {"format": "tiff", "raw": folder / "raw", "cameras": folder / "cameras.json", "start": 100.0, "shot_period_s": 2.0, "seed": 5}
    keys |= {"grid": {"half_width_m": 1.6e-3, "voxels": 32}, "fit": {"steps": 10}, "simulate": {"shots": 4, "photons": 1e8, "period_um": 600.0}}
    return Imaging.model_validate(keys | more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shots: good, cut short, good, dark; each step's product."""
    folder = tmp_path_factory.mktemp("imaging")
    entry = entry_of(folder)
    simulate_shots(folder / "raw", folder / "cameras.json", folder / "truth.json", entry)
    shot = folder / "raw" / "shot0001.tif"
    shot.write_bytes(shot.read_bytes()[: shot.stat().st_size // 2])
    calibrate_frames(folder / "raw", folder / "cameras.json", folder / "electrons.nc", entry, [0, 1, 2, 3])
    fit_density(folder / "electrons.nc", folder / "cameras.json", folder / "density.nc", entry)
    estimate_phase([folder / "density.nc"], folder / "phase.nc", entry)
    return folder


def test_every_shot_is_kept_in_order_with_its_flag(run: Path) -> None:
    for kind, name in (("electrons", "electrons.nc"), ("density", "density.nc"), ("phase", "phase.nc")):
        product = open_product(run / name, kind)
        assert product.shot.values.tolist() == [0, 1, 2, 3]
        assert product.time.values.tolist() == [100, 102, 104, 106]
        assert product.status.values.tolist() == [Status.good, Status.corrupt, Status.good, Status.empty]
        assert "shot 1 is corrupt" in product.attrs["flagged"]
        assert "shot0001.tif" in product.attrs["flagged"]
        assert "shot 3 is empty" in product.attrs["flagged"]


def test_phases_are_those_of_the_truth(run: Path) -> None:
    truth = json.loads((run / "truth.json").read_text())["shots"]
    found = open_product(run / "phase.nc", "phase")
    for shot in (0, 2):
        turn = float(found.phase[shot]) - truth[shot]["phase_rad"]
        assert abs(np.angle(np.exp(1j * turn))) < 4 * float(found.phase_std[shot]) + 0.01
    assert np.isnan(found.phase.values[[1, 3]]).all()


def test_the_density_can_be_evaluated_anywhere(run: Path) -> None:
    values = load_field(run / "density.nc")(np.zeros((2, 3)))
    assert values.shape == (4, 2)
    assert np.isfinite(values[[0, 2]]).all()
    assert np.isnan(values[[1, 3]]).all()


def test_the_pictures_are_made_from_the_products_alone(run: Path) -> None:
    assert len(pictures([run / "density.nc"], run / "phase.nc")) == 5


def test_too_many_flagged_shots_refuse_the_phase_with_their_reasons(run: Path) -> None:
    with pytest.raises(InputError, match=r"2 of 4 shots are flagged, flagged_limit allows a share of 0.3:\n(.|\n)*shot 1 is corrupt"):
        estimate_phase([run / "density.nc"], run / "refused.nc", entry_of(run, flagged_limit=0.3))
    assert not (run / "refused.nc").exists()


def test_a_time_that_goes_backwards_from_block_to_block_is_flagged(run: Path) -> None:
    late = xr.load_dataset(run / "density.nc", decode_times=False)
    late["time"] = late.time - 50.0
    late.assign_coords(shot=late.shot + 4).to_netcdf(run / "late.nc", engine="h5netcdf")
    estimate_phase([run / "density.nc", run / "late.nc"], run / "backwards.nc", entry_of(run))
    product = open_product(run / "backwards.nc", "phase")
    assert product.status.values.tolist() == [0, Status.corrupt, 0, Status.empty, Status.mistimed, Status.corrupt, Status.mistimed, Status.empty]
    assert "shot 4 is mistimed: its time 50.0 s lies before that of the earlier shot 2 (104.0 s)" in product.attrs["flagged"]
    assert np.isfinite(product.phase.values[[0, 2]]).all()
    assert np.isnan(product.phase.values[4:]).all()


def test_a_shot_without_a_phase_says_what_its_views_could_have_shown(run: Path) -> None:
    density = xr.load_dataset(run / "density.nc", decode_times=False)
    assert (density.fringe_power.values[[0, 2]].max(1) > 32).all()
    assert (density.least_contrast.values[[0, 2]] < 0.3).all()
    for name in ("phase", "phase_std"):
        density[name][[0, 2]] = np.nan
    density["fringe_power"][0], density["least_contrast"][0] = 0.0, 0.07
    density.to_netcdf(run / "unseen.nc", engine="h5netcdf")
    for fringe, first, second in (
        (True, "from a contrast of 0.07 on", "a wave that the photons held out do not want"),
        (False, "`fit.fringe: false` gives no fringe", "`fit.fringe: false` gives no fringe"),
    ):
        estimate_phase([run / "unseen.nc"], run / "unseen_phase.nc", entry_of(run, fit={"fringe": fringe}))
        lines = open_product(run / "unseen_phase.nc", "phase").attrs["flagged"].split("\n")
        assert any(line.startswith("shot 0 is weak") and line.endswith(first) for line in lines)
        assert any(line.startswith("shot 2 is weak") and line.endswith(second) for line in lines)


def test_a_block_of_dark_shots_passes_on_its_flags(run: Path) -> None:
    entry = entry_of(run)
    calibrate_frames(run / "raw", run / "cameras.json", run / "dark_electrons.nc", entry, [3])
    fit_density(run / "dark_electrons.nc", run / "cameras.json", run / "dark_density.nc", entry)
    estimate_phase([run / "density.nc", run / "dark_density.nc"], run / "both.nc", entry)
    with xr.open_dataset(run / "both.nc", decode_times=False) as both:
        assert both.status.values.tolist() == [0, 5, 0, 3, 3]
    assert np.isnan(load_field(run / "dark_density.nc")(np.zeros((1, 3)))).all()


def test_a_classical_answer_is_a_density_product_that_says_what_was_not_measured(run: Path) -> None:
    entry = entry_of(run, fit={"method": "mlem"})
    fit_density(run / "electrons.nc", run / "cameras.json", run / "mlem.nc", entry)
    with open_product(run / "mlem.nc", "density") as product:
        assert product.status.values.tolist() == [Status.good, Status.corrupt, Status.good, Status.empty]
        assert product.attrs["method"] == "mlem"
        assert product.attrs["density_std_method"].startswith("not measured")
        assert np.isnan(product.density_std.values).all()
        assert np.isfinite(product.density.values[[0, 2]]).all()
        middle = float(product.density[0, 16, 16, 16])
        centre = [float(product[axis][16]) for axis in "xyz"]
    values = load_field(run / "mlem.nc")([centre])
    assert values[0, 0] == pytest.approx(middle, rel=1e-5)
    assert np.isnan(values[[1, 3]]).all()
    estimate_phase([run / "mlem.nc"], run / "mlem_phase.nc", entry)
    with open_product(run / "mlem_phase.nc", "phase") as phase:
        assert phase.status.values.tolist() == [Status.weak, Status.corrupt, Status.weak, Status.empty]
        assert "shot 0 is weak: `fit.method: mlem` gives no fringe" in phase.attrs["flagged"]
    assert len(pictures([run / "mlem.nc"], run / "mlem_phase.nc")) == 5


def test_a_density_that_does_not_hold_what_its_views_show_is_told_of(tmp_path: Path) -> None:
    spots = {"shots": 1, "object": "spots", "extent_mm": 1.2}
    entry = entry_of(tmp_path, fit={"method": "mlem"}, grid={"half_width_m": 1.6e-3, "voxels": 16}, simulate=spots)
    simulate_shots(tmp_path / "raw", tmp_path / "cameras.json", tmp_path / "truth.json", entry)
    calibrate_frames(tmp_path / "raw", tmp_path / "cameras.json", tmp_path / "electrons.nc", entry, [0])
    fit_density(tmp_path / "electrons.nc", tmp_path / "cameras.json", tmp_path / "density.nc", entry)
    with open_product(tmp_path / "density.nc", "density") as density:
        assert density.status.values.tolist() == [Status.good]
        assert "shot 0 has a chi-square of" in density.attrs["flagged"]
        assert "finer than voxels of 200 um" in density.attrs["flagged"]


def test_a_simulation_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="key 'simulate' is missing"):
        simulate_shots(tmp_path / "raw", tmp_path / "cameras.json", tmp_path / "truth.json", entry_of(tmp_path, simulate=None))
