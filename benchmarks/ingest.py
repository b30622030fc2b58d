"""How fast a LArSoft library is read with every row checked, and in how much memory, beside the plain idiom.

    uv run python benchmarks/ingest.py [MILLIONS [FOLDER]]            # one process
    uv run python benchmarks/ingest.py workers [MILLIONS [FOLDER]]    # and one and two workers of dask

Writes a library of that many million rows (default 40), counted direct light of a row of sensors, with uproot: once in LArSoft's order and
once shuffled. Reads each in processes of their own: the plain way (`arrays()` of the whole tree and one assignment, no check); `fill_table`,
which checks every row; with the quality control of all voxels (`check_library`) after it; and the whole step, which writes library.nc
compressed. Each of ours once in memory and once with a quarter of the memory that the table needs.
Prints a Markdown table: rows a CPU-second, and peak memory, above that of the imports, in dense tables.

With `workers`: rows a second of wall clock from the closed file to the arranged table, and of the whole step, by the step's own process (table
in memory, and in files as the workers make it) and by one and two workers. All ways in turn, the median of REPEATS rounds after one that
does not count. Workers are started once, before the clock; how long that takes is printed. The two need two cores that nobody else uses.
"""

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import uproot

from fieldfit.config.dune import Geometry, Quality
from fieldfit.config.load import load_entry
from fieldfit.experiments.dune.hot_spots import share_of
from fieldfit.experiments.dune.library import check_library
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import given_box
from fieldfit.io.optical.larsoft import open_larsoft
from fieldfit.io.optical.table import fill_table
from fieldfit.io.workers import ALONE, Workers, hired
from fieldfit.steps import read_library

CHANNELS = 90
SIDES = (74, 77)  # of ICARUS
LOWER_CM, UPPER_CM = (0.0, 0.0, 0.0), (370.0, 385.0, 1970.0)
PHOTONS = 3e5
AT_ONCE = 1_000_000
REPEATS = 3
MEMORY = 4 * 10**9  # bytes, of the rule: a third for the step's own process and for each of two workers
TABLE = read_library.TABLE_BYTES


def box_of(millions: float) -> tuple[int, int, int]:
    """Divisions along x, y, z."""
    return (*SIDES, max(1, round(millions * 1e6 / (SIDES[0] * SIDES[1] * CHANNELS))))


def sensors() -> Disks:
    """Sensors behind the wall at low x, in two rows along z."""
    lower, upper = (np.array(corner) / 100 for corner in (LOWER_CM, UPPER_CM))
    k = np.arange(CHANNELS)
    y, z = np.where(k % 2, 0.3, 0.65) * upper[1], (k + 0.5) / CHANNELS * upper[2]
    return Disks(np.stack([np.full(CHANNELS, lower[0] - 0.05), y, z], 1), np.tile([1.0, 0, 0], (CHANNELS, 1)), np.full(CHANNELS, 0.1))


