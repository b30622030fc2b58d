"""`fieldfit status`: done, running, failed and remaining time of a night, and its exit status."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from fieldfit.command.main import main

RUN = "clouds-2026-11-25"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A night of six shots in three blocks, of which the first is done, the second failed, and the third is running."""
    (tmp_path / "data/2026-11-25").mkdir(parents=True)
    for shot in range(6):
        tifffile.imwrite(tmp_path / f"data/2026-11-25/shot{shot}.tif", np.zeros((2, 2), np.uint16))
    entry = {"format": "tiff", "raw": "data/{night}", "cameras": "c.json", "block_size": 2}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"magis": {"clouds": entry}}))
    for kind, blocks in (("electrons", (0, 1, 2)), ("density", (0, 2))):
        for block in blocks:
            touch(tmp_path / f"results/magis/{RUN}/{kind}/{block:04d}.nc")
    touch(tmp_path / f"logs/magis/{RUN}/fit_density/0000.log", "made density in 3.2 s\n")
    touch(tmp_path / f"logs/magis/{RUN}/fit_density/0001.log", "2026 fit\nno such camera\n")
    touch(tmp_path / f"logs/magis/{RUN}/fit_density/0000.tsv", "s\tmax_rss\n100\t1\n")
    running = base64.urlsafe_b64encode(f"results/magis/{RUN}/density/0002.nc".encode()).decode()
    touch(tmp_path / ".snakemake/incomplete" / running)
    touch(tmp_path / ".snakemake/locks/0.input.lock")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_night_at_work_tells_what_is_done_running_and_failed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 2
    told = capsys.readouterr().out
    assert "3 of 3" in told
    assert "1 of 3, 1 running, 1 failed, 3 min left" in told
    assert f"failed: results/magis/{RUN}/density/0001.nc: no such camera" in told
    assert "Not done: 3 min of computing, one job after the other." in told


def test_a_run_that_was_cut_off_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".snakemake/locks/0.input.lock").unlink()
    assert main(["status"]) == 2
    told = capsys.readouterr().out
    assert "Cut off in the middle of 1 products: run snakemake again." in told
    assert "1 of 3, 1 failed" in told  # what was being written is not taken for done
    assert "Nothing is running." in told


def test_the_exit_status_tells_of_alarms(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for marker in (home / ".snakemake/incomplete").iterdir():
        marker.unlink()
    for product in ("density/0001", "phase", "catalogue"):
        touch(home / f"results/magis/{RUN}/{product}.nc")
    (home / ".snakemake/locks/0.input.lock").unlink()
    alarms = home / "results/report/2026-11-25/alarms.json"
    for raised, status in (([], 0), ([{"text": "contrast is 0.05"}], 3)):
        touch(alarms, json.dumps({"alarms": raised}))
        assert main(["status", "2026-11-25"]) == status
        told = capsys.readouterr().out
        assert ("ALARM contrast is 0.05" in told) == bool(raised)
    assert main(["status", "2026-11-24"]) == 1
    assert "no shots of 2026-11-24; did you mean '2026-11-25'?" in capsys.readouterr().err
