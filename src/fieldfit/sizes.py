"""Memory and time that a job asks a scheduler for: what earlier jobs of the same step took, by their `benchmark:` files, or an estimate.

Each further try asks for half as much again: a job that was killed for its size gets through without anybody watching.
"""

import csv
import math
from functools import cache
from pathlib import Path

MARGIN = 1.3  # over the largest that was measured
LOOKED = 200  # files that are read, the latest
LEAST_MB, LEAST_MINUTES = 500, 5
MIB = 1.048576  # the benchmark files count memory in MiB


def memory_mb(benchmarks: Path, estimate: float, attempt: int) -> int:
    """Memory [MB] for a job whose step's benchmark files lie in a folder, or are that file; estimate: where there are none yet."""
    largest, _ = measured(benchmarks)
    return math.ceil((max(LEAST_MB, MARGIN * MIB * largest) if largest else estimate) * 1.5 ** (attempt - 1))


def minutes(benchmarks: Path, estimate: float, attempt: int, start: float = LEAST_MINUTES) -> int:
    """Running time [min] likewise, with `start` minutes for the start."""
    _, longest = measured(benchmarks)
    return math.ceil((start + MARGIN * longest / 60 if longest else estimate) * 1.5 ** (attempt - 1))


@cache
def measured(benchmarks: Path) -> tuple[float, float]:
    """(largest resident set [MiB], longest time [s]) of the jobs so far, zeros where there are none or the system did not tell."""
    rows = _latest(benchmarks)
    return max((_number(row.get("max_rss")) for row in rows), default=0.0), max((_number(row.get("s")) for row in rows), default=0.0)


def seconds_taken(*benchmarks: Path) -> list[float]:
    """Seconds of each job so far, of the latest ones; benchmarks: folders of benchmark files, or files."""
    return [seconds for path in benchmarks for row in _latest(path) if (seconds := _number(row.get("s"))) > 0]


def seconds_by_step(folder: Path) -> dict[str, float]:
    """Seconds of a run's steps, the sum over their jobs; folder: of the run's logs, where a step of blocks has a folder of its own."""
    found: dict[str, float] = {}
    for path in sorted(folder.rglob("*.tsv")):
        step = path.stem if path.parent == folder else path.relative_to(folder).parts[0]
        found[step] = found.get(step, 0.0) + sum(_number(row.get("s")) for row in _rows(path))
    return found


def _latest(benchmarks: Path) -> list[dict[str, str]]:
    files = [benchmarks] if benchmarks.is_file() else list(benchmarks.glob("*.tsv"))
    return [row for path in sorted(files, key=lambda path: path.stat().st_mtime)[-LOOKED:] for row in _rows(path)]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def _number(text: str | None) -> float:
    """0 for the `-` of a system that does not tell, and for a file that was cut short."""
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
