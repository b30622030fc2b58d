"""Measured tracks: an HDF5 file with the points of each track, the photons made at them, and the photo-electrons of each channel.

A point source is a track of one point. Two datasets may be there: `run`, the number of the run of each track, whose efficiencies may
drift; `saturation_pe`, the reading of each channel that is its ceiling, NaN where there is none or it is not known.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldfit.hdf5 import dataset_in, numbers, opened, required
from fieldfit.io.optical.box import Box
from fieldfit.types import InputError
from fieldfit.units import CM

SHAPES = {"point_cm": "(point, 3)", "point_offset": "(track + 1)", "point_photons": "(point)", "pe_measured": "(track, channel)"}
OPTIONAL = {"run": "(track)", "saturation_pe": "(channel)"}
OUTSIDE_SLACK = 1e-4  # m: points on a face of the box may be rounded outwards


@dataclass(frozen=True)
class Tracks:
    """point (point, 3) [m]; photons (point); offset (track + 1): where each track's points begin and end; measured (track, channel) [pe];
    run (track): 0 for all where the file has none; ceiling (channel) [pe], NaN where it is not given."""

    point: NDArray[np.float64]
    photons: NDArray[np.float64]
    offset: NDArray[np.int64]
    measured: NDArray[np.float64]
    run: NDArray[np.int64]
    ceiling: NDArray[np.float64]

    @property
    def count(self) -> int:
        return len(self.measured)


def read_tracks(path: Path, channels: int, box: Box) -> Tracks:
    """The tracks at `path`.

    Raises InputError naming the dataset and the first bad track when one is missing, has another shape, offsets do not fit the points,
    a value is not finite, photons are negative, a run is no whole number, a ceiling not positive, or a point lies outside the box.
    """
    path = Path(path)
    with opened(path, "measured tracks (HDF5)") as file:
        found = {name: numbers(required(file, name, path, ", ".join(SHAPES)), name, path) for name in SHAPES}
        options = {name: dataset_in(file, name, path) for name in OPTIONAL}
        found |= {name: numbers(dataset, name, path) for name, dataset in options.items() if dataset is not None}
    point, photons, measured = (np.asarray(found[name], np.float64) for name in ("point_cm", "point_photons", "pe_measured"))
    offset = found["point_offset"].astype(np.int64) if found["point_offset"].dtype.kind in "iu" else found["point_offset"]
    _check_shapes(path, point, photons, measured, offset, channels)
    run, ceiling = _checked_options(path, found.get("run"), found.get("saturation_pe"), *measured.shape)
    _check_offsets(path, offset, len(point))
    track = np.searchsorted(offset, np.arange(len(point)), side="right") - 1
    _check_values(path, point, photons, measured, track)
    inside = ((point * CM >= np.array(box.lower) - OUTSIDE_SLACK) & (point * CM <= np.array(box.upper) + OUTSIDE_SLACK)).all(1)
    if not inside.all():
        k = int(np.argmin(inside))
        low, high = (np.round(np.array(corner) / CM, 3).tolist() for corner in (box.lower, box.upper))
        raise InputError(
            f"{path}: {int((~inside).sum())} of {len(point)} points lie outside the library's box {low} to {high} cm "
            f"(first: track {track[k]} at {np.round(point[k], 3).tolist()} cm), expected all inside"
        )
    return Tracks(point * CM, photons, offset, measured, run, ceiling)


def _check_shapes(
    path: Path, point: NDArray[np.float64], photons: NDArray[np.float64], measured: NDArray[np.float64], offset: NDArray[np.int64], channels: int
) -> None:
    found = {"point_cm": point.shape, "point_offset": offset.shape, "point_photons": photons.shape, "pe_measured": measured.shape}
    wanted = {"point_cm": (len(point), 3), "point_offset": (len(measured) + 1,), "point_photons": (len(point),)}
    if measured.ndim != 2 or measured.shape[1] != channels:
        raise InputError(f"{path}: pe_measured has shape {measured.shape}, expected (track, {channels}): the library has {channels} channels")
    for name, shape in wanted.items():
        if found[name] != shape:
            raise InputError(f"{path}: {name} has shape {found[name]}, expected {shape}, {SHAPES[name]}")
    if not len(measured):
        raise InputError(f"{path}: no tracks, expected at least one")


def _checked_options(
    path: Path, run: NDArray | None, ceiling: NDArray | None, tracks: int, channels: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(run, ceiling), filled in where the file has none."""
    run = np.zeros(tracks, np.int64) if run is None else run
    ceiling = np.full(channels, np.nan) if ceiling is None else ceiling.astype(np.float64)
    for name, values, size in (("run", run, tracks), ("saturation_pe", ceiling, channels)):
        if values.shape != (size,):
            raise InputError(f"{path}: {name} has shape {values.shape}, expected ({size},), {OPTIONAL[name]}")
    broken = ~(np.isfinite(run) & (run == np.round(run)) & (np.abs(run) < 2**31))
    if broken.any():
        raise InputError(f"{path}: run of track {int(np.argmax(broken))} is {run[np.argmax(broken)]}, expected a whole number below 2^31")
    low = ceiling <= 0
    if low.any():
        raise InputError(f"{path}: saturation_pe of channel {int(np.argmax(low))} is {ceiling[np.argmax(low)]}, expected a positive number or NaN")
    return run.astype(np.int64), ceiling


def _check_offsets(path: Path, offset: NDArray[np.int64], points: int) -> None:
    if offset[0] != 0 or offset[-1] != points:
        raise InputError(f"{path}: point_offset runs from {offset[0]} to {offset[-1]}, expected 0 to {points}, the number of points")
    falling = np.diff(offset) <= 0
    if falling.any():
        k = int(np.argmax(falling))
        raise InputError(f"{path}: point_offset does not rise at track {k} ({offset[k]} to {offset[k + 1]}), expected at least one point a track")


def _check_values(
    path: Path, point: NDArray[np.float64], photons: NDArray[np.float64], measured: NDArray[np.float64], track: NDArray[np.int64]
) -> None:
    for name, bad, of in (
        ("point_cm", ~np.isfinite(point).all(1), track),
        ("point_photons", ~(np.isfinite(photons) & (photons >= 0)), track),
        ("pe_measured", ~np.isfinite(measured).all(1), np.arange(len(measured))),
    ):
        if bad.any():
            raise InputError(
                f"{path}: {int(bad.sum())} rows of {name} are not finite or negative (first in track {of[int(np.argmax(bad))]}), expected none"
            )
    if measured.sum() <= 0:
        raise InputError(f"{path}: pe_measured holds no light at all, expected photo-electrons")
