"""Small optical libraries in every format, written by plain uproot, h5py and NumPy from one table that no flip or swap leaves alone."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import uproot

from fieldfit.config.dune import Library
from fieldfit.config.load import load_entry
from fieldfit.io.optical.opening import open_library
from fieldfit.io.optical.source import Source
from root_objects import write_objects

DIVISIONS = (4, 3, 5)
LOWER_CM, UPPER_CM = (-10.0, 20.0, 0.0), (30.0, 50.0, 100.0)  # voxels of 10 x 10 x 20 cm
CHANNELS = 6
GEOMETRY = {"min_cm": LOWER_CM, "max_cm": UPPER_CM, "divisions": DIVISIONS}
SENSORS_CM = [(-10.0, 25.0, 10.0 + 15 * c) for c in range(CHANNELS)]


def truth(reflected: bool = False) -> np.ndarray:
    """(channel, x, y, z), float32: every value differs from every other."""
    c, x, y, z = np.meshgrid(*(np.arange(n) for n in (CHANNELS, *DIVISIONS)), indexing="ij")
    values = (1 + c + 10 * x + 100 * y + 1000 * z) * (2e-5 if reflected else 1e-4)
    return values.astype(np.float32)


def columns(values: np.ndarray | None = None, reflected: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """LArSoft's rows, voxel by voxel, x fastest."""
    flat = np.moveaxis(truth() if values is None else values, 0, -1).transpose(2, 1, 0, 3).reshape(-1)
    voxel, channel = np.divmod(np.arange(flat.size, dtype=np.int32), CHANNELS)
    rows = {"Voxel": voxel.astype(np.int32), "OpChannel": channel.astype(np.int32), "Visibility": flat}
    if reflected is not None:
        rows["ReflVisibility"] = np.moveaxis(reflected, 0, -1).transpose(2, 1, 0, 3).reshape(-1)
    return rows


def metadata(**changes: Any) -> dict[str, Any]:
    """The fourteen of LArSoft; None takes one away."""
    found: dict[str, Any] = {"NVoxels": int(np.prod(DIVISIONS)), "NChannels": CHANNELS}
    for k, axis in enumerate("XYZ"):
        found |= {f"NDiv{axis}": DIVISIONS[k], f"Min{axis}": LOWER_CM[k], f"Max{axis}": UPPER_CM[k]}
        found[f"Step{axis}"] = (UPPER_CM[k] - LOWER_CM[k]) / DIVISIONS[k]
    return {name: value for name, value in (found | changes).items() if value is not None}


def write_larsoft(
    path: Path,
    rows: dict[str, np.ndarray] | None = None,
    objects: dict[str, Any] | None = None,
    folder: str = "pmtresponse",
    tree: str = "PhotonLibraryData",
) -> Path:
    """Rows and metadata (by default all) in a folder ('' is the top)."""
    rows = columns() if rows is None else rows
    with uproot.recreate(path) as file:
        room = file.mkdir(folder) if folder else file
        types = {name: (v.dtype, v.shape[1:]) if v.ndim > 1 else v.dtype for name, v in rows.items()}
        made = room.mktree(tree, types)
        if len(rows["Voxel"]):
            made.extend(rows)
        write_objects(room, metadata() if objects is None else objects)
    return path


def write_arcube(path: Path, rows: dict[str, np.ndarray] | None = None, vectors: dict[str, Any] | None = None) -> Path:
    rows = (columns() | {"T1": np.arange(truth().size, dtype=np.float32)}) if rows is None else rows
    mm = {"Min": [10 * v for v in LOWER_CM], "Max": [10 * v for v in UPPER_CM], "NDivisions": [float(n) for n in DIVISIONS]}
    with uproot.recreate(path) as file:
        file.mktree("PhotonLibraryData", {name: v.dtype for name, v in rows.items()}).extend(rows)
        write_objects(file, mm if vectors is None else vectors)
    return path


def write_dune(path: Path, shuffled: bool = False, keep: np.ndarray | None = None, grid: bool = False, **changes: Any) -> Path:
    """z fastest, a row a voxel; grid: with histograms of the edges, beyond the box; changes: arrays in place of coords, direct or reflected."""
    centres = [low + (np.arange(n) + 0.5) * (high - low) / n for low, high, n in zip(LOWER_CM, UPPER_CM, DIVISIONS, strict=True)]
    coords = np.stack(np.meshgrid(*centres, indexing="ij"), -1).reshape(-1, 3)
    rows = {
        "coords": coords,
        "direct": np.moveaxis(truth(), 0, -1).reshape(-1, CHANNELS),
        "reflected": np.moveaxis(truth(True), 0, -1).reshape(-1, CHANNELS),
    }
    rows |= changes
    order = np.random.default_rng(3).permutation(len(coords)) if shuffled else np.arange(len(coords))
    order = order if keep is None else order[keep]
    named = {"coords": rows["coords"], "opDet_visDirect": rows["direct"], "opDet_visReflct": rows["reflected"]}
    named = {name: np.asarray(v, np.float64)[order] for name, v in named.items() if v is not None}
    position = np.array(SENSORS_CM, np.float32)
    size = np.ones(CHANNELS, np.float32)
    with uproot.recreate(path) as file:
        room = file.mkdir("photovisAr")
        room.mktree("photoVisMap", {name: (v.dtype, v.shape[1:]) for name, v in named.items()}).extend(named)
        room.mktree("opDetMap", {"opDetH": "f4", "opDetL": "f4", "opDetW": "f4", "opDetPos": ("f4", (3,))}).extend(
            {"opDetH": 10 * size, "opDetL": 20 * size, "opDetW": size, "opDetPos": position}
        )
        corners = np.array([LOWER_CM, UPPER_CM, LOWER_CM, UPPER_CM])
        room.mktree("tDimensions", {"dimension": ("f8", (3,))}).extend({"dimension": corners})
        for k, (low, high, n) in enumerate(zip(LOWER_CM, UPPER_CM, DIVISIONS, strict=True)):
            if grid:
                edge = (high - low) / n
                room[f"hgrid{k}"] = np.zeros(n + 2), np.linspace(low - edge, high + edge, n + 3)
    return path


