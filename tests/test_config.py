"""A configuration is closed: what is unknown is named, with the nearest valid name; the printed forms agree with the models."""

import pytest
import yaml

from fieldfit.config.load import Config, load_config, load_entry, load_study
from fieldfit.schema import default_yaml, schema_json
from fieldfit.types import InputError

SHOTS = {"format": "tiff", "raw": "shots", "cameras": "cameras.json"}


def refusal(mapping: dict) -> str:
    with pytest.raises(InputError) as error:
        load_config(mapping)
    return str(error.value)


def test_printed_defaults_and_schema_are_in_step(checkout):
    hint = "uv run python -m fieldfit.schema"
    assert (checkout / "config/defaults.yaml").read_text() == default_yaml(), hint
    assert (checkout / "config/schema.json").read_text() == schema_json(), hint


def test_printed_defaults_are_valid_once_the_required_values_are_given():
    text = default_yaml().replace("REQUIRED", "given")
    mapping = yaml.safe_load(text)
    mapping["design"]["my_shower_2d"]["study"] = "study.json"
    assert len(load_config(mapping).magis) == 4


@pytest.mark.parametrize("name", ["config.yaml", "reference.yaml", "imaging.yaml"])
def test_shipped_configurations_are_valid(checkout, name):
    load_config(yaml.safe_load((checkout / "config" / name).read_text()))


def test_every_key_is_described():
    def undescribed(schema: dict) -> list[str]:
        return [
            f"{name}.{key}"
            for name, model in schema["$defs"].items()
            for key, field in model.get("properties", {}).items()
            if "description" not in field and "const" not in field
        ]

    assert undescribed(Config.model_json_schema()) == []


def test_typo_in_a_key_names_the_nearest():
    assert "unknown key 'magis.a.grid.voxel'; did you mean 'voxels'?" in refusal({"magis": {"a": SHOTS | {"grid": {"voxel": 64}}}})


def test_typo_in_a_section_names_the_nearest():
    assert "unknown key 'dun'; did you mean 'dune'?" in refusal({"dun": {}, "magis": {"a": SHOTS}})


def test_unknown_format_names_the_nearest():
    assert "'magis.a.format' is 'tif', expected one of tiff, fits, hdf5, ports, pictures, absorption; did you mean 'tiff'?" in refusal(
        {"magis": {"a": SHOTS | {"format": "tif"}}}
    )


def test_missing_key_says_what_it_is_for():
    assert refusal({"magis": {"a": {"format": "tiff", "raw": "x"}}}).endswith(
        "key 'magis.a.cameras' is missing, expected camera description, JSON or YAML"
    )


def test_value_out_of_range_says_what_was_found():
    assert "'magis.a.grid.voxels' is 4: Input should be greater than or equal to 8" in refusal({"magis": {"a": SHOTS | {"grid": {"voxels": 4}}}})


def test_empty_configuration_is_refused():
    assert "nothing to do" in refusal({"magis": {}})


def test_names_cannot_leave_the_results_folder():
    assert "name '../up' under 'magis', expected letters, digits, _ and -" in refusal({"magis": {"../up": SHOTS}})


def test_entry_survives_the_trip_through_a_rule():
    entry = load_config({"magis": {"a": SHOTS}}).magis["a"]
    assert load_entry("magis", entry.model_dump(mode="json")) == entry


def test_study_file_is_checked_by_name(tmp_path):
    file = tmp_path / "study.json"
    file.write_text('{"radius": 4, "region": {"shape": "annulus", "inner": 2, "outr": 3}}')
    entry = load_entry("design", {"model": "shower_2d", "study": str(file)})
    with pytest.raises(InputError, match=r"study.json: .*region.outr'; did you mean 'outer'"):
        load_study(entry)
