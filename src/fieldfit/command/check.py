"""`fieldfit check`: a configuration and its inputs, looked at without running anything."""

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fieldfit.command.arguments import FILES, add_path, add_verb
from fieldfit.command.workflow import checkout_of_package
from fieldfit.types import InputError, nearest

if TYPE_CHECKING:
    from fieldfit.command.inputs import Found

EXAMPLES = """  fieldfit check                          config.yaml of this folder, or the demo where there is none
  fieldfit check mine.yaml                the configuration that `snakemake --configfile mine.yaml` would run
  fieldfit check mine.yaml && uv run snakemake --cores all --configfile mine.yaml
"""
LEAST_ROOM = 36  # characters for what was found beside the path; below, it stands under it
SECTIONS = ("magis", "dune", "design", "gallery")


def add(verbs: Any) -> None:
    """The verb `check`."""
    verb = add_verb(verbs, "check", "look at a configuration and its inputs without running anything", EXAMPLES, run)
    add_path(verb, "configfile", "YAML file (default: config.yaml of this folder, else the demo)", FILES, nargs="?")


def run(asked: argparse.Namespace) -> int:
    text, faults = check(asked.configfile or default_configuration(), shutil.get_terminal_size((110, 24)).columns)
    print(text)
    return int(faults > 0)


def default_configuration() -> Path:
    """config.yaml of the working folder, else the demo's. Raises InputError where there is neither."""
    here, checkout = Path("config.yaml"), checkout_of_package()
    if here.is_file() or checkout is None:
        return here
    return checkout / "config/config.yaml"


def check(path: Path, width: int) -> tuple[str, int]:
    """The table of inputs, the jobs, and every fault in full; and how many faults there are. width: of the lines, in characters.

    Raises InputError for a configuration that is none: with one line a fault of it.
    """
    from fieldfit.command.inputs import look
    from fieldfit.command.jobs import jobs_of
    from fieldfit.config.load import load_config
    from fieldfit.plan import Plan

    mapping = read_yaml(path)
    plan = Plan(load_config(mapping, str(path)))
    rows = list(look(plan))
    faults = [f"{row.entry}: {line}" for row in rows if row.fault for line in row.fault.splitlines()]
    jobs = []
    for section in SECTIONS:
        for name in plan.at_hand() if section == "magis" else getattr(plan.config, section):
            try:
                jobs.append((f"{section}.{name}", jobs_of(plan, section, name)))
            except InputError:  # told above, of its shots
                jobs.append((f"{section}.{name}", {}))
    try:
        if plan.config.magis:
            plan.night()
    except InputError as error:
        faults.append(str(error))
    title = f"{path}: {len(jobs)} {'entry' if len(jobs) == 1 else 'entries'}{_demo(path)}"
    lines = [*textwrap.wrap(title, width), "", *_table(rows, width), "", *_jobs(jobs, width)]
    lines += ["", f"{len(faults)} faults:" if len(faults) > 1 else "1 fault:"] if faults else ["", "No fault found. Nothing was run."]
    return "\n".join([*lines, *(part for fault in faults for part in _wrapped(fault, width))]), len(faults)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file, as Snakemake reads it. Raises InputError with file and line where it cannot be read, or is no mapping."""
    try:
        found = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        beside = [str(other) for suffix in ("yaml", "yml") for other in path.parent.glob(f"*.{suffix}")] if path.parent.is_dir() else []
        raise InputError(f"{path}: no such file, expected a configuration in YAML{nearest(str(path), beside)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected a configuration in YAML") from None
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: is no YAML: {told}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds {'nothing' if found is None else type(found).__name__}, expected the sections {', '.join(SECTIONS)}")
    return found


def _demo(path: Path) -> str:
    checkout = checkout_of_package()
    return " (the demo: no config.yaml in this folder)" if checkout is not None and path == checkout / "config/config.yaml" else ""


def _table(rows: Sequence["Found"], width: int) -> list[str]:
    """Four columns, the last of them wrapped; two lines an input where the terminal is too narrow for that."""
    head = ("entry", "input", "path", "found")
    cells = [(row.entry, row.key, row.path, row.found) for row in rows]
    wide = [max(len(line[k]) for line in [head, *cells]) for k in range(3)]
    room = width - sum(wide) - 6
    lines = []
    if room < LEAST_ROOM:
        for entry, key, path, found in cells:
            lines += [
                *_wrapped(entry if key == "-" else f"{entry} {key}: {path}", width),
                *textwrap.wrap(found, width, initial_indent="    ", subsequent_indent="    "),
            ]
        return lines
    before = ""
    for line in [head, *cells]:
        entry = "" if line[0] == before else line[0]
        before = line[0]
        start = "  ".join(text.ljust(size) for text, size in zip((entry, *line[1:3]), wide, strict=True))
        parts = textwrap.wrap(line[3], room)
        lines += [f"{start}  {parts[0]}", *(" " * (sum(wide) + 6) + part for part in parts[1:])]
    return lines


def _jobs(jobs: list[tuple[str, dict[str, int]]], width: int) -> list[str]:
    lines = [f"{sum(count for _, rules in jobs for count in rules.values()):,} jobs, and the report:"]
    for name, rules in jobs:
        told = ", ".join(rule if count == 1 else f"{count:,} {rule}" for rule, count in rules.items()) or "not known"
        lines += _wrapped(f"{name}: {told}", width)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
