"""photonlib file: what PhotonLib.load of CIDeR-ML/photonlib reads (photonlib/photonlib.py, meta.py).

    numvox (3)                 voxels along x, y, z
    min, max (3)               corners of the box [cm]
    vis (voxel, channel)       visibility, voxel = ix + iy NX + iz NX NY
    eff (channel), optional    factor that PhotonLib.__call__ applies to `vis`, while PhotonLib.visibility leaves it out

`vis` holds no efficiency, as in the LArSoft libraries that these files are made of; a calibration's efficiencies go into `eff`.
"""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fieldfit.io.optical.box import Box
from fieldfit.io.optical_export.table import Floats
from fieldfit.io.whole import whole
from fieldfit.units import CM

CHUNK = 262_144  # values


def write_photonlib(path: Path, planes: Iterable[Floats], box: Box, channels: int, efficiency: NDArray[np.floating] | None) -> None:
    """Write `planes` of constant z (y, x, channel) to `path`, whole or not at all."""
    with whole(path) as unfinished, h5py.File(unfinished, "w") as file:
        file["numvox"] = np.array(box.divisions, np.int32)
        file["min"], file["max"] = (np.array(corner, np.float64) / CM for corner in (box.lower, box.upper))
        chunks = (min(box.voxels, max(1, CHUNK // channels)), channels)
        vis = file.create_dataset("vis", (box.voxels, channels), np.float32, chunks=chunks, compression="gzip", compression_opts=4, shuffle=True)
        before = 0
        for plane in planes:
            rows = plane.reshape(-1, channels)
            vis[before : before + len(rows)] = rows
            before += len(rows)
        if efficiency is not None:
            file["eff"] = np.asarray(efficiency, np.float32)
