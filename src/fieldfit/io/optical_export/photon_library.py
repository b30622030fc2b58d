"""LArSoft photon library: what larsim's PhotonLibrary reads, LoadLibraryFromFile and LoadMetadata (larsim/PhotonPropagation/PhotonLibrary.cxx).

    pmtresponse/PhotonLibraryData   TTree: Voxel/I, OpChannel/I, Visibility/F[, ReflVisibility/F, ReflTfirst/F, timing_par[n]/F]; rows that are
                                    all zero absent
    pmtresponse/NVoxels, NChannels, NDivX, NDivY, NDivZ     RooInt
    pmtresponse/MinX, MaxX, StepX, ... StepZ                RooDouble [cm]

Voxel = ix + iy NX + iz NX NY. LArSoft takes the largest OpChannel of the rows for the last one, so Voxel 0 of the last channel always has its
row. Visibility is the share of photons that arrives at the sensor: no quantum efficiency inside.

A field of direct light fills Visibility alone. One of reflected light fills ReflVisibility, with Visibility 0. A field of all light cannot
tell the two apart: it fills Visibility, with ReflVisibility 0, so that their sum is right whichever of them a job asks for.
Arrival times are those of a library that has them in these branches, fitted.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from fieldfit.io.optical.box import Box
from fieldfit.io.optical.larsoft import FIRST, PARAMETERS, TREE
from fieldfit.io.optical_export.roo import roo
from fieldfit.io.optical_export.table import Floats, Times
from fieldfit.io.whole import whole
from fieldfit.units import CM

FOLDER = "pmtresponse"
ROWS = 500_000  # at least, of a basket: many small ones are slow to read


def write_photon_library(path: Path, planes: Iterable[Floats], box: Box, channels: int, component: str, times: Times | None = None) -> None:
    """Write `planes` of constant z (y, x, channel) to `path`, whole or not at all."""
    names = times.names if times else ()
    arrivals = times.table.along_z() if times else itertools.repeat(np.zeros((1, 1, 0), np.float32))
    parameters = [k for k, name in enumerate(names) if name.startswith(PARAMETERS)]
    kinds: dict[str, Any] = {"Voxel": np.int32, "OpChannel": np.int32, "Visibility": np.float32}
    if component != "direct":
        kinds["ReflVisibility"] = np.float32
    if FIRST in names:
        kinds[FIRST] = np.float32
    if parameters:
        kinds[PARAMETERS] = (np.float32, (len(parameters),))
    filled = "ReflVisibility" if component == "reflected" else "Visibility"
    with whole(path) as unfinished, uproot.recreate(unfinished) as file:
        tree = file.mktree(f"{FOLDER}/{TREE}", kinds, title=TREE)
        for voxel, channel, values, arrival in _gathered(_rows(zip(planes, arrivals, strict=bool(times)), channels, len(names))):
            rows: dict[str, NDArray] = {name: np.zeros(len(values), np.float32) for name in kinds}
            rows |= {"Voxel": voxel, "OpChannel": channel, filled: values}
            if FIRST in kinds:
                rows[FIRST] = arrival[:, names.index(FIRST)]
            if parameters:
                rows[PARAMETERS] = arrival[:, parameters]
            tree.extend(rows)
        for name, (value, title) in _metadata(box, channels).items():
            file[f"{FOLDER}/{name}"] = roo(value, title)


def _rows(
    planes: Iterable[tuple[Floats, Floats]], channels: int, timings: int
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], Floats, Floats]]:
    """(Voxel, OpChannel, value, times (row, timing)) of the rows that are written, a plane at a time."""
    before = 0
    for plane, arrival in planes:
        values = plane.reshape(-1)
        kept = values != 0
        kept[channels - 1] |= before == 0
        place = np.flatnonzero(kept)
        voxel, channel = np.divmod(place, channels)
        columns = arrival.reshape(-1, timings, channels)[voxel, :, channel] if timings else np.zeros((len(place), 0), np.float32)
        yield (voxel + before).astype(np.int32), channel.astype(np.int32), values[place], columns
        before += values.size // channels


def _gathered(parts: Iterator[tuple[NDArray, ...]]) -> Iterator[list[NDArray]]:
    """The same columns in parts of at least ROWS rows, but for the last."""
    held: list[tuple[NDArray, ...]] = []
    for part in parts:
        held.append(part)
        if sum(len(voxel) for voxel, *_ in held) >= ROWS:
            yield [np.concatenate(column) for column in zip(*held, strict=True)]
            held = []
    if held:
        yield [np.concatenate(column) for column in zip(*held, strict=True)]


def _metadata(box: Box, channels: int) -> dict[str, tuple[int | float, str]]:
    found: dict[str, tuple[int | float, str]] = {"NVoxels": (box.voxels, "voxels of the library"), "NChannels": (channels, "optical channels")}
    for axis, low, high, step, count in zip("XYZ", box.lower, box.upper, box.pitch, box.divisions, strict=True):
        found[f"Min{axis}"] = (float(f"{low / CM:.9g}"), f"lower {axis.lower()} of the box [cm]")
        found[f"Max{axis}"] = (float(f"{high / CM:.9g}"), f"upper {axis.lower()} of the box [cm]")
        found[f"Step{axis}"] = (float(f"{step / CM:.9g}"), f"edge of a voxel along {axis.lower()} [cm]")
        found[f"NDiv{axis}"] = (int(count), f"voxels along {axis.lower()}")
    return found
