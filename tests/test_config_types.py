"""A value of another type, anywhere in the configuration: taken, or refused with one line that names its key."""

import copy
import datetime
import math
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldfit.config.load import ENTRY_MODELS, load_config, load_entry
from fieldfit.schema import default_yaml
from fieldfit.types import InputError

Place = tuple[Any, ...]


def printed() -> dict[str, Any]:
    """Every key of every model, from the printed defaults, with the optional mappings filled in."""
    found = yaml.safe_load(default_yaml().replace("REQUIRED", "given"))
    imaging = found["magis"]["my_imaging"] if "my_imaging" in found["magis"] else next(e for e in found["magis"].values() if "cameras" in e)
    imaging["calibrations"] = {"first": {"dark": "d", "flat": "f", "valid_from": "2026-01-01", "valid_until": 2e9}}
    imaging["refine"], imaging["object"] = {"target": "t.csv"}, {"cad": "drawing.stl"}
    imaging["simulate"] = {"shots": 6, "faults": {1: "blocked"}, "sensor": {"gain": 2.0}, "glass": {"index": 1.5}, "distortion": {"k1": 0.0}}
    shower = next(entry for entry in found["design"].values() if entry["model"] == "shower_2d")
    shower["study"] = {"radius": 4.0, "region": {"shape": "elliptic_annulus", "inner": [1.0, 2.0], "outer": [3.0, 3.5]}}
    library = next(iter(found["dune"].values()))
    library["geometry"] = {"min_cm": [0, 0, 0], "max_cm": [1, 1, 1], "divisions": [2, 2, 2]}
    return found


def places(value: Any, place: Place = ()) -> list[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([place] if place else []), *(found for key, below in inner for found in places(below, (*place, key)))]


SOUND = printed()
PLACES = places(SOUND)
ODD = [
    None,
    True,
    "",
    "x",
    "\0",
    "nan",
    "1e999",
    [],
    {},
    [[]],
    {"a": 1},
    {1: {2: 3}},
    {None: None},
    [1, [2, [3]]],
    b"x",
    (),
    {"x"},
    datetime.date(2026, 1, 1),
]
ODD += [0, -1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e308, math.nan, math.inf, -math.inf, "x" * 5000, object, "../" * 9, "2026-13-99"]
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.dates())
values = st.one_of(
    st.sampled_from(ODD),
    st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), v, max_size=3), max_leaves=5),
)


def replaced(place: Place, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(SOUND)
    room: Any = found
    for key in place[:-1]:
        room = room[key]
    room[place[-1]] = value
    return found


def check(place: Place, value: Any) -> None:
    try:
        config = load_config(replaced(place, value))
    except InputError as error:
        told = str(error)
    else:
        if place[0] in ENTRY_MODELS and len(place) > 1:  # what is taken survives the way through a rule
            entry = getattr(config, place[0])[place[1]]
            assert load_entry(place[0], entry.model_dump(mode="json")) == entry
        return
    keys = [str(key) for key in place if not isinstance(key, int)]
    assert any(f"{'.'.join(keys[: len(keys) - n])}" in told for n in range(2)) and keys[-1] in told, told
    assert all(line.startswith("configuration: ") and len(line) < 2100 for line in told.split("\n")), told


def test_the_configuration_that_is_changed_is_sound() -> None:
    load_config(SOUND)
    assert len(PLACES) > 200


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_every_key_answers_an_odd_value(value: Any) -> None:
    for place in PLACES:
        check(place, value)


@settings(max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PLACES), values)
def test_any_value_is_taken_or_refused_by_its_key(place: Place, value: Any) -> None:
    check(place, value)


@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(values, st.dictionaries(st.sampled_from(["magis", "dune", "design", "gallery", "night", "magi"]), values, max_size=3)))
def test_any_mapping_is_taken_or_refused(mapping: Any) -> None:
    told = ""
    try:
        load_config(mapping)
    except InputError as error:
        told = str(error)
    assert told.startswith("configuration: ")


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("magis",), {"\n": None}, r"'magis.\n.format' is None"),
        (("magis", "ports"), {"format": "ports", "raw": "a", "b\nc": 1}, r"unknown key 'magis.ports.b\nc'"),
        (("magis",), None, "'magis' is None: Input should be a valid dictionary"),
        (("magis",), ["a"], "'magis' is ['a']: Input should be a valid dictionary"),
        (("dune", "a"), None, "'dune.a' is None: Input should be a valid dictionary"),
        (("design", "a"), [], "'design.a.model' is [], expected one of shower_2d, published_toy"),
        (("gallery", "a"), 3, "'gallery.a' is 3: Input should be a valid dictionary"),
        (("magi",), {}, "unknown key 'magi'; did you mean 'magis'?"),
        ((1,), {}, "key 1 under 'top level' is no text, expected a name"),
    ],
)
def test_sections_and_entries_of_a_wrong_type_are_named(place: Place, value: Any, told: str) -> None:
    with pytest.raises(InputError) as error:
        load_config(replaced(place, value))
    assert told in str(error.value)
