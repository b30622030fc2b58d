"""HDF5 libraries of photonlib, as CIDeR-ML/photonlib, photonlib/photonlib.py and meta.py save and load them.

Datasets: numvox (3), min and max (3) [cm], vis (voxel, channel), and sometimes eff, one factor that photonlib applies when it is asked
for a visibility. The voxel is ix + iy NX + iz NX NY. Whether the sensors' efficiency is in vis depends on what it was made from; with eff
beside it, it is not.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fieldfit.config.dune import Geometry
from fieldfit.hdf5 import check_stored, dataset_in, numbers, opened, required
from fieldfit.io.optical.box import box_between, given_box, same_box
from fieldfit.io.optical.source import ROWS, Part, Rows, Source, rows_of_slab
from fieldfit.types import InputError
from fieldfit.units import CM

EXPECTED = "a photonlib library (HDF5)"
DATASETS = ("numvox", "min", "max", "vis")


def open_photonlib_h5(path: Path, channels: int | None, geometry: Geometry | None) -> Source:
    """A photonlib library. Raises InputError when the file is none, a dataset is missing or of another shape, or the config contradicts it."""
    with opened(path, EXPECTED) as file:
        found = {name: required(file, name, path, ", ".join(DATASETS)) for name in DATASETS}
        corners = {}
        for name in ("numvox", "min", "max"):
            if found[name].shape != (3,):
                raise InputError(f"{path}: {name} has shape {found[name].shape}, expected three numbers")
            corners[name] = numbers(found[name], name, path)
            if not np.isfinite(corners[name]).all():
                raise InputError(f"{path}: {name} is {corners[name].tolist()}, expected three numbers")
        vis, factor = found["vis"], dataset_in(file, "eff", path)
        if factor is not None and factor.size != 1:
            raise InputError(f"{path}: eff has shape {factor.shape}, expected one number")
        shape, kind, eff = vis.shape, vis.dtype, None if factor is None else numbers(factor, "eff", path).tolist()
        width = vis.chunks[0] if vis.chunks else 1
        check_stored(vis, "vis", path)
    divisions = corners["numvox"]
    if (divisions < 1).any() or (divisions != np.round(divisions)).any():
        raise InputError(f"{path}: numvox is {divisions.tolist()}, expected whole numbers of at least 1")
    if not (corners["min"] < corners["max"]).all():
        raise InputError(f"{path}: min is {corners['min'].tolist()} and max {corners['max'].tolist()} cm, expected min below max")
    box = box_between(corners["min"], corners["max"], divisions, CM)
    if len(shape) != 2 or shape[0] != box.voxels or kind.kind != "f":
        raise InputError(
            f"{path}: vis holds {kind} of shape {shape}, expected real numbers ({box.voxels}, channel): numvox is {divisions.astype(int).tolist()}"
        )
    if channels is not None and shape[1] != channels:
        raise InputError(f"{path}: vis has {shape[1]} channels, the channel file has {channels} sensors; expected the same number")
    if geometry and not same_box(box, given_box(geometry)):
        raise InputError(f"{path}: the file says {box.told()}, the key geometry says {given_box(geometry).told()}; expected the same")
    slab = max(1, ROWS // shape[1] // width) * width  # whole chunks of the file: each is unpacked once
    return Source(
        path=path,
        box=box,
        channels=shape[1],
        component="total",
        columns=("vis",),
        order="x fastest",
        rows=shape[0] * shape[1],
        absent="unknown",
        convention="photonlib HDF5: vis (voxel, channel), voxel = ix + iy NX + iz NX NY, cm",
        efficiency="not known" if eff is None else "not in it",
        chunks=lambda _, part: _rows(path, slab, part),
        cuts=(*range(0, shape[0], slab), shape[0]),
        name_of=lambda voxel, channel: f"vis[{voxel}, {channel}]",
        notes=() if eff is None else (f"eff is {eff}: a factor beside the table, not applied",),
    )


def _rows(path: Path, slab: int, part: Part | None) -> Iterator[Rows]:
    with opened(path, EXPECTED) as file:
        vis = required(file, "vis", path, ", ".join(DATASETS))
        start, end = part or (0, len(vis))
        for first in range(start, end, slab):
            values = vis[first : min(first + slab, end)]
            some = max(1, ROWS // values.shape[1])
            for begin in range(0, len(values), some):
                few = values[begin : begin + some]
                yield rows_of_slab(np.arange(first + begin, first + begin + len(few)), 0, (few,))
