"""LArSoft photon libraries, as LArSoft/larsim, larsim/PhotonPropagation/PhotonLibrary.cxx writes and reads them.

Tree `PhotonLibraryData`, at the top or in a folder (pmtresponse/): Voxel and OpChannel (int32), Visibility (float32, direct light), and
where they were simulated ReflVisibility (reflected light), ReflTfirst and timing_par[n] (arrival times [ns]). Rows that are all zero are
not written. Voxel = ix + iy NDivX + iz NDivX NDivY. A photon counts when it arrives at the sensor: no quantum efficiency.

Beside the tree: RooInt NVoxels, NChannels, NDivX, NDivY, NDivZ; RooDouble MinX, MaxX, StepX and so on for y and z [cm]. Merged libraries
have none of them, some have a part: what is missing follows from the rest, or comes from the config.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldfit.config.dune import Geometry
from fieldfit.io.optical.box import Box, box_between, given_box, same_box
from fieldfit.io.optical.source import Component, Part, Rows, Source
from fieldfit.io.optical.trees import REAL, WHOLE, Tree, check_branch, cuts_of, find_tree, opened, stream, told
from fieldfit.types import InputError
from fieldfit.units import CM

TREE = "PhotonLibraryData"
FIRST, PARAMETERS = "ReflTfirst", "timing_par"  # branches of arrival times
EXPECTED = "a LArSoft photon library"
COUNTS = ("NVoxels", "NChannels", "NDivX", "NDivY", "NDivZ")
LENGTHS = ("MinX", "MaxX", "StepX", "MinY", "MaxY", "StepY", "MinZ", "MaxZ", "StepZ")
COLUMNS: dict[Component, tuple[str, ...]] = {
    "direct": ("Visibility",),
    "reflected": ("ReflVisibility",),
    "total": ("Visibility", "ReflVisibility"),
}
STEP_TOLERANCE = 1e-4  # of the box's edge: steps are written rounded


@dataclass(frozen=True)
class Header:
    """What the metadata, the config and the channel file say together. notes: a line for what had to be derived or taken from elsewhere."""

    box: Box
    channels: int
    notes: tuple[str, ...]


def open_larsoft(path: Path, component: Component, channels: int | None, geometry: Geometry | None) -> Source:
    """A LArSoft library; channels: sensors in the channel file; geometry: the box, where the metadata do not have it.

    Raises InputError when the file is no such library, lacks a branch, or metadata contradict themselves, the config or the channels.
    """
    with opened(path, EXPECTED) as file:
        tree = find_tree(file, TREE, path, EXPECTED)
        metadata = _metadata(file, tree.folder, path)
        header = header_of(metadata, geometry, channels, path)
        for branch in ("Voxel", "OpChannel"):
            check_branch(file, tree, branch, WHOLE)
        columns, times = COLUMNS[component], _times(file, tree)
        for branch in dict.fromkeys(("Visibility", *columns)):
            direct_only = f", so it holds direct light only: component: {component} cannot be made, expected component: direct"
            check_branch(file, tree, branch, REAL, direct_only if branch == "ReflVisibility" else "")
        cuts = cuts_of(file, tree, ("Voxel", "OpChannel", *columns))
    notes = header.notes + ((f"arrival times are in the file and not part of the visibility: {', '.join(times)}",) if times else ())
    return Source(
        path=path,
        box=header.box,
        channels=header.channels,
        component=component,
        columns=columns,
        order="x fastest",
        rows=tree.rows,
        absent="zero",
        convention=f"LArSoft PhotonLibrary: Voxel = ix + iy NX + iz NX NY, cm, absent rows are zeros, tree {tree.name}",
        efficiency="not in it",
        chunks=lambda names, part: library_rows(tree, names, part),
        cuts=cuts,
        name_of=lambda voxel, channel: f"Voxel {voxel}, OpChannel {channel}",
        times=times,
        notes=notes,
    )


def library_rows(tree: Tree, columns: tuple[str, ...], part: Part | None) -> Iterator[Rows]:
    """Rows of a tree, or of a part of it, with Voxel and OpChannel; a column `name[k]` is the k-th number of a branch."""
    branches = [name.partition("[") for name in columns]
    for chunk in stream(tree, ("Voxel", "OpChannel", *dict.fromkeys(branch for branch, _, _ in branches)), part):
        values = tuple(chunk[branch][:, int(k.rstrip("]"))] if k else chunk[branch] for branch, _, k in branches)
        yield Rows(chunk["Voxel"], chunk["OpChannel"], values)


def header_of(metadata: dict[str, float], geometry: Geometry | None, channels: int | None, path: Path) -> Header:
    """Box and number of channels.

    Raises InputError when numbers are impossible, contradict each other, the key geometry or the channel file, or do not suffice.
    """
    given = given_box(geometry) if geometry else None
    notes = []
    if not metadata and given is None:
        raise InputError(f"{path}: no metadata beside {TREE} (NDivX, MinX, MaxX, ...); expected the key geometry: {{min_cm, max_cm, divisions}}")
    for name in COUNTS:
        if name in metadata and (metadata[name] != int(metadata[name]) or metadata[name] < 1):
            raise InputError(f"{path}: metadata {name} is {metadata[name]:g}, expected a whole number of at least 1")
    box = given
    if metadata:
        known, derived = _completed(metadata, path)
        lacking = [name for axis in "XYZ" for name in (f"Min{axis}", f"Max{axis}", f"NDiv{axis}") if name not in known]
        if lacking and given is None:
            raise InputError(
                f"{path}: metadata {', '.join(lacking)} are missing beside {', '.join(metadata)} and do not follow from them; "
                "expected all of Min, Max and NDiv, or the key geometry: {min_cm, max_cm, divisions}"
            )
        if given is not None:
            _agree(known, given, path)
        for name in derived:
            notes.append(f"metadata {name} is missing: {known[name]:g} follows from the others")
        if lacking:
            notes.append(f"metadata {', '.join(lacking)} are missing: taken from the key geometry")
        else:
            lower, upper, divisions = ([known[f"{key}{axis}"] for axis in "XYZ"] for key in ("Min", "Max", "NDiv"))
            box = box_between(lower, upper, divisions, CM)
    assert box is not None
    if given is not None and not same_box(box, given):
        raise InputError(f"{path}: metadata say {box.told()}, the key geometry says {given.told()}; expected the same, or no key geometry")
    if "NVoxels" in metadata and int(metadata["NVoxels"]) != box.voxels:
        raise InputError(f"{path}: metadata contradict: NVoxels {int(metadata['NVoxels'])}, NDivX NDivY NDivZ = {box.voxels}")
    if metadata and "NVoxels" not in metadata:
        notes.append(f"metadata NVoxels is missing: {box.voxels} follows from the others")
    count = int(metadata["NChannels"]) if "NChannels" in metadata else channels
    if count is None:
        raise InputError(f"{path}: no metadata NChannels beside {TREE}; expected the key channels, a list of the sensors")
    if channels is not None and count != channels:
        raise InputError(f"{path}: NChannels is {count}, the channel file has {channels} sensors; expected the same number")
    if metadata and "NChannels" not in metadata:
        notes.append(f"metadata NChannels is missing: {count} sensors in the channel file")
    return Header(box, count, tuple(notes))


def _completed(metadata: dict[str, float], path: Path) -> tuple[dict[str, float], list[str]]:
    """Metadata with what follows from the rest, and the names of that. Raises InputError on contradictions."""
    known, derived = dict(metadata), []
    divisions = [f"NDiv{axis}" for axis in "XYZ"]
    for axis in "XYZ":
        low, high, step, n = (f"{key}{axis}" for key in ("Min", "Max", "Step", "NDiv"))
        lacking = [name for name in (low, high, step, n) if name not in known]
        if len(lacking) == 1:
            (name,) = lacking
            if name == low:
                known[low] = known[high] - known[n] * known[step]
            elif name == high:
                known[high] = known[low] + known[n] * known[step]
            elif name == step:
                known[step] = (known[high] - known[low]) / known[n]
            elif known[step] > 0:
                known[n] = float(round((known[high] - known[low]) / known[step]))
            derived += [name] if name in known else []
        if low in known and high in known:
            if not known[high] > known[low]:
                raise InputError(f"{path}: metadata {low} {known[low]:g} and {high} {known[high]:g} cm, expected {low} below {high}")
            if step in known and n in known and not math.isclose(known[step] * known[n], known[high] - known[low], rel_tol=STEP_TOLERANCE):
                raise InputError(
                    f"{path}: metadata contradict: {step} {known[step]:g} cm x {n} {known[n]:g} = {known[step] * known[n]:g} cm, "
                    f"{high} - {low} = {known[high] - known[low]:g} cm"
                )
    lacking = [name for name in divisions if name not in known]
    if len(lacking) == 1 and "NVoxels" in known:
        others = math.prod(known[name] for name in divisions if name in known)
        if known["NVoxels"] % others == 0:
            known[lacking[0]] = known["NVoxels"] / others
            derived += lacking
    return known, derived


def _agree(known: dict[str, float], given: Box, path: Path) -> None:
    """Raise InputError when one of the metadata is not what the key geometry says."""
    said: dict[str, float] = {}
    for k, axis in enumerate("XYZ"):
        said |= {f"Min{axis}": given.lower[k] / CM, f"Max{axis}": given.upper[k] / CM, f"NDiv{axis}": given.divisions[k]}
    for name, value in said.items():
        if name in known and not math.isclose(known[name], value, rel_tol=1e-6, abs_tol=1e-3):
            raise InputError(
                f"{path}: metadata say {name} {known[name]:g}, the key geometry says {value:g} ({given.told()}); "
                "expected the same, or no key geometry"
            )


def _metadata(file: Any, folder: str, path: Path) -> dict[str, float]:
    """Those of the 14 numbers that are there, in the tree's folder or at the top."""
    found: dict[str, float] = {}
    for place in dict.fromkeys((folder, "")):
        room = file[place] if place else file
        for name, kind in room.classnames(recursive=False, cycle=False).items():
            if name in COUNTS + LENGTHS and kind in ("RooInt", "RooDouble") and name not in found:
                try:
                    value = float(room[name].member("_value"))
                except Exception as error:
                    raise InputError(f"{path}: metadata {name} cannot be read ({told(error)}), expected a number") from None
                if not np.isfinite(value):
                    raise InputError(f"{path}: metadata {name} is {value}, expected a number")
                found[name] = value
    return found


def _times(file: Any, tree: Tree) -> tuple[str, ...]:
    """Columns of arrival times that the tree has."""
    times = [FIRST] if FIRST in tree.branches else []
    if times:
        check_branch(file, tree, FIRST, REAL)
    if PARAMETERS in tree.branches:
        width = check_branch(file, tree, PARAMETERS, REAL, wide=True)
        times += [f"{PARAMETERS}[{k}]" for k in range(width)]
    return tuple(times)
