"""ArgonCube look-up tables, as LHEP-neutrino/ArCubeOptSim, run/OptSim_createLUT_2x2.C writes them.

Tree `PhotonLibraryData`: Voxel and OpChannel (int32), Visibility (float32), T1 (float32, first arrival [ns]) and Time (TH1F, arrival
times of a row). TVectorT<double> Min, Max [mm] and NDivisions beside it. Voxel = ix + iy NX + iz NX NY (run/run_00_OptSim_LUT.ipynb).
Visibility is effSiPM x hits / photons: the sensors' efficiency is in it, and reflected light cannot be told from direct light. Every
voxel and channel has a row, zeros too.
"""

from pathlib import Path
from typing import Any

import numpy as np

from fieldfit.config.dune import Geometry
from fieldfit.io.optical.box import Box, box_between, given_box, same_box
from fieldfit.io.optical.larsoft import TREE, library_rows
from fieldfit.io.optical.source import Source
from fieldfit.io.optical.trees import REAL, WHOLE, check_branch, cuts_of, find_tree, opened, told
from fieldfit.types import InputError
from fieldfit.units import MM

EXPECTED = "an ArgonCube look-up table (ROOT)"
VECTORS = ("Min", "Max", "NDivisions")
VECTOR_CLASS = "TVectorT<double>"


def open_arcube_lut(path: Path, channels: int | None, geometry: Geometry | None) -> Source:
    """An ArgonCube table. Raises InputError when the file is none, lacks something, or contradicts the config."""
    if channels is None:
        raise InputError(f"{path}: an ArgonCube table does not say how many channels it has; expected the key channels, a list of the sensors")
    with opened(path, EXPECTED) as file:
        tree = find_tree(file, TREE, path, EXPECTED)
        for branch in ("Voxel", "OpChannel"):
            check_branch(file, tree, branch, WHOLE)
        check_branch(file, tree, "Visibility", REAL)
        times = ("T1",) if "T1" in tree.branches else ()
        if times:
            check_branch(file, tree, "T1", REAL)
        cuts = cuts_of(file, tree, ("Voxel", "OpChannel", "Visibility"))
        box, notes = _box(file, tree.folder, geometry, path)
    notes += ("arrival times are in the file and not part of the visibility: T1",) if times else ()
    return Source(
        path=path,
        box=box,
        channels=channels,
        component="total",
        columns=("Visibility",),
        order="x fastest",
        rows=tree.rows,
        absent="unknown",
        convention=f"ArgonCube LUT: Voxel = ix + iy NX + iz NX NY, mm, a row for each voxel and channel, tree {tree.name}",
        efficiency="in it",
        chunks=lambda names, part: library_rows(tree, names, part),
        cuts=cuts,
        name_of=lambda voxel, channel: f"Voxel {voxel}, OpChannel {channel}",
        times=times,
        notes=notes,
    )


def _box(file: Any, folder: str, geometry: Geometry | None, path: Path) -> tuple[Box, tuple[str, ...]]:
    """The box, from the vectors or the key geometry, and what to tell about it."""
    given = given_box(geometry) if geometry else None
    found: dict[str, list[float]] = {}
    for place in dict.fromkeys((folder, "")):
        room = file[place] if place else file
        for name, kind in room.classnames(recursive=False, cycle=False).items():
            if name in VECTORS and kind == VECTOR_CLASS and name not in found:
                try:
                    found[name] = [float(v) for v in room[name].member("fElements")]
                except Exception as error:
                    raise InputError(f"{path}: {name} cannot be read ({told(error)}), expected three numbers") from None
                if len(found[name]) != 3 or not np.isfinite(found[name]).all():
                    raise InputError(f"{path}: {name} is {found[name]}, expected three numbers")
    lacking = [name for name in VECTORS if name not in found]
    if lacking:
        if given is None:
            there = ", ".join(file.keys(recursive=False, cycle=False)[:12])
            raise InputError(f"{path}: no {VECTOR_CLASS} {', '.join(lacking)} (found: {there}), expected them or the key geometry")
        return given, (f"{', '.join(lacking)} are missing: the box is taken from the key geometry",)
    if any(n < 1 or n != int(n) for n in found["NDivisions"]):
        raise InputError(f"{path}: NDivisions is {found['NDivisions']}, expected whole numbers of at least 1")
    if any(high <= low for low, high in zip(found["Min"], found["Max"], strict=True)):
        raise InputError(f"{path}: Min is {found['Min']} and Max {found['Max']} mm, expected Min below Max")
    box = box_between(found["Min"], found["Max"], found["NDivisions"], MM)
    if given is not None and not same_box(box, given):
        raise InputError(f"{path}: the file says {box.told()}, the key geometry says {given.told()}; expected the same, or no key geometry")
    return box, ()