def write(path: Path, divisions: tuple[int, int, int], shuffled: bool) -> int:
    """A library of counted photons; the number of its rows."""
    random, disks = np.random.default_rng(0), sensors()
    box = given_box(Geometry(min_cm=LOWER_CM, max_cm=UPPER_CM, divisions=divisions))
    rows = box.voxels * CHANNELS
    visibility = np.empty((box.voxels, CHANNELS), np.float32)
    for c in range(CHANNELS):
        mean = share_of(box, disks, c).transpose(2, 1, 0).ravel() + 3e-5
        visibility[:, c] = (random.poisson(PHOTONS * mean) + 1) / PHOTONS
    values = visibility.reshape(-1)
    order = random.permutation(rows) if shuffled else None
    with uproot.recreate(path) as file:
        tree = file.mktree("PhotonLibraryData", {"Voxel": "i4", "OpChannel": "i4", "Visibility": "f4"})
        for first in range(0, rows, AT_ONCE):
            row = np.arange(first, min(first + AT_ONCE, rows)) if order is None else order[first : first + AT_ONCE]
            tree.extend({"Voxel": (row // CHANNELS).astype("i4"), "OpChannel": (row % CHANNELS).astype("i4"), "Visibility": values[row]})
    return rows


def plain(path: Path, divisions: tuple[int, int, int]) -> None:
    """The idiom of notebooks."""
    found = uproot.open(path)["PhotonLibraryData"].arrays(["Voxel", "OpChannel", "Visibility"], library="np")
    table = np.zeros((int(np.prod(divisions)), CHANNELS), np.float32)
    table[found["Voxel"], found["OpChannel"]] = found["Visibility"]


def filled(path: Path, divisions: tuple[int, int, int], folder: Path, most: int, controlled: bool, hands: Workers = ALONE) -> None:
    """The table with its rows checked; controlled: and its voxels."""
    geometry = Geometry(min_cm=LOWER_CM, max_cm=UPPER_CM, divisions=divisions)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source = open_larsoft(path, "direct", CHANNELS, geometry)
        table = fill_table(source, Quality(), Path(scratch), most, hands)
        assert table.findings == ()
        if controlled:
            found = check_library(table.values, source.box, sensors(), PHOTONS, "direct", Quality(), table.flags)
            assert found.findings == (), found.findings


def stepped(path: Path, divisions: tuple[int, int, int], folder: Path, most: int, hands: Workers = ALONE) -> None:
    """The whole step."""
    disks, listed = sensors(), folder / "channels.json"
    centre, normal = (disks.centre * 100).tolist(), disks.normal.tolist()
    listed.write_text(json.dumps([{"channel": c, "kind": "disk", "centre": centre[c], "normal": normal[c], "radius": 10.0} for c in range(CHANNELS)]))
    geometry = {"min_cm": LOWER_CM, "max_cm": UPPER_CM, "divisions": divisions}
    keys = {"format": "larsoft", "component": "direct", "library": str(path), "channels": str(listed), "photons_per_voxel": PHOTONS}
    read_library.TABLE_BYTES = most
    read_library.read_library(path, listed, folder / "library.nc", load_entry("dune", keys | {"geometry": geometry}), hands)


def _anonymous() -> int:
    """Bytes of this process that are not backed by files: what a memory-mapped table holds can be dropped at any time."""
    return sum(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")) * 1024


def measured(way, arguments: tuple, answer) -> None:
    """CPU seconds and the highest memory above the start, in a fresh process."""
    peak, done = [start := _anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.perf_counter()
    way(*arguments)
    wall = time.perf_counter() - wall
    ended = resource.getrusage(resource.RUSAGE_SELF)
    done.set()
    watcher.join()
    answer.put((ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime, wall, peak[0] - start))


def beside(millions: float, folder: Path) -> None:
    """Write, read by one process and by workers, print."""
    os.environ["OMP_NUM_THREADS"] = "1"
    divisions = box_of(millions)
    with ExitStack() as stack:
        began = time.perf_counter()
        two = stack.enter_context(hired(2, MEMORY // 3, folder))
        print(f"two workers are there after {time.perf_counter() - began:.1f} s\n")
        one = stack.enter_context(hired(1, MEMORY // 3, folder))
        ways = {"own process, in memory": ALONE, "own process, in files": Workers(1, memory=one.memory), "1 worker": one, "2 workers": two}
        print("| rows | order | what | " + " | ".join(f"{way} [M rows/s]" for way in ways) + " | 2 workers / 1 |\n|" + "---|" * (len(ways) + 4))
        for order in ("sorted", "shuffled"):
            path = folder / f"{order}.root"
            rows = write(path, divisions, order == "shuffled")
            for what, way, more in (("table", filled, (False,)), ("whole step", stepped, ())):
                seconds: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(1 + REPEATS):
                    for name, hands in ways.items():
                        began = time.perf_counter()
                        way(path, divisions, folder, min(TABLE, hands.memory // 2 or TABLE), *more, hands)
                        seconds[name].append(time.perf_counter() - began)
                middle = {name: sorted(found[1:])[REPEATS // 2] for name, found in seconds.items()}
                told = " | ".join(f"{rows / middle[name] / 1e6:.1f}" for name in ways)
                print(f"| {rows / 1e6:.1f} M | {order} | {what} | {told} | {middle['1 worker'] / middle['2 workers']:.2f} |", flush=True)
            path.unlink()


def main(millions: float, folder: Path) -> None:
    """Write, read, print."""
    os.environ["OMP_NUM_THREADS"] = "1"
    divisions = box_of(millions)
    table = 4 * int(np.prod(divisions)) * CHANNELS
    print("| rows | order | way | memory given / table | M rows a CPU-second | wall [s] | peak memory / dense table |\n|---|---|---|---|---|---|---|")
    for order in ("sorted", "shuffled"):
        path = folder / f"{order}.root"
        rows = write(path, divisions, order == "shuffled")
        ways = [("plain idiom, nothing checked", "-", plain, ())]
        for given, most in (("1", table), ("1/4", table // 4)):
            ways += [("fill_table", given, filled, (folder, most, False)), ("and check_library", given, filled, (folder, most, True))]
            ways += [("and library.nc", given, stepped, (folder, most))]
        for name, given, way, more in ways:
            context = multiprocessing.get_context("spawn")
            answer = context.Queue()
            process = context.Process(target=measured, args=(way, (path, divisions, *more), answer))
            process.start()
            cpu, wall, memory = answer.get()
            process.join()
            print(f"| {rows / 1e6:.1f} M | {order} | {name} | {given} | {rows / cpu / 1e6:.1f} | {wall:.1f} | {memory / table:.2f} |", flush=True)
        path.unlink()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        words = [word for word in sys.argv[1:] if word != "workers"]
        way = beside if len(words) < len(sys.argv) - 1 else main
        way(float(words[0]) if words else 40, Path(words[1]) if len(words) > 1 else Path(made))
