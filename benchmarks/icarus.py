"""The DUNE chain at ICARUS' size: 74 x 77 x 394 voxels x 180 channels, 404 M values, 1.6 GB as a dense table of float32.

    uv run python benchmarks/icarus.py [--scale 1] [--photons 1e6] [--folder FOLDER] [--export numpy,larsoft] [--steps N]

Simulates a LArSoft library (direct light of 180 disks on two walls, attenuated, plus a smooth glow from 40 places behind all walls that no
mirror and no product of axes describes; photons are counted, zero rows left out) and runs the steps, each in a process of its own.
--scale shortens the box and leaves out channels, so that the values go with its square. Prints Markdown tables: CPU seconds and peak memory
of each step, of the process's own (anonymous) and with the pages of files that it maps; mean 2|p - t| / (p + t) against the truth without
noise at 5000 points off the grid by decade, beside trilinear interpolation of the table; parameters against values.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
import uproot
import xarray as xr
from scipy.ndimage import map_coordinates
from tracks import straight

from fieldfit.bridge import load_field
from fieldfit.config.dune import Library
from fieldfit.config.load import load_entry
from fieldfit.geometry.sensors import Sensors, solid_angle_share
from fieldfit.steps.calibrate_visibility import calibrate_visibility
from fieldfit.steps.export_visibility import export_visibility
from fieldfit.steps.fit_visibility import fit_visibility
from fieldfit.steps.read_library import read_library

SIDES, LENGTH, CHANNELS, PITCH = (74, 77), 394, 180, 0.05  # m
ATTENUATION = 4.0  # m
NEAR = 2.0  # m along z: sensors whose light is averaged over the voxel and not taken at its centre
POINTS = 5000
TRACKS, TRACK_POINTS = 400, 200
GAUSS = PITCH / (2 * np.sqrt(3))


@dataclass(frozen=True)
class Detector:
    """divisions; centre (channel, 3), normal (channel, 3), glow: places (place, 3), widths (place) [m] and amplitudes (place, channel)."""

    divisions: tuple[int, int, int]
    centre: np.ndarray
    normal: np.ndarray
    places: np.ndarray
    widths: np.ndarray
    amplitudes: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Edges of the box [m]."""
        return np.array(self.divisions) * PITCH


