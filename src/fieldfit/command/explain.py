"""`fieldfit explain`: what a product was made with, and how it is made again."""

import argparse
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from fieldfit.command.arguments import NETCDF, add_path, add_verb
from fieldfit.command.workflow import snakemake_command
from fieldfit.contract.where import WHERE
from fieldfit.provenance import sha256
from fieldfit.types import InputError, nearest

EXAMPLES = """  fieldfit explain results/dune/mini/visibility.nc              where it comes from, and whether its inputs are what they were
  fieldfit explain results/magis/night/phase.nc --chain         and where its inputs come from, down to the raw files
  fieldfit explain results/dune/mini/visibility.nc --config     its entry of the configuration, to make it again
"""
LISTED = 6  # files of one folder and one fate that are listed one by one
DATED = 1e9  # s: later times are seconds since 1970, earlier ones those of a run


@dataclass(frozen=True)
class Input:
    """A file that a product was made from. path: as it was given; where: from here; was: its SHA-256 then."""

    path: str
    where: Path
    was: str


def add(verbs: Any) -> None:
    """The verb `explain`."""
    told = "where a product comes from, and the command that makes it again"
    verb = add_verb(verbs, "explain", told, EXAMPLES, run)
    add_path(verb, "product", "a NetCDF file below results/", NETCDF)
    verb.add_argument("--chain", action="store_true", help="inputs that are products with their own inputs below them, down to the raw files")
    verb.add_argument("--config", action="store_true", help="print its entry of the configuration as YAML, and nothing else")


def run(asked: argparse.Namespace) -> int:
    print(entry_text(asked.product) if asked.config else explain(asked.product, asked.chain))
    return 0


def explain(product: Path, chain: bool = False) -> str:
    """Title, step, code, environment, configuration, seed, calibrations, each input with what became of it since, and how it is made again.

    chain: inputs of inputs too. Raises InputError for a file that is no product of fieldfit.
    """
    told, place = read_attributes(product), _place(product)
    home = product.resolve().parents[len(place.parts) - 1]
    inputs = _inputs(told, home)
    holding = [f"{name}: {span}" for name, span in _calibrations(inputs, home).items()]
    lines = [
        f"{product}: {told['title']}",
        f"  made by       {told['history'].removeprefix('made by ')}, commit {told['git_commit']}",
        f"  with          {told.get('environment', 'not recorded')}",
        f"  config        {told['config_sha256'][:12]}, entry {place.parts[1]}.{place.parts[2]} (--config prints it)",
        f"  seed          {told['seed']}",
        *_column("calibrations", holding or ["none"]),
        *_column("inputs", list(_tree(inputs, home, chain, set())) or ["none"]),
    ]
    there = Path() if home == Path.cwd() else home
    again = snakemake_command(home, "again.yaml", "--force", str(place))
    asked = f"fieldfit explain {product if there == Path() else place} --config > again.yaml"
    return "\n".join([*lines, *_column("again", [*([f"cd {there}"] if there != Path() else []), asked, again])])


def entry_text(product: Path) -> str:
    """The entry of the configuration that a product was made with, as YAML. Raises InputError for a file that is no product of fieldfit.

    The entry of a step that reads no calibration names none: those of the products it was made from are put back.
    """
    told, place = read_attributes(product), _place(product)
    entry, home = json.loads(told["config"]), product.resolve().parents[len(place.parts) - 1]
    if "calibrations" in entry:
        for _, found in _sensors(_inputs(told, home), home):
            entry["calibrations"] |= json.loads(found["config"])["calibrations"]
    return yaml.safe_dump({place.parts[1]: {place.parts[2]: entry}}, sort_keys=False).rstrip()


def _column(title: str, lines: list[str]) -> list[str]:
    return [f"  {title if k == 0 else '':13} {line}" for k, line in enumerate(lines)]


def _inputs(told: dict[str, Any], home: Path) -> list[Input]:
    return [Input(path, home / path, was) for path, was in re.findall(r"(.+?) sha256:([0-9a-f]{64})(?:; |$)", told["inputs"])]


