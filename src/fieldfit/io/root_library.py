"""LArSoft photon libraries: the tree `PhotonLibraryData` of a ROOT file, with or without its metadata.

A row holds Voxel, OpChannel, Visibility (direct light) and, where reflected light was simulated, ReflVisibility; rows that are
all zero are absent. Voxel = ix + iy NX + iz NX NY. The metadata are RooInt and RooDouble objects beside the tree (lengths in cm).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from fieldfit.config import Geometry
from fieldfit.types import InputError, nearest
from fieldfit.units import CM

TREE = "PhotonLibraryData"
COUNTS = ("NVoxels", "NChannels", "NDivX", "NDivY", "NDivZ")
LENGTHS = ("MinX", "MaxX", "StepX", "MinY", "MaxY", "StepY", "MinZ", "MaxZ", "StepZ")
BRANCHES = {"direct": ("Visibility",), "reflected": ("ReflVisibility",), "total": ("Visibility", "ReflVisibility")}
STEP_SIZE = "64 MB"  # of the file held at a time
EMPTY_LIMIT = 100  # values a row, above which a large header is not believed


@dataclass(frozen=True)
class Box:
    """Voxels of a library: lower and upper corner [m], divisions along x, y, z."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    divisions: tuple[int, int, int]

    @property
    def voxels(self) -> int:
        return math.prod(self.divisions)

    @property
    def pitch(self) -> NDArray[np.float64]:
        """Edges of a voxel [m], (3)."""
        edges: NDArray[np.float64] = (np.array(self.upper) - np.array(self.lower)) / np.array(self.divisions)
        return edges

    def centres(self) -> tuple[NDArray[np.float64], ...]:
        """Voxel centres along x, y, z [m]."""
        return tuple(low + (np.arange(n) + 0.5) * edge for low, n, edge in zip(self.lower, self.divisions, self.pitch, strict=True))


@dataclass(frozen=True)
class RawLibrary:
    """values (channel, x, y, z): NaN where the file has no row; notes: what a user should know, a line each."""

    values: NDArray[np.float32]
    box: Box
    notes: tuple[str, ...]


@dataclass
class _Faults:
    """Bad values of one branch, counted over the whole file, with the first of each kind."""

    branch: str
    count: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def look(self, values: NDArray[Any], voxel: NDArray[Any], channel: NDArray[Any]) -> None:
        for kind, bad in (("NaN or infinite", ~np.isfinite(values)), ("negative", values < 0), ("above 1", np.isfinite(values) & (values > 1))):
            if bad.any():
                k = int(np.argmax(bad))
                self.count[kind] = self.count.get(kind, 0) + int(bad.sum())
                self.first.setdefault(kind, f"first at Voxel {voxel[k]}, OpChannel {channel[k]}: {values[k]:.6g}")


