"""Who reads a library, in how many parts, changes nothing of what is found: values, flags, findings, messages."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest
import uproot
import xarray as xr

from fieldfit.config.dune import Quality
from fieldfit.config.load import load_entry
from fieldfit.io.optical.source import Part, Rows, Source
from fieldfit.io.optical.table import Table, fill_table
from fieldfit.io.workers import Workers, workers
from fieldfit.steps.read_library import read_library
from fieldfit.types import InputError
from libraries import CHANNELS, DIVISIONS, GEOMETRY, SENSORS_CM, columns, opened, truth, write_larsoft, write_photonlib

VOXELS = int(np.prod(DIVISIONS))
TOLERANT = {"duplicates_conflicting": "mask", "duplicates_same": "accept", "out_of_range": "mask"}
BASKET = 20  # rows


def write_baskets(path: Path, rows: dict[str, np.ndarray]) -> Path:
    """A LArSoft library of many baskets, so that it has places to be cut at."""
    with uproot.recreate(path) as file:
        tree = file.mktree("PhotonLibraryData", {name: values.dtype for name, values in rows.items()})
        for first in range(0, len(rows["Voxel"]), BASKET):
            tree.extend({name: values[first : first + BASKET] for name, values in rows.items()})
    return path


def damaged(order: str) -> dict[str, np.ndarray]:
    """Rows with every fault, repeated ones far from each other and three times, in one of several orders."""
    rows = columns()
    random = np.random.default_rng(7)
    again = [5, 5, 100, 200, 200, 359]
    rows = {name: np.concatenate([values, values[again]]) for name, values in rows.items()}
    rows["Visibility"][-3:] *= np.float32([0.5, 1, 0.5])  # of three rows the second differs and the third does not; 359 differs
    rows["Visibility"][[7, 77, 300]] = np.nan, -0.5, 1.5
    rows["Voxel"][[17, 250]] = VOXELS, -3
    rows["OpChannel"][[31]] = CHANNELS
    keys = {"by voxel": (rows["OpChannel"], rows["Voxel"]), "by channel": (rows["Voxel"], rows["OpChannel"])}
    match order:
        case "repeated at the end":
            return rows
        case "shuffled":
            place = random.permutation(len(rows["Voxel"]))
        case _:
            place = np.lexsort(keys[order])
    return {name: values[place] for name, values in rows.items()}


def told(source: Source, quality: dict[str, Any], scratch: Path | None, most: int = 2**30, hands: Workers | None = None) -> Table | str:
    """The table, or the message that there is instead."""
    try:
        return fill_table(source, Quality(bad_values="mask", **quality), scratch, most, *([hands] if hands else []))
    except InputError as error:
        return str(error)


def assert_same(found: Table | str, expected: Table | str) -> None:
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert np.array_equal(found.values, expected.values, equal_nan=True) and found.values.tobytes() == expected.values.tobytes()
    assert np.array_equal(found.flags, expected.flags) and found.findings == expected.findings


def library(path: Path, format: str, order: str) -> Source:
    if format == "larsoft":
        return opened(write_baskets(path, damaged(order)), "larsoft", component="direct", geometry=GEOMETRY)
    vis = np.moveaxis(truth(), 0, -1).transpose(2, 1, 0, 3).reshape(-1, CHANNELS)
    vis[[3, 30, 59], [1, 2, 5]] = np.nan, -1, 2
    with h5py.File(write_photonlib(path), "a") as file:
        del file["vis"]
        file.create_dataset("vis", data=vis, chunks=(7, 2))
    return opened(path, "photonlib_h5")


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldfit.io.optical.photonlib_h5.ROWS", 50)
    monkeypatch.setattr("fieldfit.io.optical.spill.EACH", 1)


LIBRARIES = [*(("larsoft", order) for order in ("by voxel", "by channel", "shuffled", "repeated at the end")), ("photonlib_h5", "")]
POLICIES: dict[str, dict[str, Any]] = {
    "tolerant": TOLERANT,
    "repeated ones masked": TOLERANT | {"duplicates_conflicting": "accept", "duplicates_same": "mask"},
    "repeated ones accepted": TOLERANT | {"duplicates_conflicting": "accept"},
    "conflicts refused": {"out_of_range": "mask"},
    "range refused": {"duplicates_conflicting": "mask"},
    "repeated ones refused": TOLERANT | {"duplicates_same": "error"},
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("format", "order"), LIBRARIES)
def test_parts_and_groups_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, order: str, policy: str) -> None:
    monkeypatch.setattr("fieldfit.io.optical.quality.BAD_LIMIT", 0.05)
    source = library(tmp_path / "library", format, order)
    expected = told(source, POLICIES[policy], None)
    if format == "larsoft":
        assert isinstance(expected, str) == policy.endswith("refused"), expected
    for parts, group in ((1, 6), (1, 4), (2, 6), (2, 2), (5, 1), (5, 4)):
        scratch = tmp_path / f"scratch-{parts}-{group}"
        scratch.mkdir()
        assert len(source.parts(parts)) == parts
        found = told(source, POLICIES[policy], scratch, 5 * group * VOXELS, Workers(parts))
        assert_same(found, expected)
        assert {path.name for path in scratch.iterdir()} == {"values.npy", "flags.npy"}


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_chunks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Rows that are there three times and more, as near to each other as to fall into one chunk or not."""
    source = library(tmp_path / "library", "larsoft", "shuffled")
    expected = [told(source, quality, None) for quality in POLICIES.values()]
    monkeypatch.setattr("fieldfit.io.optical.trees.stream.__defaults__", (size,))
    for quality, each in zip(POLICIES.values(), expected, strict=True):
        assert_same(told(source, quality, None), each)


