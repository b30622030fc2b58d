"""Refined geometry of misplaced simulated set-ups against the real one: reprojection before and after, and pulls.

    uv run python benchmarks/geometry.py [--layout ring6] [--shots 6] [--setups 4] [--first 1] [--photons 1e9] [--object cloud]

Every view is 50 um and 0.2 mrad rms an axis from where the camera file says. Reprojection: rms error of the images of points spread as a
cloud of 0.5 mm, the world's best shift, turn and scale taken out. Pulls: of where the views put the world's origin, apart from that freedom.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fieldfit.calibration.frames import regions
from fieldfit.config.magis import Imaging, Refine
from fieldfit.experiments.magis.geometry import refine_geometry
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.corrections import corrected, place_slopes, places
from fieldfit.geometry.gauge import gauge_free, motion_slopes
from fieldfit.io.cameras import frame_sizes, read_cameras, region_sizes
from fieldfit.io.frames import read_block
from fieldfit.simulate.shots import write_shots
from fieldfit.units import UM

POINTS = torch.from_numpy(np.random.default_rng(0).normal(0, 5e-4, (300, 3)))
ORIGIN = torch.zeros(1, 3, dtype=torch.float64)


def real_cameras(folder: Path, told: list[Camera]) -> list[Camera]:
    """The cameras of the truth, their regions those of the camera file."""
    truth = json.loads((folder / "cameras.truth.json").read_text())
    (folder / "real.json").write_text(json.dumps({"cameras": truth["cameras"]}))
    pairs = zip(read_cameras(folder / "real.json"), told, strict=True)
    return [replace(real, rows=own.rows, columns=own.columns, corner=own.corner, axis=own.axis) for real, own in pairs]


def rms(off: torch.Tensor) -> float:
    """Root mean square over views and points of an error's length."""
    return float(off.square().sum(2).mean().sqrt())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layout", default="ring6")
    parser.add_argument("--shots", type=int, default=6)
    parser.add_argument("--setups", type=int, default=4)
    parser.add_argument("--first", type=int, default=1, help="seed of the first set-up")
    parser.add_argument("--photons", type=float, default=1e9)
    parser.add_argument("--object", default="cloud")
    given = parser.parse_args()
    torch.set_num_threads(1)
    total, degrees = 0.0, 0
    print("| set-up | seconds | before [px] | before [um] | after [px] | after [um] | chi-square of the pulls |\n|---|---|---|---|---|---|---|")
    for seed in range(given.first, given.first + given.setups):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            simulate = {"shots": given.shots, "photons": given.photons, "layout": given.layout, "object": given.object, "dark": "none"}
            simulate |= {"misplaced_um": 50, "misturned_mrad": 0.2}
            keys = {"format": "tiff", "raw": folder / "raw", "cameras": folder / "cameras.json", "simulate": simulate, "seed": seed}
            entry = Imaging.model_validate(keys)
            assert entry.simulate is not None
            write_shots(entry.raw, entry.cameras, folder / "cameras.truth.json", entry.simulate, entry.photons_per_atom, seed)
            told = read_cameras(entry.cameras)
            real, sizes = real_cameras(folder, told), region_sizes(entry.cameras)
            block = read_block(entry.raw, list(range(given.shots)), frame_sizes(entry.cameras))
            pedestal = np.array([camera.pedestal for camera in told])[:, None, None]
            light = regions(block.frames, told, sizes).compute() - pedestal
        began = time.perf_counter()
        found = refine_geometry(told, light, np.zeros(light.shape[1:], bool), list(range(given.shots)), entry, Refine())
        took = time.perf_counter() - began
        refined = [corrected(camera, values.tolist()) for camera, values in zip(told, found.corrections, strict=True)]
        pixel = float(np.mean([camera.pixel_at_object for camera in told])) / UM
        before, after = (rms(gauge_free(cameras, real, POINTS)) for cameras in (told, refined))
        slopes = torch.block_diag(*[place_slopes(c, v.tolist(), ORIGIN)[0] for c, v in zip(told, found.corrections, strict=True)])
        covariance = slopes @ torch.from_numpy(found.covariance) @ slopes.T
        off = torch.stack([(places(a, ORIGIN) - places(b, ORIGIN))[0] for a, b in zip(refined, real, strict=True)]).reshape(-1)
        held = torch.linalg.svd(motion_slopes(refined, ORIGIN + 1e-9).reshape(-1, 7)[:, :3]).U[:, 3:]
        chi2 = float((held.T @ off) @ torch.linalg.solve(held.T @ covariance @ held, held.T @ off))
        total, degrees = total + chi2, degrees + held.shape[1]
        cells = [f"{took:.0f}", f"{before:.2f}", f"{before * pixel:.1f}", f"{after:.3f}", f"{after * pixel:.2f}", f"{chi2:.1f} of {held.shape[1]}"]
        print(f"| {seed} | " + " | ".join(cells) + f" |{'' if found.converged else ' not converged'}", flush=True)
    print(f"width of the pulls: {np.sqrt(total / degrees):.2f} +- {1 / np.sqrt(2 * degrees):.2f}")


if __name__ == "__main__":
    main()