def _tree(inputs: list[Input], home: Path, chain: bool, seen: set[str]) -> Iterator[str]:
    """A line an input, its own inputs below it where `chain` asks for them; many files of one folder that are what they were are one line."""
    told = [(one, (Path(one.path).parent, _since(one), _made(one.where) if chain else None)) for one in inputs]
    for (folder, fate, made), alike in groupby(told, lambda pair: pair[1]):
        group = [found for found, _ in alike]
        if len(group) > LISTED and not made:
            yield f"{folder}/: {len(group):,} files, {Path(group[0].path).name} to {Path(group[-1].path).name}: {fate}"
            continue
        for one in group:
            step = f" [{made.partition(' ')[0]}]" if made else ""
            yield f"{one.path}{step}: {fate}" + (", told above" if made and one.path in seen else "")
            if made and one.path not in seen:
                seen.add(one.path)
                yield from (f"  {line}" for line in _tree(_inputs(_header(one.where), home), home, chain, seen))


def _since(one: Input) -> str:
    if not one.where.exists():
        return f"absent now (sha256 {one.was[:12]}...)"
    now = sha256(one.where)
    return "unchanged" if now == one.was else f"CHANGED since: sha256 {one.was[:12]}..., now {now[:12]}..."


def _made(path: Path) -> str | None:
    """Step that made a product, None for any other file."""
    history = _header(path).get("history", "") if path.suffix == ".nc" else ""
    return history.removeprefix("made by ") if history.startswith("made by ") else None


def _header(path: Path) -> dict[str, Any]:
    """Attributes of an HDF5 file, {} where they cannot be read. A night has thousands of products: xarray would take a minute."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return dict(file.attrs)
    except OSError:
        return {}


def _sensors(inputs: list[Input], home: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Sensor products that a product was made from, at any distance, with their attributes."""
    waiting, seen = list(inputs), set()
    while waiting:
        one = waiting.pop(0)
        if one.path in seen or one.where.suffix != ".nc":
            continue
        seen.add(one.path)
        told = _header(one.where)
        if told.get("product") == "sensor":
            yield one.where, told
        elif "inputs" in told:
            waiting += _inputs(told, home)


def _calibrations(inputs: list[Input], home: Path) -> dict[str, str]:
    """When each calibration holds, by its name."""
    import h5py

    found = {}
    for path, told in _sensors(inputs, home):
        with h5py.File(path, "r") as file:
            found[str(told["calibration"])] = _span(float(file["valid_from"][()]), float(file["valid_until"][()]))
    return found


def _span(first: float, last: float) -> str:
    if math.isinf(first) and math.isinf(last):
        return "valid always"
    return "valid " + " ".join(f"{word} {_when(time)}" for word, time in (("from", first), ("until", last)) if math.isfinite(time))


def _when(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if time > DATED else f"{time:g} s"


def read_attributes(product: Path) -> dict[str, Any]:
    from fieldfit.io.products import attributes_of  # takes a second, which --help need not wait for

    told = attributes_of(product, f"a product below results/{_beside(product)}")
    kind = str(told.get("product"))
    if kind not in WHERE or "config" not in told:
        raise InputError(f"{product}: is a product of kind {kind!r}, expected one of fieldfit's{nearest(kind, WHERE)}")
    return told


def _beside(product: Path) -> str:
    """A hint at the nearest product that is there, for a path that is not."""
    if product.exists():
        return ""
    room = next((folder for folder in product.parents if folder.is_dir()), Path())
    return nearest(str(product), [str(path) for path in room.rglob("*.nc")])


def _place(product: Path) -> Path:
    """results/... as the DAG names it. Raises InputError for a file that does not lie there."""
    parts = product.resolve().parts
    if "results" not in parts[:-3]:
        raise InputError(f"{product}: does not lie below a folder results/, expected results/{{section}}/{{name}}/...")
    last = max(k for k, part in enumerate(parts[:-3]) if part == "results")
    return Path(*parts[last:])
