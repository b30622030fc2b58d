"""Trees of ROOT files: found, checked and streamed, with a message for each thing that is not as expected."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from fieldfit.io.optical.source import ROWS, Part
from fieldfit.types import InputError, nearest

WHOLE, REAL = "whole numbers", "real numbers"
LISTED = 12  # names in a message


@dataclass(frozen=True)
class Tree:
    """Where a tree lies in a file: name with its folder, the folder ('' at the top), rows, branches."""

    path: Path
    name: str
    folder: str
    rows: int
    branches: tuple[str, ...]


@contextmanager
def opened(path: Path, expected: str) -> Iterator[Any]:
    """The ROOT file at `path`. Raises InputError when it is none, and for what uproot finds damaged while it is open."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected {expected}")
    try:
        file = uproot.open(path)
    except Exception as error:  # uproot raises many kinds for what is no ROOT file
        raise InputError(f"{path}: cannot be read as ROOT ({told(error)}), expected {expected}") from None
    with file:
        promised, held = int(file.file.fEND), path.stat().st_size
        if held < promised:  # what is left may look whole: the tree of small files comes first
            raise InputError(f"{path}: is cut off, it has {held} of the {promised} bytes that its header promises; expected a whole file")
        try:
            yield file
        except (InputError, MemoryError):
            raise
        except Exception as error:  # of a damaged one, whatever is looked at in it
            raise InputError(f"{path}: cannot be read as ROOT ({told(error)}), expected {expected}") from None


def trees_of(file: Any) -> list[str]:
    """Names of all trees, with their folders."""
    return [name for name, kind in file.classnames(recursive=True, cycle=False).items() if kind == "TTree"]


def find_tree(file: Any, name: str, path: Path, expected: str) -> Tree:
    """The one tree of that name, in any folder. Raises InputError when it is absent, twice there, or empty."""
    trees = trees_of(file)
    found = [tree for tree in trees if tree.split("/")[-1] == name]
    if not found:
        listed = ", ".join(trees[:LISTED]) or "none"
        raise InputError(f"{path}: no tree {name} (trees found: {listed}), expected {expected}{nearest(name, trees)}")
    if len(found) > 1:
        raise InputError(f"{path}: {len(found)} trees {name} ({', '.join(found)}), expected one")
    try:
        tree = file[found[0]]
        rows, branches = int(tree.num_entries), tuple(tree.keys(recursive=False))
    except Exception as error:
        raise InputError(f"{path}: the tree {found[0]} cannot be read ({told(error)}), expected a whole file") from None
    if not rows:
        raise InputError(f"{path}: the tree {found[0]} has no rows, expected one a voxel and channel")
    return Tree(path, found[0], found[0].rpartition("/")[0], rows, branches)


def check_branch(file: Any, tree: Tree, branch: str, kind: str, why: str = "", wide: bool = False) -> int:
    """Numbers a row of a branch (1 unless `wide`). Raises InputError when it is absent or holds something else."""
    if branch not in tree.branches:
        hint = nearest(branch, [name for name in tree.branches if name not in ("Visibility", "Voxel", "OpChannel")])
        raise InputError(f"{tree.path}: the tree {tree.name} has no branch {branch} (branches: {', '.join(tree.branches)}){why}{hint}")
    found = file[tree.name]
    dtype = np.dtype(getattr(found[branch].interpretation, "numpy_dtype", object))
    base, shape = dtype.base, dtype.shape
    if base.kind not in ("iu" if kind == WHOLE else "f") or len(shape) != int(wide):
        raise InputError(
            f"{tree.path}: branch {branch} holds {found.typenames().get(branch, dtype)}, expected {'an array' if wide else 'one'} of {kind} a row"
        )
    return int(shape[0]) if wide else 1


def cuts_of(file: Any, tree: Tree, branches: tuple[str, ...]) -> tuple[int, ...]:
    """Rows at which the baskets of all these branches begin, from 0 to the tree's length: between two of them no basket is unpacked for
    a neighbour's sake. Empty when the file's own list of them makes no sense: it is then read in one piece, and tells what is wrong with it."""
    try:
        found = tuple(int(row) for row in file[tree.name].common_entry_offsets(filter_name=list(branches), recursive=False))
    except Exception:  # of a damaged file, many kinds: `stream` tells of it
        return ()
    sound = found[:1] == (0,) and found[-1:] == (tree.rows,) and all(a < b for a, b in zip(found[:-1], found[1:], strict=True))
    return found if sound else ()


def stream(tree: Tree, branches: tuple[str, ...], part: Part | None, rows: int = ROWS) -> Iterator[dict[str, NDArray[Any]]]:
    """Branches, some rows at a time, of a part of the tree's rows (None: all). Raises InputError when the file breaks off."""
    first, last = part or (0, tree.rows)
    with opened(tree.path, "a whole file") as file:
        try:
            yield from file[tree.name].iterate(list(branches), step_size=rows, library="np", entry_start=first, entry_stop=last)
        except Exception as error:
            if isinstance(error, (InputError, MemoryError)):
                raise
            raise InputError(f"{tree.path}: the tree {tree.name} cannot be read ({told(error)}), expected a whole file") from None


def told(error: Exception) -> str:
    """The first line of what another library says, without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":.")[:200]
