"""The one place that knows file names."""

import os
import re
from pathlib import Path

from fieldfit.contract.where import WHERE
from fieldfit.types import InputError

BLOCK_DIGITS = 4
LARGEST_SHOT = 2**31 - 1  # products hold shot numbers in 32 bits: CF knows no longer integers
SUFFIXES = {"tiff": (".tif", ".tiff"), "fits": (".fits", ".fit"), "hdf5": (".h5", ".hdf5")}
LAYOUTS = {"tiff": "one folder or one TIFF file a shot", "fits": "one FITS file a shot"}

EXPORTS = {  # the files of each format of `dune.*.export`, below results/dune/{detector}/export
    "larsoft": ("photon_library.root",),
    "larndsim_npz": ("light_lut.npz",),
    "photonlib_h5": ("photonlib.h5",),
    "numpy": ("weights.safetensors", "evaluate.py"),
    "onnx": ("visibility.onnx",),
    "onnx_gradient": ("visibility_gradient.onnx",),
}
EFFICIENCIES = "efficiency.json"  # beside them, of a calibrated visibility


def result(kind: str) -> str:
    """Path of a product below the working directory, with its wildcards: `results/magis/{run}/phase.nc`."""
    return "results/" + WHERE[kind]


def night_page(night: str) -> tuple[str, str]:
    """The page of a night, and its alarms for machines."""
    return f"results/report/{night}/night.html", f"results/report/{night}/alarms.json"


def block_name(shot: int, block_size: int) -> str:
    """Block of a shot: shot number // block size, padded to a fixed width (wider for runs that need it)."""
    return f"{shot // block_size:0{BLOCK_DIGITS}d}"


def shot_number(name: str) -> int:
    """Number at the end of the name of a shot's folder or file: `shot0012`, `shot0012.tif` -> 12.

    Raises InputError when the name has none, or one that products cannot hold.
    """
    digits = ""
    for letter in reversed(name.split(".")[0]):
        if not letter.isdecimal():
            break
        digits = letter + digits
    if not digits:
        raise InputError(f"{name}: no shot number at the end of the name, expected for example shot0012 or shot0012.tif")
    if int(digits) > LARGEST_SHOT:
        raise InputError(f"{name}: shot number {digits}, expected at most {LARGEST_SHOT}")
    return int(digits)


def shots_below(folder: Path, form: str = "tiff") -> dict[int, tuple[Path, ...]]:
    """The files of a run's shots (`form` tiff: or folders) by number, ascending; other files are left alone.

    A number that is there more than once has all its files, by name.
    Raises InputError when the folder is absent or holds no shot, and for a link that leads out of it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected {LAYOUTS[form]}")
    found: dict[int, list[Path]] = {}
    others = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("shot"):
                continue
            suffix = os.path.splitext(entry.name)[1].lower()
            linked, path = entry.is_symlink(), Path(entry.path)
            if linked and (suffix in SUFFIXES[form] or (form == "tiff" and not suffix)):
                check_link(folder, path)  # before anything follows it
            if suffix in SUFFIXES[form] or (form == "tiff" and (path.is_dir() if linked else entry.is_dir())):
                found.setdefault(shot_number(entry.name), []).append(path)
            else:
                others |= {other for other, known in SUFFIXES.items() if suffix in known}
    if not found:
        hint = f"; found files of format {' and '.join(sorted(others))}" if others else ""
        first = "shot000, shot001, ..." if form == "tiff" else f"shot000{SUFFIXES[form][0]}, ..."
        raise InputError(f"{folder}: no shots, expected {LAYOUTS[form]} named {first}{hint}")
    return {number: tuple(sorted(found[number])) for number in sorted(found)}


def shot_files_below(raw: Path) -> tuple[Path, ...]:
    """The HDF5 shot files of a run: `raw` itself, or those of the folder by name, numbers in the names as numbers.

    Raises InputError when there is none, and for a link that leads out of the folder.
    """
    if raw.is_file():
        return (raw,)
    if not raw.is_dir():
        raise InputError(f"{raw}: no such file or folder, expected HDF5 shot files (*.h5)")
    found = [path for path in raw.iterdir() if path.suffix.lower() in SUFFIXES["hdf5"] and not path.name.startswith(".")]
    if not found:
        raise InputError(f"{raw}: no HDF5 shot files, expected names that end in {' or '.join(SUFFIXES['hdf5'])}")
    for path in found:
        check_link(raw, path)
    return tuple(sorted(found, key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]))


def check_link(folder: Path, path: Path) -> None:
    """Raise InputError for a link whose target is outside of `folder` or absent."""
    if not path.is_symlink():
        return
    try:
        target = path.resolve()
    except (OSError, RuntimeError):
        raise InputError(f"{path} is a link to itself: expected the file itself") from None
    if not target.is_relative_to(folder.resolve()) or not target.exists():
        what = "which is absent" if not target.exists() else f"outside of {folder}"
        raise InputError(f"{path} is a link to {target}, {what}: expected the file itself")
