"""Links out of a run, to nothing and in a circle, and names of shots with anything in them."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from alone import alone
from fieldfit.catalogue import shots_of
from fieldfit.config.load import load_config
from fieldfit.io.absorption import find_triplets
from fieldfit.plan import Plan
from fieldfit.types import InputError, Status
from readings import PATTERNS, READINGS, frames_of

BY_NAME = {reading.name: reading for reading in READINGS}


def shots(folder: Path, form: str) -> list[int]:
    if form == "absorption":
        return [triplet.shot for triplet in find_triplets(folder, PATTERNS)]
    return list(shots_of(folder, form))


def linked(path: Path, kind: str) -> None:
    """In place of a file, a link: to a pipe that must not be opened, to nothing, or to itself."""
    path.unlink(missing_ok=True)
    other = path.parent.parent / "elsewhere"
    if kind == "outside":
        os.mkfifo(other)
    path.symlink_to(path if kind == "circle" else other)


TOLD = {"outside": "is a link to .*outside of", "nothing": "is a link to .*which is absent", "circle": "is a link to itself"}


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("form", ["tiff", "fits", "hdf5", "absorption"])
def test_a_shot_that_is_a_link_is_refused_by_name(tmp_path: Path, form: str, kind: str) -> None:
    path = BY_NAME[form].write(tmp_path / "a" if form == "absorption" and not (tmp_path / "a").mkdir() else tmp_path)
    linked(path, kind)
    with pytest.raises(InputError, match=f"{path.name} {TOLD[kind]}"):
        shots(path.parent, form)


@pytest.mark.parametrize("kind", TOLD)
def test_a_shots_folder_that_is_a_link_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = BY_NAME["tiff views"].write(tmp_path)
    linked(path.parents[1] / "shot002", kind)
    with pytest.raises(InputError, match=f"shot002 {TOLD[kind]}"):
        shots(path.parents[1], "tiff")


@pytest.mark.parametrize("kind", TOLD)
def test_a_frame_that_is_a_link_flags_its_shot(tmp_path: Path, kind: str) -> None:
    path = BY_NAME["tiff views"].write(tmp_path / "night")
    linked(path, kind)
    if kind == "outside":
        path.unlink()
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    answer = alone(lambda: BY_NAME["tiff views"].read(path))
    assert answer.value[1].tolist() == [0, Status.corrupt] and "frame_cam1.tif is a link to" in answer.value[2][0]


@pytest.mark.parametrize("kind", TOLD)
def test_links_in_dark_frames_and_triplets_are_refused_when_the_dag_is_built(tmp_path: Path, kind: str) -> None:
    for folder in ("dark", "shots", "triplets"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "shot000.tif", frames_of(0))
    linked(tmp_path / "dark" / "shot001.tif", kind)
    entry = {"format": "tiff", "raw": str(tmp_path / "shots"), "cameras": "c.json", "calibrations": {"first": {"dark": str(tmp_path / "dark")}}}
    with pytest.raises(InputError, match=f"dark/shot001.tif {TOLD[kind]}"):
        Plan(load_config({"magis": {"a": entry}})).shots.check_calibrations()
    if kind != "outside":
        linked(tmp_path / "triplets" / "Image_1.tif", kind)
        with pytest.raises(InputError, match=r"Image_1.tif: cannot be looked at"):
            Plan(load_config({"magis": {"a": {"format": "absorption", "raw": str(tmp_path / "triplets")}}})).shots.check_calibrations()


def test_links_within_a_run_are_followed(tmp_path: Path) -> None:
    path = BY_NAME["tiff views"].write(tmp_path)
    (path.parents[1] / "shot002").symlink_to("shot001")
    path.unlink()
    path.symlink_to("frame_cam0.tif")
    assert shots(path.parents[1], "tiff") == [0, 1, 2]
    status = BY_NAME["tiff"].read(path.parent)[1]
    assert not status.any()


@pytest.mark.parametrize("name", ["shot 0 0 7", "shot-Ünï 🐈 7", "shot\n7", "shot$(id)7", "shot'\"7", "shot" + "x" * 240 + "7", "shot٧"])
def test_a_shots_name_may_hold_anything_before_its_number(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((4, 4), np.uint16))
    assert shots(tmp_path, "tiff") == [7]


@pytest.mark.parametrize("name", [".", "..", "a/b", "../a", "-a", "", "a b", "é", "a\n", "a" * 101, "a.b", "~", "a\0", 1, 1.5, True, None])
def test_an_entrys_name_is_refused_with_what_is_allowed(name: object) -> None:
    for section, entry in (
        ("magis", {"format": "ports", "raw": "x.h5"}),
        ("dune", {"format": "larsoft", "library": "l.root", "channels": "c.json"}),
        ("design", {"model": "published_toy"}),
        ("gallery", {"model": "tomography", "raw": "x.h5"}),
    ):
        with pytest.raises(InputError) as error:
            load_config({section: {name: entry}})
        assert f"name {name!r} under '{section}', expected letters, digits, _ and -" in str(error.value)
        assert ("put it in quotes" in str(error.value)) == (not isinstance(name, str))


@pytest.mark.parametrize("path", ["", "   ", "a\0b", "a\nb", "x" * 2000, "run{a}"])
def test_a_path_that_no_file_can_have_is_refused_by_its_key(path: str) -> None:
    with pytest.raises(InputError, match=r"'magis.a': key 'raw' is "):
        load_config({"magis": {"a": {"format": "ports", "raw": path}}})


@pytest.mark.parametrize("name", ["ports", "toy", "imaging", "raw", "annulus", "simulate"])
def test_an_entry_named_like_a_key_or_a_model_is_told_whole(name: str) -> None:
    with pytest.raises(InputError, match=rf"unknown key 'magis.{name}.rae'; did you mean 'raw'"):
        load_config({"magis": {name: {"format": "ports", "raw": "x", "rae": "y"}}})
    calibrations = {"calibrations": {name: {"dark": "d", "flt": "e"}}}
    with pytest.raises(InputError, match=rf"unknown key 'magis.a.calibrations.{name}.flt'; did you mean 'flat'"):
        load_config({"magis": {"a": {"format": "tiff", "raw": "x", "cameras": "c"} | calibrations}})