def test_a_file_is_cut_where_baskets_and_chunks_begin(tmp_path: Path) -> None:
    source = library(tmp_path / "a", "larsoft", "by voxel")
    assert source.cuts == (*range(0, 366, BASKET), 366)
    assert source.parts(1) == [None] and source.parts(3) == [(0, 140), (140, 260), (260, 366)] and len(source.parts(100)) == 19
    assert library(tmp_path / "b", "photonlib_h5", "").cuts == (*range(0, 60, 7), 60)
    assert opened(write_larsoft(tmp_path / "c"), "larsoft", component="direct").parts(5) == [None]  # of one basket


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Two processes of dask."""
    with workers(2, {"mem_mb": 3000}, tmp_path_factory.mktemp("pair"), Path("logs")) as found:
        yield found


def test_a_cluster_writes_the_file_that_one_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_baskets(tmp_path / "library.root", columns())
    centre = [list(map(float, place)) for place in SENSORS_CM]
    listed = [{"channel": c, "kind": "disk", "centre": centre[c], "normal": [1, 0, 0], "radius": 5.0} for c in range(CHANNELS)]
    (tmp_path / "channels.json").write_text(json.dumps(listed))
    keys = {"library": "library.root", "channels": "channels.json", "format": "larsoft", "component": "direct", "geometry": GEOMETRY}
    entry = load_entry("dune", keys | {"photons_per_voxel": 1000, "quality": {"misplaced_sensors": "accept"}})
    monkeypatch.chdir(tmp_path)  # paths of a configuration are relative
    read_library(Path("library.root"), Path("channels.json"), Path("alone/library.nc"), entry)
    with workers(2, {"mem_mb": 3000}, Path("pair"), Path("logs")) as hands:
        read_library(Path("library.root"), Path("channels.json"), Path("pair/library.nc"), entry, hands)
    xr.testing.assert_identical(xr.open_dataset("alone/library.nc"), xr.open_dataset("pair/library.nc"))
    assert {path.name for path in Path("pair").iterdir()} == {"library.nc", "library.nc.sha256"}


@pytest.mark.parametrize("policy", ["tolerant", "conflicts refused", "range refused"])
def test_a_cluster_finds_and_tells_the_same(tmp_path: Path, pair: Workers, policy: str) -> None:
    source = library(tmp_path / "library", "larsoft", "shuffled")
    assert_same(told(source, POLICIES[policy], tmp_path, hands=pair), told(source, POLICIES[policy], None))


def test_a_damaged_basket_is_told_the_same(tmp_path: Path, pair: Workers) -> None:
    path = write_baskets(tmp_path / "library", columns())
    source = opened(path, "larsoft", component="direct", geometry=GEOMETRY)
    with uproot.open(path) as file:
        where = file["PhotonLibraryData"]["Visibility"].basket_key(9).fSeekKey
    data = bytearray(path.read_bytes())
    data[where : where + 60] = bytes(60)
    path.write_bytes(data)
    alone = told(source, TOLERANT, None)
    assert isinstance(alone, str) and "cannot be read" in alone
    assert_same(told(source, TOLERANT, tmp_path, hands=pair), alone)


def lethal(source: Source, mark: Path | None) -> Source:
    """The source whose reader is killed in the middle of a part: once, leaving a mark, or each time."""

    def chunks(names: tuple[str, ...], part: Part | None) -> Iterator[Rows]:
        for number, rows in enumerate(source.chunks(names, part)):
            yield rows
            if number == 0 and part and part[0] > 0 and (mark is None or not mark.exists()):
                if mark:
                    mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    return replace(source, chunks=chunks)


def test_a_worker_that_dies_changes_nothing(tmp_path: Path, pair: Workers) -> None:
    source = library(tmp_path / "library", "larsoft", "shuffled")
    (tmp_path / "scratch").mkdir()
    found = told(lethal(source, tmp_path / "died"), TOLERANT, tmp_path / "scratch", hands=pair)
    assert (tmp_path / "died").exists()
    assert_same(found, told(source, TOLERANT, None))


def test_workers_that_die_again_and_again_are_told(tmp_path: Path) -> None:
    source = lethal(library(tmp_path / "library", "larsoft", "by voxel"), None)
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), workers(2, {"mem_mb": 3000}, tmp_path / "own", tmp_path / "logs") as hands:
        found = told(source, TOLERANT, tmp_path, hands=hands)
    assert isinstance(found, str) and "2 workers died one after the other of one task" in found and "mem_mb" in found
    assert list((tmp_path / "own").iterdir()) == []


def test_resources_that_make_no_sense_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for resources in ({"dask_workers": 4}, {"dask_cluster": "slurm"}, {"dask_cluster": "pbs", "dask_workers": 2}):
        with pytest.raises(InputError, match="expected slurm and a number, or neither"), workers(1, resources, tmp_path, tmp_path):
            pass
    with workers(1, {"mem_mb": 4000}, tmp_path, tmp_path) as hands:
        assert hands.count == 1 and list(hands.run(abs, [-1, -2])) == [1, 2]
    monkeypatch.setattr("fieldfit.io.workers.importlib.util.find_spec", lambda name: None if name == "distributed" else True)
    with pytest.raises(InputError, match=r"distributed is not installed; expected them: uv sync --extra cluster"), workers(2, {}, tmp_path, tmp_path):
        pass
