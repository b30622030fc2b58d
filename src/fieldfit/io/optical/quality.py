"""Faults of a library's rows: how many, the first by name, and what the policy of the config makes of them.

A finding is one line: what, how many, the first one as the file names it, and what was done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Policy, Quality
from fieldfit.io.optical.source import Source
from fieldfit.types import InputError

Where = tuple[int, int]  # number of a part of the file, row in it: the file's order

BAD_LIMIT = 0.01  # share of bad values above which a column holds something else than visibilities
NOT_FINITE, NEGATIVE, ABOVE_ONE = "NaN or infinite", "negative", "above 1"


@dataclass
class Tally:
    """Rows with one fault, counted over the whole file, and the first of them in the file's order."""

    count: int = 0
    first: str = ""
    at: Where = (0, 0)

    def add(self, faulty: NDArray[np.bool_], name: Callable[[int], str], part: int, rows: Sequence[int] | NDArray[Any]) -> None:
        """Count the true ones; `name` says what row k of them all is, `rows` which one of the part of the file."""
        if faulty.any():
            k = int(np.argmax(faulty))
            self.join(Tally(int(faulty.sum()), name(k), (part, int(rows[k]))))

    def join(self, other: "Tally") -> None:
        """Count those of another one as well."""
        if other.count and (not self.count or other.at < self.at):
            self.first, self.at = other.first, other.at
        self.count += other.count


@dataclass
class Faults:
    """What was wrong with the rows of one library. values: by column and kind; outside: by index."""

    values: dict[tuple[str, str], Tally] = field(default_factory=dict)
    outside: dict[str, Tally] = field(default_factory=dict)
    same: Tally = field(default_factory=Tally)
    conflicting: Tally = field(default_factory=Tally)

    def join(self, other: "Faults") -> None:
        """Count those of other rows of the library as well."""
        for key, tally in other.values.items():
            self.values.setdefault(key, Tally()).join(tally)
        for name, tally in other.outside.items():
            self.outside.setdefault(name, Tally()).join(tally)
        self.same.join(other.same)
        self.conflicting.join(other.conflicting)


def kinds_of(values: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Which values are no shares of photons, by kind; empty when all are sound."""
    if not len(values) or (values.min() >= 0 and values.max() <= 1):  # false as well when one is NaN
        return {}
    finite = np.isfinite(values)
    found = {NOT_FINITE: ~finite, NEGATIVE: finite & (values < 0), ABOVE_ONE: finite & (values > 1)}
    return {kind: bad for kind, bad in found.items() if bad.any()}


def findings_of(faults: Faults, source: Source, quality: Quality) -> list[str]:
    """A line each. Raises InputError for what the policy calls an error, and for bad values that are too many to be accidents."""
    path, found = source.path, []
    for name, tally in sorted(faults.outside.items(), reverse=True):  # the order in which they were met depends on how the file is cut
        bound, what = (source.box.voxels, "voxels") if name == "voxel" else (source.channels, "channels")
        divisions = f"{' x '.join(map(str, source.box.divisions))} " if name == "voxel" else f"{source.channels} "
        text = f"{tally.count} of {source.rows} rows have a {name} outside 0 to {bound - 1} (first: {tally.first})"
        found.append(judged(quality.out_of_range, "out_of_range", path, text, f"{divisions}{what}", "dropped", "dropped"))
    for (column, kind), tally in sorted(faults.values.items(), key=lambda each: _rank(each[0], source)):
        share = f"all {source.rows}" if tally.count == source.rows else f"{tally.count} of {source.rows}"
        text = f"{share} values of {column} are {kind} (first: {tally.first})"
        expected = "shares of photons between 0 and 1"
        if tally.count > BAD_LIMIT * source.rows:
            raise InputError(f"{path}: {text}, expected {expected}; more than {BAD_LIMIT:.0%}, so {column} holds something else")
        done = "taken for no row" if kind == NOT_FINITE else "kept"
        found.append(judged(quality.bad_values, "bad_values", path, text, expected, "masked", done))
    for tally, key, kind, done in (
        (faults.same, "duplicates_same", "the same value", "kept once"),
        (faults.conflicting, "duplicates_conflicting", "different values", "the last is taken"),
    ):
        if tally.count:
            policy: Policy = getattr(quality, key)
            text = f"{tally.count} of {source.rows} rows are there again with {kind} (first: {tally.first})"
            found.append(judged(policy, key, path, text, "one row each", "masked", done))
    return found


def _rank(fault: tuple[str, str], source: Source) -> tuple[int, int]:
    """Columns as the source has them, their sum last; kinds as `kinds_of` has them."""
    column, kind = fault
    return source.columns.index(column) if column in source.columns else len(source.columns), (NOT_FINITE, NEGATIVE, ABOVE_ONE).index(kind)


def judged(policy: Policy, key: str, path: Path, text: str, expected: str, masked: str, accepted: str) -> str:
    """The finding, with what was done. Raises InputError when the policy is `error`."""
    if policy == "error":
        raise InputError(f"{path}: {text}, expected {expected} (policy quality.{key}: error)")
    return f"{text}; {masked if policy == 'mask' else accepted}"


def listed(numbers: list[int]) -> str:
    """The first dozen."""
    return ", ".join(map(str, numbers[:12])) + (", ..." if len(numbers) > 12 else "")
