"""Make a library, sensors and tracks of a known detector."""

from pathlib import Path

from fieldfit.config import Library
from fieldfit.simulate.library import make_files


def simulate_library(library: Path, channels: Path | None, tracks: Path | None, truth: Path, entry: Library) -> None:
    """Write the files that the entry names, and the truth beside them. Raises InputError when the entry contradicts itself."""
    assert entry.simulate is not None and channels is not None
    make_files(library, channels, tracks, truth, entry.geometry, entry.photons_per_voxel, entry.simulate, entry.seed)
