"""Picture files: what is flagged, and one message for each fault."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fieldfit.io.pictures import read_pictures
from fieldfit.types import InputError, Status

FRAMES = np.full((3, 16, 16), 5, np.uint16)


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_bad_pictures_are_flagged_and_the_others_kept(tmp_path: Path):
    frames = FRAMES.astype(float)
    frames[1, 2, 3], frames[2, 0, 0] = np.nan, -1
    stack = read_pictures(saved(tmp_path / "p.npz", frames=frames, pixel_object_m=2e-5))
    assert stack.status.tolist() == [Status.good, Status.corrupt, Status.corrupt]
    assert np.isfinite(stack.frames).all()
    assert stack.pixel == 2e-5
    bright = FRAMES.copy()
    bright[0, 0, 0] = 65535
    assert read_pictures(saved(tmp_path / "q.npz", frames=bright, pixel_object_m=2e-5)).status[0] == Status.saturated


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"frame": FRAMES, "pixel_object_m": 2e-5}, r"no key frames .keys found: frame, pixel_object_m.*did you mean 'frame'"),
        ({"frames": FRAMES}, r"no key pixel_object_m .keys found: frames"),
        ({"frames": FRAMES[0], "pixel_object_m": 2e-5}, r"'frames' has shape \(16, 16\), expected \(shot, row, column\)"),
        ({"frames": FRAMES.astype("U3"), "pixel_object_m": 2e-5}, r"'frames' has type <U3, expected integers or floats"),
        ({"frames": FRAMES, "pixel_object_m": -1.0}, r"'pixel_object_m' is .*-1.*, expected one positive length"),
        ({"frames": FRAMES, "pixel_object_m": 2e-5, "shot": np.arange(2)}, r"'shot' has shape \(2,\)"),
        ({"frames": FRAMES, "pixel_object_m": 2e-5, "shot": np.array([7, 9, 7])}, r"key 'shot' is 7 in row 0 and again"),
    ],
)
def test_each_fault_names_the_key(tmp_path: Path, arrays: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        read_pictures(saved(tmp_path / "p.npz", **arrays))


def test_absent_and_foreign_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"none.npz: no such file"):
        read_pictures(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(InputError, match=r"text.npz: cannot be read as npz"):
        read_pictures(tmp_path / "text.npz")


def test_pickled_arrays_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"p.npz: "):
        read_pictures(saved(tmp_path / "p.npz", frames=np.array([{}], dtype=object), pixel_object_m=2e-5))


def test_a_lying_header_is_refused_before_memory_is_taken(tmp_path: Path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<u2", "fortran_order": False, "shape": (10**6, 1000, 1000)})
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("frames.npy", header.getvalue() + b"\0" * 100)
    with pytest.raises(InputError, match=r"key frames of shape \(1000000, 1000, 1000\) .* the file holds"):
        read_pictures(tmp_path / "p.npz")