def read_root_library(path: Path, component: str, channels: int, geometry: Geometry | None) -> RawLibrary:
    """One component of a library, streamed; rows may come in any order.

    channels: number of sensors in the channel file. geometry: box of a library without metadata.
    Raises InputError when the file is no such library, metadata contradict themselves, the config or the channels, a row lies outside,
    a row is there twice with other values, or a value is not a share between 0 and 1.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a LArSoft photon library (ROOT)")
    try:
        file = uproot.open(path)
    except Exception as error:  # uproot raises many kinds for what is no ROOT file
        raise InputError(f"{path}: cannot be read as ROOT ({str(error).splitlines()[0]}), expected a LArSoft photon library") from None
    with file:
        tree, folder = _tree(file, path)
        metadata = _metadata(file, folder, path)
        box = _box(metadata, geometry, path)
        if metadata and int(metadata["NChannels"]) != channels:
            raise InputError(f"{path}: NChannels is {int(metadata['NChannels'])}, the channel file has {channels} sensors; expected the same number")
        wanted = _branches(tree, component, path)
        if box.voxels * channels > 2e8 and box.voxels * channels > EMPTY_LIMIT * tree.num_entries:
            raise InputError(f"{path}: {box.voxels} voxels of {channels} channels in the header for {tree.num_entries} rows, expected more rows")
        return _read(tree, wanted, box, channels, path)


def _read(tree: Any, wanted: tuple[str, ...], box: Box, channels: int, path: Path) -> RawLibrary:
    values = np.full(channels * box.voxels, np.nan, np.float32)
    faults = [_Faults(branch) for branch in (*wanted, *(("total",) if len(wanted) > 1 else ()))]
    repeated = 0
    for chunk in _chunks(tree, wanted, path):
        voxel, channel = chunk["Voxel"].astype(np.int64), chunk["OpChannel"].astype(np.int64)
        _inside("Voxel", voxel, channel, voxel, box.voxels, path, f"{' x '.join(map(str, box.divisions))} voxels")
        _inside("OpChannel", channel, channel, voxel, channels, path, f"{channels} sensors in the channel file")
        parts = [np.asarray(chunk[branch], np.float64) for branch in wanted]
        total: NDArray[np.float64] = np.sum(parts, axis=0)
        for fault, part in zip(faults, [*parts, total], strict=False):
            fault.look(part, voxel, channel)
        place = channel * box.voxels + voxel
        order = np.argsort(place, kind="stable")
        again = np.zeros(len(place), bool)
        again[order[1:]] = place[order[1:]] == place[order[:-1]]
        kept = total.astype(np.float32)
        before = values[place]
        before[order[1:]] = np.where(again[order[1:]], kept[order[:-1]], before[order[1:]])
        known = ~np.isnan(before)
        other = known & (before != kept) & np.isfinite(kept)
        if other.any():
            k = int(np.argmax(other))
            raise InputError(
                f"{path}: Voxel {voxel[k]}, OpChannel {channel[k]} is there twice with different values ({before[k]:.6g} and {kept[k]:.6g}), "
                f"and so are {int(other.sum()) - 1} more rows; expected one row each"
            )
        repeated += int(known.sum())
        values[place] = kept
    _refuse(faults, tree.num_entries, path)
    nx, ny, nz = box.divisions
    notes = (f"{repeated} rows are there twice with the same value",) if repeated else ()
    return RawLibrary(values.reshape(channels, nz, ny, nx).transpose(0, 3, 2, 1), box, notes)


def _refuse(faults: list[_Faults], rows: int, path: Path) -> None:
    for fault in faults:
        for kind, count in fault.count.items():
            which = "sums of Visibility and ReflVisibility" if fault.branch == "total" else f"values of branch {fault.branch}"
            share = f"all {rows}" if count == rows else f"{count} of {rows}"
            raise InputError(f"{path}: {share} {which} are {kind} ({fault.first[kind]}), expected shares of photons between 0 and 1")


def _chunks(tree: Any, wanted: tuple[str, ...], path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    try:
        yield from tree.iterate(["Voxel", "OpChannel", *wanted], step_size=STEP_SIZE, library="np")
    except Exception as error:
        if isinstance(error, (InputError, MemoryError)):
            raise
        raise InputError(f"{path}: the tree {TREE} cannot be read ({str(error).splitlines()[0]}), expected a whole file") from None


def _inside(branch: str, index: NDArray[Any], channel: NDArray[Any], voxel: NDArray[Any], count: int, path: Path, why: str) -> None:
    bad = (index < 0) | (index >= count)
    if bad.any():
        k = int(np.argmax(bad))
        raise InputError(
            f"{path}: {int(bad.sum())} rows have a {branch} outside 0 to {count - 1} "
            f"(first: Voxel {voxel[k]}, OpChannel {channel[k]}), expected {why}"
        )


def _tree(file: Any, path: Path) -> tuple[Any, str]:
    """The tree and the folder that it lies in ('' at the top)."""
    trees = [name for name, kind in file.classnames(recursive=True, cycle=False).items() if kind == "TTree"]
    found = [name for name in trees if name.split("/")[-1] == TREE]
    if not found:
        listed = ", ".join(trees) or "none"
        raise InputError(f"{path}: no tree {TREE} (trees found: {listed}), expected a LArSoft photon library{nearest(TREE, trees)}")
    if len(found) > 1:
        raise InputError(f"{path}: {len(found)} trees {TREE} ({', '.join(found)}), expected one")
    tree = file[found[0]]
    if not tree.num_entries:
        raise InputError(f"{path}: the tree {found[0]} has no rows, expected one a voxel and channel")
    return tree, found[0].rpartition("/")[0]


def _branches(tree: Any, component: str, path: Path) -> tuple[str, ...]:
    names = list(tree.keys(recursive=False))
    for branch in ("Voxel", "OpChannel", "Visibility"):
        if branch not in names:
            raise InputError(f"{path}: the tree {TREE} has no branch {branch} (branches: {', '.join(names)}){nearest(branch, names)}")
    wanted = BRANCHES[component]
    if "ReflVisibility" in wanted and "ReflVisibility" not in names:
        raise InputError(
            f"{path}: the tree {TREE} has no branch ReflVisibility (branches: {', '.join(names)}), so it holds direct light only: "
            f"component: {component} cannot be made, expected component: direct{nearest('ReflVisibility', [n for n in names if n != 'Visibility'])}"
        )
    for branch in ("Voxel", "OpChannel", *wanted):
        kind = np.dtype(getattr(tree[branch].interpretation, "numpy_dtype", object))
        expected = "iu" if branch in ("Voxel", "OpChannel") else "f"
        if kind.kind not in expected or kind.subdtype is not None:
            what = "whole numbers" if expected == "iu" else "real numbers"
            raise InputError(f"{path}: branch {branch} holds {tree.typenames().get(branch, kind)}, expected one of {what} a row")
    return wanted


def _metadata(file: Any, folder: str, path: Path) -> dict[str, float]:
    """All 14 numbers, or none. Raises InputError when only some are there."""
    found: dict[str, float] = {}
    for place in dict.fromkeys((folder, "")):
        room = file[place] if place else file
        for name, kind in room.classnames(recursive=False, cycle=False).items():
            if name in COUNTS + LENGTHS and kind in ("RooInt", "RooDouble") and name not in found:
                try:
                    found[name] = float(room[name].member("_value"))
                except Exception as error:
                    raise InputError(f"{path}: metadata {name} cannot be read ({str(error).splitlines()[0]}), expected a number") from None
    absent = [name for name in COUNTS + LENGTHS if name not in found]
    if found and absent:
        raise InputError(f"{path}: metadata {', '.join(absent)} are missing beside {', '.join(found)}; expected all {len(COUNTS + LENGTHS)}, or none")
    return found


def _box(metadata: dict[str, float], geometry: Geometry | None, path: Path) -> Box:
    given = None
    if geometry is not None:
        given = Box(_cm(geometry.min_cm), _cm(geometry.max_cm), geometry.divisions)
        if any(n < 1 for n in given.divisions) or any(b <= a for a, b in zip(given.lower, given.upper, strict=True)):
            raise InputError(f"key 'geometry' is min_cm {geometry.min_cm}, max_cm {geometry.max_cm}, divisions {geometry.divisions}: expected a box")
    if not metadata:
        if given is None:
            raise InputError(f"{path}: no metadata beside {TREE} (NDivX, MinX, MaxX, ...); expected the key geometry: {{min_cm, max_cm, divisions}}")
        return given
    for name in COUNTS:
        if metadata[name] != int(metadata[name]) or metadata[name] < 1:
            raise InputError(f"{path}: metadata {name} is {metadata[name]:g}, expected a whole number of at least 1")
    for axis in "XYZ":
        low, high, step, n = (metadata[f"{key}{axis}"] for key in ("Min", "Max", "Step", "NDiv"))
        if not high > low:
            raise InputError(f"{path}: metadata Min{axis} {low:g} and Max{axis} {high:g} cm, expected Min{axis} below Max{axis}")
        if not math.isclose(step * n, high - low, rel_tol=1e-4):
            raise InputError(
                f"{path}: metadata contradict: Step{axis} {step:g} cm x NDiv{axis} {n:g} = {step * n:g} cm, Max{axis} - Min{axis} = {high - low:g} cm"
            )
    divisions = (int(metadata["NDivX"]), int(metadata["NDivY"]), int(metadata["NDivZ"]))
    if math.prod(divisions) != int(metadata["NVoxels"]):
        raise InputError(f"{path}: metadata contradict: NVoxels {int(metadata['NVoxels'])}, NDivX NDivY NDivZ = {math.prod(divisions)}")
    box = Box(_cm([metadata[f"Min{a}"] for a in "XYZ"]), _cm([metadata[f"Max{a}"] for a in "XYZ"]), divisions)
    if given is not None:
        same = given.divisions == box.divisions and np.allclose(given.lower + given.upper, box.lower + box.upper, atol=1e-5)
        if not same:
            raise InputError(f"{path}: metadata say {_told(box)}, the key geometry says {_told(given)}; expected the same, or no key geometry")
    return box


def _cm(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(v) * CM for v in values)
    return x, y, z


def _told(box: Box) -> str:
    low, high = (tuple(round(v / CM, 6) for v in corner) for corner in (box.lower, box.upper))
    return f"min_cm {list(low)}, max_cm {list(high)}, divisions {list(box.divisions)}"
