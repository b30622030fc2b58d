"""Nights of a run: found by their dates, one run each, their blocks fixed while shots arrive, closed ones left alone."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from fieldfit.config.load import load_config
from fieldfit.nights import at_night, nights_below
from fieldfit.paths import result
from fieldfit.plan import Plan
from fieldfit.types import InputError


def folder_of(tmp_path: Path, *nights: str, shots: int = 3) -> None:
    for night in nights:
        (tmp_path / night / "shots").mkdir(parents=True)
        for shot in range(shots):
            tifffile.imwrite(tmp_path / night / f"shots/shot{shot:03d}.tif", np.zeros((2, 2), np.uint16))


def plan_of(tmp_path: Path, night: str | None = None, **more: object) -> Plan:
    clouds = {"format": "tiff", "raw": str(tmp_path / "{night}/shots"), "cameras": str(tmp_path / "{night}/cameras.json"), "block_size": 2} | more
    ports = {"format": "ports", "raw": str(tmp_path / "{night}/ports.h5")}
    return Plan(load_config({"magis": {"clouds": clouds, "ports": ports}, "night": night}))


def test_nights_are_found_by_their_dates_alone(tmp_path: Path) -> None:
    folder_of(tmp_path, "2026-11-25", "2026-11-24", "2026-13-01", "calibration")
    assert nights_below(tmp_path / "{night}/shots") == ["2026-11-24", "2026-11-25"]
    (tmp_path / "run_2026-11-24.h5").touch()
    (tmp_path / "2026-11-25" / "2026-11-24.h5").touch()
    (tmp_path / "2026-11-25" / "2026-11-25.h5").touch()
    assert nights_below(tmp_path / "run_{night}.h5") == ["2026-11-24"]
    assert nights_below(tmp_path / "{night}/{night}.h5") == ["2026-11-25"]
    assert nights_below(tmp_path / "[a]{night}") == []


def test_the_date_goes_into_every_path_of_the_entry(tmp_path: Path) -> None:
    assert at_night({"raw": "a/{night}", "own": [{"dark": "{night}/dark"}, 3]}, "2026-11-25") == {
        "raw": "a/2026-11-25",
        "own": [{"dark": "2026-11-25/dark"}, 3],
    }
    folder_of(tmp_path, "2026-11-25")
    assert plan_of(tmp_path).imaging["clouds-2026-11-25"].cameras == tmp_path / "2026-11-25/cameras.json"


def test_the_latest_night_is_made_unless_another_is_asked_for(tmp_path: Path) -> None:
    folder_of(tmp_path, "2026-11-24", "2026-11-25")
    (tmp_path / "2026-11-24/ports.h5").touch()
    night = plan_of(tmp_path).night()
    assert (night.name, night.runs, night.absent) == ("2026-11-25", ("clouds-2026-11-25",), ("ports",))
    night = plan_of(tmp_path, "2026-11-24").night()
    assert (night.runs, night.absent) == (("clouds-2026-11-24", "ports-2026-11-24"), ())
    assert plan_of(tmp_path, "clouds-2026-11-24").night().runs == ("clouds-2026-11-24",)


@pytest.mark.parametrize(
    ("night", "message"),
    [
        ("2026-11-26", r"night: no shots of 2026-11-26; did you mean '2026-11-2\d'\? \(found: 2 nights from 2026-11-24 to 2026-11-25\)"),
        ("cloud", r"night: no run 'cloud' under magis; did you mean 'clouds'\?"),
        ("2026-11-32", r"night: no run '2026-11-32' under magis"),
    ],
)
def test_a_night_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, night: str, message: str) -> None:
    folder_of(tmp_path, "2026-11-24", "2026-11-25")
    with pytest.raises(InputError, match=message):
        plan_of(tmp_path, night).night()


def test_a_date_without_nightly_runs_says_what_a_path_needs(tmp_path: Path) -> None:
    plan = Plan(load_config({"magis": {"a": {"format": "ports", "raw": "a.h5"}}, "night": "2026-11-25"}))
    with pytest.raises(InputError, match=r"no run under magis has \{night\} in 'raw'"):
        plan.night()
    with pytest.raises(InputError, match=r"no night yet below .*shots"):
        plan_of(tmp_path).night()


def test_a_run_named_as_a_night_of_another_is_refused(tmp_path: Path) -> None:
    keys = {"format": "ports", "raw": "{night}.h5"}
    with pytest.raises(InputError, match=r"magis.a-2026-11-25: its name is also that of a night of the run 'a'"):
        Plan(load_config({"magis": {"a": keys, "a-2026-11-25": {"format": "ports", "raw": "b.h5"}}}))


def test_late_shots_open_their_own_block_only(tmp_path: Path) -> None:
    folder_of(tmp_path, "2026-11-25", shots=4)
    (tmp_path / "2026-11-25/shots/shot001.tif").unlink()
    before = plan_of(tmp_path).shots.blocks("clouds-2026-11-25")
    tifffile.imwrite(tmp_path / "2026-11-25/shots/shot001.tif", np.zeros((2, 2), np.uint16))
    tifffile.imwrite(tmp_path / "2026-11-25/shots/shot009.tif", np.zeros((2, 2), np.uint16))
    after = plan_of(tmp_path).shots.blocks("clouds-2026-11-25")
    assert before["0000"] != after["0000"]
    assert before["0001"] == after["0001"]
    assert set(after) == {"0000", "0001", "0004"}


def test_only_the_night_that_is_asked_for_is_looked_through(tmp_path: Path) -> None:
    folder_of(tmp_path, "2026-11-25")
    (tmp_path / "2026-11-24/shots").mkdir(parents=True)  # no shots: looking into it would be an error
    plan = plan_of(tmp_path)
    assert plan.of_night(plan.night())[-1] == "results/report/2026-11-25/alarms.json"
    plan.check_targets(["results/magis/clouds-2026-11-25/phase.nc"])
    with pytest.raises(InputError, match="no shots"):
        plan.everything()


def test_a_closed_night_is_left_out_until_its_entry_or_the_code_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path, "2026-11-24", "2026-11-25")
    plan = plan_of(tmp_path)
    path = Path(result("catalogue").format(run="clouds-2026-11-24"))
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file.attrs["state"] = plan.state("clouds-2026-11-24")
    assert not any("2026-11-24" in product for product in plan.everything())
    assert any("2026-11-25" in product for product in plan.everything())
    changed = plan_of(tmp_path, fit={"method": "mlem"})
    assert any("2026-11-24" in product for product in changed.everything())


def test_a_shot_file_that_cannot_be_read_hides_no_other_of_a_night(tmp_path: Path) -> None:
    """It may still be being written; a run without nights has nobody to tell, and stops."""
    folder = tmp_path / "2026-11-25/shots"
    folder.mkdir(parents=True)
    with h5py.File(folder / "a.h5", "w") as file:
        file["shot"] = np.arange(3)
    (folder / "b.h5").write_bytes(b"half a file")
    plan = plan_of(tmp_path, format="hdf5")
    assert [block.shots for block in plan.shots.blocks("clouds-2026-11-25").values()] == [(0, 1), (2,)]
    assert "b.h5: cannot be read as HDF5" in plan.shots.unreadable("clouds-2026-11-25")[folder / "b.h5"]
    plain = Plan(load_config({"magis": {"clouds": {"format": "hdf5", "raw": str(folder), "cameras": "c.json"}}}))
    with pytest.raises(InputError, match=r"b\.h5: cannot be read as HDF5"):
        plain.shots.blocks("clouds")
