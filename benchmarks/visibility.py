"""Field, plain sine network, trilinear and nearest voxel side by side, at points off the grid of a library with a known truth.

    uv run python benchmarks/visibility.py LIBRARY.root CHANNELS.json TRUTH.npz PHOTONS [steps]

The truth (position_cm, visibility, refl_visibility) is read here for scoring and nowhere else. The plain network has the same steps,
size and prior, and lacks the geometric factor. Prints a Markdown table: mean 2|p - t| / (p + t) overall and by decade, bias, CPU seconds.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator

from fieldfit.config import Quality, VisibilityFit
from fieldfit.experiments.dune.visibility import fit_library
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.channels import read_channels
from fieldfit.io.optical.larsoft import open_larsoft
from fieldfit.io.optical.table import fill_table


def row(name: str, found: np.ndarray, true: np.ndarray, seconds: float) -> str:
    """One line of the table."""
    error = 2 * np.abs(found - true) / np.maximum(found + true, 1e-30)
    decade = np.floor(np.log10(np.maximum(true, 1e-30)))
    cells = [f"{100 * error[true > 4.5e-5].mean():.2f}"]
    cells += [f"{100 * error[decade == d].mean():.2f}" if (decade == d).sum() > 50 else "-" for d in (-5, -4, -3, -2)]
    return f"| {name} | " + " | ".join(cells) + f" | {100 * (found.sum() / true.sum() - 1):+.2f} | {seconds:.1f} |"


def main(library: Path, channels: Path, truth: Path, photons: float, steps: int) -> None:
    """Fit twice, interpolate twice, print."""
    torch.set_num_threads(1)
    disks = read_channels(channels)
    source = open_larsoft(library, "total", disks.count, None)
    values = np.nan_to_num(fill_table(source, Quality(), None, 4 * 2**30).values)
    known = np.load(truth, allow_pickle=False)
    points, true = known["position_cm"].astype(np.float64) * 0.01, known["visibility"] + known["refl_visibility"]
    print("| method | rel [%] | 1e-5 | 1e-4 | 1e-3 | 1e-2 | bias [%] | CPU [s] |\n|---|---|---|---|---|---|---|---|")
    for name, factor in (("field", True), ("sine network without the geometric factor", False)):
        began = time.process_time()
        fitted = fit_library(
            values, np.zeros(values.shape, bool), source.box, disks, photons, [factor] * disks.count, VisibilityFit(steps=steps), seed=1, device="cpu"
        )
        with torch.no_grad():
            found = in_chunks(fitted.field, torch.tensor(points, dtype=torch.float32)).numpy()
        print(row(name, found, true, time.process_time() - began), flush=True)
    inside = np.stack([np.clip(points[:, k], c[0], c[-1]) for k, c in enumerate(source.box.centres())], 1)
    for method in ("linear", "nearest"):
        began = time.process_time()
        found = RegularGridInterpolator(source.box.centres(), np.moveaxis(values, 0, -1), method=method)(inside)
        print(row({"linear": "trilinear", "nearest": "nearest voxel"}[method], found, true, time.process_time() - began), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 1200)
