"""Where a product comes from: versions, checksums, and the hash of the code that a step runs."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
# Every job of a cluster reads the rules anew: a syntax tree of each module would take half a second of it.
IMPORT = re.compile(r"^[ \t]*(?:from (fieldfit[\w.]*) import (\([^)]*\)|[^\n]*)|import (fieldfit[\w.]*))", re.MULTILINE)
WORD = re.compile(r"\w+")


@cache
def import_closure(module: str) -> tuple[str, ...]:
    """Every module of the package that `module` imports, itself included, found in the source text.

    Raises ModuleNotFoundError when the package has no such module.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += _imports(name)
    return tuple(sorted(seen))


@cache
def code_hash(module: str) -> str:
    """Hash of the sources of a step's import closure: in a rule's params it reruns what an edit affects, and only that."""
    digest = hashlib.sha256()
    for name in import_closure(module):
        digest.update(name.encode() + b"\0" + _source(name).read_bytes())
    return digest.hexdigest()[:16]


@cache
def _imports(module: str) -> tuple[str, ...]:
    found: list[str] = []
    for start, names, plain in IMPORT.findall(_source(module).read_text()):
        found += [plain] if plain else [start, *(f"{start}.{name}" for name in WORD.findall(names))]
    return tuple(name for name in found if name.startswith("fieldfit.") and _find(name))


def _find(module: str) -> Path | None:
    stem = PACKAGE.joinpath(*module.split(".")[1:])
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _source(module: str) -> Path:
    path = _find(module)
    if path is None:
        raise ModuleNotFoundError(f"{module}: no such module in {PACKAGE}")
    return path


def sha256(path: Path) -> str:
    """Checksum of a file, or of the names and contents of all files below a folder."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(str(file.relative_to(path)).encode() + b"\0" + sha256(file).encode())
    else:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def checksum_file(path: Path) -> Path:
    """Where the checksum of a product is recorded, a line that `sha256sum --check` reads."""
    return path.with_name(f"{path.name}.sha256")


def written_checksum(path: Path) -> str | None:
    """The checksum that a product had when it was written, None where none is recorded."""
    try:
        found = checksum_file(path).read_text().split()
    except (OSError, UnicodeDecodeError):
        return None
    return found[0] if len(found) == 2 and len(found[0]) == 64 else None


def checksum(path: Path) -> str:
    """Checksum of an input, read from its record where the product is not newer than that.

    Snakemake sets a product's time anew when its job has ended, so the first reader reads all of it. It dates the record, and those after it
    need not: a late block's merge reads one density and not those of the whole night.
    """
    written = written_checksum(path)
    since = path.stat().st_mtime_ns  # before it is read: what is written meanwhile is newer
    if written and since <= checksum_file(path).stat().st_mtime_ns:
        return written
    found = sha256(path)
    if found == written:
        with contextlib.suppress(OSError):  # a read-only folder
            os.utime(checksum_file(path), ns=(since, since))
    return found


def canonical(config: Any) -> str:
    """The configuration as text that does not depend on the order of keys."""
    return json.dumps(config, sort_keys=True, default=str)


@cache
def git_commit() -> str:
    """Commit of the checkout that the package lies in, `-dirty` with local edits, or 'not a git checkout'."""
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        text = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "not a git checkout"
    return text.stdout.strip() or "not a git checkout"


@cache
def environment() -> str:
    """Python and the libraries that numbers depend on, with their versions, and the machine's kind."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "torch", "dask", "xarray", "h5netcdf"))
    return ", ".join([f"python {platform.python_version()}", *versions, f"{platform.system()} {platform.machine()}"])


def attributes(inputs: Iterable[Path], config: Any, seed: int | None, title: str, step: str) -> dict[str, str]:
    """Provenance attributes of a product: title, history, versions, configuration and inputs with their checksums."""
    version = importlib.metadata.version("fieldfit")
    return {
        "Conventions": "CF-1.11",
        "title": title,
        "history": f"made by {step} of fieldfit {version}",
        "institution": "not stated",
        "source": f"fieldfit {version}",
        "fieldfit_version": version,
        "git_commit": git_commit(),
        "environment": environment(),
        "config": canonical(config),
        "config_sha256": hashlib.sha256(canonical(config).encode()).hexdigest(),
        "seed": "none" if seed is None else str(seed),
        "inputs": "; ".join(f"{path} sha256:{checksum(Path(path))}" for path in inputs) or "none",
    }
