"""HDF5 libraries of photonlib, as CIDeR-ML/photonlib, photonlib/photonlib.py and meta.py save and load them.

Datasets: numvox (3), min and max (3) [cm], vis (voxel, channel), and sometimes eff, one factor that photonlib applies when it is asked
for a visibility. The voxel is ix + iy NX + iz NX NY. Whether the sensors' efficiency is in vis depends on what it was made from; with eff
beside it, it is not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fieldfit.config.dune import Geometry
from fieldfit.io.optical.box import box_between, given_box, same_box
from fieldfit.io.optical.source import ROWS, Rows, Source, rows_of_slab
from fieldfit.types import InputError, nearest
from fieldfit.units import CM

EXPECTED = "a photonlib library (HDF5)"
DATASETS = ("numvox", "min", "max", "vis")


def open_photonlib_h5(path: Path, channels: int | None, geometry: Geometry | None) -> Source:
    """A photonlib library. Raises InputError when the file is none, a dataset is missing or of another shape, or the config contradicts it."""
    with opened_h5(path, EXPECTED) as file:
        for name in DATASETS:
            if not isinstance(file.get(name), h5py.Dataset):
                raise InputError(
                    f"{path}: dataset '{name}' is missing (found: {', '.join(list(file)[:12]) or 'none'}), expected {', '.join(DATASETS)}"
                    f"{nearest(name, [key for key in file if key not in DATASETS])}"
                )
        corners = {}
        for name in ("numvox", "min", "max"):
            corners[name] = np.asarray(file[name][()])
            if corners[name].shape != (3,) or corners[name].dtype.kind not in "iuf" or not np.isfinite(corners[name]).all():
                raise InputError(f"{path}: {name} is {corners[name].tolist()}, expected three numbers")
        vis = file["vis"]
        shape, kind, eff = vis.shape, vis.dtype, np.asarray(file["eff"][()]).tolist() if "eff" in file else None
        width = vis.chunks[0] if vis.chunks else 1
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
        chunks=lambda _: _rows(path, slab),
        name_of=lambda voxel, channel: f"vis[{voxel}, {channel}]",
        notes=() if eff is None else (f"eff is {eff}: a factor beside the table, not applied",),
    )


def _rows(path: Path, slab: int) -> Iterator[Rows]:
    with opened_h5(path, EXPECTED) as file:
        vis = file["vis"]
        for first in range(0, len(vis), slab):
            try:
                values = vis[first : first + slab]
            except OSError as error:
                raise InputError(f"{path}: vis cannot be read from row {first} on ({error}), expected a whole file") from None
            some = max(1, ROWS // values.shape[1])
            for begin in range(0, len(values), some):
                part = values[begin : begin + some]
                yield rows_of_slab(np.arange(first + begin, first + begin + len(part)), 0, (part,))


def opened_h5(path: Path, expected: str) -> Any:
    """The open HDF5 file. Raises InputError when it is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected {expected}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}), expected {expected}") from None
