"""How far the surface of a reconstructed printed object lies from its drawing: of the field, of MLEM, and of the true density on the same voxels.

Usage: uv run python benchmarks/printed_object.py STL FOLDER --layout ring12 --photons 1e10 --extent-mm 2
Shots are simulated into FOLDER once and kept there. Prints one table; lengths in um, `shift` is the error of the registered position.
"""

import argparse
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fieldfit.config.magis import Imaging, PrintedObject
from fieldfit.experiments.magis.imaging import thinned
from fieldfit.experiments.magis.iterative import mlem
from fieldfit.experiments.magis.printed_object import found_in, scaled
from fieldfit.experiments.magis.start import moments, views_of
from fieldfit.experiments.magis.volume import axis_of, on_grid, volume_of
from fieldfit.forward.imaging import pixels_of
from fieldfit.io.cameras import read_cameras
from fieldfit.io.products import open_product
from fieldfit.io.stl import read_body
from fieldfit.simulate.solids import solid
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.extract_surface import extract_surface
from fieldfit.steps.fit_density import fit_density
from fieldfit.steps.simulate_shots import simulate_shots
from fieldfit.units import MM

NAMES = ("distance_rms", "distance_median", "distance_95", "drawing_distance_rms", "drawing_distance_95")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("stl", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--layout", default="ring12")
    parser.add_argument("--photons", type=float, default=1e10)
    parser.add_argument("--extent-mm", type=float, default=2.0)
    parser.add_argument("--voxels", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    raw, cameras, truth = given.folder / "raw", given.folder / "cameras.json", given.folder / "truth.json"
    simulate = {"layout": given.layout, "object": "mesh", "mesh": given.stl, "extent_mm": given.extent_mm, "photons": given.photons, "shots": 1}
    keys = {"format": "tiff", "raw": raw, "cameras": cameras, "simulate": simulate, "object": {"cad": given.stl, "extent_mm": given.extent_mm}}
    # The dome collects ten times the light of a separate camera: more than 12 bits hold.
    keys |= {"grid": {"half_width_m": 0.6 * given.extent_mm * MM, "voxels": given.voxels}, "fit": {"fringe": False}}
    entry = Imaging.model_validate(keys | {"saturation": 65535})
    logging.basicConfig(filename=given.folder / "log", level=logging.INFO, format="%(asctime)s %(message)s")
    if not truth.exists():
        simulate_shots(raw, cameras, truth, entry)
    calibrate_frames(raw, cameras, given.folder / "electrons.nc", entry, [0])
    began = time.perf_counter()
    fit_density(given.folder / "electrons.nc", cameras, given.folder / "density.nc", entry)
    fitted = time.perf_counter() - began
    began = time.perf_counter()
    extract_surface(given.folder / "density.nc", given.stl, given.folder / "surface.nc", entry)
    extracted = time.perf_counter() - began
    position = np.array(json.loads(truth.read_text())["shots"][0]["position_m"])
    print("| density | rms | median | 95 % | back: rms | back: 95 % | volume ratio | shift | turn [degrees] | seconds |\n" + "|---" * 10 + "|")
    found = open_product(given.folder / "surface.nc", "surface").isel(shot=0)
    density = open_product(given.folder / "density.nc", "density")
    label = f"{given.layout}, {given.photons:.0e} photons, chi2 {float(density.chi2_reduced[0]):.2f}"
    told = [float(found[name]) for name in NAMES]
    _row(label, told, float(found.volume_ratio), found.translation.values - position, found.rotation.values, fitted + extracted)
    others = {"MLEM": lambda: _classical(entry, given.folder / "electrons.nc", cameras), "true": lambda: _truth(given, entry, position)}
    assert entry.object is not None
    drawing = scaled(*read_body(given.stl), PrintedObject(cad=given.stl, extent_mm=given.extent_mm))
    for name, make in others.items():
        began = time.perf_counter()
        best = found_in(make(), axis_of(entry.grid), drawing, entry.object)
        assert best is not None
        summary, ratio = best.summary(), best.surface.volume / drawing.volume
        told = [summary[one] for one in NAMES]
        _row(name, told, ratio, best.pose.translation - position, best.pose.rotation, time.perf_counter() - began)
    print(f"voxels of {2e6 * entry.grid.half_width_m / entry.grid.voxels:.1f} um")


def _classical(entry: Imaging, electrons: Path, cameras: Path) -> np.ndarray:
    """MLEM, stopped on held-out photons."""
    shots = open_product(electrons, "electrons")
    views = [
        replace(view, pedestal=float(own)) for view, own in zip(read_cameras(cameras, entry.grid.half_width_m), shots.pedestal.values, strict=True)
    ]
    bad = np.isinf(shots.variance.values[0])
    light = np.where(bad, 0.0, shots.electrons.values)
    counts = np.where(bad, 0.0, np.rint(light + shots.pedestal.values[:, None, None]).clip(min=0))
    start = moments(views_of(views), light[0], ~bad, entry.photons_per_atom)
    volume = volume_of(views, light, bad, [start], [None], entry.grid, entry.photons_per_atom)
    projector = volume.fine.projector
    kept, out = thinned(pixels_of(projector, torch.from_numpy(counts).to(torch.float32))[projector.pixel], 0.1, [0], entry.seed)
    found = mlem(projector.electrons, projector.pedestal, kept, out, 0.9).density
    return on_grid(volume, found, entry.grid.voxels)[0].double().numpy()


def _truth(given: argparse.Namespace, entry: Imaging, position: np.ndarray) -> np.ndarray:
    edges = np.linspace(-entry.grid.half_width_m, entry.grid.half_width_m, entry.grid.voxels + 1)
    x, y, z = position.tolist()
    return solid(given.stl, (x, y, z), given.extent_mm * MM, 1).means(edges)


def _row(label: str, distances: list[float], volume: float, shift: np.ndarray, rotation: np.ndarray, seconds: float) -> None:
    turn = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    cells = " | ".join(f"{1e6 * value:.1f}" for value in distances)
    print(f"| {label} | {cells} | {volume:.3f} | {1e6 * np.linalg.norm(shift):.1f} | {turn:.2f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
