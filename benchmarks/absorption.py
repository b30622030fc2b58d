"""Fringe removal on absorption triplets: what is left without atoms, and whether simulated atom numbers scatter by their errors.

uv run python benchmarks/absorption.py --raw ../shared/data/frames --runs 36
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

from fieldfit.config.load import load_entry
from fieldfit.io.products import open_product
from fieldfit.metrics.pulls import pulls
from fieldfit.steps.reduce_absorption import reduce_absorption
from fieldfit.steps.simulate_triplets import simulate_triplets

WAYS = {"eigen-images in bands": {}, "whole eigen-images": {"bands_px": []}, "one eigen-image": {"bands_px": [], "components": 1}}


def reduced(raw: Path, folder: Path, **keys: object) -> tuple[xr.Dataset, float]:
    """(product, seconds a shot)."""
    began = time.perf_counter()
    reduce_absorption(raw, folder / "optical_density.nc", load_entry("magis", {"format": "absorption", "raw": str(raw), **keys}))
    found = open_product(folder / "optical_density.nc", "optical_density")
    return found, (time.perf_counter() - began) / found.sizes["shot"]


def real(raw: Path, folder: Path) -> None:
    """Residuals of held-out pixels of the run at `raw`."""
    print(f"{raw}: rms optical density of held-out pixels without atoms, medians over shots")
    for way, keys in WAYS.items():
        found, seconds = reduced(raw, folder, **keys)
        own, scaled, floor_own, rms, floor, rest = (
            float(found[name].median())
            for name in (
                "background_rms_raw",
                "background_rms_scaled",
                "background_floor_raw",
                "background_rms",
                "background_floor",
                "structure_std",
            )
        )
        print(f"  own probe {own:.4f}, scaled {scaled:.4f} (noise {floor_own:.4f}); {way}: {rms:.4f} (noise {floor:.4f}, left {rest:.4f})", end="")
        print(f", error of the sum {float(found.optical_density_sum_std.median()):.0f} px, {seconds:.2f} s a shot")
    found, _ = reduced(raw, folder)
    for shot in found.shot.values:
        one = found.sel(shot=shot)
        names = ("background_rms_raw", "background_rms_scaled", "background_floor_raw", "background_rms", "background_floor")
        print(f"  shot {shot}: " + " ".join(f"{float(one[n]):.4f}" for n in names), end="")
        print(f"  sum {float(one.optical_density_sum):.0f} +- {float(one.optical_density_sum_std):.0f} px")


def simulated(runs: int, folder: Path, **settings: object) -> None:
    """Pulls of the atom number over `runs` simulated runs."""
    estimate, truth, std, rms = [], [], [], []
    told = " ".join(f"{name} {value}" for name, value in settings.items()) or "defaults"
    for seed in range(runs):
        raw = folder / f"{told} {seed}"
        keys = {"format": "absorption", "raw": str(raw), "seed": seed, "simulate": {"shots": 12, **settings}}
        simulate_triplets(raw, folder / "truth.json", load_entry("magis", keys))
        known = json.loads((folder / "truth.json").read_text())
        scale = {key: known[key] for key in ("pixel_object_m", "cross_section_m2")}
        found, _ = reduced(raw, folder, **scale)
        estimate.append(found.atom_number.values)
        truth.append([shot["atoms_in_frame"] for shot in known["shots"]])
        std.append(found.atom_number_std.values)
        rms.append((found.background_rms_scaled / found.background_floor_raw, found.background_rms / found.background_floor))
    p = pulls(np.array(estimate), np.array(truth), np.array(std))
    scaled, clean = np.array(rms).mean((0, 2))
    print(
        f"simulated, {told}: {p.count} shots of {runs} runs: pull mean {p.mean:.2f} +- {p.mean_std:.2f}, width {p.width:.2f} +- {p.width_std:.2f}",
        end="",
    )
    print(f"; rms over noise: scaled probe {scaled:.2f}, eigen-background {clean:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/data/frames"), help="folder of real triplets")
    parser.add_argument("--runs", type=int, default=36, help="simulated runs of 12 shots; 0 leaves them out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.raw.is_dir():
            real(options.raw, Path(folder))
        if options.runs:
            simulated(options.runs, Path(folder))
            simulated(options.runs, Path(folder), shots=4)


if __name__ == "__main__":
    main()
