"""A night that could not be finished has its page all the same: of what is done, with what failed and why."""

import json
from pathlib import Path

import pytest

from fieldfit.config.load import load_config, load_entry
from fieldfit.plan import Plan
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.fit_density import fit_density
from fieldfit.steps.report_unfinished import report_unfinished
from fieldfit.steps.simulate_shots import simulate_shots

RUN = "clouds-2026-11-25"


def test_a_night_with_a_failed_block_has_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {"format": "tiff", "raw": "data/{night}/shots", "cameras": "cameras.json", "block_size": 2}
    keys["grid"] = {"voxels": 32}
    simulated = {"shots": 4, "photons": 1e8, "dark": "none"}
    entry = load_entry("magis", keys | {"raw": "data/2026-11-25/shots", "simulate": simulated})
    simulate_shots(entry.raw, entry.cameras, tmp_path / "truth.json", entry)
    plan = Plan(load_config({"magis": {"clouds": keys}}))
    home = Path("results/magis") / RUN
    for block, shots in (("0000", [0, 1]), ("0001", [2, 3])):
        calibrate_frames(entry.raw, entry.cameras, home / f"electrons/{block}.nc", entry, shots)
    fit_density(home / "electrons/0000.nc", entry.cameras, home / "density/0000.nc", entry)
    for block, words in (("0000", "2026 density in 3.2 s"), ("0001", "2026 the node fell over")):
        log = Path(f"logs/magis/{RUN}/fit_density/{block}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"2026 begun\n{words}\n")
    page = report_unfinished(plan, plan.night())
    told = json.loads(page.with_name("alarms.json").read_text())
    assert not told["finished"]
    assert f"{RUN}: {RUN}/density/0001.nc is not done: 2026 the node fell over" in told["waiting"]
    assert [alarm["figure"] for alarm in told["alarms"]][:1] == ["not done"]
    figures = told["runs"][RUN]["figures"]
    assert figures["shots received"]["value"] == 4
    assert told["runs"][RUN]["flagged"]["unprocessed"] == 2
    assert figures["atom number"]["value"] > 0
    assert "not finished" in page.read_text()
    assert "Atom number" in page.read_text()
    assert not list(home.glob(".*"))  # what was put together for the page is gone
