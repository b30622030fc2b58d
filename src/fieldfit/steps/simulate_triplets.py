"""Absorption triplets of a known number of atoms."""

from pathlib import Path

from fieldfit.config.magis import Absorption
from fieldfit.simulate.absorption import write_triplets
from fieldfit.types import InputError


def simulate_triplets(folder: Path, truth: Path, entry: Absorption) -> None:
    """Write the raw folder and the truth. Raises InputError where the entry has no key `simulate`."""
    if entry.simulate is None:
        raise InputError("key 'simulate' is missing, expected it where raw files are to be made")
    write_triplets(Path(folder), Path(truth), entry)
