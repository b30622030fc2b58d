"""The shots of a run by the names of their files; links that lead out of it are refused."""

from pathlib import Path

import pytest

from fieldfit.catalogue import shots_of
from fieldfit.config.load import load_config
from fieldfit.paths import shot_number
from fieldfit.plan import Plan
from fieldfit.simulate.frames import write_shot_file
from fieldfit.types import InputError


def test_files_of_each_format_are_found_and_others_left_alone(tmp_path: Path) -> None:
    for name in ("shot2.fits", "shot10.fit", "shot003.FITS", "notes.fits", "shot4.tif", "shot5.tiff", "shot6.txt", "shotlist"):
        (tmp_path / name).touch()
    (tmp_path / "shot7").mkdir()
    assert {shot: [place.path.name for place in places] for shot, places in shots_of(tmp_path, "fits").items()} == {
        2: ["shot2.fits"],
        3: ["shot003.FITS"],
        10: ["shot10.fit"],
    }
    assert list(shots_of(tmp_path, "tiff")) == [4, 5, 7]


def test_a_number_that_is_there_twice_has_both_places_by_name(tmp_path: Path) -> None:
    for name in ("shot1.tif", "shot001.tiff"):
        (tmp_path / name).touch()
    assert [place.path.name for place in shots_of(tmp_path, "tiff")[1]] == ["shot001.tiff", "shot1.tif"]


def test_a_folder_of_another_format_says_which(tmp_path: Path) -> None:
    (tmp_path / "shot1.fits").touch()
    with pytest.raises(InputError, match=r"no shots, expected one folder or one TIFF file a shot named shot000, .*; found files of format fits"):
        shots_of(tmp_path, "tiff")
    with pytest.raises(InputError, match=r"nowhere: no such folder, expected one FITS file a shot"):
        shots_of(tmp_path / "nowhere", "fits")


@pytest.mark.parametrize("name", ["shot", "shots.tif", "shot-a", "shot²"])
def test_a_name_without_number_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no shot number at the end of the name"):
        shot_number(name)


def test_a_number_that_products_cannot_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shot20260102120000.tif").touch()
    with pytest.raises(InputError, match="shot number 20260102120000, expected at most 2147483647"):
        shots_of(tmp_path, "tiff")


@pytest.mark.parametrize(("form", "name"), [("tiff", "shot1.tif"), ("fits", "shot1.fits"), ("hdf5", "a.h5"), ("tiff", "shot1")])
def test_a_link_out_of_the_folder_is_refused_by_name(tmp_path: Path, form: str, name: str) -> None:
    run, target = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    if name == "shot1":
        target.mkdir()
    elif form == "hdf5":
        write_shot_file(target, [])
    else:
        target.touch()
    (run / name).symlink_to(target)
    with pytest.raises(InputError, match=rf"{name} is a link to .*elsewhere, outside of .*run: expected the file itself"):
        shots_of(run, form)


def test_a_link_inside_of_the_folder_is_followed_and_one_to_nothing_refused(tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / "a.tif").touch()
    (tmp_path / "shot1.tif").symlink_to(tmp_path / "cam" / "a.tif")
    assert list(shots_of(tmp_path, "tiff")) == [1]
    (tmp_path / "shot2.tif").symlink_to(tmp_path / "cam" / "none.tif")
    with pytest.raises(InputError, match=r"shot2.tif is a link to .*none.tif, which is absent"):
        shots_of(tmp_path, "tiff")


def test_blocks_of_a_shot_file_come_from_its_numbers(tmp_path: Path) -> None:
    import numpy as np

    def blocks() -> dict:
        entry = {"format": "hdf5", "raw": str(tmp_path), "cameras": "c.json", "block_size": 2}
        return Plan(load_config({"magis": {"run": entry}})).shots.blocks("run")

    write_shot_file(tmp_path / "a.h5", [(shot, np.zeros((1, 2, 2), np.uint16)) for shot in (5, 0, 1, 4)], time=np.arange(4))
    before = blocks()
    assert {name: block.shots for name, block in before.items()} == {"0000": (0, 1), "0002": (4, 5)}
    write_shot_file(tmp_path / "b.h5", [(2, np.zeros((1, 2, 2), np.uint16))])
    after = blocks()
    assert {name: block.shots for name, block in after.items()} == {"0000": (0, 1), "0001": (2,), "0002": (4, 5)}
    assert all(after[name] == block for name, block in before.items())
