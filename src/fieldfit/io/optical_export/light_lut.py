"""larnd-sim light look-up table: what cli/simulate_pixels.py of DUNE/larnd-sim loads, for one TPC.

    npz, key `arr` (nx, ny, nz, channel), C order, structured: vis f4; t0 f2, first arrival [ns]; time_dist u2 (bin), arrivals in bins of 1 ns

x, y and z ascend with their index, y too: since pull request 300 of November 2025 the table is read bottom-up (`get_voxel` of
larndsim/lightLUT.py); in the x-mirrored TPC of a pair larnd-sim turns x itself. t0 and time_dist have the types of pull request 224.

The efficiency is inside: larnd-sim multiplies `vis` with `op_channel_efficiency` (`calculate_light_incidence`), which is 1 in the detector
properties of 2x2 and FSD. With the calibrated table it has to stay 1. Channels are those of the field: none are padded, so that light of
channel c is at index c.

t0 is the fitted first arrival where the library had one (T1, t0), and otherwise the straight way from the voxel's centre to the sensor's at the
group velocity of 128 nm light; time_dist has its one count there. larnd-sim divides by the sum of time_dist, so it must not be empty.
"""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.io.optical_export.table import Floats, Times
from fieldfit.io.whole import whole
from fieldfit.units import AR_DELAY_S_M, NS

FIRST_ARRIVALS = ("t0", "T1")  # of all light, as larnd-sim and ArgonCube name them


def write_light_lut(
    path: Path, planes: Iterable[Floats], box: Box, disks: Disks, efficiency: NDArray[np.floating] | None, times: Times | None = None
) -> None:
    """Write `planes` of constant x (y, z, channel), times `efficiency`, to `path`, whole or not at all: the archive's member is a stream."""
    known = [name for name in FIRST_ARRIVALS if times and name in times.names]
    first = times.column(known[0]) if times and known else None
    kind = lut_type(box, disks, 0.0 if first is None else float(first.max()))
    factor = np.ones(disks.count, np.float32) if efficiency is None else np.asarray(efficiency, np.float32)
    bins = np.arange(kind["time_dist"].shape[0])
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (*box.divisions, disks.count)}
    with whole(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("arr.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for plane, arrival in zip(planes, _straight(box, disks) if first is None else first, strict=True):
                record = np.zeros(plane.shape, kind)
                record["vis"] = plane * factor
                record["t0"] = at = np.maximum(arrival, 0)
                record["time_dist"] = np.floor(at)[..., None] == bins
                member.write(record.tobytes())


def lut_type(box: Box, disks: Disks, last: float = 0.0) -> np.dtype:
    """The record of a value; time_dist reaches to the last straight arrival from any corner of the box, and to `last` [ns]."""
    corners = np.stack(np.meshgrid(*zip(box.lower, box.upper, strict=True), indexing="ij"), -1).reshape(-1, 3)
    bins = int(np.ceil(max(last, _arrival(corners, disks).max()))) + 1
    return np.dtype([("vis", "<f4"), ("t0", "<f2"), ("time_dist", "<u2", (bins,))])


def _straight(box: Box, disks: Disks) -> Iterator[NDArray[np.float64]]:
    """Planes of constant x (y, z, channel) of the straight way's arrivals [ns]."""
    x, y, z = box.centres()
    for at in x:
        yield _arrival(np.stack(np.meshgrid([at], y, z, indexing="ij"), -1)[0], disks)


def _arrival(points: NDArray[np.float64], disks: Disks) -> NDArray[np.float64]:
    """(..., channel) first arrival [ns] from points (..., 3)."""
    away: NDArray[np.float64] = np.linalg.norm(points[..., None, :] - disks.centre, axis=-1)
    return AR_DELAY_S_M / NS * away