def detector(scale: float) -> Detector:
    """The box from the origin on, half of the sensors behind each of its faces along x, in staggered columns of five."""
    divisions = (*SIDES, max(8, round(LENGTH * scale)))
    size, half = np.array(divisions) * PITCH, max(2, round(CHANNELS * scale) // 2)
    k = np.arange(half)
    y, z = (k % 5 + 0.5 + 0.25 * (k // 5 % 2)) / 5.5 * size[1], (k // 5 + 0.5) / -(-half // 5) * size[2]
    side = [np.stack([np.full(half, x), y, z], 1) for x in (-0.1, size[0] + 0.1)]
    normal = np.concatenate([np.tile([1.0, 0, 0], (half, 1)), np.tile([-1.0, 0, 0], (half, 1))])
    random = np.random.default_rng(1)
    places = random.random((40, 3)) * size
    wall = random.integers(0, 3, 40), random.integers(0, 2, 40)
    places[np.arange(40), wall[0]] = np.where(wall[1], size[wall[0]] + 0.8, -0.8)
    centre = np.concatenate(side)
    away = np.linalg.norm(places[:, None] - centre, axis=2)
    amplitudes = random.uniform(0.5, 2, (40, 1)) * 4e-5 * np.exp(-away / 2)
    return Detector(divisions, centre, normal, places, random.uniform(0.8, 1.6, 40), amplitudes)


def direct(found: Detector, points: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """(n, channel) share that arrives without a detour."""
    sensors = Sensors(*(torch.tensor(a[channels]) for a in (found.centre, found.normal, np.full(len(found.centre), 0.1))))
    with torch.no_grad():
        x = torch.tensor(points)
        values = [solid_angle_share(sensors, part) * (torch.cdist(part, sensors.centre) / -ATTENUATION).exp() for part in x.split(1024)]
    return torch.cat(values).numpy()


def glow(found: Detector, points: np.ndarray) -> np.ndarray:
    """(n, channel) scattered and reflected light."""
    square = np.square(points).sum(1)[:, None] + np.square(found.places).sum(1) - 2 * points @ found.places.T
    return (1 / (square + found.widths**2)) @ found.amplitudes


def truth(found: Detector, points: np.ndarray) -> np.ndarray:
    """(n, channel) at points."""
    return direct(found, points, np.arange(len(found.centre))) + glow(found, points)


def simulate(found: Detector, photons: float, path: Path) -> int:
    """Write the library plane by plane along z, as LArSoft numbers voxels; the number of its rows."""
    random, rows = np.random.default_rng(0), 0
    nx, ny, nz = found.divisions
    y, x = (grid.ravel() for grid in np.meshgrid((np.arange(ny) + 0.5) * PITCH, (np.arange(nx) + 0.5) * PITCH, indexing="ij"))
    signs = np.stack(np.meshgrid(*[[-GAUSS, GAUSS]] * 3, indexing="ij"), -1).reshape(-1, 3)
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("PhotonLibraryData", {"Voxel": "i4", "OpChannel": "i4", "Visibility": "f4"})
        for k in range(nz):
            points = np.stack([x, y, np.full(len(x), (k + 0.5) * PITCH)], 1)
            near = np.abs(found.centre[:, 2] - points[0, 2]) < NEAR
            mean = glow(found, points)
            mean[:, ~near] += direct(found, points, np.flatnonzero(~near))
            mean[:, near] += np.mean([direct(found, points + s, np.flatnonzero(near)) for s in signs], 0)
            counts = random.poisson(photons * mean)
            voxel, channel = np.nonzero(counts)
            values = (counts[voxel, channel] / photons).astype("f4")
            tree.extend({"Voxel": (voxel + k * nx * ny).astype("i4"), "OpChannel": channel.astype("i4"), "Visibility": values})
            rows += len(values)
    return rows


def write_tracks(found: Detector, path: Path) -> np.ndarray:
    """TRACKS straight tracks through a detector like the simulated one; the efficiencies of its channels."""
    random = np.random.default_rng(3)
    a, b = random.random((2, TRACKS, 3)) * found.size
    points, photons = straight(a, b, TRACK_POINTS, 5e7)
    efficiency = 0.03 * np.exp(random.normal(0, 0.1, len(found.centre)))
    mean = (truth(found, points) * photons[:, None]).reshape(TRACKS, TRACK_POINTS, -1).sum(1) * efficiency
    with h5py.File(path, "w") as file:
        file["point_cm"], file["point_photons"] = 100 * points, photons
        file["point_offset"], file["pe_measured"] = np.arange(TRACKS + 1) * TRACK_POINTS, random.poisson(mean).astype(float)
    return efficiency


def measured(step, arguments: tuple, answer) -> None:
    """CPU seconds, wall seconds, peak anonymous and resident memory [bytes] of a step in this process."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            lines = Path("/proc/self/status").read_text().splitlines()
            peak[0] = max(peak[0], sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    torch.set_num_threads(1)
    wall = time.perf_counter()
    told = step(*arguments)
    wall = time.perf_counter() - wall
    done.set()
    watcher.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    answer.put((told, used.ru_utime + used.ru_stime, wall, peak[0], used.ru_maxrss * 1024))


def alone(name: str, values: int, step, *arguments):
    """Run a step in its own process, print its row, and return what it returns."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measured, args=(step, arguments, answer))
    process.start()
    told, cpu, wall, own, resident = answer.get()
    process.join()
    print(f"| {name} | {cpu:.0f} | {1e9 * cpu / values:.0f} | {wall:.0f} | {own / 1e9:.2f} | {resident / 1e9:.2f} |", flush=True)
    return told


def score(found: Detector, folder: Path) -> str:
    """The table of errors, and the parameters of the field."""
    points = np.random.default_rng(2).random((POINTS, 3)) * (found.size - PITCH) + PITCH / 2
    true = truth(found, points)
    field = load_field(folder / "visibility.nc")(points)
    trilinear = np.empty_like(true)
    with xr.open_dataset(folder / "library.nc", engine="h5netcdf", chunks={}) as library:
        for c in range(true.shape[1]):
            trilinear[:, c] = map_coordinates(library.visibility[c].values, (points / PITCH - 0.5).T, order=1)
    with xr.open_dataset(folder / "visibility.nc", engine="h5netcdf") as product:
        parameters, told = product.sizes["weight"], [product.attrs[key] for key in ("symmetry", "held_out_relative_error", "kept_step")]
    decade = np.floor(np.log10(true))
    lines = ["| method | true > 4.5e-5 | " + " | ".join(f"1e{d}" for d in range(-8, 0)) + " | bias [%] |", "|---" * 11 + "|"]
    lines.append("| values | " + " | ".join(str(int(here.sum())) for here in (true > 4.5e-5, *(decade == d for d in range(-8, 0)))) + " | |")
    for name, values in (("field", field), ("trilinear", trilinear)):
        error = 200 * np.abs(values - true) / np.maximum(values + true, 1e-30)
        cells = [f"{error[here].mean():.2f}" if here.any() else "-" for here in (true > 4.5e-5, *(decade == d for d in range(-8, 0)))]
        lines.append(f"| {name} [%] | " + " | ".join(cells) + f" | {100 * (values.sum() / true.sum() - 1):+.2f} |")
    table = int(np.prod(found.divisions)) * true.shape[1]
    return "\n".join([*lines, "", f"{parameters} parameters for {table} values: {table / parameters:.0f} x smaller", *told])


def main(scale: float, photons: float, folder: Path, export: list[str], steps: int | None) -> None:
    """Simulate, run the steps, print."""
    os.environ["OMP_NUM_THREADS"] = "1"
    found = detector(scale)
    values, size = int(np.prod(found.divisions)) * len(found.centre), (100 * found.size).tolist()
    listed, library = folder / "channels.json", folder / "library.root"
    rows = zip((100 * found.centre).tolist(), found.normal.tolist(), strict=True)
    listed.write_text(json.dumps([{"channel": c, "centre": centre, "normal": normal, "radius": 10.0} for c, (centre, normal) in enumerate(rows)]))
    keys = {"format": "larsoft", "component": "direct", "library": str(library), "channels": str(listed), "photons_per_voxel": photons}
    geometry = {"min_cm": [0, 0, 0], "max_cm": size, "divisions": found.divisions}
    entry: Library = load_entry(
        "dune", keys | {"geometry": geometry, "fit": {} if steps is None else {"steps": steps}, "export": {"formats": export}}
    )
    shape = f"{found.divisions} voxels x {len(found.centre)} channels"
    print(f"{shape} = {values / 1e6:.1f} M values, {4 * values / 1e9:.2f} GB dense; {photons:g} photons a voxel\n")
    print("| step | CPU [s] | ns a value | wall [s] | peak memory [GB] | resident with mapped files [GB] |\n|---|---|---|---|---|---|")
    found_rows = alone("simulate", values, simulate, found, photons, library)
    alone("read_library", values, read_library, library, listed, folder / "library.nc", entry)
    alone("fit_visibility", values, fit_visibility, folder / "library.nc", folder / "visibility.nc", entry)
    if export:
        alone("export_visibility: " + ", ".join(export), values, export_visibility, folder / "visibility.nc", None, folder / "export", entry)
    efficiency = write_tracks(found, folder / "tracks.h5")
    alone("calibrate_visibility", values, calibrate_visibility, folder / "visibility.nc", folder / "tracks.h5", folder / "calibration.nc", entry)
    sizes = ", ".join(f"{name} {(folder / name).stat().st_size / 1e6:.0f} MB" for name in ("library.root", "library.nc", "visibility.nc"))
    print(f"\n{found_rows / 1e6:.1f} M rows ({100 * found_rows / values:.0f} % of the values); {sizes}\n")
    print(score(found, folder), flush=True)
    with xr.open_dataset(folder / "calibration.nc", engine="h5netcdf", chunks={}) as product:
        away = np.log(product.efficiency.values / efficiency)
        pulls = (away - away.mean()) / (product.efficiency_std / product.efficiency).values
        print(f"efficiencies of {TRACKS} tracks: {100 * away.std():.2f} % off, pulls {pulls.std():.2f}; {product.attrs['prior_strength']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--photons", type=float, default=1e6)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--export", default="numpy")
    parser.add_argument("--steps", type=int, help="of the fit (default: its own)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        place = given.folder or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        main(given.scale, given.photons, place, [name for name in given.export.split(",") if name], given.steps)
