"""Field against MLEM on the same shots, through the same projector, both stopped by the same held-out photons.

Usage: uv run python benchmarks/imaging.py RAW CAMERAS TRUTH.npz SCORER.py --shots 0 1 --period-um 376.991
The truth and the scorer (`score(density, axes, truth, coords, atoms, period)`) are used for scoring only. Prints one table.
"""

import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from fieldfit.calibration.frames import calibrated, stated
from fieldfit.config import Imaging
from fieldfit.experiments.magis.densities import on_grid
from fieldfit.experiments.magis.imaging import field_of_fit, fit_shots, thinned
from fieldfit.experiments.magis.iterative import mlem
from fieldfit.experiments.magis.start import moments, strongest_wave, views_of
from fieldfit.experiments.magis.volume import axis_of, volume_of
from fieldfit.forward.imaging import pixels_of
from fieldfit.io.cameras import frame_sizes, read_cameras
from fieldfit.io.frames import read_block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("raw", "cameras", "truth", "scorer"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--shots", type=int, nargs="+", required=True)
    parser.add_argument("--atoms", type=float, default=1e6)
    parser.add_argument("--period-um", type=float, default=None)
    given = parser.parse_args()
    spec = importlib.util.spec_from_file_location("scorer", given.scorer)
    assert spec is not None
    assert spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    entry = Imaging.model_validate({"format": "tiff", "raw": given.raw, "cameras": given.cameras})
    cameras = read_cameras(given.cameras)
    block = read_block(given.raw, given.shots, frame_sizes(given.cameras))
    frames = xr.DataArray(block.frames, dims=("shot", "view", "row", "column"), coords={"shot": given.shots})
    found, _ = calibrated(frames, block.status, cameras, [stated(cameras, entry.saturation or block.full_scale)])
    light, bad = found.electrons.values.astype(float), found.bad.values
    pedestal = np.array([camera.pedestal for camera in cameras])[:, None, None]
    began = time.perf_counter()
    views = views_of(cameras)
    starts = [moments(views, image, ~bad, entry.photons_per_atom) for image in light]
    waves = [strongest_wave(views, image, (image + pedestal).sum((1, 2)), start) for image, start in zip(light, starts, strict=True)]
    volume = volume_of(cameras, light, bad, starts, waves, entry.grid, entry.photons_per_atom)
    built = time.perf_counter() - began
    counts = pixels_of(volume.fine.projector, torch.from_numpy(np.rint(light + pedestal)).to(torch.float32))
    axis, side = axis_of(entry.grid), entry.grid.voxels
    points = torch.from_numpy(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).astype(np.float32))
    began = time.perf_counter()
    fitted = fit_shots(volume, counts, given.shots, starts, waves, entry.fit, entry.seed)
    with torch.no_grad():
        field = field_of_fit(volume, fitted).means(points, volume.fine.projector.pitch).reshape(-1, side, side, side).numpy()
    took = {"field": (time.perf_counter() - began) / len(given.shots)}
    began = time.perf_counter()
    kept, out = thinned(counts[volume.fine.projector.pixel], entry.fit.held_out, given.shots, entry.seed)
    classical = mlem(volume.fine.projector, kept, out, 1 - entry.fit.held_out).density
    took["MLEM"] = (time.perf_counter() - began) / len(given.shots)
    results = {"field": field, "MLEM": np.stack([on_grid(volume, classical[:, k], side).reshape(side, side, side) for k in range(len(given.shots))])}
    truth = np.load(given.truth, allow_pickle=False)
    print(f"projector of {volume.fine.projector.electrons.matrix.values().numel() / 1e6:.1f} M entries and starts, once a block: {built:.1f} s")
    print(
        "| shot | method | seconds | relative L2 | correlation | atoms ratio | fringe ratio | phase error [mrad] |\n|---|---|---|---|---|---|---|---|"
    )
    for place, shot in enumerate(given.shots):
        for name, density in results.items():
            s = scorer.score(density[place], [axis] * 3, truth["density"], truth["coords_m"], given.atoms, given.period_um and given.period_um * 1e-6)
            cells = [s["relative_l2"], s["correlation"], s["atoms_ratio"], s.get("fringe_ratio", np.nan), s.get("fringe_phase_error_mrad", np.nan)]
            print(f"| {shot} | {name} | {took[name]:.1f} | " + " | ".join(f"{cell:.4f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
