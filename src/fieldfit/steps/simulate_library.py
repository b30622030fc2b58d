"""Make a library, sensors, tracks and flashes of a known detector."""

from pathlib import Path

from fieldfit.config.dune import Library
from fieldfit.simulate.library import make_files


def simulate_library(entry: Library, truth: Path) -> None:
    """Write the files that the entry names, and the truth beside them. Raises InputError when the entry contradicts itself."""
    make_files(entry, truth)