RECORDS = {
    "float32": [("vis", "f4"), ("t0", "f4"), ("time_dist", "f4", (7,))],
    "with t0_avg": [("vis", "f4"), ("t0", "f4"), ("t0_avg", "f4"), ("time_dist", "f4", (7,))],
    "small": [("vis", "f4"), ("t0", "f2"), ("time_dist", "u2", (7,))],
}


def records(kind: str = "float32", y_falls: bool = False, values: np.ndarray | None = None) -> np.ndarray:
    table = np.moveaxis(truth() if values is None else values, 0, -1)
    arr = np.zeros(table.shape, RECORDS[kind])
    arr["vis"], arr["t0"] = table, np.arange(table.size).reshape(table.shape)
    return np.ascontiguousarray(arr[:, ::-1]) if y_falls else arr


def write_npz(path: Path, arr: np.ndarray | None = None) -> Path:
    np.savez_compressed(path, arr=records() if arr is None else arr)
    return path


def write_photonlib(path: Path, vis: np.ndarray | None = None, **datasets: Any) -> Path:
    """datasets: in place of numvox, min, max, or beside them; None takes one away."""
    flat = np.moveaxis(truth(), 0, -1).transpose(2, 1, 0, 3).reshape(-1, CHANNELS)
    found: dict[str, Any] = {"numvox": np.array(DIVISIONS), "min": np.array(LOWER_CM, np.float32), "max": np.array(UPPER_CM, np.float32)}
    with h5py.File(path, "w") as file:
        for name, value in (found | {"vis": flat if vis is None else vis} | datasets).items():
            if value is not None:
                file.create_dataset(name, data=value, **({"compression": "gzip"} if np.ndim(value) else {}))
    return path


def write_hits(path: Path, modules: int = 1, each: int = 3, skipped: tuple[int, ...] = (), **changes: Any) -> Path:
    """Some segments in every voxel but the skipped ones (numbers, z fastest); the light is exactly truth() times the photons made."""
    centres = [low + (np.arange(n) + 0.5) * (high - low) / n for low, high, n in zip(LOWER_CM, UPPER_CM, DIVISIONS, strict=True)]
    grid = np.stack(np.meshgrid(*centres, indexing="ij"), -1).reshape(-1, 3)
    voxel = np.repeat(np.setdiff1d(np.arange(len(grid)), skipped), each)
    random = np.random.default_rng(5)
    random.shuffle(voxel)
    point = grid[voxel] + random.uniform(-4, 4, (len(voxel), 3))
    segments = np.zeros(len(voxel), [("event_id", "u4"), ("segment_id", "u4"), ("x", "f4"), ("y", "f4"), ("z", "f4"), ("n_photons", "f4")])
    segments["segment_id"] = 100 + random.permutation(len(voxel))
    segments["x"], segments["y"], segments["z"] = point.T
    segments["n_photons"] = random.integers(1000, 9000, len(voxel))
    table = np.moveaxis(truth(), 0, -1).reshape(-1, CHANNELS)
    light = np.zeros((len(voxel), CHANNELS), [("segment_id", "u4"), ("n_photons_det", "f4"), ("t0_det", "f4")])
    light["segment_id"] = segments["segment_id"][:, None]
    light["n_photons_det"] = table[voxel] * segments["n_photons"][:, None]
    light = light[random.permutation(len(light))]
    with h5py.File(path, "w") as file:
        file["segments"] = changes.get("segments", segments)
        file["segments"].attrs["zbeam"] = True
        width = CHANNELS // modules
        for k in range(modules):
            name = "light_dat/light_dat_allmodules" if modules == 1 else f"light_dat/light_dat_module{k}"
            file[name] = changes.get("light", light)[:, k * width : (k + 1) * width]
    return path


def entry_of(format: str, **keys: Any) -> Library:
    found: Library = load_entry("dune", {"format": format, "library": "library", "channels": "channels.json"} | keys)
    return found


def opened(path: Path, format: str, channels: int | None = CHANNELS, **keys: Any) -> Source:
    return open_library(path, entry_of(format, **keys), channels)
