"""HDF5 shot files: rows by shot number, what a damaged or foreign file is told, and nothing outside of the file is read."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fieldfit.catalogue import shots_of, version_of
from fieldfit.io.frames import Block, read_block
from fieldfit.simulate.frames import write_shot_file
from fieldfit.types import InputError, Status

SHAPE = (2, 24, 21)
SIZES = [SHAPE[1:]] * SHAPE[0]


def frames_of(shot: int) -> np.ndarray:
    return np.random.default_rng(shot).poisson(40.0, SHAPE).astype(np.uint16)


def written(path: Path, shots: list[int], **more: object) -> Path:
    write_shot_file(path, [(shot, frames_of(shot)) for shot in shots], **more)
    return path


def block_of(raw: Path, shots: list[int]) -> Block:
    return read_block(raw, shots, SIZES, "hdf5")


def test_rows_of_several_files_are_sorted_by_number(tmp_path: Path) -> None:
    written(tmp_path / "night10.h5", [4, 3, 8])
    written(tmp_path / "night2.h5", [5, 6])
    assert list(shots_of(tmp_path, "hdf5")) == [3, 4, 5, 6, 8]
    block = block_of(tmp_path, [3, 4, 5, 6, 8])
    assert (block.frames.compute() == np.stack([frames_of(shot) for shot in (3, 4, 5, 6, 8)])).all()
    assert "1 shot numbers between 3 and 8 have no frames: dropped by the data acquisition" in block.notes
    told = [note for note in block.notes if "out of order" in note]
    assert len(told) == 1
    assert "out of order in 2 places, sorted by number: shot 3" in told[0]
    assert block.source.startswith("night10.h5 rows 0 to 2 night2.h5 rows 0 to 1 sha256:")


def test_rows_in_order_are_not_told(tmp_path: Path) -> None:
    written(tmp_path / "night2.h5", [0, 1])
    written(tmp_path / "night10.h5", [2, 3])
    assert not any("out of order" in note for note in block_of(tmp_path, [0, 1, 2, 3]).notes)


def test_one_file_may_be_the_run(tmp_path: Path) -> None:
    path = written(tmp_path / "run.h5", [1, 2])
    assert (block_of(path, [2]).frames[0].compute() == frames_of(2)).all()


def test_a_missing_view_and_a_missing_shot_are_named(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", [0, 1, 2], valid=np.array([[1, 1], [1, 0], [0, 0]]))
    block = block_of(tmp_path, [0, 1, 2, 9])
    assert block.status.tolist() == [0, Status.missing, Status.missing, Status.missing]
    assert f"shot 1 is missing: {tmp_path / 'a.h5'} row 1: view 1 is missing ('valid' is false)" == block.reasons[0]
    assert "view 0, 1 is missing" in block.reasons[1]
    assert "shot 9 is missing, expected it in a dataset 'shot'" in block.reasons[2]


def test_a_number_that_is_there_twice(tmp_path: Path) -> None:
    """The same frames: taken once. Others: that shot is corrupt."""
    written(tmp_path / "a.h5", [0, 1, 2])
    written(tmp_path / "b.h5", [2, 3])
    write_shot_file(tmp_path / "c.h5", [(1, frames_of(7))])
    block = block_of(tmp_path, [0, 1, 2, 3])
    assert block.status.tolist() == [0, Status.corrupt, 0, 0]
    assert f"{tmp_path / 'a.h5'} row 1 and {tmp_path / 'c.h5'} row 0 have the same number and other frames" in block.reasons[0]
    assert any(f"shot 2 is there 2 times with the same frames: {tmp_path / 'a.h5'} row 2 is taken" in note for note in block.notes)


def test_auxiliary_channels_go_with_their_shots(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", [1, 0], auxiliary={"intensity": (np.array([1.5, 0.5]), "mW")})
    written(tmp_path / "b.h5", [2], auxiliary={"field": (np.array([3]), "uT"), "intensity": (np.array([2.5]), "mW")})
    block = block_of(tmp_path, [0, 1, 2])
    assert [(channel.name, channel.units) for channel in block.auxiliary] == [("field", "uT"), ("intensity", "mW")]
    assert np.array_equal(block.auxiliary[0].values, [np.nan, np.nan, 3.0], equal_nan=True)
    assert block.auxiliary[1].values.tolist() == [0.5, 1.5, 2.5]


def test_an_auxiliary_channel_that_cannot_be_used_is_told_and_left_out(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", [0, 1], auxiliary={"picture": (np.zeros((2, 3)), "1"), "good": (np.arange(2), "1")})
    written(tmp_path / "b.h5", [2], auxiliary={"good": (np.array([5]), "mW")})
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        file["auxiliary/away"] = h5py.ExternalLink("/etc/hostname", "/x")
    block = block_of(tmp_path, [0, 1, 2])
    assert not block.status.any()
    assert [channel.name for channel in block.auxiliary] == ["good"]
    assert any("dataset 'auxiliary/picture' has shape (2, 3) and type float64, expected (shot) and numbers" in note for note in block.notes)
    assert any("'auxiliary/away' is a link to /etc/hostname:/x" in note for note in block.notes)
    assert any("'auxiliary/good' is in mW, in 1 before: left out of this file's shots" in note for note in block.notes)


def test_the_example_of_the_documentation_writes_a_run(tmp_path: Path, checkout: Path) -> None:
    text = (checkout / "docs" / "formats.md").read_text().split("```python\n")[1].split("```")[0]
    room: dict[str, Callable] = {}
    exec(text, room)
    for shot in (4, 5, 6):
        room["append"](tmp_path / "night.h5", shot, 100.0 + shot, frames_of(shot))
    block = block_of(tmp_path, [4, 5, 6])
    assert (block.frames.compute() == np.stack([frames_of(shot) for shot in (4, 5, 6)])).all()
    assert block.time.tolist() == [104, 105, 106]


# ---------------------------------------------------------------- faults of one row or one file: its shots are flagged, others are not


def replaced(name: str, make: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            if name in file:
                del file[name]
            make(file)

    return change


def external(file: h5py.File) -> None:
    file.create_dataset("frames", (2, *SHAPE), np.uint16, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, *SHAPE), np.uint16)
    layout[:] = h5py.VirtualSource("/etc/passwd", "frames", (2, *SHAPE))
    file.create_virtual_dataset("frames", layout)


def never_written(file: h5py.File) -> None:
    file.create_dataset("frames", (2, *SHAPE), np.uint16, chunks=(1, 1, *SHAPE[1:]))
    file["frames"][0], file["frames"][1, 0] = 1, 1


def plugin(file: h5py.File) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1, *SHAPE))
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT16, h5py.h5s.create_simple((2, *SHAPE)), properties)


@pytest.mark.parametrize(
    ("name", "make", "flag", "told"),
    [
        ("frames", lambda f: None, Status.missing, "b.h5: no dataset 'frames', found shot, time"),
        ("frames", lambda f: f.create_dataset("frames", (2, *SHAPE), np.float32, chunks=True), Status.corrupt, "has type float32, expected uint8"),
        ("frames", lambda f: f.create_dataset("frames", (2, 2, 24, 9), np.uint16), Status.corrupt, "has shape (2, 24, 9), expected (2, 24, 21)"),
        ("frames", lambda f: f.create_dataset("frames", (2, 1, 24, 21), np.uint16), Status.missing, "view 1: 'frames' has 1 views, expected 2"),
        ("frames", lambda f: f.create_dataset("frames", (2, 3, 24, 21), np.uint16), Status.corrupt, "view 2: 'frames' has 3 views, expected 2"),
        ("frames", lambda f: f.create_dataset("frames", (2, 24, 21), np.uint16), Status.corrupt, "expected (shot, view, row, column)"),
        ("frames", lambda f: f.create_dataset("frames", (2, *SHAPE), np.uint16), Status.corrupt, "needs 4032 bytes, the file has"),
        (
            "frames",
            lambda f: f.create_dataset("frames", (2, *SHAPE), np.uint16, maxshape=(None, *SHAPE), chunks=(1 << 20, *SHAPE), compression=1),
            Status.corrupt,
            "expected a shot or less a chunk",
        ),
        (
            "frames",
            lambda f: f.__setitem__("frames", h5py.ExternalLink("/etc/hostname", "/x")),
            Status.corrupt,
            "'frames' is a link to /etc/hostname:/x",
        ),
        ("frames", lambda f: f.__setitem__("frames", h5py.SoftLink("/time")), Status.corrupt, "'frames' is a link to /time, expected the dataset"),
        ("frames", lambda f: f.create_group("frames"), Status.corrupt, "'frames' is a group, expected a dataset"),
        ("frames", external, Status.corrupt, "dataset 'frames' has its values in /etc/passwd"),
        ("frames", virtual, Status.corrupt, "dataset 'frames' is virtual (its values lie in /etc/passwd)"),
        ("frames", plugin, Status.corrupt, "dataset 'frames' is packed by filter 32015"),
        ("valid", lambda f: f.__setitem__("valid", np.ones((2, 3), bool)), Status.corrupt, "'valid' has shape (2, 3), expected (shot, 2)"),
        ("time", lambda f: f.__setitem__("time", [np.nan, np.nan]), Status.mistimed, "has no time stamp, others of the block have"),
        ("time", lambda f: f.__setitem__("time", [np.inf, np.inf]), Status.mistimed, "'time' is inf, expected seconds"),
    ],
)
def test_a_bad_file_flags_its_shots_only(tmp_path: Path, name: str, make: Callable[[h5py.File], object], flag: Status, told: str) -> None:
    written(tmp_path / "a.h5", [0, 1], time=np.array([0.0, 1.0]))
    written(tmp_path / "b.h5", [2, 3], time=np.array([2.0, 3.0]))
    replaced(name, make)(tmp_path / "b.h5")
    block = block_of(tmp_path, [0, 1, 2, 3])
    assert block.status.tolist() == [0, 0, flag, flag]
    assert told in block.reasons[0]
    assert "b.h5" in block.reasons[0]
    assert (block.frames[:2].compute() == np.stack([frames_of(0), frames_of(1)])).all()


def test_a_view_that_was_never_written_is_missing_not_zero(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", [0, 1])
    replaced("frames", never_written)(tmp_path / "a.h5")
    block = block_of(tmp_path, [0, 1])
    assert block.status.tolist() == [0, Status.missing]
    assert "row 1: view 1 was never written" in block.reasons[0]


def test_a_row_whose_frames_are_not_there_yet_is_missing(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", [0, 1])
    replaced("shot", lambda f: f.__setitem__("shot", [0, 1, 2]))(tmp_path / "a.h5")
    block = block_of(tmp_path, [0, 1, 2])
    assert block.status.tolist() == [0, 0, Status.missing]
    assert "row 2 has no frames: the dataset 'frames' has 2 rows, 'shot' has more" in block.reasons[0]


def test_a_damaged_chunk_flags_its_shot_only(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", [0, 1, 2])
    with h5py.File(path) as file:
        chunk = file["frames"].id.get_chunk_info(1)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset + chunk.size // 2)
        stream.write(b"\xff" * 40)
    block = block_of(tmp_path, [0, 1, 2])
    assert block.status.tolist() == [0, Status.corrupt, 0]
    assert "a.h5: cannot be read as HDF5" in block.reasons[0]
    assert "(row 1)" in block.reasons[0]


def test_times_that_go_backwards_are_named(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", [0, 1, 2, 3], time=np.array([0.0, 1.0, 0.5, 3.0]))
    block = block_of(tmp_path, [0, 1, 2, 3])
    assert block.status.tolist() == [0, 0, Status.mistimed, 0]
    assert "row 2: its time 0.5 s lies before that of the earlier shot 1 (1.0 s)" in block.reasons[0]


def test_an_epoch_that_is_no_date_is_named(tmp_path: Path) -> None:
    written(tmp_path / "a.h5", [0], time=np.zeros(1))
    written(tmp_path / "b.h5", [1], time=np.ones(1), epoch="noon")
    assert "attribute 'epoch' of 'time' is 'noon', expected YYYY-MM-DDThh:mm:ssZ" in block_of(tmp_path, [0, 1]).reasons[0]


# ---------------------------------------------------------------- faults that leave a run without shot numbers: refused


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def huge(file: h5py.File) -> None:
    file.create_dataset("shot", (1 << 40,), np.int64, chunks=(1 << 20,), compression=1)


def unwritten(file: h5py.File) -> None:
    file.create_dataset("shot", (5000,), np.int64, chunks=(10,), compression=1)
    file["shot"][:4000] = np.random.default_rng(0).permutation(4000)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, r"a.h5: cannot be read as HDF5 \(.*truncated.*\). A file that is being written should get its name when it is closed"),
        (lambda path: path.write_bytes(b"no"), r"a.h5: cannot be read as HDF5"),
        (replaced("shot", lambda f: None), r"a.h5: no dataset 'shot', found frames"),
        (replaced("shot", lambda f: f.__setitem__("shots", [1])), r"a.h5: no dataset 'shot', found frames, shots; is 'shots' meant\?"),
        (replaced("shot", lambda f: f.__setitem__("shot", [1.5])), r"dataset 'shot' has shape \(1,\) and type float64, expected \(shot\) and whole"),
        (replaced("shot", lambda f: f.__setitem__("shot", [0, -1])), r"dataset 'shot' is -1 in row 1, expected a number from 0 to 2147483647"),
        (replaced("shot", lambda f: f.__setitem__("shot", [2**40])), r"dataset 'shot' is 1099511627776 in row 0"),
        (replaced("shot", lambda f: f.__setitem__("shot", h5py.SoftLink("/frames"))), r"'shot' is a link to /frames"),
        (replaced("shot", huge), r"dataset 'shot' of shape \(1099511627776,\) needs 8796093022208 bytes"),
        (replaced("shot", unwritten), r"dataset 'shot' has 400 of 500 chunks: was it cut short\?"),
        (replaced("shot", lambda f: f.__setitem__("shot", np.zeros(0, int))), r"no shots, the datasets 'shot' of its HDF5 files are empty"),
    ],
)
def test_a_run_without_readable_numbers_is_refused(tmp_path: Path, damage: Callable[[Path], None], told: str) -> None:
    written(tmp_path / "a.h5", [0, 1])
    damage(tmp_path / "a.h5")
    with pytest.raises(InputError, match=told):
        shots_of(tmp_path, "hdf5")


def test_a_folder_without_shot_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such file or folder, expected HDF5 shot files"):
        shots_of(tmp_path / "nowhere", "hdf5")
    (tmp_path / "run.hdf").touch()
    with pytest.raises(InputError, match=r"no HDF5 shot files, expected names that end in .h5 or .hdf5"):
        shots_of(tmp_path, "hdf5")


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_end_in_a_flag_or_one_message(tmp_path: Path, seed: int) -> None:
    path = written(tmp_path / "a.h5", [0, 1, 2], time=np.arange(3.0), valid=np.ones((3, 2)), auxiliary={"a": (np.arange(3), "1")})
    random = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for place in random.integers(0, len(data) if seed % 2 else 2000, 5):
        data[place] = random.integers(256)
    path.write_bytes(data)
    try:
        found = block_of(tmp_path, [0, 1, 2]).frames.compute().shape
    except InputError as error:
        found = "a.h5" in str(error)
    assert found in (True, (3, *SHAPE))


# ---------------------------------------------------------------- what reruns


def versions(raw: Path) -> dict[int, list[str]]:
    return {shot: [version_of(place) for place in places] for shot, places in shots_of(raw, "hdf5").items()}


def test_a_file_that_grows_changes_its_last_rows_only(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", [0, 1, 2], time=np.arange(3.0))
    before = versions(tmp_path)
    with h5py.File(path, "r+") as file:
        for name, value in (("shot", [0, 1, 2, 3]), ("time", [0.0, 1.0, 2.0, 3.0])):
            del file[name]
            file[name] = value
        file["frames"].resize(4, axis=0)
        file["frames"][3] = frames_of(3)
    after = versions(tmp_path)
    assert [after[shot] == before.get(shot) for shot in range(4)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("name", "values", "changed"),
    [("time", [0.0, 1.5, 2.0, 3.0], [1, 3]), ("valid", [[1, 1], [1, 1], [0, 1], [1, 1]], [2, 3]), ("shot", [0, 7, 2, 3], [3, 7])],
)
def test_an_edited_row_changes_its_version(tmp_path: Path, name: str, values: list, changed: list[int]) -> None:
    """The last row as well: it has the file's time."""
    path = written(tmp_path / "a.h5", [0, 1, 2, 3], time=np.arange(4.0), valid=np.ones((4, 2)))
    before = versions(tmp_path)
    with h5py.File(path, "r+") as file:
        file[name][...] = values
    after = versions(tmp_path)
    assert sorted(shot for shot in after if after[shot] != before.get(shot)) == changed


def test_a_file_renamed_over_another_changes_every_row(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", [0, 1])
    before = versions(tmp_path)
    written(tmp_path / "new", [0, 1]).replace(path)
    after = versions(tmp_path)
    assert all(after[shot] != before[shot] for shot in before)
