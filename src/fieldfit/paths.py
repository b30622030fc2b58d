"""The one place that knows file names."""

from pathlib import Path

from fieldfit.contract import WHERE
from fieldfit.types import InputError

BLOCK_DIGITS = 4


def result(kind: str) -> str:
    """Path of a product below the working directory, with its wildcards: `results/magis/{run}/phase.nc`."""
    return "results/" + WHERE[kind]


def block_name(shot: int, block_size: int) -> str:
    """Block of a shot: shot number // block size, padded to a fixed width (wider for runs that need it)."""
    return f"{shot // block_size:0{BLOCK_DIGITS}d}"


def shot_number(name: str) -> int:
    """Number at the end of the name of a shot's folder or file: `shot0012`, `shot0012.tif` -> 12.

    Raises InputError when the name has none.
    """
    digits = ""
    for letter in reversed(name.split(".")[0]):
        if not letter.isdigit():
            break
        digits = letter + digits
    if not digits:
        raise InputError(f"{name}: no shot number at the end of the name, expected for example shot0012 or shot0012.tif")
    return int(digits)


def shots_below(folder: Path) -> dict[int, Path]:
    """The folders and TIFF files of a run's shots by number, in order; other files are left alone.

    Raises InputError when the folder is absent, holds no shot, or holds the same number twice.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one folder or one TIFF file a shot")
    found: dict[int, Path] = {}
    for entry in folder.iterdir():
        if not entry.name.startswith("shot") or not (entry.suffix in (".tif", ".tiff") or entry.is_dir()):
            continue
        number = shot_number(entry.name)
        if number in found:
            raise InputError(f"{folder}: shot {number} is there twice, as {found[number].name} and {entry.name}")
        found[number] = entry
    if not found:
        raise InputError(f"{folder}: no shots, expected one folder or one TIFF file a shot named shot000, shot001, ...")
    return dict(sorted(found.items()))
