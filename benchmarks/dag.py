"""Seconds that Snakemake needs to start and to build the DAG, for runs of more and more shots.

uv run python benchmarks/dag.py --shots 1000 100000
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def dry_run(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """(wall seconds, CPU seconds, last lines) of `snakemake -n` in `folder`."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(CHECKOUT / "Snakefile"),
        "--directory",
        str(folder),
        "-n",
        "-q",
        "rules",
        *arguments,
    ]
    began, before = time.perf_counter(), os.times()
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, cpu, run.stdout + run.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--block-size", type=int, default=256)
    asked = parser.parse_args()
    print(f"{'shots':>8} {'jobs':>6} {'wall s':>8} {'CPU s':>8} {'CPU / first':>12}")
    first = None
    for shots in asked.shots:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for shot in range(shots):
                (folder / "shots" / f"shot{shot:07d}").mkdir(parents=True)
            (folder / "cameras.json").write_text("{}")
            (folder / "run.yaml").write_text(f"magis: {{run: {{format: tiff, raw: shots, cameras: cameras.json, block_size: {asked.block_size}}}}}\n")
            wall, cpu, text = dry_run(folder, "--configfile", str(folder / "run.yaml"))
            jobs = next((line.split()[1] for line in text.splitlines() if line.startswith("total")), "?")
        first = first or cpu
        print(f"{shots:8d} {jobs:>6} {wall:8.1f} {cpu:8.1f} {cpu / first:12.2f}")


if __name__ == "__main__":
    main()
