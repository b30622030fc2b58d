"""How fast a LArSoft library is read with every row checked, and in how much memory, beside the plain idiom.

    uv run python benchmarks/ingest.py [MILLIONS [FOLDER]]

Writes a library of that many million rows (default 40) with uproot, once in LArSoft's order and once shuffled, and reads each in a process
of its own: the plain way (`arrays()` of the whole tree and one assignment, no check), `fill_table`, and `fill_table` with a quarter of the
memory that the table needs. Prints a Markdown table: rows a CPU-second, and peak memory, above that of the imports, in dense tables.
"""

import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import uproot

from fieldfit.config import Geometry, Quality
from fieldfit.io.optical.larsoft import open_larsoft
from fieldfit.io.optical.table import fill_table

CHANNELS = 90
SIDES = (74, 77)  # of ICARUS
AT_ONCE = 1_000_000


def box_of(millions: float) -> tuple[int, int, int]:
    """Divisions along x, y, z."""
    return (*SIDES, max(1, round(millions * 1e6 / (SIDES[0] * SIDES[1] * CHANNELS))))


def write(path: Path, divisions: tuple[int, int, int], shuffled: bool) -> int:
    """A library of counted photons; the number of its rows."""
    random = np.random.default_rng(0)
    rows = int(np.prod(divisions)) * CHANNELS
    visibility = (random.poisson(random.exponential(30.0, rows)) + 1).astype(np.float32) / np.float32(3e5)
    order = random.permutation(rows) if shuffled else None
    with uproot.recreate(path) as file:
        tree = file.mktree("PhotonLibraryData", {"Voxel": "i4", "OpChannel": "i4", "Visibility": "f4"})
        for first in range(0, rows, AT_ONCE):
            row = np.arange(first, min(first + AT_ONCE, rows)) if order is None else order[first : first + AT_ONCE]
            tree.extend({"Voxel": (row // CHANNELS).astype("i4"), "OpChannel": (row % CHANNELS).astype("i4"), "Visibility": visibility[row]})
    return rows


def plain(path: Path, divisions: tuple[int, int, int], _: Path) -> None:
    """The idiom of notebooks."""
    found = uproot.open(path)["PhotonLibraryData"].arrays(["Voxel", "OpChannel", "Visibility"], library="np")
    table = np.zeros((int(np.prod(divisions)), CHANNELS), np.float32)
    table[found["Voxel"], found["OpChannel"]] = found["Visibility"]


def checked(path: Path, divisions: tuple[int, int, int], _: Path) -> None:
    """In memory."""
    _fill(path, divisions, None, 2**40)


def spilled(path: Path, divisions: tuple[int, int, int], folder: Path) -> None:
    """By groups of channels, in a quarter of the table's memory."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _fill(path, divisions, Path(scratch), int(np.prod(divisions)) * CHANNELS)


def _fill(path: Path, divisions: tuple[int, int, int], scratch: Path | None, most: int) -> None:
    geometry = Geometry(min_cm=(0, 0, 0), max_cm=(370, 385, 1970), divisions=divisions)
    table = fill_table(open_larsoft(path, "direct", CHANNELS, geometry), Quality(), scratch, most)
    assert table.findings == ()


def _anonymous() -> int:
    """Bytes of this process that are not backed by files: what a memory-mapped table holds can be dropped at any time."""
    return sum(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")) * 1024


def measured(way, path: Path, divisions: tuple[int, int, int], folder: Path, answer) -> None:
    """CPU seconds and the highest memory above the start, in a fresh process."""
    peak, done = [start := _anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.perf_counter()
    way(path, divisions, folder)
    wall = time.perf_counter() - wall
    ended = resource.getrusage(resource.RUSAGE_SELF)
    done.set()
    watcher.join()
    answer.put((ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime, wall, peak[0] - start))


def main(millions: float, folder: Path) -> None:
    """Write, read six times, print."""
    os.environ["OMP_NUM_THREADS"] = "1"
    divisions = box_of(millions)
    print("| rows | order | way | M rows a CPU-second | wall [s] | peak memory / dense table |\n|---|---|---|---|---|---|")
    for order in ("sorted", "shuffled"):
        path = folder / f"{order}.root"
        rows = write(path, divisions, order == "shuffled")
        for name, way in (("plain idiom, nothing checked", plain), ("fill_table", checked), ("fill_table, a quarter of the memory", spilled)):
            context = multiprocessing.get_context("spawn")
            answer = context.Queue()
            process = context.Process(target=measured, args=(way, path, divisions, folder, answer))
            process.start()
            cpu, wall, memory = answer.get()
            process.join()
            print(f"| {rows / 1e6:.1f} M | {order} | {name} | {rows / cpu / 1e6:.1f} | {wall:.1f} | {memory / (4 * rows):.2f} |", flush=True)
        path.unlink()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 40, Path(sys.argv[2]) if len(sys.argv) > 2 else Path(made))
