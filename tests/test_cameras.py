"""Camera files: the reference JSON and YAML read alike, and each fault is told by file, camera and key."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fieldfit.io.cameras import read_cameras
from fieldfit.simulate.shots import ring_of_cameras
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
    with pytest.raises(InputError, match="cannot be read as a camera description"):
        read_cameras(tmp_path / "broken.json")
