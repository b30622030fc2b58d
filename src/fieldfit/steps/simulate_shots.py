"""Camera shots of known clouds: the demo's raw files."""

from pathlib import Path

from fieldfit.config.magis import Imaging
from fieldfit.simulate.shots import write_shots
from fieldfit.types import InputError


def simulate_shots(folder: Path, cameras: Path, truth: Path, entry: Imaging) -> None:
    """Write the raw folder, the camera description and the truth. Raises InputError where the entry has no key `simulate`."""
    if entry.simulate is None:
        raise InputError("key 'simulate' is missing, expected it where raw files are to be made")
    write_shots(Path(folder), Path(cameras), Path(truth), entry.simulate, entry.photons_per_atom, entry.seed, entry.format)
