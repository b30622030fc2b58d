"""Shots of known clouds for the imaging benchmarks: the reference shots, and simulated ones in files of the formats that the steps read."""

import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import xarray as xr

from fieldfit.calibration.frames import calibrated, stated
from fieldfit.config.magis import Grid, Imaging, SimulateShots
from fieldfit.experiments.magis import densities
from fieldfit.forward.imaging import pixels_of
from fieldfit.geometry.cameras import Camera
from fieldfit.io.cameras import frame_sizes, read_cameras
from fieldfit.io.frames import read_block
from fieldfit.simulate.shots import write_shots

log = logging.getLogger(__name__)
SIMULATED: dict[str, dict[str, Any]] = {
    "fringes of 150 um": {"period_um": 150.0, "contrast": 0.6},
    "a fringe of 220 um tilted by 15 degrees": {"period_um": 220.0, "tilt_deg": 15.0, "azimuth_deg": 40.0},
    "donut": {"object": "donut"},
    "two clouds": {"object": "two_clouds"},
    "spots within 0.6 mm, ring12": {"object": "spots", "extent_mm": 0.6, "layout": "ring12"},
    "letters within 0.6 mm, ring12": {"object": "letters", "extent_mm": 0.6, "layout": "ring12"},
}
SMALL = Grid(half_width_m=0.4e-3)


@dataclass(frozen=True)
class Case:
    """electrons (shot, view, row, column) above the pedestal; bad (view, row, column); truths: (density [1/m3], coordinates [m]) of each shot;
    atoms (shot); period: of fringes along y [m], None without; grid: of the densities; voxels: on which they are scored, along an edge of the
    truth's cube. Truth is for scoring only."""

    name: str
    cameras: list[Camera]
    electrons: np.ndarray
    bad: np.ndarray
    shots: list[int]
    truths: list[tuple[np.ndarray, np.ndarray]]
    atoms: list[float]
    period: float | None
    grid: Grid = field(default_factory=Grid)
    voxels: int = 64

    @property
    def broadband(self) -> bool:
        return self.grid == SMALL


@dataclass(frozen=True)
class Prepared(densities.Prepared):
    """photons: in all pixels of the binned frames, pedestal included; good: 1 where they count (bad pixels are not among the projector's)."""

    photons: torch.Tensor
    good: torch.Tensor


def cameras_of(layout: dict[str, Any]) -> list[Camera]:
    """The views of a simulated layout."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cameras.json"
        path.write_text(json.dumps(layout))
        return read_cameras(path)


def case_of(name: str, raw: Path, cameras: Path, shots: list[int]) -> Case:
    """Shots in TIFF files beside a camera file whose list `shots` names the truth."""
    entry = Imaging.model_validate({"format": "tiff", "raw": raw, "cameras": cameras})
    views = read_cameras(cameras)
    block = read_block(raw, shots, frame_sizes(cameras))
    frames = xr.DataArray(block.frames, dims=("shot", "view", "row", "column"), coords={"shot": shots})
    found, _ = calibrated(frames, block.status, views, [stated(views, entry.saturation or block.full_scale)])
    told = {one["shot"]: one for one in json.loads(cameras.read_text())["shots"]}
    truths = []
    for shot in shots:
        with np.load(cameras.parent / told[shot]["truth"], allow_pickle=False) as truth:
            truths.append((truth["density"].astype(float), truth["coords_m"]))
    period = (told[shots[0]]["cloud"] or {}).get("fringe_period_um")
    atoms = [float(told[shot]["n_atoms"]) for shot in shots]
    return Case(name, views, found.electrons.values.astype(float), found.bad.values, shots, truths, atoms, period and period * 1e-6)


def simulated(name: str, folder: Path, seed: int, shots: int) -> Case:
    """One of SIMULATED: ring6, 1e9 photons a shot, phase and centre anew in each."""
    place = folder / name.replace(" ", "_")
    entry = SimulateShots.model_validate({"shots": shots, "dark": "none", "truth_density": True, **SIMULATED[name]})
    write_shots(place / "raw", place / "cameras.json", place / "truth.json", entry, 1000.0, seed)
    case = case_of(name, place / "raw", place / "cameras.json", list(range(shots)))
    return replace(case, grid=SMALL, voxels=128) if "extent_mm" in SIMULATED[name] else case


def prepared(case: Case, entry: Imaging) -> Prepared:
    """As the density step starts."""
    given = densities.prepared(case.cameras, case.electrons, case.bad, case.shots, entry.model_copy(update={"grid": case.grid}))
    photons = pixels_of(given.volume.fine.projector, torch.from_numpy(given.counts).to(torch.float32))
    return Prepared(**vars(given), photons=photons, good=torch.ones_like(photons))
