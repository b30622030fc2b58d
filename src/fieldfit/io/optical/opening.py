"""One way into every format of an optical library, and what a file is that is none of them."""

from dataclasses import dataclass
from pathlib import Path

import uproot

from fieldfit import hdf5
from fieldfit.config.dune import Library, LibraryFormat
from fieldfit.io import archive
from fieldfit.io.optical.arcube_lut import VECTOR_CLASS, VECTORS, open_arcube_lut
from fieldfit.io.optical.dune_export import open_dune_export
from fieldfit.io.optical.hits import open_hits
from fieldfit.io.optical.larndsim_npz import open_larndsim_npz
from fieldfit.io.optical.larsoft import open_larsoft
from fieldfit.io.optical.photonlib_h5 import open_photonlib_h5
from fieldfit.io.optical.source import Source
from fieldfit.io.optical.trees import LISTED, told, trees_of
from fieldfit.types import InputError

CONTAINER: dict[LibraryFormat, str] = {
    "larsoft": "ROOT",
    "dune_export": "ROOT",
    "arcube_lut": "ROOT",
    "larndsim_npz": "npz",
    "photonlib_h5": "HDF5",
    "hits": "HDF5",
}


@dataclass(frozen=True)
class Found:
    """What a file is: its container, the format of a library where it is one, and what a message says about it."""

    container: str
    format: LibraryFormat | None
    told: str


def open_library(path: Path, entry: Library, channels: int | None) -> Source:
    """The library at `path`, in the format that the entry names; channels: sensors in the channel file, where there is one.

    Raises InputError when the file is absent, something else (it says what), or not sound.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected an optical library (format: {entry.format})")
    found = identify(path)
    if found.format is not None and found.format != entry.format:
        raise InputError(f"{path}: this is {found.told}, expected format: {entry.format} as configured; did you mean 'format: {found.format}'?")
    if found.container != CONTAINER[entry.format]:
        name = CONTAINER[entry.format]
        raise InputError(f"{path}: cannot be read as {name}, it is {found.told}; expected an optical library of format {entry.format} ({name})")
    if entry.component != "total" and entry.format not in ("larsoft", "dune_export"):
        raise InputError(f"{path}: format {entry.format} holds all light together, so component: {entry.component} cannot be made; expected total")
    match entry.format:
        case "larsoft":
            return open_larsoft(path, entry.component, channels, entry.geometry)
        case "dune_export":
            return open_dune_export(path, entry.component, channels, entry.geometry)
        case "arcube_lut":
            return open_arcube_lut(path, channels, entry.geometry)
        case "larndsim_npz":
            return open_larndsim_npz(path, channels, entry.geometry, entry.y_order == "top_down")
        case "photonlib_h5":
            return open_photonlib_h5(path, channels, entry.geometry)
        case "hits":
            return open_hits(path, channels, entry.geometry)


def identify(path: Path) -> Found:
    """What the file at `path` is, from its first bytes and its table of contents; nothing is unpickled."""
    with open(path, "rb") as file:
        begin = file.read(16)
    if not begin:
        return Found("nothing", None, "an empty file")
    if begin.startswith(b"root"):
        return _root(path)
    if begin.startswith(b"\x89HDF"):
        return _hdf5(path)
    if begin.startswith(b"PK"):
        return _npz(path)
    if begin.startswith(b"\x93NUMPY"):
        return Found("npy", None, "one NumPy array (.npy)")
    return Found("unknown", None, f"no format that is known (it begins with {begin[:8]!r})")


def _root(path: Path) -> Found:
    try:
        with uproot.open(path) as file:
            trees, kinds = trees_of(file), file.classnames(recursive=True, cycle=False)
            places = {name.rpartition("/")[2]: name for name in trees}
            if "photoVisMap" in places:
                return Found("ROOT", "dune_export", "a DUNE visibility map (tree photoVisMap)")
            if "PhotonLibraryData" in places:
                folder = places["PhotonLibraryData"].rpartition("/")[0]
                vectors = [name for name in VECTORS if VECTOR_CLASS in (kinds.get(name), kinds.get(f"{folder}/{name}"))]
                branches = file[places["PhotonLibraryData"]].keys(recursive=False)
                if vectors or {"T1", "Time"} & set(branches):
                    return Found("ROOT", "arcube_lut", "an ArgonCube look-up table (PhotonLibraryData with T1, Min, Max or NDivisions)")
                return Found("ROOT", "larsoft", "a LArSoft photon library (PhotonLibraryData)")
            others = sorted({kind for kind in kinds.values() if kind != "TTree"})
    except Exception as error:
        return Found("ROOT", None, f"a ROOT file that cannot be read ({told(error)})")
    listed = ", ".join(trees[:LISTED]) or f"none, but {', '.join(others[:LISTED]) or 'nothing'}"
    return Found("ROOT", None, f"a ROOT file without a library (trees: {listed})")


def _hdf5(path: Path) -> Found:
    try:
        with hdf5.opened(path, "a library") as file:
            keys = hdf5.names_in(file)
    except InputError as error:
        return Found("HDF5", None, f"an HDF5 file that cannot be read ({told(error).removeprefix(f'{path}: ')})")
    if {"numvox", "vis"} <= set(keys):
        return Found("HDF5", "photonlib_h5", "a photonlib h5 (numvox, vis)")
    if "light_dat" in keys and {"segments", "tracks"} & set(keys):
        return Found("HDF5", "hits", "deposits and light of larnd-sim (segments, light_dat)")
    return Found("HDF5", None, f"an HDF5 file without a library (keys: {', '.join(keys[:LISTED]) or 'none'})")


def _npz(path: Path) -> Found:
    try:
        with archive.opened(path, "a library") as file:
            keys = archive.keys_of(file)
    except InputError as error:
        return Found("npz", None, f"a zip archive that cannot be read ({told(error).removeprefix(f'{path}: ')})")
    if "arr" in keys:
        return Found("npz", "larndsim_npz", "a larnd-sim look-up table (key arr)")
    return Found("npz", None, f"a zip archive without a library (keys: {', '.join(keys[:LISTED]) or 'none'})")
