"""`snakemake --profile slurm` works on a real Slurm: one node, two partitions, a counted GPU."""

import shutil
import subprocess

import pytest
from dag import CHECKOUT, TINY, snakemake


@pytest.mark.slow
def test_the_whole_dag_runs_as_slurm_jobs(cluster, tmp_path):
    shutil.copytree(CHECKOUT / "slurm", tmp_path / "slurm")
    run = snakemake(tmp_path, "--profile", "slurm", config=TINY, timeout=3000)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "results/report.html").is_file()
    states = subprocess.run(["scontrol", "show", "jobs", "-o"], capture_output=True, text=True, check=True).stdout.splitlines()
    ran = [line for line in states if str(tmp_path) in line]
    assert len(ran) >= 15
    assert all("JobState=COMPLETED" in line for line in ran)
    assert any("Partition=gpu" in line for line in ran)
    assert any("Partition=cpu" in line for line in ran)
