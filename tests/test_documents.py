"""JSON and YAML that no parser should take: tags, keys twice, aliases without end, depth, numbers that no float holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from alone import alone
from fieldfit.config.load import load_entry, load_study
from fieldfit.documents import is_number, read_document
from fieldfit.io.cameras import read_cameras
from fieldfit.io.channels import read_channels
from fieldfit.io.tiff import tiff_time
from readings import frames_of


def laughs(of: str) -> str:
    """Ten lines that stand for 10^10 values."""
    lines = [f"a0: &a0 {of}"]
    for k in range(10):
        lines.append(
            f"a{k + 1}: &a{k + 1} "
            + ("[" + ", ".join([f"*a{k}"] * 10) + "]" if of[0] == "[" else "{" + ", ".join(f"k{j}: *a{k}" for j in range(10)) + "}")
        )
    return "\n".join(lines)


BAD = {
    "tag.yaml": ("cameras: !!python/object/apply:os.system ['touch made']", "could not determine a constructor for the tag"),
    "name.yaml": ("cameras: !!python/name:os.system", "could not determine a constructor for the tag"),
    "own_tag.yaml": ("cameras: !Camera {}", "could not determine a constructor for the tag '!Camera'"),
    "lists.yaml": (laughs("[x]"), "its aliases stand for more than 1000000 values"),
    "mappings.yaml": (laughs("{x: 1}"), "its aliases stand for more than 1000000 values"),
    "itself.yaml": ("cameras: &a [*a]", "line 1: an alias stands for what it is part of"),
    "twice.yaml": ("cameras: []\nlens: 1\ncameras: [1]", "key 'cameras' is there twice in one mapping, in lines 1 and 3"),
    "twice_in_line.yaml": ("cameras: [{id: 1, id: 2}]", "key 'id' is there twice in one mapping, in lines 1 and 1"),
    "deep.yaml": ("cameras: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    "digits.yaml": ("cameras: " + "9" * 5000, "not YAML .Exceeds the limit .4300 digits."),
    "date.yaml": ("cameras: 2026-99-99", "not YAML .month must be in 1..12"),
    "two.yaml": ("a: 1\n---\nb: 2", "not YAML .*expected a single document"),
    "list_key.yaml": ("? [1, 2]\n: 3", "not YAML .*unhashable key"),
    "nul.yaml": ("a: \0", "not YAML .*special characters are not allowed"),
    "twice.json": ('{"cameras": [{"id": 1, "id": 2}]}', "key 'id' is there 2 times in one mapping"),
    "deep.json": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "digits.json": ("9" * 5000, "not JSON .Exceeds the limit .4300 digits."),
    "cut.json": ('{"cameras": [', "not JSON .Expecting value"),
    "empty.json": ("", "not JSON .Expecting value"),
    "latin.json": (b'{"id": "\xe9"}', "not JSON .'utf-8' codec can't decode"),
}
READERS: list[Callable[[Path], object]] = [
    lambda path: read_document(path, "a document"),
    read_cameras,
    read_channels,
    lambda path: load_study(load_entry("design", {"model": "shower_2d", "study": str(path)})),
]


@pytest.mark.parametrize("name", BAD)
def test_a_document_is_refused_by_name_in_every_reader(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    content, told = BAD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in READERS:
        answer = alone(lambda read=read: read(tmp_path / name))
        assert answer.refusal.startswith(f"{tmp_path / name}: ") and re.search(told, answer.refusal), answer.refusal
        assert answer.grown < 200 and len(answer.refusal) < 2200
    assert not (tmp_path / "made").exists()


def test_sound_aliases_and_merged_mappings_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "base: &base {gain: 1, pitch: 2}\nfirst: {<<: *base, gain: 3}\nsecond: {<<: [*base, {id: 4}]}\nagain: *base\n", "utf-8-sig"
    )
    found = read_document(tmp_path / "a.yaml", "a document")
    assert found["first"] == {"gain": 3, "pitch": 2} and found["second"] == {"gain": 1, "pitch": 2, "id": 4} and found["again"] is found["base"]


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), True, None, "1", [1]])
def test_what_no_float_holds_is_no_number(tmp_path: Path, value: object) -> None:
    assert not is_number(value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999", "1" + "0" * 400])
def test_numbers_without_end_are_refused_by_their_key(tmp_path: Path, number: str) -> None:
    import json

    from readings import CHANNELS, STUDY, ring_of_cameras

    for name, content, key, read in (
        ("cameras.json", ring_of_cameras(), '"focal_length_m"', read_cameras),
        ("channels.json", CHANNELS, '"radius"', read_channels),
        ("study.json", STUDY, '"radius"', READERS[3]),
    ):
        text = json.dumps(content)
        start = text.index(key) + len(key) + 2
        end = min(place for mark in ",}" if (place := text.find(mark, start)) > 0)
        (tmp_path / name).write_text(text[:start] + number + text[end:])
        answer = alone(lambda read=read, name=name: read(tmp_path / name))
        assert name in answer.refusal and key.strip('"') in answer.refusal and "not an InputError" not in answer.refusal


def test_a_time_stamp_without_end_flags_its_shot(tmp_path: Path) -> None:
    import tifffile

    from fieldfit.io.exposure import BadFrame

    tifffile.imwrite(tmp_path / "shot000.tif", frames_of(0), description='{"time_s": 1' + "0" * 400 + "}")
    with pytest.raises(BadFrame, match="time_s of the image description is 1000"):
        tiff_time(tmp_path / "shot000.tif")
