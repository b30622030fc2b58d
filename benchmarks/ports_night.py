"""Memory and time of the gradiometer step for runs of different lengths, each fitted in a process of its own.

Usage: uv run python benchmarks/ports_night.py [--shots 8640 86400 864000] [--atoms 1e6] [--folder DIR]

Simulates the runs first (three interferometers at 1 Hz; not counted), then prints a Markdown table: wall time, CPU time and the largest resident
memory, imports included, until the product is written and until the process has ended (torch touches another 120 MB of its libraries as it ends,
whatever was done); ratios to the row before are of the CPU time and of the first of the two. The first row is what the imports alone take.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from fieldfit.simulate.ports import Truth, simulate_run, write_run

FIT = """
import resource
import sys
from pathlib import Path
from fieldfit.config.load import load_entry
from fieldfit.steps.fit_gradiometer import fit_gradiometer
if len(sys.argv) > 1:
    raw, output = map(Path, sys.argv[1:])
    fit_gradiometer(raw, output, load_entry("magis", {"format": "ports", "raw": raw, "device": "cpu"}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
ONE = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # the rule's one thread
UNIT = 1024**2 if sys.platform == "darwin" else 1024  # of ru_maxrss in a MB


def simulated(shots: int, atoms: float, folder: Path) -> None:
    """Write a run and its truth."""
    run = simulate_run(Truth(), shots, atoms, np.random.default_rng(0))
    write_run(run, Truth(), folder / f"run{shots}.h5", folder / f"truth{shots}.json")


def measured(*arguments: Path) -> tuple[float, float, float, float]:
    """(wall time [s], CPU time [s], largest resident memory [MB] until the fit's end, and until the process's end) of one process."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", FIT, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=os.environ | ONE)
    assert child.stdout is not None
    told = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"the fit of {arguments} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, int(told) / UNIT, usage.ru_maxrss / UNIT


def row(name: str, now: tuple[float, float, float, float], before: tuple[float, float, float, float] | None) -> str:
    """One line of the table."""
    ratios = "" if before is None else f"{now[1] / before[1]:.2f}"
    grown = "" if before is None else f"{now[2] / before[2]:.2f}"
    return f"| {name} | {now[0]:.1f} | {now[1]:.1f} | {now[2]:.0f} | {now[3]:.0f} | {ratios} | {grown} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, nargs="+", default=[8640, 86400, 864000], help="lengths of the runs")
    parser.add_argument("--atoms", type=float, default=1e6, help="atoms of an interferometer a shot")
    parser.add_argument("--folder", type=Path, help="where runs and products are kept; a temporary one otherwise")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # a process starts with the peak of the one that starts it
            for shots in chosen.shots:
                pool.submit(simulated, shots, chosen.atoms, folder).result()
        print("| shots | wall [s] | CPU [s] | peak [MB] | with its end [MB] | CPU ratio | peak ratio |\n|---|---|---|---|---|---|---|")
        print(row("imports", measured(), None), flush=True)
        before = None
        for shots in chosen.shots:
            now = measured(folder / f"run{shots}.h5", folder / f"gradiometer{shots}.nc")
            print(row(f"{shots:,}", now, before), flush=True)
            before = now


if __name__ == "__main__":
    main()
