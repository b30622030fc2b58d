"""Frames: both layouts give the same counts, a bad shot is flagged with file and view, and a block of bad shots is refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import xarray as xr

from fieldfit.calibration.frames import bad_pixels, calibrated, stated
from fieldfit.geometry.cameras import Camera
from fieldfit.io.frames import read_block
from fieldfit.types import InputError, Status

SHAPE = (2, 24, 20)
SIZES = [SHAPE[1:]] * SHAPE[0]


def frames_of(seed: int, light: float = 40.0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(light + 2.31, SHAPE).astype(np.uint16)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Shot 0 as a folder, shots 1 to 4 as multi-page files."""
    (tmp_path / "shot000").mkdir()
    for view, frame in enumerate(frames_of(0)):
        tifffile.imwrite(tmp_path / "shot000" / f"frame_cam{view}.tif", frame)
    for shot in range(1, 5):
        tifffile.imwrite(tmp_path / f"shot{shot:03d}.tif", frames_of(shot), photometric="minisblack", metadata=None, compression="zlib")
    return tmp_path


def test_a_folder_and_a_file_a_shot_are_read_alike(raw: Path) -> None:
    block = read_block(raw, [0, 1], SIZES)
    assert (block.frames.compute() == np.stack([frames_of(0), frames_of(1)])).all()
    assert (block.status == Status.good).all()
    assert block.frames.chunks[0] == (1, 1)


def test_a_missing_shot_is_flagged_by_number(raw: Path) -> None:
    block = read_block(raw, [1, 9], SIZES)
    assert block.status.tolist() == [Status.good, Status.missing]
    assert "shot 9 is missing" in block.reasons[0]


def test_a_missing_view_is_flagged_by_file_and_view(raw: Path) -> None:
    (raw / "shot000" / "frame_cam1.tif").unlink()
    block = read_block(raw, [0, 1], SIZES)
    assert block.status.tolist() == [Status.missing, Status.good]
    assert "view 1 (frame_cam1.tif) is missing, found frame_cam0.tif" in block.reasons[0]


@pytest.mark.parametrize("keep", [0, 5, 200, 900])
def test_a_truncated_file_is_flagged_wherever_it_ends(raw: Path, keep: int) -> None:
    path = raw / "shot002.tif"
    path.write_bytes(path.read_bytes()[:keep])
    block = read_block(raw, [1, 2], SIZES)
    assert block.status[1] in (Status.corrupt, Status.missing)
    assert "shot002.tif" in block.reasons[0]
    assert "view" in block.reasons[0]


def test_a_truncated_uncompressed_view_is_flagged(raw: Path) -> None:
    path = raw / "shot000" / "frame_cam0.tif"
    path.write_bytes(path.read_bytes()[:-100])
    block = read_block(raw, [0, 1], SIZES)
    assert block.status.tolist() == [Status.corrupt, Status.good]
    assert "view 0" in block.reasons[0]


def test_another_shape_or_type_is_flagged(raw: Path) -> None:
    tifffile.imwrite(raw / "shot003.tif", frames_of(3)[:, :, :-1], photometric="minisblack", metadata=None)
    tifffile.imwrite(raw / "shot004.tif", frames_of(4).astype(np.float32), photometric="minisblack", metadata=None)
    block = read_block(raw, [1, 3, 4], SIZES)
    assert block.status.tolist() == [Status.good, Status.corrupt, Status.corrupt]
    assert "has shape (24, 19), expected (24, 20)" in block.reasons[0]
    assert "has type float32, expected uint8 or uint16" in block.reasons[1]


def test_too_few_pages_are_a_missing_view(raw: Path) -> None:
    tifffile.imwrite(raw / "shot003.tif", frames_of(3)[:1], photometric="minisblack", metadata=None)
    block = read_block(raw, [1, 3], SIZES)
    assert block.status[1] == Status.missing
    assert "view 1: 1 pages, expected 2" in block.reasons[0]


def test_a_block_without_a_good_shot_is_one_like_any_other(raw: Path) -> None:
    """It must not stop the night; its shots have no times, since nothing tells whether the run has stamps."""
    block = read_block(raw, [8, 9], SIZES)
    assert block.status.tolist() == [Status.missing, Status.missing]
    assert [reason.split(":")[0] for reason in block.reasons] == ["shot 8 is missing", "shot 9 is missing"]
    assert np.isnan(block.time).all()


def test_a_run_without_a_good_shot_is_refused_with_every_reason(tmp_path: Path) -> None:
    for shot in (8, 9):
        (tmp_path / f"shot{shot}.tif").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"none of the 2 shots(.|\n)*shot 8 is corrupt(.|\n)*shot 9 is corrupt"):
        read_block(tmp_path, [8, 9], SIZES)


def camera(name: str) -> Camera:
    return Camera(name, (0.0, 0.0, 0.1), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0.016, 0.004, 0.1, 2.4e-6, 24, 20, 0.7, 2.31)


CAMERAS = [camera("0"), camera("1")]


def calibration(frames: np.ndarray, saturation: int = 4095) -> tuple[xr.Dataset, tuple[str, ...]]:
    array = xr.DataArray(frames, dims=("shot", "view", "row", "column"), coords={"shot": np.arange(10, 10 + len(frames))}).chunk({"shot": 1})
    return calibrated(array, np.zeros(len(frames), np.int8), CAMERAS, [stated(CAMERAS, saturation)])


def test_electrons_are_unbiased_above_the_pedestal() -> None:
    found, _ = calibration(np.stack([frames_of(seed, 5.0) for seed in range(30)]))
    assert float(found.electrons.mean()) == pytest.approx(5.0, abs=0.1)


def test_a_dark_shot_is_empty_and_a_dark_view_is_corrupt() -> None:
    blocked = frames_of(1)
    blocked[1] = np.random.default_rng(5).poisson(2.31, SHAPE[1:])
    found, reasons = calibration(np.stack([frames_of(0), frames_of(1, 0.0), blocked]))
    assert found.status.values.tolist() == [Status.good, Status.empty, Status.corrupt]
    assert "shot 11 is empty" in reasons[0]
    assert "view 1 is dark while others are bright" in reasons[1]
    assert np.isnan(found.electrons.values[1:]).all()


def test_a_saturated_shot_is_flagged_but_not_for_a_hot_pixel() -> None:
    frames = np.stack([frames_of(seed) for seed in range(6)])
    frames[:, 0, 3, 4] = 4095
    frames[2, 1, 10:13, 10:13] = 4095
    found, reasons = calibration(frames)
    assert found.status.values.tolist() == [0, 0, Status.saturated, 0, 0, 0]
    assert "view 1 has 9 pixels at or above 4095" in reasons[0]
    assert found.bad.values[0, 3, 4]
    assert np.isinf(found.variance.values[0, 0, 3, 4])


def test_hot_and_dead_pixels_stand_out_and_fringes_do_not() -> None:
    column = np.arange(60)
    fringe = 30 * (1 + 0.8 * np.cos(2 * np.pi * column / 6.25)) * np.ones((1, 50, 1)) + 2.31
    total = np.random.default_rng(1).poisson(20 * fringe).astype(float)
    assert not bad_pixels(total, 20).any()
    total[0, 20, 30], total[0, 8, 9] = 0, 20 * 200
    assert np.argwhere(bad_pixels(total, 20)).tolist() == [[0, 8, 9], [0, 20, 30]]
