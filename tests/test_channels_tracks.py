"""Sensors and tracks are read in any order, and a bad entry is told by channel, key, dataset and track."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fieldfit.io.channels import read_channels
from fieldfit.io.optical.box import Box
from fieldfit.io.tracks import read_tracks
from fieldfit.types import InputError

BOX = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 2))


def sensors(**first: Any) -> list[dict[str, Any]]:
    rows = [{"kind": "disk", "centre": [0.0, 10.0 * k, 0.0], "normal": [2.0, 0.0, 0.0], "radius": 10.0, "channel": k} for k in range(3)]
    rows[0] = {k: v for k, v in (rows[0] | first).items() if v is not None}
    return rows


def file_of(tmp_path: Path, content: Any) -> Path:
    (tmp_path / "channels.json").write_text(json.dumps(content))
    return tmp_path / "channels.json"


def test_channels_come_in_their_order_with_unit_normals(tmp_path: Path) -> None:
    disks = read_channels(file_of(tmp_path, sensors()[::-1]))
    assert np.allclose(disks.centre[:, 1], [0, 0.1, 0.2]) and np.allclose(disks.normal, [1, 0, 0]) and np.allclose(disks.radius, 0.1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "expected a JSON list"),
        (sensors(kind="rectangle"), "channel 0: kind 'rectangle' is not known, expected disk"),
        (sensors(radius=None), "channel 0: key 'radius' is missing"),
        (sensors(radius=None, radus=3), "channel 0: unknown key 'radus'; did you mean 'radius'"),
        (sensors(radius=-1), "radius is -1, expected a positive number"),
        (sensors(centre=[1, 2]), r"centre is \[1, 2\], expected three finite numbers"),
        (sensors(normal=[0, 0, 0]), "normal is zero"),
        (sensors(channel=1), "channel 1 is there twice"),
        (sensors(channel=9), "channels 1 to 9 for 3 sensors"),
        (sensors(channel="a"), "'channel' is 'a', expected a whole number"),
    ],
)
def test_a_bad_sensor_is_told(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_channels(file_of(tmp_path, content))


def test_absent_and_broken_channel_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_channels(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(InputError, match="not JSON"):
        read_channels(tmp_path / "bad.json")


def tracks(path: Path, **changes: Any) -> Path:
    data = {"point_cm": np.full((5, 3), 50.0), "point_offset": np.array([0, 2, 5]), "point_photons": np.ones(5), "pe_measured": np.ones((2, 3))}
    with h5py.File(path, "w") as file:
        for name, value in (data | changes).items():
            if value is not None:
                file[name] = value
    return path


def test_tracks_come_in_metres(tmp_path: Path) -> None:
    found = read_tracks(tracks(tmp_path / "t.h5"), 3, BOX)
    assert found.count == 2 and np.allclose(found.point, 0.5)
    assert found.run.tolist() == [0, 0] and np.isnan(found.ceiling).all()


def test_runs_and_ceilings_are_taken_where_they_are(tmp_path: Path) -> None:
    found = read_tracks(tracks(tmp_path / "t.h5", run=np.array([7, 9]), saturation_pe=np.array([np.nan, 100.0, np.nan])), 3, BOX)
    assert found.run.tolist() == [7, 9] and found.ceiling[1] == 100 and np.isnan(found.ceiling[[0, 2]]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"point_photons": None, "point_photon": np.ones(5)}, "dataset 'point_photons' is missing.*did you mean 'point_photon'"),
        ({"pe_measured": np.ones((2, 4))}, r"pe_measured has shape \(2, 4\), expected \(track, 3\)"),
        ({"point_offset": np.array([0, 2, 4])}, "point_offset runs from 0 to 4, expected 0 to 5"),
        ({"point_offset": np.array([0, 5, 5])}, "point_offset does not rise at track 1"),
        ({"point_offset": np.array([0, 5])}, r"point_offset has shape \(2,\), expected \(3,\)"),
        ({"point_cm": np.full((5, 2), 50.0)}, r"point_cm has shape \(5, 2\), expected \(5, 3\)"),
        ({"point_cm": np.full((5, 3), 50.0) + np.arange(5)[:, None] * 20}, "2 of 5 points lie outside the library's box .*first: track 1"),
        ({"pe_measured": np.array([[1, 1, 1], [1, np.nan, 1]])}, "pe_measured are not finite or negative .first in track 1"),
        ({"point_photons": np.array([1, 1, -1, 1, 1.0])}, "point_photons are not finite or negative .first in track 1"),
        ({"pe_measured": np.zeros((2, 3))}, "holds no light at all"),
        ({"pe_measured": np.array([[b"a"] * 3] * 2)}, "expected numbers"),
        ({"run": np.array([7])}, r"run has shape \(1,\), expected \(2,\), \(track\)"),
        ({"run": np.array([7, 7.5])}, "run of track 1 is 7.5, expected a whole number"),
        ({"run": np.array([b"a", b"b"])}, "dataset 'run' has type .*expected numbers"),
        ({"saturation_pe": np.ones(2)}, r"saturation_pe has shape \(2,\), expected \(3,\), \(channel\)"),
        ({"saturation_pe": np.array([1.0, np.nan, 0.0])}, "saturation_pe of channel 2 is 0.0, expected a positive number or NaN"),
    ],
)
def test_a_bad_track_file_is_told(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_tracks(tracks(tmp_path / "t.h5", **changes), 3, BOX)


def test_what_is_no_track_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.h5").write_text("no")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_tracks(tmp_path / "t.h5", 3, BOX)
    with pytest.raises(InputError, match="no such file"):
        read_tracks(tmp_path / "u.h5", 3, BOX)
