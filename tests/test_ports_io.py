"""Port files: what is flagged, and one message for each fault."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from fieldfit.io.ports import read_ports
from fieldfit.simulate.ports import Truth, simulate_run, write_run
from fieldfit.types import InputError, Status


@pytest.fixture
def path(tmp_path: Path) -> Path:
    truth = Truth()
    write_run(simulate_run(truth, 60, 1e5, np.random.default_rng(0)), truth, tmp_path / "run.h5", tmp_path / "truth.json")
    return tmp_path / "run.h5"


def changed(path: Path, name: str, value: object) -> Path:
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    return path


def test_missing_and_weak_shots_are_flagged(path: Path):
    status = read_ports(path, 0.2).status
    assert (status == Status.missing).sum() == 4
    assert (status == Status.weak).sum() == 4
    assert (status == Status.good).sum() == 52


def test_negative_counts_and_empty_clouds_are_flagged(path: Path):
    run = read_ports(path, 0.2)
    good = np.flatnonzero(run.status == Status.good)
    counts = run.counts.copy()
    counts[good[0], 0, 0], counts[good[1], 1] = -5, 0
    status = read_ports(changed(path, "counts", counts), 0.2).status
    assert status[good[0]] == Status.corrupt
    assert status[good[1]] == Status.empty


def test_auxiliary_channels_are_optional(path: Path):
    run = read_ports(changed(changed(path, "cloud_position_m", None), "relative_intensity", None), 0.2)
    assert run.position is None
    assert run.intensity is None


def test_numbers_of_shots_are_those_of_the_file_and_are_refused_where_a_product_could_not_hold_them(path: Path):
    numbers = np.arange(60, dtype=np.int64) + 2**31 - 60
    assert (read_ports(changed(path, "shot", numbers), 0.2).shots == numbers).all()
    for row, wrong, told in (
        (59, 2**31, r"'shot' is 2147483648 in row 59, expected whole numbers from 0 to 2147483647"),
        (3, -1, r"'shot' is -1 in row 3, expected whole numbers"),
        (3, numbers[2], rf"'shot' is {numbers[2]} in row 2 and again, expected a number of its own"),
    ):
        others = numbers.copy()
        others[row] = wrong
        with pytest.raises(InputError, match=told):
            read_ports(changed(path, "shot", others), 0.2)
    with pytest.raises(InputError, match=r"'shot' is 1.5 in row 0"):
        read_ports(changed(path, "shot", numbers - numbers[0] + 1.5), 0.2)


def test_counts_stay_small_integers_where_they_fit(path: Path):
    counts = read_ports(path, 0.2).counts
    assert counts.dtype == np.int32
    for other in (counts + 0.5, counts.astype(np.int64) * 100_000):
        found = read_ports(changed(path, "counts", other), 0.2).counts
        assert found.dtype == np.float64
        assert (found == other).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("counts", None, r"dataset 'counts' is missing .found: .*time_s"),
        ("counts", np.zeros((60, 3)), r"'counts' has shape \(60, 3\), expected \(shot, interferometer, 2 ports\)"),
        ("time_s", np.zeros(60), r"'time_s' is 0.0 at shot 1 .*expected ascending"),
        ("time_s", np.zeros(59), r"'time_s' has shape \(59,\), expected \(60,\)"),
        ("height_m", np.array([0.0, np.nan, 1.0]), r"'height_m' is .* expected finite metres"),
        ("relative_intensity", np.array([b"a"] * 60), r"'relative_intensity' has type .* expected numbers"),
    ],
)
def test_each_fault_names_the_dataset(path: Path, name: str, value: object, message: str):
    with pytest.raises(InputError, match=message):
        read_ports(changed(path, name, value), 0.2)


def test_a_misspelt_dataset_is_recognised(path: Path):
    with h5py.File(path, "r+") as file:
        file.move("counts", "count")
    with pytest.raises(InputError, match="did you mean 'count'"):
        read_ports(path, 0.2)


def test_a_dataset_that_was_never_written_is_refused_before_memory_is_taken(path: Path):
    changed(path, "counts", None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("counts", (10**10, 3, 2), "i8", chunks=(1000, 3, 2))
        for name in ("time_s", "daq_status", "cloud_position_m", "relative_intensity"):
            shape = (10**10, *file[name].shape[1:])
            del file[name]
            file.create_dataset(name, shape, "f8", chunks=(1000, *shape[1:]))
    with pytest.raises(InputError, match="was it cut short"):
        read_ports(path, 0.2)


def test_absent_and_foreign_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"none.h5: no such file, expected HDF5"):
        read_ports(tmp_path / "none.h5", 0.2)
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputError, match=r"text.h5: cannot be read as HDF5"):
        read_ports(tmp_path / "text.h5", 0.2)
