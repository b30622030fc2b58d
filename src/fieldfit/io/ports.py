"""Reader of port runs: HDF5 with the atoms counted in each port of each interferometer, and auxiliary channels.

counts (shot, interferometer, port), time_s (shot), daq_status (shot; 0 good, anything else missing), height_m (interferometer)
optional: cloud_position_m (shot, 2), relative_intensity (shot), shot (shot): the DAQ's numbers
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Int

from fieldfit.hdf5 import check_stored, dataset_in, opened, required, values
from fieldfit.io.numbers import shot_numbers
from fieldfit.types import InputError, Status

REQUIRED = ("counts", "time_s", "daq_status", "height_m")
OPTIONAL = ("cloud_position_m", "relative_intensity", "shot")
BLOCK = 65536  # shots that are read together


@dataclass(frozen=True)
class Run:
    """counts (shot, interferometer, 2): atoms, int32 where the file has integers; status: missing, empty, weak, corrupt or good; position [m]
    and intensity are None where the file has none."""

    counts: np.ndarray
    time: Float[np.ndarray, "shot"]
    status: Int[np.ndarray, "shot"]
    height: Float[np.ndarray, "interferometer"]
    position: Float[np.ndarray, "shot 2"] | None
    intensity: Float[np.ndarray, "shot"] | None
    shots: Int[np.ndarray, "shot"]


def read_ports(path: Path, weak_share: float) -> Run:
    """All shots of a run, in order, flagged by what the file itself says.

    missing: daq_status is not 0. corrupt: a count is negative or not finite, or an auxiliary value is not finite. empty: an interferometer
    without an atom. weak: fewer atoms than `weak_share` of the run's median in any interferometer.
    Raises InputError naming the dataset, what was found and what was expected.
    """
    path = Path(path)
    with opened(path, f"HDF5 with {', '.join(REQUIRED)}") as file:
        found = {name: required(file, name, path, ", ".join(REQUIRED)) for name in REQUIRED}
        options = {name: dataset_in(file, name, path) for name in OPTIONAL}
        found |= {name: dataset for name, dataset in options.items() if dataset is not None}
        _check_shapes(path, found)
        data = {name: values(dataset, name, path) for name, dataset in found.items() if name != "counts"}
        check_stored(found["counts"], "counts", path)
        counts = _counts(found["counts"])
    time = data["time_s"].astype(np.float64)
    if not np.isfinite(time).all() or not (np.diff(time) > 0).all():
        place = int(np.flatnonzero(~(np.diff(time, prepend=-np.inf) > 0))[0])
        raise InputError(f"{path}: dataset 'time_s' is {time[place]} at shot {place} after {time[max(0, place - 1)]}, expected ascending seconds")
    if not np.isfinite(data["height_m"]).all():
        raise InputError(f"{path}: dataset 'height_m' is {data['height_m']}, expected finite metres")
    position, intensity = data.get("cloud_position_m"), data.get("relative_intensity")
    status = np.full(len(time), int(Status.good), np.int8)
    broken = np.asarray(~np.isfinite(counts).all((1, 2)) | (counts < 0).any((1, 2)))
    for auxiliary in (position, intensity):
        if auxiliary is not None:
            broken |= ~np.isfinite(auxiliary.reshape(len(time), -1)).all(1)
    atoms = counts.sum(2, dtype=np.float64)
    atoms[broken] = 0.0
    missing = data["daq_status"] != 0
    usable = ~missing & ~broken & (atoms > 0).all(1)
    if usable.any():
        typical = np.array([np.median(each[usable]) for each in atoms.T])
        status[(atoms < weak_share * typical).any(1)] = int(Status.weak)
    status[(atoms <= 0).any(1)] = int(Status.empty)
    status[broken] = int(Status.corrupt)
    status[missing] = int(Status.missing)
    shots = shot_numbers(data["shot"], f"{path}: dataset 'shot'") if "shot" in data else np.arange(len(time), dtype=np.int32)
    return Run(counts, time, status, data["height_m"].astype(np.float64), position, intensity, shots)


def _counts(dataset: h5py.Dataset) -> np.ndarray:
    """Integers as int32 where they fit, anything else as float64, read in blocks: a night of int64 is as large as the rest of the fit."""
    limits, integers = np.iinfo(np.int32), dataset.dtype.kind in "iub"
    out = np.empty(dataset.shape, np.int32 if integers else np.float64)
    for first in range(0, len(out), BLOCK):
        block = dataset[first : first + BLOCK]
        if integers and (block.max() > limits.max or block.min() < limits.min):
            return dataset[()].astype(np.float64)
        out[first : first + BLOCK] = block
    return out


def _check_shapes(path: Path, found: dict[str, h5py.Dataset]) -> None:
    """Shapes and types from the headers, before anything is read."""
    shape = found["counts"].shape
    if len(shape) != 3 or shape[2] != 2 or shape[1] < 2 or shape[0] < 2:
        raise InputError(f"{path}: dataset 'counts' has shape {shape}, expected (shot, interferometer, 2 ports) with two interferometers or more")
    expected = {
        "time_s": (shape[0],),
        "daq_status": (shape[0],),
        "height_m": (shape[1],),
        "cloud_position_m": (shape[0], 2),
        "relative_intensity": (shape[0],),
        "shot": (shape[0],),
        "counts": shape,
    }
    for name, dataset in found.items():
        if dataset.shape != expected[name]:
            raise InputError(f"{path}: dataset '{name}' has shape {dataset.shape}, expected {expected[name]} beside counts of shape {shape}")
        if dataset.dtype.kind not in "iufb":
            raise InputError(f"{path}: dataset '{name}' has type {dataset.dtype}, expected numbers")
