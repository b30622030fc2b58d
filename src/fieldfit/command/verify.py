"""`fieldfit verify`: whether products are still what they were when they were written."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fieldfit.command.arguments import FOLDERS, add_path, add_verb
from fieldfit.command.workflow import snakemake_command
from fieldfit.provenance import checksum_file, sha256, written_checksum
from fieldfit.types import InputError

EXAMPLES = """  fieldfit verify                                               every product below results/
  fieldfit verify results/magis/clouds-2026-11-24               those of one night
  fieldfit verify results/magis/night/phase.nc                  one product
"""


class Finding(StrEnum):
    """What a product's checksum says of it."""

    intact = "intact"
    corrupted = "CORRUPTED"
    unrecorded = "without a checksum"  # its job was killed just before, or it is of an earlier version
    absent = "ABSENT, its checksum is there"


@dataclass(frozen=True)
class Checked:
    """A product and what was found."""

    product: Path
    finding: Finding


def add(verbs: Any) -> None:
    """The verb `verify`."""
    verb = add_verb(verbs, "verify", "whether products are still what they were when they were written, by their checksums", EXAMPLES, run)
    add_path(verb, "paths", "folders or products, by default results/", FOLDERS, nargs="*", default=[Path("results")])


def run(asked: argparse.Namespace) -> int:
    found = list(verified(asked.paths, sys.stderr.isatty()))
    print(report(found))
    return int(any(one.finding in (Finding.corrupted, Finding.absent) for one in found))


def verified(paths: Iterable[Path], bar: bool = False) -> Iterator[Checked]:
    """Each product below the paths, read whole, with what was found. bar: show the progress on standard error.

    Raises InputError for a path that is not there and one that holds no product.
    """
    from tqdm import tqdm

    # A path that is given twice, or inside of another, is read once.
    products = list(dict.fromkeys(product for path in paths for product in _products(path)))
    total = sum(product.stat().st_size for product in products if product.is_file())
    with tqdm(total=total, unit="B", unit_scale=True, disable=not bar, leave=False) as progress:
        for product in products:
            yield Checked(product, finding_of(product))
            progress.update(product.stat().st_size if product.is_file() else 0)


def finding_of(product: Path) -> Finding:
    """What the recorded checksum of a product says of it, whatever the files' times: Snakemake sets a product's anew when its job has ended."""
    if not product.is_file():
        return Finding.absent
    written = written_checksum(product)
    if written is None:
        return Finding.unrecorded
    return Finding.intact if sha256(product) == written else Finding.corrupted


def report(found: list[Checked]) -> str:
    """The counts, each product that is not intact, and how the corrupted ones are made again."""
    counts = {finding: sum(one.finding is finding for one in found) for finding in Finding}
    lines = [f"{len(found):,} products: " + ", ".join(f"{count:,} {finding}" for finding, count in counts.items() if count)]
    lines += [f"  {one.product}: {one.finding}" for one in found if one.finding is not Finding.intact]
    again = [one.product for one in found if one.finding in (Finding.corrupted, Finding.absent)]
    if again:
        lines += ["To make them again, and what follows from them, with the configuration of their night:"]
        lines += [f"  rm -f {' '.join(map(str, again))}"]
        lines += [f"  {snakemake_command(Path.cwd(), 'config.yaml')} {' '.join(map(str, again))}"]
    return "\n".join(lines)


def _products(path: Path) -> list[Path]:
    """The NetCDF products at or below a path, those as well of which only the checksum is left."""
    if path.is_file() or checksum_file(path).is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder, expected a product or a folder of products")
    recorded = {file.with_suffix("") for file in path.rglob("*.nc.sha256")}
    found = sorted(file for file in {*path.rglob("*.nc"), *recorded} if not file.name.startswith("."))
    if not found:
        raise InputError(f"{path}: no products, expected NetCDF files (*.nc) below it")
    return found
