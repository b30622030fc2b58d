"""Faults of a library's rows: how many, the first by name, and what the policy of the config makes of them.

A finding is one line: what, how many, the first one as the file names it, and what was done.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Policy, Quality
from fieldfit.io.optical.source import Source
from fieldfit.types import InputError

BAD_LIMIT = 0.01  # share of bad values above which a column holds something else than visibilities
NOT_FINITE, NEGATIVE, ABOVE_ONE = "NaN or infinite", "negative", "above 1"


@dataclass
class Tally:
    """Rows with one fault, counted over the whole file, and the first of them."""

    count: int = 0
    first: str = ""

    def add(self, faulty: NDArray[np.bool_], name: Callable[[int], str]) -> None:
        """Count the true ones; `name` says what row k of them all is."""
        if faulty.any():
            self.first = self.first or name(int(np.argmax(faulty)))
            self.count += int(faulty.sum())


@dataclass
class Faults:
    """What was wrong with the rows of one library. values: by column and kind; outside: by index."""

    values: dict[tuple[str, str], Tally] = field(default_factory=dict)
    outside: dict[str, Tally] = field(default_factory=dict)
    same: Tally = field(default_factory=Tally)
    conflicting: Tally = field(default_factory=Tally)


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
    for name, tally in faults.outside.items():
        bound, what = (source.box.voxels, "voxels") if name == "voxel" else (source.channels, "channels")
        divisions = f"{' x '.join(map(str, source.box.divisions))} " if name == "voxel" else f"{source.channels} "
        text = f"{tally.count} of {source.rows} rows have a {name} outside 0 to {bound - 1} (first: {tally.first})"
        found.append(judged(quality.out_of_range, "out_of_range", path, text, f"{divisions}{what}", "dropped", "dropped"))
    for (column, kind), tally in faults.values.items():
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


def judged(policy: Policy, key: str, path: Path, text: str, expected: str, masked: str, accepted: str) -> str:
    """The finding, with what was done. Raises InputError when the policy is `error`."""
    if policy == "error":
        raise InputError(f"{path}: {text}, expected {expected} (policy quality.{key}: error)")
    return f"{text}; {masked if policy == 'mask' else accepted}"


def listed(numbers: list[int]) -> str:
    """The first dozen."""
    return ", ".join(map(str, numbers[:12])) + (", ..." if len(numbers) > 12 else "")
