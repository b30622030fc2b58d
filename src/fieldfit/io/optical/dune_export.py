"""DUNE visibility maps, as DUNE/duneopdet, PhotonPropagation/NeedsTensorflow/PhotonVisibilityExport_module.cc writes them.

Trees in one folder: photoVisMap with coords[3] (voxel's centre [cm]), opDet_visDirect[N] and opDet_visReflct[N], a row a voxel, z fastest;
only voxels inside the TPCs' common box have one. photoVisMapBuffer holds those around it. opDetMap: opDetPos[3], opDetW, opDetH, opDetL
[cm] of each sensor. tDimensions: corners of that box and of the cryostat. Histograms hgrid0, hgrid1, hgrid2: the edges of all voxels.
Where a voxel lies is taken from its coordinates, not from its row. Reflected light is zero where it was not simulated. Visibilities are
those of LArSoft's models, which know no quantum efficiency.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Geometry
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box, box_between, given_box, same_box
from fieldfit.io.optical.source import ROWS, Component, Part, Rows, Source, rows_of_slab
from fieldfit.io.optical.trees import REAL, Tree, check_branch, cuts_of, find_tree, opened, stream, told, trees_of
from fieldfit.types import InputError
from fieldfit.units import CM

TREE = "photoVisMap"
EXPECTED = "a DUNE visibility map (PhotonVisibilityExport)"
COLUMNS: dict[Component, tuple[str, ...]] = {
    "direct": ("opDet_visDirect",),
    "reflected": ("opDet_visReflct",),
    "total": ("opDet_visDirect", "opDet_visReflct"),
}
OFF_GRID = 1e-3  # of a voxel's edge that a coordinate may lie off its centre
FEWEST = 0.5  # of the voxels that must have a row
MOST_PLANES = 100_000  # different coordinates along an axis


def open_dune_export(path: Path, component: Component, channels: int | None, geometry: Geometry | None) -> Source:
    """A DUNE visibility map. Raises InputError when the file is none, its coordinates make no grid, or it contradicts the config."""
    with opened(path, EXPECTED) as file:
        tree = find_tree(file, TREE, path, EXPECTED)
        if check_branch(file, tree, "coords", REAL, wide=True) != 3:
            raise InputError(f"{path}: branch coords has another length than 3, expected x, y, z of a voxel's centre")
        counts = {name: check_branch(file, tree, name, REAL, wide=True) for name in COLUMNS[component]}
        count = next(iter(counts.values()))
        if len(set(counts.values())) > 1:
            raise InputError(f"{path}: branches have different numbers of sensors a row ({counts}), expected the same")
        if channels is not None and count != channels:
            raise InputError(f"{path}: {tree.name} has {count} sensors a row, the channel file has {channels}; expected the same number")
        cuts = cuts_of(file, tree, ("coords", *counts))
        trees = trees_of(file)
        prefix = f"{tree.folder}/" if tree.folder else ""
        edges = [_edges(file, f"{prefix}hgrid{k}") for k in range(3)]
        box, reflected = _scan(tree, edges, path)
        if geometry and not same_box(box, given_box(geometry)):
            raise InputError(f"{path}: coords make {box.told()}, the key geometry says {given_box(geometry).told()}; expected the same")
        notes = _inside_told(file, f"{prefix}tDimensions", trees, box, path)
        disks = _disks(file, f"{prefix}opDetMap", trees, count, box, path)
        if f"{prefix}photoVisMapBuffer" in trees:
            notes.append(f"{file[f'{prefix}photoVisMapBuffer'].num_entries} voxels around the TPCs (photoVisMapBuffer) are not read")
    if component != "direct" and not reflected:
        if component == "reflected":
            raise InputError(f"{path}: opDet_visReflct is zero everywhere, so reflected light was not simulated; expected component: direct")
        notes.append("opDet_visReflct is zero everywhere: the total is direct light")
    ny, nz = box.divisions[1:]

    def name_of(voxel: int, channel: int) -> str:
        index = (voxel // (ny * nz), voxel // nz % ny, voxel % nz)
        at = ", ".join(f"{centres[k] / CM:g}" for centres, k in zip(box.centres(), index, strict=True))
        return f"coords ({at}) cm, sensor {channel}"

    return Source(
        path=path,
        box=box,
        channels=count,
        component=component,
        columns=COLUMNS[component],
        order="z fastest",
        rows=tree.rows * count,
        absent="unknown",
        convention=f"DUNE PhotonVisibilityExport: voxels by their coordinates, cm, tree {tree.name}",
        efficiency="not in it",
        chunks=lambda columns, part: _rows(tree, columns, part, box, count),
        cuts=cuts,
        name_of=name_of,
        disks=disks,
        notes=tuple(notes),
    )


def _rows(tree: Tree, columns: tuple[str, ...], part: Part | None, box: Box, channels: int) -> Iterator[Rows]:
    lower, pitch = np.array(box.lower) / CM, box.pitch / CM
    ny, nz = box.divisions[1:]
    for chunk in stream(tree, ("coords", *columns), part, max(1, ROWS // channels)):
        x, y, z = np.floor((chunk["coords"] - lower) / pitch).astype(np.int64).T
        yield rows_of_slab((x * ny + y) * nz + z, 0, tuple(chunk[name] for name in columns))


def _scan(tree: Tree, edges: list[NDArray[np.float64] | None], path: Path) -> tuple[Box, bool]:
    """The box that the coordinates fill, and whether there is reflected light. Raises InputError when they make no grid."""
    planes = [np.zeros(0)] * 3
    total = ("total_visReflct",) if "total_visReflct" in tree.branches else ("opDet_visReflct",) if "opDet_visReflct" in tree.branches else ()
    reflected = False
    for chunk in stream(tree, ("coords", *total), None):
        coords = chunk["coords"]
        if not np.isfinite(coords).all():
            k = int(np.argmin(np.isfinite(coords).all(1)))
            raise InputError(f"{path}: coords of row {k} of a chunk are {coords[k].tolist()}, expected a voxel's centre [cm]")
        planes = [np.union1d(known, coords[:, k]) for k, known in enumerate(planes)]
        if max(map(len, planes)) > MOST_PLANES:
            raise InputError(f"{path}: coords have more than {MOST_PLANES} different values along an axis, expected the centres of a grid")
        reflected = reflected or any(bool(chunk[name].any()) for name in total)
    lower, upper, divisions = [], [], []
    for axis, found, edge in zip("xyz", planes, edges, strict=True):
        if edge is not None:
            pitch = float(edge[1] - edge[0])
        elif len(found) > 1:
            pitch = float(np.median(np.diff(found)))  # planes may be lost
        else:
            raise InputError(f"{path}: all voxels have the same {axis} and there is no histogram hgrid, expected voxels with edges")
        place = (found - found[0]) / pitch
        if np.abs(place - np.round(place)).max() > OFF_GRID:
            k = int(np.argmax(np.abs(place - np.round(place))))
            raise InputError(f"{path}: coords hold {axis} = {found[k]:g} cm, expected centres {pitch:g} cm apart from {found[0]:g} cm on")
        lower.append(found[0] - pitch / 2)
        upper.append(lower[-1] + pitch * (round(place[-1]) + 1))
        divisions.append(round(place[-1]) + 1)
    box = box_between(lower, upper, divisions, CM)
    if tree.rows < FEWEST * box.voxels:
        raise InputError(f"{path}: coords of {tree.rows} rows spread over {box.voxels} voxels ({box.told()}), expected a row for each")
    return box, reflected


def _edges(file: Any, name: str) -> NDArray[np.float64] | None:
    """Edges of the voxels along an axis [cm], where the histogram is there."""
    if f"{name};1" not in file.keys(cycle=True):
        return None
    try:
        found: NDArray[np.float64] = np.asarray(file[name].axis().edges(), np.float64)
    except Exception:  # whatever it is, it is no histogram: the coordinates will do
        return None
    return found if len(found) > 1 else None


def _inside_told(file: Any, name: str, trees: list[str], box: Box, path: Path) -> list[str]:
    """Raise InputError when the voxels leave the TPCs' box of tDimensions; tell when that is not there."""
    if name not in trees:
        return ["the tree tDimensions is missing: whether the voxels lie in the TPCs is not known"]
    try:
        corners = np.asarray(file[name]["dimension"].array(library="np", entry_stop=2), np.float64)
    except Exception as error:
        raise InputError(f"{path}: tree {name} cannot be read ({told(error)}), expected corners in a branch dimension[3]") from None
    if corners.ndim != 2 or corners.shape[0] < 2 or corners.shape[1] != 3:
        raise InputError(f"{path}: tree {name} has dimension of shape {corners.shape}, expected the corners tpc_min, tpc_max")
    low, high = corners[0] * CM, corners[1] * CM
    if (np.array(box.lower) + box.pitch / 2 < low - box.pitch).any() or (np.array(box.upper) - box.pitch / 2 > high + box.pitch).any():
        raise InputError(
            f"{path}: coords make {box.told()}, tDimensions says the TPCs fill {corners[0].tolist()} to {corners[1].tolist()} cm; "
            "expected voxels inside"
        )
    return []


