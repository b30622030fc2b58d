"""Which calibration holds when: by config, by plan, by the stamps of a block's ends; and what Snakemake reruns when one is added."""

import json
from pathlib import Path

import numpy as np
import pytest

from fieldfit.catalogue import shots_of
from fieldfit.config.load import load_config
from fieldfit.io.frames import span_of
from fieldfit.plan import Plan
from fieldfit.simulate.frames import write_fits, write_shot_file, write_tiff
from fieldfit.types import InputError
from fieldfit.validity import valid_at, valid_within

INTERVALS = {"old": (-np.inf, np.inf), "new": (10.0, np.inf), "short": (20.0, 22.0)}
SHOTS = {"format": "tiff", "raw": "shots", "cameras": "cameras.json"}


@pytest.mark.parametrize(
    ("time", "name"), [(0.0, "old"), (9.99, "old"), (10.0, "new"), (20.0, "short"), (21.9, "short"), (22.0, "new"), (1e9, "new")]
)
def test_of_several_the_one_that_began_last_holds(time: float, name: str) -> None:
    assert valid_at(INTERVALS, time) == name


def test_a_time_that_none_covers_has_none() -> None:
    assert valid_at({"a": (0.0, 1.0)}, 1.0) is None


@pytest.mark.parametrize(
    ("span", "names"),
    [
        ((0, 9), ("old",)),
        ((0, 10), ("old", "new")),
        ((11, 19), ("new",)),
        ((11, 30), ("new", "short")),
        ((20, 21), ("short",)),
        ((21, 22), ("new", "short")),
    ],
)
def test_a_span_takes_those_that_hold_at_some_time_of_it(span: tuple[float, float], names: tuple[str, ...]) -> None:
    assert valid_within(INTERVALS, *span) == names
    assert {valid_at(INTERVALS, time) for time in np.linspace(*span, 1001)} == set(names)


def test_a_span_that_none_covers_takes_the_nearest_so_that_it_can_be_told() -> None:
    assert valid_within({"a": (0.0, 1.0), "b": (50.0, 60.0)}, 10.0, 20.0) == ("a",)
    assert valid_within({"a": (0.0, 1.0), "b": (50.0, 60.0)}, 40.0, 45.0) == ("b",)


def refusal(calibrations: dict, **more: object) -> str:
    with pytest.raises(InputError) as error:
        Plan(load_config({"magis": {"a": {**SHOTS, "calibrations": calibrations, **more}}}))
    return str(error.value)


def test_faults_of_the_configuration_are_told() -> None:
    assert "unknown key 'magis.a.calibrations.x.dakr'; did you mean 'dark'?" in refusal({"x": {"dark": "d", "dakr": "e"}})
    assert "key 'valid_until' is 3 s, expected a time after 'valid_from', 5 s" in refusal({"x": {"dark": "d", "valid_from": 5, "valid_until": 3}})
    assert "calibrations 'x' and 'y' begin at the same time" in refusal({"x": {"dark": "d"}, "y": {"dark": "e"}})
    assert "'valid_from' is 'noon'" in refusal({"x": {"dark": "d", "valid_from": "noon"}}).replace("magis.a.calibrations.x.", "")
    assert "expected seconds or a date" in refusal({"x": {"dark": "d", "valid_from": "noon"}})
    assert "magis.a: key 'simulate.sensor' is given without 'calibrations'" in refusal({}, simulate={"sensor": {}})


def test_a_date_counts_from_1970_in_utc() -> None:
    entry = load_config({"magis": {"a": {**SHOTS, "calibrations": {"x": {"dark": "d", "valid_from": "2026-01-02T12:00:00"}}}}}).magis["a"]
    assert entry.calibrations["x"].interval == (1767355200.0, np.inf)  # type: ignore[union-attr]


FRAMES = np.full((2, 8, 8), 20, np.uint16)


@pytest.mark.parametrize("form", ["tiff", "fits", "hdf5"])
def test_the_span_of_a_block_is_told_by_its_ends(tmp_path: Path, form: str) -> None:
    """One wrong stamp at an end widens it, or is passed over; without stamps the numbers tell."""
    times = [1e9, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0, 108.0, 109.0]
    if form == "hdf5":
        write_shot_file(tmp_path / "a.h5", [(n, FRAMES) for n in range(10)], np.array(times))
    for n, time in enumerate(times if form != "hdf5" else []):
        (write_tiff if form == "tiff" else write_fits)(tmp_path / f"shot{n}.{'tif' if form == 'tiff' else 'fits'}", FRAMES, time)
    assert span_of(shots_of(tmp_path, form), range(1, 10), form) == (101.0, 109.0)
    first, last = span_of(shots_of(tmp_path, form), range(10), form)
    assert first <= 101.0
    assert last >= 109.0


def test_without_stamps_the_numbers_tell_the_span(tmp_path: Path) -> None:
    for n in (3, 7):
        write_tiff(tmp_path / f"shot{n}.tif", FRAMES)
    (tmp_path / "shot5.tif").write_bytes(b"broken")
    assert span_of(shots_of(tmp_path, "tiff"), [3, 5, 7], "tiff", 100.0, 2.0) == (106.0, 114.0)


def test_a_plan_names_the_products_of_its_calibrations() -> None:
    config = load_config(
        {"magis": {"a": {**SHOTS, "simulate": {"sensor": {}}, "calibrations": {"x": {"dark": "d"}, "y": {"dark": "e", "valid_from": 3}}}}}
    )
    plan = Plan(config)
    assert plan.calibrations("a", 0.0, 2.0) == ("x",)
    assert [path for path in plan.everything() if "/sensor/" in path] == ["results/magis/a/sensor/x.nc", "results/magis/a/sensor/y.nc"]
    json.dumps(config.magis["a"].model_dump(mode="json"), allow_nan=False)  # no infinity in what a rule carries
