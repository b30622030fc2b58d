"""The command `fieldfit`: what a product is and how it came about. Everything that computes is Snakemake's."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from fieldfit.contract.where import WHERE
from fieldfit.provenance import sha256
from fieldfit.types import InputError, nearest

EXAMPLES = """examples:
  fieldfit explain results/dune/mini/visibility.nc              where it comes from, and whether its inputs are what they were
  fieldfit explain results/dune/mini/visibility.nc --config     its entry of the configuration, to make it again
"""


def main(words: list[str] | None = None) -> int:
    """Run the command; 0, or 1 after a message for bad input."""
    parser = argparse.ArgumentParser("fieldfit", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verb = verbs.add_parser(
        "explain", help="where a product comes from: code, environment, configuration, inputs, and the command that makes it again"
    )
    verb.add_argument("product", type=Path, help="a NetCDF file below results/")
    verb.add_argument("--config", action="store_true", help="print its entry of the configuration as YAML, and nothing else")
    asked = parser.parse_args(words)
    try:
        print(entry_text(asked.product) if asked.config else explain(asked.product))
    except InputError as error:
        print(f"fieldfit: {error}", file=sys.stderr)
        return 1
    return 0


def explain(product: Path) -> str:
    """Title, step, code version, environment, seed, each input with what became of it since, and how to make the product again.

    Raises InputError for a file that is no product of fieldfit.
    """
    told = _attributes(product)
    lines = [f"{product}: {told['title']}", f"  made by   {told['history'].removeprefix('made by ')}, commit {told['git_commit']}"]
    lines += [f"  with      {told.get('environment', 'not recorded')}", f"  seed      {told['seed']}"]
    home = product.resolve().parents[len(_place(product).parts) - 1]
    inputs = [f"{path}: {_since(home / path, was)}" for path, was in re.findall(r"(.+?) sha256:([0-9a-f]{64})(?:; |$)", told["inputs"])]
    lines += [f"  {'inputs' if k == 0 else '':9} {line}" for k, line in enumerate(inputs or ["none"])]
    again = f"uv run snakemake --cores all --configfile again.yaml --force {_place(product)}"
    lines += [f"  again     fieldfit explain {product} --config > again.yaml", f"            {again}"]
    return "\n".join(lines)


def entry_text(product: Path) -> str:
    """The entry of the configuration that a product was made with, as YAML. Raises InputError for a file that is no product of fieldfit."""
    told, (_, section, name, *_) = _attributes(product), _place(product).parts
    return yaml.safe_dump({section: {name: json.loads(told["config"])}}, sort_keys=False).rstrip()


def _since(path: Path, was: str) -> str:
    if not path.exists():
        return f"absent now (sha256 {was[:12]}...)"
    now = sha256(path)
    return "unchanged" if now == was else f"CHANGED since: sha256 {was[:12]}..., now {now[:12]}..."


def _attributes(product: Path) -> dict[str, Any]:
    from fieldfit.io.products import attributes_of  # takes a second, which --help need not wait for

    told = attributes_of(product, "a product below results/")
    kind = str(told.get("product"))
    if kind not in WHERE or "config" not in told:
        raise InputError(f"{product}: is a product of kind {kind!r}, expected one of fieldfit's{nearest(kind, WHERE)}")
    return told


def _place(product: Path) -> Path:
    """results/... as the DAG names it. Raises InputError for a file that does not lie there."""
    parts = product.resolve().parts
    if "results" not in parts[:-3]:
        raise InputError(f"{product}: does not lie below a folder results/, expected results/{{section}}/{{name}}/...")
    last = max(k for k, part in enumerate(parts[:-3]) if part == "results")
    return Path(*parts[last:])