def _disks(file: Any, name: str, trees: list[str], count: int, box: Box, path: Path) -> Disks | None:
    """The sensors as disks of the same area, normal to their thinnest side, looking at the middle of the box; None without opDetMap."""
    if name not in trees:
        return None
    tree = file[name]
    if tree.num_entries != count:
        raise InputError(f"{path}: tree {name} places {tree.num_entries} sensors, {TREE} has {count} a row; expected the same number")
    try:
        read = {key: np.asarray(tree[key].array(library="np"), np.float64) * CM for key in ("opDetPos", "opDetW", "opDetH", "opDetL")}
    except Exception as error:
        raise InputError(f"{path}: tree {name} cannot be read ({told(error)}), expected opDetPos, opDetW, opDetH, opDetL") from None
    centre, size = read["opDetPos"], np.stack([read["opDetW"], read["opDetH"], read["opDetL"]], 1)
    if centre.shape != (count, 3) or not (size > 0).any(1).all():
        return None
    thin = np.argmin(size, axis=1)
    area = np.sort(size, axis=1)[:, 1:].prod(1)
    normal = np.zeros((count, 3))
    middle = (np.array(box.lower) + np.array(box.upper)) / 2
    normal[np.arange(count), thin] = np.where((middle - centre)[np.arange(count), thin] >= 0, 1.0, -1.0)
    return Disks(centre, normal, np.sqrt(area / math.pi))
