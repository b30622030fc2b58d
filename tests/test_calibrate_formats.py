"""The step from raw frames to electrons: the same electrons from each format, with the times, channels and flags that the files have."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from fieldfit.config.magis import Imaging
from fieldfit.io.products import open_product
from fieldfit.simulate.frames import write_run, write_shot_file, write_tiff
from fieldfit.simulate.layouts import ring_of_cameras
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.simulate_shots import simulate_shots
from fieldfit.types import Status

SHAPE = (6, 24, 21)
SHOTS = [0, 1, 2]


def frames_of(shot: int, step: int = 1, light: float = 40.0) -> np.ndarray:
    return (step * np.random.default_rng(shot).poisson(light, SHAPE)).astype(np.uint16)


@pytest.fixture
def cameras(tmp_path: Path) -> Path:
    layout = ring_of_cameras()
    for camera in layout["cameras"]:
        camera["resolution_hw"] = list(SHAPE[1:])
    (tmp_path / "cameras.json").write_text(json.dumps(layout))
    return tmp_path / "cameras.json"


def entry_of(form: str, **more: object) -> Imaging:
    return Imaging.model_validate({"format": form, "raw": "raw", "cameras": "cameras.json", **more})


def test_each_format_gives_the_same_electrons(tmp_path: Path, cameras: Path) -> None:
    found = {}
    for form in ("tiff", "fits", "hdf5"):
        write_run(tmp_path / form, form, [(shot, frames_of(shot)) for shot in SHOTS])
        calibrate_frames(tmp_path / form, cameras, tmp_path / f"{form}.nc", entry_of(form, start=100.0), SHOTS)
        found[form] = open_product(tmp_path / f"{form}.nc", "electrons")
    assert not found["tiff"].status.any()
    assert float(found["tiff"].electrons.mean()) == pytest.approx(40 - 2.31, abs=0.1)
    for form in ("fits", "hdf5"):
        for name in ("electrons", "variance", "time", "status"):
            assert (found[form][name] == found["tiff"][name]).all()
    assert found["tiff"].attrs["inputs"].count("sha256:") == 4
    assert found["hdf5"].attrs["inputs"].count("sha256:") == 1
    assert found["hdf5"].attrs["frames"].startswith("shots.h5 rows 0 to 2 sha256:")


def test_times_and_channels_of_a_shot_file_go_into_the_product(tmp_path: Path, cameras: Path) -> None:
    time, shots = np.array([0.0, 1.0, 0.5]), [(shot, frames_of(shot)) for shot in SHOTS]
    write_shot_file(tmp_path / "a.h5", shots, time, "2026-01-02T12:00:00Z", auxiliary={"field": (np.array([1.0, 2.0, 3.0]), "uT")})
    calibrate_frames(tmp_path / "a.h5", cameras, tmp_path / "e.nc", entry_of("hdf5"), SHOTS)
    product = open_product(tmp_path / "e.nc", "electrons")
    assert product.time.values.tolist() == [1767355200.0, 1767355201.0, 1767355200.5]
    assert product.status.values.tolist() == [0, 0, Status.mistimed]
    assert "shot 2 is mistimed" in product.attrs["flagged"]
    assert product.auxiliary_value.sel(auxiliary="field").values.tolist() == [1, 2, 3]
    assert product.auxiliary_units.sel(auxiliary="field").item() == "uT"


def test_a_comb_is_not_taken_for_saturation(tmp_path: Path, cameras: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Codes around 300 of a 12-bit ADC kept in the upper bits are above 4095 DN; the top code is saturated."""
    for shot in SHOTS:
        frames = frames_of(shot, 16, 300.0)
        frames[1, 5:9, 5:9] = 65520 if shot == 1 else frames[1, 5:9, 5:9]
        write_tiff(tmp_path / "raw" / f"shot{shot}.tif", frames)
    with caplog.at_level(logging.INFO):
        calibrate_frames(tmp_path / "raw", cameras, tmp_path / "e.nc", entry_of("tiff"), SHOTS)
    product = open_product(tmp_path / "e.nc", "electrons")
    assert product.status.values.tolist() == [0, Status.saturated, 0]
    assert "view 1 has 16 pixels at or above 65520 DN" in product.attrs["flagged"]
    assert "values are multiples of 16 DN: an ADC whose bits are the upper ones of 16 ends at 65520 DN" in caplog.text
    calibrate_frames(tmp_path / "raw", cameras, tmp_path / "e.nc", entry_of("tiff", saturation=65535), SHOTS)
    assert not open_product(tmp_path / "e.nc", "electrons").status.any()


@pytest.mark.parametrize("form", ["fits", "hdf5"])
def test_simulated_shots_are_written_in_the_entrys_format(tmp_path: Path, form: str) -> None:
    entry = entry_of(form, simulate={"shots": 2, "photons": 1e7})
    simulate_shots(tmp_path / "raw", tmp_path / "cameras.json", tmp_path / "truth.json", entry)
    calibrate_frames(tmp_path / "raw", tmp_path / "cameras.json", tmp_path / "e.nc", entry, [0, 1])
    assert open_product(tmp_path / "e.nc", "electrons").status.values.tolist() == [Status.good, Status.empty]
