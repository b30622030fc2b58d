"""Data Exchange scans: what is read, and one message for each fault."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from fieldfit.io.data_exchange import read_scan
from fieldfit.types import InputError

VIEWS, ROWS, COLUMNS = 12, 3, 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"] = generator.uniform(400, 900, (VIEWS, ROWS, COLUMNS)).astype("f4")
        file["exchange/data_white"] = generator.uniform(900, 1000, (4, ROWS, COLUMNS)).astype("f4")
        file["exchange/data_dark"] = generator.uniform(90, 110, (3, ROWS, COLUMNS)).astype("f4")
        file["exchange/theta"] = np.linspace(0, 180, VIEWS, endpoint=False)
        file["exchange/theta"].attrs["units"] = "degrees"
    return tmp_path / "scan.h5"


def changed(path: Path, name: str, value: object) -> Path:
    with h5py.File(path, "r+") as file:
        units = dict(file[name].attrs)
        del file[name]
        if value is not None:
            file[name] = value
            file[name].attrs.update(units)
    return path


def values(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[name][()]


def test_rows_asked_for_are_read_in_their_order(path: Path):
    scan = read_scan(path, [2, 0])
    assert scan.rows == (2, 0)
    assert np.array_equal(scan.counts, values(path, "exchange/data")[:, [2, 0]])
    assert np.array_equal(scan.white, values(path, "exchange/data_white")[:, [2, 0]])
    assert np.allclose(scan.angle, np.arange(VIEWS) * np.pi / VIEWS)


def test_all_rows_are_read_by_default_and_radians_are_known(path: Path):
    with h5py.File(path, "r+") as file:
        file["exchange/theta"][...] = np.linspace(0, 3, VIEWS)
        file["exchange/theta"].attrs["units"] = "rad"
    scan = read_scan(path)
    assert scan.rows == (0, 1, 2)
    assert scan.angle[-1] == pytest.approx(3)


def broken(shape: tuple[int, ...], place: tuple[int, ...], value: float) -> np.ndarray:
    array = np.full(shape, 500.0)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("exchange/data", None, r"no dataset 'exchange/data', found .*exchange/data_white"),
        ("exchange/data_white", None, r"no dataset 'exchange/data_white', found exchange/data, exchange/data_dark, exchange/theta$"),
        ("exchange/theta", None, r"no dataset 'exchange/theta'"),
        ("exchange/data", np.zeros((VIEWS, COLUMNS)), r"'exchange/data' has shape \(12, 20\), expected \(view, row, column\)"),
        ("exchange/data", np.zeros((3, ROWS, COLUMNS)), r"'exchange/data' has shape \(3, 3, 20\), expected .* with 8 views"),
        ("exchange/data_dark", np.zeros((3, ROWS, 19)), r"'exchange/data_dark' has shape \(3, 3, 19\), expected \(frame, 3, 20\)"),
        ("exchange/data_white", np.zeros((0, ROWS, COLUMNS)), r"'exchange/data_white' has shape \(0, 3, 20\)"),
        ("exchange/theta", np.zeros(VIEWS - 1), r"'exchange/theta' has shape \(11,\), expected \(12,\), an angle for each view"),
        ("exchange/theta", np.full(VIEWS, np.nan), r"exchange/theta is nan at view 0, expected finite angles"),
        ("exchange/data", np.full((VIEWS, ROWS, COLUMNS), b"a"), r"'exchange/data' has type .* expected numbers"),
        ("exchange/data", broken((VIEWS, ROWS, COLUMNS), (4, 1, 7), np.inf), r"exchange/data is inf at frame 4, row 1, column 7, expected counts"),
        ("exchange/data_dark", broken((3, ROWS, COLUMNS), (slice(None), 2, 5), 2000.0), r"1 of 60 pixels have a dark .* row 2, column 5: dark 2000"),
    ],
)
def test_each_fault_names_the_dataset(path: Path, name: str, value: object, message: str):
    with pytest.raises(InputError, match=message):
        read_scan(changed(path, name, value))


def test_a_misspelt_dataset_is_recognised(path: Path):
    with h5py.File(path, "r+") as file:
        file.move("exchange/data_white", "exchange/data_wite")
    with pytest.raises(InputError, match="is 'exchange/data_wite' meant"):
        read_scan(path)


def test_unknown_units_of_the_angles_are_refused(path: Path):
    with h5py.File(path, "r+") as file:
        file["exchange/theta"].attrs["units"] = "gon"
    with pytest.raises(InputError, match="units 'gon', expected degrees or rad"):
        read_scan(path)


@pytest.mark.parametrize(
    ("rows", "message"), [([3], "row 3 of key 'rows' does not exist, expected 0 to 2"), ([-1], "row -1"), ([1, 1], "2 rows are asked for")]
)
def test_rows_that_are_not_there_are_refused(path: Path, rows: list[int], message: str):
    with pytest.raises(InputError, match=message):
        read_scan(path, rows)


def test_links_to_other_files_are_not_followed(path: Path):
    with h5py.File(path.parent / "other.h5", "w") as file:
        file["data"] = values(path, "exchange/data")
    with h5py.File(path, "r+") as file:
        del file["exchange/data"]
        file["exchange/data"] = h5py.ExternalLink("other.h5", "/data")
    with pytest.raises(InputError, match=r"'exchange/data' is a link to other.h5:/data, expected the dataset itself"):
        read_scan(path)


def test_a_dataset_that_was_never_written_is_refused_before_memory_is_taken(path: Path):
    with h5py.File(path, "r+") as file:
        del file["exchange/data"]
        file.create_dataset("exchange/data", (VIEWS, ROWS, 10**10), "f4", chunks=(1, 1, 1000))
        for name, frames in (("exchange/data_white", 4), ("exchange/data_dark", 3)):
            del file[name]
            file.create_dataset(name, (frames, ROWS, 10**10), "f4", chunks=(1, 1, 1000))
    with pytest.raises(InputError, match="was it cut short"):
        read_scan(path)


def test_absent_and_foreign_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"none.h5: no such file, expected a Data Exchange file"):
        read_scan(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputError, match=r"text.h5: cannot be read as HDF5"):
        read_scan(tmp_path / "text.h5")


def test_the_reference_scan_is_read(reference: Path):
    scan = read_scan(reference / "tomography/tooth.h5", [1])
    assert scan.counts.shape == (181, 1, 640)
    assert np.rad2deg(scan.angle[-1]) == pytest.approx(179.0055, abs=1e-3)
