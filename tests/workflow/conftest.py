"""One undisturbed night for the tests of the faults, and one Slurm for the tests on a cluster."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dag import CHECKOUT
from faults import nightly, text, write_night

SLURM = CHECKOUT.parent / "shared" / "slurm"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished night that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_night(folder)
    run = nightly(folder)
    assert run.returncode == 0, text(run)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path):
    """mount(options): a small disk of its own at `results` of the test's folder, or its options changed."""
    place = tmp_path / "results"
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")

    def mount(options: str) -> None:
        place.mkdir(exist_ok=True)
        remount = "remount," if place.is_mount() else ""
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", remount + options, "tmpfs", str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a disk cannot be mounted here: {done.stderr}")

    yield mount
    subprocess.run(["umount", str(place)], check=False)


@pytest.fixture(scope="session")
def cluster():
    """A real Slurm on this machine: one node, two partitions. One for all tests: its daemons take seconds to end."""
    if not (SLURM / "up").is_file():
        pytest.skip("no ../shared/slurm/up to start a Slurm with")
    if os.geteuid() != 0:
        pytest.skip("starting a Slurm needs root")
    if not (shutil.which("slurmctld") or shutil.which("apt-get")):
        pytest.skip("no Slurm and no apt-get to install it")
    started = subprocess.run([str(SLURM / "up")], capture_output=True, text=True, timeout=600, check=False)
    if started.returncode:
        subprocess.run([str(SLURM / "down")], check=False)
        pytest.skip(f"Slurm could not be installed or started: {started.stderr[-300:]}")
    yield
    subprocess.run([str(SLURM / "down")], check=False)
