"""A library counted from hits: energy deposits and the light detected of each, in the HDF5 layout of larnd-sim.

DUNE/larnd-sim, cli/simulate_pixels.py writes `segments` (deposits of edep-sim: x, y, z of their middle [cm], n_photons made, segment_id)
and `light_dat/light_dat_allmodules`, or `light_dat/light_dat_module{k}` for each module: (segment, channel) records of n_photons_det,
t0_det and segment_id. Older files have one dataset `light_dat`, rows in step with the segments. Modules are light-tight: a module's
segments say nothing about another one's channels, which come one module after the other.

    V_vc = sum of n_photons_det over the segments in v / N_vc,    N_vc = sum of n_photons over the same

The counting uncertainty is that of the N actually made in a voxel: that of hits which were drawn. larnd-sim writes mean numbers from its
look-up table, which scatter less. Where none were made nothing is known. n_photons_det has the efficiency of the table and of the channel
in it. The box and its voxels come from the key `geometry`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Geometry
from fieldfit.hdf5 import LARGEST_TABLE, check_stored, dataset_in, member_in, names_in, opened, required
from fieldfit.io.optical.box import Box, given_box
from fieldfit.io.optical.source import ROWS, Rows, Source, rows_of_slab
from fieldfit.types import InputError, nearest
from fieldfit.units import CM

EXPECTED = "segments and light_dat of larnd-sim (HDF5)"
SEGMENTS = ("segments", "tracks")
FIELDS = ("x", "y", "z", "n_photons")
DETECTED = "n_photons_det"
TABLE_VALUES = 16_000_000  # counted at a time


@dataclass(frozen=True)
class _Module:
    """One dataset of detected light: name, first channel and number of them, and for each of its rows the voxel (-1: outside) and photons."""

    name: str
    first: int
    channels: int
    voxel: NDArray[np.int64]
    photons: NDArray[np.float64]


def open_hits(path: Path, channels: int | None, geometry: Geometry | None) -> Source:
    """Deposits and detected light as a library. Raises InputError when the file has none, or the two do not belong together."""
    if geometry is None:
        raise InputError(f"{path}: hits have no voxels of their own; expected the key geometry: {{min_cm, max_cm, divisions}}")
    box = given_box(geometry)
    with opened(path, EXPECTED) as file:
        segments = next((found for name in SEGMENTS if (found := dataset_in(file, name, path)) is not None), None)
        light = member_in(file, "light_dat", path)
        if segments is None or light is None:
            names = names_in(file)
            hint = nearest("segments" if segments is None else "light_dat", names)
            raise InputError(f"{path}: datasets found: {', '.join(names[:12]) or 'none'}, expected segments and light_dat{hint}")
        place, photons, number, notes = _segments(segments, box, path)
        modules = _modules(file, light, place, photons, number, path)
    count = modules[-1].first + modules[-1].channels
    if channels is not None and count != channels:
        raise InputError(f"{path}: light_dat has {count} channels, the channel file has {channels} sensors; expected the same number")
    if box.voxels > LARGEST_TABLE // 8:
        raise InputError(f"{path}: key 'geometry' has {box.voxels} voxels, expected {LARGEST_TABLE // 8} at most for hits")
    made = np.zeros(box.voxels)
    np.add.at(made, place[place >= 0], photons[place >= 0])
    if not made.any():
        raise InputError(f"{path}: no photons are made inside {box.told()}, expected the box of the deposits")
    nx, ny, nz = box.divisions
    rows = sum(int(np.count_nonzero(_made(module, box))) * module.channels for module in modules)
    return Source(
        path=path,
        box=box,
        channels=count,
        component="total",
        columns=(DETECTED,),
        order="x fastest",
        rows=rows,
        absent="unknown",
        convention=f"hits of larnd-sim: {DETECTED} / n_photons of the segments whose middle is in a voxel, cm",
        efficiency="in it",
        chunks=lambda *_: _rows(path, modules, box),
        name_of=lambda voxel, channel: f"voxel ({voxel % nx}, {voxel // nx % ny}, {voxel // (nx * ny)}), channel {channel}",
        made=made.reshape(nz, ny, nx).transpose(2, 1, 0),
        notes=tuple(notes),
    )


def _segments(dataset: Any, box: Box, path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[Any] | None, list[str]]:
    """Voxel (-1 outside the box) and photons of each segment, their numbers where there are some, and what to tell."""
    names = dataset.dtype.names or ()
    for name in FIELDS:
        if name not in names:
            raise InputError(f"{path}: {dataset.name} has no {name} (found: {', '.join(names)}), expected {', '.join(FIELDS)}{nearest(name, names)}")
    if not len(dataset):
        raise InputError(f"{path}: {dataset.name} has no rows, expected deposits")
    number = ("segment_id",) if "segment_id" in names else ()
    for name in (*FIELDS, *number):
        if dataset.dtype[name].kind not in ("iu" if name in number else "iuf"):
            raise InputError(f"{path}: {name} of {dataset.name} has type {dataset.dtype[name]}, expected numbers")
    check_stored(dataset, dataset.name, path)
    if 8 * len(dataset) > LARGEST_TABLE:
        raise InputError(f"{path}: {dataset.name} has {len(dataset)} rows, expected {LARGEST_TABLE // 8} at most")
    point = np.stack([np.asarray(dataset[name], np.float64) for name in "xyz"], 1) * CM
    photons = np.asarray(dataset["n_photons"], np.float64)
    wrong = ~(np.isfinite(point).all(1) & np.isfinite(photons) & (photons >= 0))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise InputError(
            f"{path}: {int(wrong.sum())} of {len(wrong)} segments have x, y, z or n_photons not finite or negative (first: segment {k}, "
            f"{(point[k] / CM).tolist()} cm, {photons[k]:g} photons), expected none"
        )
    index = np.floor((point - np.array(box.lower)) / box.pitch).astype(np.int64)
    inside = ((index >= 0) & (index < np.array(box.divisions))).all(1)
    nx, ny, _ = box.divisions
    place = np.where(inside, index[:, 0] + nx * (index[:, 1] + ny * index[:, 2]), -1)
    notes = []
    if not inside.all():
        notes.append(f"{int((~inside).sum())} of {len(inside)} segments lie outside the box; left out")
    if not dataset.attrs.get("zbeam", False):
        notes.append(f"{dataset.name.strip('/')} has no attribute zbeam: x, y, z are taken as they are")
    return place, photons, np.asarray(dataset["segment_id"]) if number else None, notes


def _modules(
    file: h5py.File, group: Any, place: NDArray[np.int64], photons: NDArray[np.float64], number: NDArray[Any] | None, path: Path
) -> list[_Module]:
    """The datasets of detected light, their rows matched with the segments. group: `light_dat`."""
    if isinstance(group, h5py.Dataset):
        names = ["light_dat"]
    else:
        there = names_in(group) if isinstance(group, h5py.Group) else []
        single = [name for name in there if name == "light_dat_allmodules"]
        found = {int(m.group(1)): name for name in there if (m := re.fullmatch(r"light_dat_module(\d+)", name))}
        names = [f"light_dat/{name}" for name in (single or [found[k] for k in sorted(found)])]
        if not names:
            raise InputError(f"{path}: light_dat has {', '.join(there) or 'nothing'}, expected light_dat_allmodules or light_dat_module{{k}}")
    modules: list[_Module] = []
    for name in names:
        dataset = required(file, name, path, EXPECTED)
        if dataset.ndim != 2 or DETECTED not in (dataset.dtype.names or ()):
            raise InputError(f"{path}: {name} has shape {dataset.shape} of {dataset.dtype}, expected (segment, channel) records with {DETECTED}")
        kinds = {field: dataset.dtype[field].kind for field in (DETECTED, "segment_id") if field in dataset.dtype.names}
        if kinds[DETECTED] not in "iuf" or kinds.get("segment_id", "i") not in "iu":
            raise InputError(f"{path}: {name} has records of {dataset.dtype}, expected numbers in {', '.join(kinds)}")
        check_stored(dataset, name, path)
        if number is not None and "segment_id" in dataset.dtype.names and len(dataset):
            wanted = np.asarray(dataset[:, 0]["segment_id"])
            order = np.argsort(number, kind="stable")
            at = order[np.minimum(np.searchsorted(number[order], wanted), len(order) - 1)]
            lost = number[at] != wanted
            if lost.any():
                k = int(np.argmax(lost))
                raise InputError(f"{path}: {name} has {int(lost.sum())} rows of segments that are not there (first: segment_id {wanted[k]})")
        elif len(dataset) == len(place):
            at = np.arange(len(place))
        else:
            raise InputError(f"{path}: {name} has {len(dataset)} rows for {len(place)} segments and no segment_id, expected one a segment")
        first = modules[-1].first + modules[-1].channels if modules else 0
        modules.append(_Module(name, first, dataset.shape[1], place[at], photons[at]))
    return modules


def _made(module: _Module, box: Box) -> NDArray[np.float64]:
    """(voxel) photons made by the segments that the module's rows are about."""
    inside = module.voxel >= 0
    made: NDArray[np.float64] = np.bincount(module.voxel[inside], module.photons[inside], box.voxels).astype(np.float64)
    return made


def _rows(path: Path, modules: list[_Module], box: Box) -> Iterator[Rows]:
    """Ratios, some channels at a time; voxels in which nothing was made are left out."""
    at_once = max(1, TABLE_VALUES // box.voxels)
    with opened(path, EXPECTED) as file:
        for module in modules:
            light, made = required(file, module.name, path, EXPECTED), _made(module, box)
            lit = np.flatnonzero(made)
            for first in range(0, module.channels, at_once):
                count = min(at_once, module.channels - first)
                detected = np.zeros((box.voxels, count))
                step = max(1, ROWS // module.channels)
                for begin in range(0, len(module.voxel), step):
                    voxel = module.voxel[begin : begin + step]
                    inside = voxel >= 0
                    part = light[begin : begin + step, first : first + count][DETECTED]
                    np.add.at(detected, voxel[inside], part[inside].astype(np.float64))
                slab = max(1, ROWS // count)
                for begin in range(0, len(lit), slab):
                    some = lit[begin : begin + slab]
                    yield rows_of_slab(some, module.first + first, (detected[some] / made[some, None],))
