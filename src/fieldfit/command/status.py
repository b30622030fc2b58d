"""`fieldfit status`: how far a night is: done, running, failed, remaining time; and its alarms."""

import argparse
import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from fieldfit.command.arguments import FILES, add_path, add_verb
from fieldfit.command.check import default_configuration, read_yaml
from fieldfit.logs import last_words
from fieldfit.paths import night_page
from fieldfit.sizes import seconds_taken

if TYPE_CHECKING:
    from fieldfit.plan import Night, Plan

EXAMPLES = """  fieldfit status                                       the latest night of config.yaml in this folder
  fieldfit status 2026-11-25 --configfile mine.yaml     another night
  fieldfit status || mail -s "the night" me             exit status 0: done and well, 1: bad input, 2: not done, 3: done, with alarms
"""
NOT_DONE, ALARMS = 2, 3
BAR = 24  # characters
SHOWN = 5  # failures of a step that are told


@dataclass(frozen=True)
class Progress:
    """Jobs of one step of a run. failed: (product, last line of its log); seconds: of each job so far."""

    rule: str
    total: int
    done: int
    running: int
    failed: Sequence[tuple[Path, str]]
    seconds: Sequence[float]

    @property
    def left(self) -> float:
        """Seconds of computing that are left, one job after the other; NaN where no job has told how long it takes."""
        waiting = self.total - self.done
        return waiting * median(self.seconds) if self.seconds else math.nan if waiting else 0.0


def add(verbs: Any) -> None:
    """The verb `status`."""
    verb = add_verb(verbs, "status", "how far a night is: done, running, failed, remaining time, alarms", EXAMPLES, run)
    verb.add_argument("night", nargs="?", help="YYYY-MM-DD, or the name of a magis run (default: the latest)")
    add_path(verb, "--configfile", "YAML file (default: config.yaml of this folder, else the demo)", FILES)


def run(asked: argparse.Namespace) -> int:
    from fieldfit.config.load import load_config
    from fieldfit.plan import Plan

    path = asked.configfile or default_configuration()
    mapping = read_yaml(path) | ({"night": asked.night} if asked.night else {})
    plan = Plan(load_config(mapping, str(path)))
    text, status = status_of(plan, plan.night())
    print(text)
    return status


def status_of(plan: "Plan", night: "Night", home: Path = Path()) -> tuple[str, int]:
    """The table of a night and the exit status: 0 done, NOT_DONE, or done with ALARMS. home: the working folder."""
    started = unfinished(home)
    alive = any((home / ".snakemake/locks").glob("*"))
    lines, complete = [f"Night {night.name}: {', '.join(night.runs)}"], True
    left: list[float] = []
    for name in night.runs:
        lines.append(f"{name}")
        for step in progress(plan, name, home, started, alive):
            complete &= step.done == step.total
            left.append(step.left)
            lines += _lines(step)
    for name in night.absent:
        lines.append(f"{name}: no shots this night")
    if started and not alive:
        lines.append(f"Cut off in the middle of {len(started)} products: run snakemake again.")
    if not complete:
        known = sum(seconds for seconds in left if math.isfinite(seconds))
        told = f"{_time(known)} of computing, one job after the other" if known else "no job has told yet how long it takes"
        return "\n".join([*lines, f"Not done: {told}." + ("" if alive else " Nothing is running.")]), NOT_DONE
    page, alarms = (home / path for path in night_page(night.name))
    if not alarms.is_file():
        return "\n".join([*lines, "The page of the night is not made yet."]), NOT_DONE
    told = json.loads(alarms.read_text())
    lines.append(f"Page: {page}")
    lines += [f"ALARM {alarm['text']}" for alarm in told["alarms"]]
    if not told["alarms"]:
        lines.append("Done, no alarm.")
    return "\n".join(lines), ALARMS if told["alarms"] else 0


def progress(plan: "Plan", run: str, home: Path, started: set[str], alive: bool) -> list[Progress]:
    """Steps of a run with the products that they make. started: products that a job is at work on, or was when it was cut off (not alive)."""
    found = []
    for rule, products in plan.steps_of(run).items():
        done = [path for path in products if (home / path).is_file() and path not in started]
        at_work = [path for path in products if alive and path in started]
        missing = [Path(path) for path in products if path not in done and path not in at_work]
        logs = home / "logs/magis" / run
        failed = [(path, words) for path in missing if (words := last_words(logs, rule, path))]
        found.append(Progress(rule, len(products), len(done), len(at_work), failed, seconds_taken(logs / rule, logs / f"{rule}.tsv")))
    return found


def unfinished(home: Path) -> set[str]:
    """Products that a job was at work on when Snakemake last wrote it down: running ones, or those of a run that was cut off."""
    found = set()
    for path in (home / ".snakemake/incomplete").rglob("*"):
        if path.is_file():
            name = "".join(part.removeprefix("@") for part in path.relative_to(home / ".snakemake/incomplete").parts)
            try:
                found.add(base64.urlsafe_b64decode(name).decode())
            except (binascii.Error, UnicodeDecodeError):
                continue
    return found


def _lines(step: Progress) -> list[str]:
    share = step.done / step.total if step.total else 1.0
    bar = ("█" * round(share * BAR)).ljust(BAR, "░")
    more = [f"{step.running} running"] if step.running else []
    more += [f"{len(step.failed)} failed"] if step.failed else []
    more += [f"{_time(step.left)} left"] if step.done < step.total and math.isfinite(step.left) else []
    told = [f"  {step.rule:18} {bar} {step.done:,} of {step.total:,}" + "".join(f", {part}" for part in more)]
    told += [f"    failed: {path}: {words[:160]}" for path, words in step.failed[:SHOWN]]
    return told + ([f"    and {len(step.failed) - SHOWN} more"] if len(step.failed) > SHOWN else [])


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
