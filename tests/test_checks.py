"""Style, types and import layers hold, so that `pytest` alone says whether a change can land."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "snakefmt": ["snakefmt", "-l", "150", "--check", "Snakefile", "workflow"],
    "import layers": ["lint-imports", "--no-cache"],
    "mypy": ["mypy", "--cache-dir", os.devnull],
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_check_passes(checkout, name):
    program, *arguments = COMMANDS[name]
    run = subprocess.run([str(Path(sys.executable).parent / program), *arguments], cwd=checkout, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_lock_is_in_step_with_the_project(checkout):
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not on the path: the lock cannot be checked")
    run = subprocess.run([uv, "lock", "--check", "--offline"], cwd=checkout, capture_output=True, text=True, check=False)
    if "offline" in run.stderr.lower() or "network" in run.stderr.lower():
        pytest.skip("the lock cannot be checked without its package index")
    assert run.returncode == 0, run.stderr


def test_ci_runs_the_readmes_test_command(checkout):
    command = next(line.split("#")[0].strip() for line in (checkout / "README.md").read_text().splitlines() if "uv run pytest" in line)
    assert command in (checkout / ".ci/run").read_text()
