"""Whatever the bytes of a file are, its reader answers with what it read, a flag, or one message that begins with the file's name."""

import os
import shutil
from pathlib import Path

import dask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alone import alone
from fieldfit.types import InputError
from readings import READINGS, Reading


@st.composite
def damages(draw: st.DrawFn) -> tuple[float, list[tuple[float, bytes]]]:
    """(share of the file that is kept, [(where, what is written there)])."""
    kept = draw(st.one_of(st.just(1.0), st.floats(0, 1)))
    special = st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0" * 64, b"\xff" * 8])
    places = st.one_of(st.floats(0, 1), st.floats(0, 0.1))  # headers come first
    return kept, draw(st.lists(st.tuples(places, st.one_of(special, st.binary(min_size=1, max_size=8))), max_size=4))


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_a_damaged_file_is_flagged_or_refused_by_name(tmp_path: Path, reading: Reading) -> None:
    path = reading.write(tmp_path)
    sound = path.read_bytes()
    reading.read(path)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(damages())
    def answered(damage: tuple[float, list[tuple[float, bytes]]]) -> None:
        kept, changes = damage
        data = bytearray(sound)
        for share, text in changes:
            start = int(share * (len(data) - 1))
            data[start : start + len(text)] = text
        path.write_bytes(data[: round(kept * len(sound))])
        told = ""
        try:
            reading.read(path)
        except InputError as error:
            told = str(error)
        assert not told or path.name in told or str(path.parent) in told

    with dask.config.set(scheduler="synchronous"):
        answered()


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_a_folder_or_a_pipe_in_place_of_a_file_is_answered(tmp_path: Path, reading: Reading) -> None:

    path = reading.write(tmp_path)
    path.unlink()
    path.mkdir()
    assert "not an InputError" not in alone(lambda: reading.read(path)).refusal
    shutil.rmtree(path)
    os.mkfifo(path)
    assert "not an InputError" not in alone(lambda: reading.read(path)).refusal
