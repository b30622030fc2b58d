"""A night of six shots in three blocks, what is done to it, and what must be left of it in the end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import psutil
import yaml
from dag import CHECKOUT

from fieldfit.command.verify import Finding, verified
from fieldfit.config.load import load_entry
from fieldfit.io.products import open_product
from fieldfit.steps.simulate_shots import simulate_shots
from fieldfit.types import Status

NIGHT, SHOTS = "2026-11-25", 6
RUN = f"clouds-{NIGHT}"
ROOM = f"results/magis/{RUN}"
ENTRY = {
    "format": "tiff",
    "raw": "data/{night}/shots",
    "cameras": "data/{night}/cameras.json",
    "block_size": 2,
    "grid": {"voxels": 32},
    "fit": {"steps": 1},
}
NO_ALARMS = {"flagged_share": None, "missing_share": None, "chi2_reduced": None, "contrast": None, "atom_number_change": None, "budget": False}
DENSITY = f"{ROOM}/density/0000.nc"


def write_night(folder: Path, form: str = "tiff", night: str = NIGHT) -> None:
    """Real shots of a night, as a camera would leave them, and the configuration `c.yaml` of nights like it."""
    told = {key: value.format(night=night) if isinstance(value, str) else value for key, value in ENTRY.items()} | {"format": form}
    raw = folder / "data" / night
    entry = load_entry("magis", told | {"simulate": {"shots": SHOTS, "photons": 2e8, "dark": "none"}})
    simulate_shots(raw / "shots", raw / "cameras.json", raw / "truth.json", entry)
    (folder / "c.yaml").write_text(yaml.safe_dump({"magis": {"clouds": ENTRY | {"format": form}}, "alarms": NO_ALARMS}))


def command_of(folder: Path, *more: str) -> list[str]:
    """`snakemake nightly` in `folder`."""
    base = [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    return [*base, "nightly", "--config", f"night={NIGHT}", "--rerun-incomplete", *more, "--configfile", "c.yaml"]


def with_faults(folder: Path, faults: str) -> dict[str, str]:
    """The environment in which these faults happen (hooks/sitecustomize.py)."""
    told = folder / "faults"
    told.mkdir(exist_ok=True)
    return (
        os.environ | {"PYTHONPATH": str(Path(__file__).with_name("hooks")), "FAULTS": faults, "FAULTS_TOLD": str(told)}
        if faults
        else dict(os.environ)
    )


def nightly(folder: Path, *more: str, faults: str = "", timeout: int = 900) -> subprocess.CompletedProcess:
    """The call, to its end."""
    command = command_of(folder, *more)
    return subprocess.run(command, cwd=folder, env=with_faults(folder, faults), capture_output=True, text=True, timeout=timeout, check=False)


def begun(folder: Path, *more: str, faults: str = "") -> subprocess.Popen:
    """The call, running, in a process group of its own; what it says goes into `said.txt`."""
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(
            command_of(folder, *more), cwd=folder, env=with_faults(folder, faults), stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )


def text(run: subprocess.CompletedProcess) -> str:
    return run.stdout + run.stderr


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def jobs_in(folder: Path, script: str) -> list[psutil.Process]:
    """Processes of a step that run in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(word.endswith(f"{script}.py") for word in process.cmdline()) and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_group(run: subprocess.Popen) -> None:
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def copied(undisturbed: Path, folder: Path, without: tuple[str, ...] = ()) -> Path:
    """The undisturbed night in a folder of its own, times and all, as Snakemake left it; some products not made yet."""
    shutil.copytree(undisturbed, folder, dirs_exist_ok=True, symlinks=True)
    for product in without:
        (folder / product).unlink()
        (folder / f"{product}.sha256").unlink()
    return folder


def assert_as_undisturbed(run: subprocess.CompletedProcess | subprocess.Popen, folder: Path, undisturbed: Path) -> None:
    """The call ended well, every shot is accounted for, every product has the undisturbed values, and nothing else is left."""
    assert run.returncode == 0, text(run) if isinstance(run, subprocess.CompletedProcess) else (folder / "said.txt").read_text()
    wanted = sorted(path.relative_to(undisturbed) for path in (undisturbed / "results").rglob("*.nc"))
    assert sorted(path.relative_to(folder) for path in (folder / "results").rglob("*.nc")) == wanted
    for path in wanted:
        assert_same_values(folder / path, undisturbed / path)
    for kind, product in (("catalogue", "catalogue.nc"), ("phase", "phase.nc")):
        found = open_product(folder / ROOM / product, kind)
        assert found.shot.values.tolist() == list(range(SHOTS))
        assert (found.status == Status.good).all()
    assert {one.finding for one in verified([folder / "results"])} == {Finding.intact}
    assert left_over(folder) == []


def assert_same_values(one: Path, other: Path) -> None:
    """All variables of two products are the same, bit for bit."""
    with h5py.File(one) as first, h5py.File(other) as second:
        names: list[str] = []
        second.visit(names.append)
        assert set(names) == set(first)
        for name in names:
            a, b = np.asarray(first[name]), np.asarray(second[name])
            assert a.dtype == b.dtype and a.shape == b.shape, f"{one} {name}"
            assert a.tobytes() == b.tobytes() or (a.dtype.kind == "O" and (a == b).all()), f"{one} {name}"


def left_over(folder: Path) -> list[Path]:
    """Hidden files among the results, which are no products."""
    return [path for path in (folder / "results").rglob(".*") if path.name != ".snakemake_timestamp"]


def reasons(folder: Path) -> dict[str, list[int]]:
    """Shots of the night's catalogue by their flag."""
    found = open_product(folder / ROOM / "catalogue.nc", "catalogue")
    flags = {Status(int(flag)).name: found.shot.values[found.status.values == flag].tolist() for flag in np.unique(found.status)}
    assert sorted(shot for shots in flags.values() for shot in shots) == found.shot.values.tolist()
    return flags
