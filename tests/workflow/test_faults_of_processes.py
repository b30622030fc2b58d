"""A process is killed, or another one comes in between: the next call finishes the night, and every value is as if nothing had happened."""

import os
import signal
import time

import pytest
from faults import DENSITY, assert_as_undisturbed, begun, copied, jobs_in, kill_group, left_over, nightly, text, wait_for

FIT_LOG = "logs/magis/clouds-2026-11-25/fit_density/0000.log"


def in_the_fit(folder):
    """Whether the fit of the first block is under way: its log is opened when its step begins."""
    return lambda: (folder / FIT_LOG).is_file() and bool(jobs_in(folder, "fit_density"))


@pytest.fixture
def unfinished(undisturbed, tmp_path):
    """The night with its first block yet to be fitted."""
    folder = copied(undisturbed, tmp_path, without=(DENSITY,))
    (folder / FIT_LOG).unlink()
    return folder


def test_a_job_that_is_killed_at_each_stage_of_its_write_is_retried_within_the_call(unfinished, undisturbed):
    """With a dataset half written; before the product has its name; before its checksum has: each leaves its temporary file to the next."""
    faults = ",".join(f"{kind}=density/0000.nc" for kind in ("kill_mid_write", "kill_before_rename", "kill_before_checksum"))
    run = nightly(unfinished, "--retries", "3", faults=faults)
    assert len(list((unfinished / "faults").iterdir())) == 3
    assert text(run).count("Trying to restart job") == 3
    assert_as_undisturbed(run, unfinished, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill_mid_write", "kill_before_rename", "kill_before_checksum"])
def test_a_job_that_is_killed_in_its_write_leaves_no_product_and_the_next_call_makes_it(unfinished, undisturbed, kind):
    run = nightly(unfinished, faults=f"{kind}=density/0000.nc")
    assert run.returncode == 1
    assert (unfinished / "faults" / kind).is_file()
    assert not (unfinished / DENSITY).exists()
    assert left_over(unfinished)
    assert_as_undisturbed(nightly(unfinished), unfinished, undisturbed)


@pytest.mark.slow
def test_a_killed_fit_is_told_on_the_nights_page_and_the_next_call_makes_it(unfinished, undisturbed):
    run = begun(unfinished)
    wait_for(in_the_fit(unfinished))
    time.sleep(0.5)
    for process in jobs_in(unfinished, "fit_density"):
        process.kill()
    assert run.wait(timeout=300) == 1
    said = (unfinished / "said.txt").read_text()
    assert "Error in rule fit_density" in said
    assert "density/0000.nc is not done" in (unfinished / "results/report/2026-11-25/alarms.json").read_text()
    assert not (unfinished / DENSITY).exists()
    assert_as_undisturbed(nightly(unfinished), unfinished, undisturbed)


def test_snakemake_killed_leaves_a_lock_which_the_documented_unlock_lifts(unfinished, undisturbed):
    """The job that it leaves running goes on; what it wrote is made again, since nobody saw it end."""
    run = begun(unfinished)
    wait_for(in_the_fit(unfinished))
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    locked = nightly(unfinished)
    assert locked.returncode == 1
    assert "--unlock" in text(locked)
    assert nightly(unfinished, "--unlock").returncode == 0
    assert_as_undisturbed(nightly(unfinished), unfinished, undisturbed)


@pytest.mark.slow
def test_snakemake_killed_with_its_jobs_finishes_after_the_unlock(unfinished, undisturbed):
    run = begun(unfinished)
    wait_for(in_the_fit(unfinished))
    kill_group(run)
    for process in jobs_in(unfinished, "fit_density"):
        process.kill()
    assert nightly(unfinished, "--unlock").returncode == 0
    assert_as_undisturbed(nightly(unfinished), unfinished, undisturbed)


@pytest.mark.slow
def test_a_second_call_on_the_same_folder_is_refused_and_harms_nothing(unfinished, undisturbed):
    run = begun(unfinished, faults="hold=fit_density")
    wait_for(lambda: (unfinished / "faults/hold").is_file())
    second = nightly(unfinished)
    assert second.returncode == 1
    assert "cannot be locked" in text(second)
    assert run.poll() is None
    (unfinished / "faults/go").touch()
    assert run.wait(timeout=300) == 0
    assert_as_undisturbed(run, unfinished, undisturbed)
