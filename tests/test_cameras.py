"""Camera files: the reference JSON and YAML read alike, and each fault is told by file, camera and key."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from fieldfit.geometry.lens import pixel_position
from fieldfit.io.cameras import read_cameras
from fieldfit.simulate.layouts import ring_of_cameras
from fieldfit.types import InputError

RING6 = Path(__file__).parents[1] / "../shared/data/ring6/cameras.json"


def written(folder: Path, layout: dict[str, Any], name: str = "cameras.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(layout) if name.endswith("json") else yaml.safe_dump(layout))
    return path


def test_yaml_and_json_hold_the_same_cameras(tmp_path: Path) -> None:
    layout = ring_of_cameras()
    assert read_cameras(written(tmp_path, layout)) == read_cameras(written(tmp_path, layout, "cameras.yaml"))


def test_reference_file_is_read_as_it_is() -> None:
    if not RING6.exists():
        pytest.skip("shared/data/ring6 is not here")
    cameras = read_cameras(RING6)
    assert len(cameras) == 6
    assert cameras[0].focus == pytest.approx(0.175)


def test_the_list_of_true_shots_is_never_looked_at(tmp_path: Path) -> None:
    layout = ring_of_cameras()
    assert read_cameras(written(tmp_path, {**layout, "shots": "anything"})) == read_cameras(written(tmp_path, layout))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"magnification": None}, "camera 2: key 'magnification' is None, expected a number above 0"),
        ({"look": [1.0, 0.0]}, "camera 2: key 'look' holds 2 values .*, expected 3 numbers"),
        ({"look": [2.0, 0.0, 0.0]}, "camera 2: key 'look' has length 2, expected a unit vector"),
        ({"up": [1.0, 0.0, 0.0], "look": [1.0, 0.0, 0.0]}, "camera 2: keys 'look' and 'up' are not perpendicular"),
        ({"type": "thin_lense"}, "camera 2: key 'type' is 'thin_lense', expected one of thin_lens; did you mean 'thin_lens'"),
        ({"focal_lenght_m": 0.1}, "camera 2: unknown key 'focal_lenght_m'; did you mean 'focal_length_m'"),
        ({"resolution_hw": [200, 1e9]}, "camera 2: key 'resolution_hw' holds 1e\\+09, expected whole numbers"),
        ({"quantum_efficiency": 1.5}, "camera 2: key 'quantum_efficiency' is 1.5, expected a number above 0 and at most 1"),
        ({"f_number": 4.0}, "camera 2: key 'f_number' is 4, expected focal length / aperture diameter = 2"),
        ({"object_distance_m": 0.2}, "camera 2: key 'object_distance_m' is 0.2, expected"),
    ],
)
def test_a_fault_names_file_camera_and_key(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    layout = ring_of_cameras()
    layout["cameras"][2].update(change)
    with pytest.raises(InputError, match=f"cameras.json: {message}"):
        read_cameras(written(tmp_path, layout))


def test_a_missing_key_is_told_with_what_is_there(tmp_path: Path) -> None:
    layout = ring_of_cameras()
    del layout["cameras"][1]["pixel_pitch_m"]
    with pytest.raises(InputError, match="camera 1: key 'pixel_pitch_m' is missing, expected one of the keys"):
        read_cameras(written(tmp_path, layout))


def test_a_file_without_cameras_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found camera, expected a key 'cameras' with a list of cameras"):
        read_cameras(written(tmp_path, {"camera": []}))


def test_an_id_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    layout = ring_of_cameras()
    layout["cameras"][1]["id"] = 0
    with pytest.raises(InputError, match="camera id 0 is there 2 times"):
        read_cameras(written(tmp_path, layout))


def test_an_absent_or_broken_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file, expected a camera description"):
        read_cameras(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"broken.json: not JSON .*expected a camera description"):
        read_cameras(tmp_path / "broken.json")


DOME = Path(__file__).parents[1] / "../shared/data/dome/cameras.json"


def mirrored(**changes: Any) -> dict[str, Any]:
    camera = {**ring_of_cameras()["cameras"][0], "resolution_hw": [1200, 1200]}
    mirrors = [{"center_m": [0.12, y, 0.0], "normal": [1.0, 0.0, 0.0], "radius_m": 0.003} for y in (0.0, 0.01)]
    # A mirror behind the cloud: the camera at x = 0.175 sees the cloud's image beyond it.
    return {"cameras": [{**camera, "lens_position_m": [0.355, 0.0, 0.0], "mirrors": [{**m, **changes} for m in mirrors]}]}


def test_the_reference_dome_is_read_as_one_camera_with_mirrors() -> None:
    if not DOME.exists():
        pytest.skip("shared/data/dome is not here")
    told = json.loads(DOME.read_text())["views"]
    views = read_cameras(DOME)
    assert len(views) == 18
    assert {view.frame for view in views} == {0}
    assert {view.sensor for view in views} == {(2560, 2560)}
    for view, truth in zip(views, told, strict=True):
        row, column, _ = (float(part) for part in pixel_position(view, torch.zeros(1, 3, dtype=torch.float64)))
        assert (row + view.corner[0], column + view.corner[1]) == pytest.approx(truth["image_center_rowcol"], abs=1e-6)
        handed = np.dot(np.cross(view.up, view.look), view.left)
        assert handed == pytest.approx(-1)  # a mirror turns left- into right-handed


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"radius": 1}, "unknown key 'radius'.*radius_m"),
        ({"normal": [1.0, 1.0, 0.0]}, "length 1.41.*unit vector"),
        ({"radius_m": -1.0}, "'radius_m' is -1.0, expected a number above 0"),
        ({"center_m": [0.12, 0.0]}, "2 values"),
    ],
)
def test_each_fault_of_a_mirror_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_cameras(written(tmp_path, mirrored(**changes)))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("glass", {"thickness": 0.006, "index": 1.5}, "'glass'.*thickness_m"),
        ("glass", {"thickness_m": 0.006, "index": 0.5}, "'index' is 0.5, expected a number of at least 1"),
        ("distortion", {"k9": 1.0}, "'distortion'.*k1, k2, p1, p2, k3"),
        ("distortion", {"k1": "much"}, "'k1'"),
        ("mirrors", [], "expected a list of mirrors"),
    ],
)
def test_each_fault_of_glass_and_distortion_is_told(tmp_path: Path, key: str, value: Any, told: str) -> None:
    layout = ring_of_cameras()
    layout["cameras"][2][key] = value
    with pytest.raises(InputError, match=told):
        read_cameras(written(tmp_path, layout))
