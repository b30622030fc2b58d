"""A block of shots fitted on the CPU and, where there is one, on the GPU: seconds a shot, memory, and whether the densities agree.

    uv run python benchmarks/devices.py [--shots 64] [--cpu-shots 16] [--voxels 32 64] [--together 16 64] [--profile FILE]

Six small views of fringed clouds, simulated by the ray tracer of the demo, not by the fit's projector. The CPU has one thread, as a block's job
has, and fits fewer shots. Each fit runs twice, after a first one that warms the device up: "again" says whether the second gave the same bits.
Apart: largest difference of density to the CPU's in its standard deviations, and of phase in those of phase. Prints a Markdown table.
"""

import argparse
import cProfile
import platform
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from fieldfit.config.load import load_entry
from fieldfit.experiments.magis import densities as module
from fieldfit.io.cameras import read_cameras
from fieldfit.io.products import open_product
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.simulate_shots import simulate_shots


def block(folder: Path, shots: int, voxels: int) -> tuple[list, np.ndarray, dict]:
    """(cameras, electrons (shot, view, row, column), keys of the entry)."""
    keys = {"format": "tiff", "raw": folder / "shots", "cameras": folder / "cameras.json", "grid": {"voxels": voxels}}
    keys |= {"simulate": {"shots": shots, "photons": 2e8, "dark": "none"}}
    entry = load_entry("magis", keys)
    simulate_shots(entry.raw, entry.cameras, folder / "truth.json", entry)
    calibrate_frames(entry.raw, entry.cameras, folder / "electrons.nc", entry, list(range(shots)))
    electrons = open_product(folder / "electrons.nc", "electrons").electrons.values
    return read_cameras(entry.cameras, entry.grid.half_width_m), electrons, keys


def fitted(cameras: list, electrons: np.ndarray, keys: dict, device: str) -> tuple[module.Densities, float]:
    """(densities, seconds)."""
    entry = load_entry("magis", keys | {"device": device})
    began = time.perf_counter()
    found = module.densities(cameras, electrons, np.zeros(electrons.shape[1:], bool), list(range(len(electrons))), entry)
    return found, time.perf_counter() - began


def same(one: module.Densities, other: module.Densities) -> bool:
    """Bit for bit."""
    return all(value.tobytes() == other.values[name].tobytes() for name, value in one.values.items())


def apart(one: module.Densities, other: module.Densities, name: str) -> float:
    """Largest difference in standard deviations, over the shots that both have."""
    shots = min(len(one.trusted), len(other.trusted))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(one.values[name][:shots] - other.values[name][:shots]) / one.values[f"{name}_std"][:shots]
    return float(np.nanmax(np.where(np.isfinite(ratio), ratio, np.nan)))


def measure(voxels: int, asked: argparse.Namespace) -> None:
    """Rows of one grid."""
    with tempfile.TemporaryDirectory() as name:
        cameras, electrons, keys = block(Path(name), asked.shots, voxels)
    few = electrons[: asked.cpu_shots]
    fitted(cameras, few[:2], keys, "cpu")
    on_cpu, seconds = fitted(cameras, few, keys, "cpu")
    again, _ = fitted(cameras, few, keys, "cpu")
    each = seconds / len(few)
    print(f"| {voxels} | CPU, 1 thread | {len(few)} | {module.TOGETHER} | {each:.3f} | 1 | | {same(on_cpu, again)} | | |", flush=True)
    if not torch.cuda.is_available():
        return
    fitted(cameras, few[:2], keys, "cuda")
    usual = module.TOGETHER
    for together in asked.together:
        module.TOGETHER = together
        torch.cuda.reset_peak_memory_stats()
        found, seconds = fitted(cameras, electrons, keys, "cuda")
        again, repeated = fitted(cameras, electrons, keys, "cuda")
        each_gpu = min(seconds, repeated) / len(electrons)
        memory = torch.cuda.max_memory_allocated() / 2**20
        print(
            f"| {voxels} | {torch.cuda.get_device_name()} | {len(electrons)} | {together} | {each_gpu:.3f} | {each / each_gpu:.1f} | {memory:,.0f} | "
            f"{same(found, again)} | {apart(on_cpu, found, 'density'):.2g} | {apart(on_cpu, found, 'phase'):.2g} |",
            flush=True,
        )
    if asked.profile:
        profile = cProfile.Profile()
        profile.runcall(fitted, cameras, electrons, keys, "cuda")
        with Path(asked.profile).open("a") as stream:
            stats = pstats.Stats(profile, stream=stream)
            stats.sort_stats("cumulative").print_stats(60)
            stats.sort_stats("tottime").print_stats(30)
    module.TOGETHER = usual


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=64)
    parser.add_argument("--cpu-shots", type=int, default=16)
    parser.add_argument("--voxels", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--together", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--profile", help="append the time by function of one more fit on the GPU to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}\n")
    print("| voxels | device | shots | at once | s a shot | times the CPU | GPU memory [MB] | again | density apart [std] | phase apart [std] |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for voxels in asked.voxels:
        measure(voxels, asked)


if __name__ == "__main__":
    main()
