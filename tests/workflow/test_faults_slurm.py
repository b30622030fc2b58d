"""A job is cancelled, over its time, over its memory, or the controller restarts: `snakemake --profile slurm` finishes the night in the same call."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from dag import CHECKOUT
from faults import DENSITY, assert_as_undisturbed, begun, copied, jobs_in, nightly, text, wait_for

PROFILE = ("--profile", "slurm")
pytestmark = pytest.mark.slow


@pytest.fixture
def unfinished(cluster, undisturbed, tmp_path):
    """The night with its first block yet to be fitted, and the profile beside it."""
    shutil.copytree(CHECKOUT / "slurm", tmp_path / "slurm")
    return copied(undisturbed, tmp_path, without=(DENSITY,))


@pytest.fixture
def killing_over_memory(cluster):
    """A Slurm that kills jobs over their memory, as sites do by cgroups; it is as it was afterwards."""
    conf = Path("/etc/slurm/slurm.conf")
    before = conf.read_text()
    conf.write_text(before + "JobAcctGatherParams=OverMemoryKill\n")
    restart("slurmctld")
    restart("slurmd")
    wait_for(answering, 60)
    yield
    conf.write_text(before)
    restart("slurmctld")
    restart("slurmd")


def answering() -> bool:
    """Whether the controller answers and its node is ready."""
    asked = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and ("idle" in asked.stdout or "mixed" in asked.stdout or "allocated" in asked.stdout)


def stop(daemon: str) -> None:
    """End the daemon of its own pid file, and wait until it has."""
    process = psutil.Process(int(Path(f"/run/{daemon}.pid").read_text()))
    process.terminate()
    process.wait(60)


def restart(daemon: str) -> None:
    stop(daemon)
    subprocess.run([daemon], check=True)


def job_of(folder: Path) -> str:
    """Number of the Slurm job whose fit runs in the folder."""
    return jobs_in(folder, "fit_density")[0].environ()["SLURM_JOB_ID"]


def state_of(job: str) -> str:
    told = subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True, check=True).stdout
    return next(word.removeprefix("JobState=") for word in told.split() if word.startswith("JobState="))


def first_log(folder: Path) -> Path:
    """Of the Slurm jobs that fit in the folder; it is named by the job's number."""
    return min((folder / ".snakemake/slurm_logs/group_block_fit_density").iterdir(), key=lambda log: int(log.stem))


def fitting(folder: Path):
    return lambda: bool(jobs_in(folder, "fit_density"))


def test_a_cancelled_job_is_submitted_again(unfinished, undisturbed):
    run = begun(unfinished, *PROFILE)
    wait_for(fitting(unfinished))
    job = job_of(unfinished)
    subprocess.run(["scancel", job], check=True)
    run.wait(timeout=900)
    assert state_of(job) == "CANCELLED"
    assert "Trying to restart job" in (unfinished / "said.txt").read_text()
    assert_as_undisturbed(run, unfinished, undisturbed)


def test_a_job_over_its_time_is_submitted_again(unfinished, undisturbed):
    """Slurm counts in minutes: the first one sleeps past its one."""
    run = nightly(unfinished, *PROFILE, "--set-resources", "fit_density:runtime=1", faults="sleep=fit_density")
    assert "Trying to restart job" in text(run)
    assert state_of(first_log(unfinished).stem) == "TIMEOUT"
    assert_as_undisturbed(run, unfinished, undisturbed)


def test_a_job_over_its_memory_is_submitted_again(killing_over_memory, unfinished, undisturbed):
    run = nightly(unfinished, *PROFILE, "--set-resources", "fit_density:mem_mb=1500", faults="eat=fit_density")
    assert "Trying to restart job" in text(run)
    assert "Exceeded job memory limit" in first_log(unfinished).read_text()
    assert_as_undisturbed(run, unfinished, undisturbed)


def test_a_controller_that_restarts_in_mid_run_loses_nothing(unfinished, undisturbed):
    """It is away when Snakemake looks at its jobs for the first time, 15 s after the first of them, and while the job ends."""
    run = begun(unfinished, *PROFILE)
    wait_for(fitting(unfinished))
    stop("slurmctld")
    time.sleep(30)
    subprocess.run(["slurmctld"], check=True)
    run.wait(timeout=900)
    assert "sacct' for status queries" not in (unfinished / "said.txt").read_text()
    assert_as_undisturbed(run, unfinished, undisturbed)


def test_snakemake_killed_while_its_job_runs_on_the_node(unfinished, undisturbed):
    """Its job goes on, as Slurm's do. Here it is cancelled, since nothing else could start on the node's two cores; of two writers: test_whole.py."""
    run = begun(unfinished, *PROFILE, faults="sleep=fit_density")
    wait_for(lambda: (unfinished / "faults/sleep").is_file() and fitting(unfinished)())
    job = job_of(unfinished)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert "--unlock" in text(nightly(unfinished, *PROFILE))
    assert nightly(unfinished, "--unlock").returncode == 0
    assert state_of(job) == "RUNNING"
    subprocess.run(["scancel", job], check=True)
    assert_as_undisturbed(nightly(unfinished, *PROFILE), unfinished, undisturbed)
