"""`snakemake --profile slurm` works on a real Slurm: one node, two partitions, a counted GPU."""

import shutil
import subprocess
from pathlib import Path

import pytest
import xarray as xr
import yaml
from dag import CHECKOUT, TINY, only, snakemake


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
    groups = [line for line in ran if "Comment=rule_frames" in line or "Comment=rule_block" in line]
    assert groups and all("NumCPUs=1 " in line for line in groups)  # members take turns: more cores would lie idle


LIBRARY = "results/dune/box/library.nc"


def jobs_named(name: str, folder: Path) -> list[str]:
    """Slurm jobs of a folder so far, a line each."""
    found = subprocess.run(["scontrol", "show", "jobs", "-o"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in found if f"JobName={name}" in line and str(folder) in line]


@pytest.mark.slow
def test_a_library_is_read_by_workers_that_are_slurm_jobs(cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is a job and asks for another one that reads for it: what the lines of docs/cluster.md say."""
    config = only(TINY, "box")
    run = snakemake(tmp_path, LIBRARY, config=config)
    assert run.returncode == 0, run.stdout + run.stderr
    shutil.copy(tmp_path / LIBRARY, tmp_path / "alone.nc")
    shutil.copytree(CHECKOUT / "slurm", tmp_path / "slurm")
    profile = next(path for path in (tmp_path / "slurm").iterdir() if path.suffix == ".yaml")
    told = yaml.safe_load(profile.read_text())
    told["set-resources"]["read_library"] = {"dask_cluster": "slurm", "dask_workers": 1}  # the other core is the step's
    profile.write_text(yaml.safe_dump(told))
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__QUEUE", "cpu")
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__NAME", "reader")
    run = snakemake(tmp_path, LIBRARY, "--forcerun", "read_library", "--profile", "slurm", config=config, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "channels arranged" in (tmp_path / "logs/dune/box/read_library.log").read_text()
    assert len(jobs_named("reader", tmp_path)) == 1
    xr.testing.assert_identical(xr.open_dataset(tmp_path / LIBRARY), xr.open_dataset(tmp_path / "alone.nc"))
    assert {path.name for path in (tmp_path / LIBRARY).parent.iterdir()} == {"library.nc", "library.nc.sha256"}
