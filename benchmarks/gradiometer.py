"""Ellipse fit a block (Foster et al., Opt. Lett. 27, 951 (2002)) against the shared likelihood, on the same simulated runs.

Usage: uv run python benchmarks/gradiometer.py [--shots 3000] [--runs 5] [--block 20]
Prints a Markdown table: the offset's bias, its scatter over runs and its scatter over blocks, in mrad, and seconds.
"""

import argparse
import time

import numpy as np
import torch

from fieldfit.experiments.magis.gradiometer import fit_run
from fieldfit.simulate.ports import PortRun, Truth, simulate_run


def ellipse_phase(x: np.ndarray, y: np.ndarray) -> float:
    """Differential phase from the ellipse a x^2 + b xy + c y^2 + d x + e y + f = 0 through the points: arccos(-b / 2 sqrt(ac)).

    Direct least squares under 4ac - b^2 = 1 (Fitzgibbon, Pilu and Fisher, IEEE PAMI 21, 476 (1999), in the stable form of Halir and Flusser).
    """
    x, y = x - x.mean(), y - y.mean()
    quadratic, linear = np.stack([x * x, x * y, y * y], 1), np.stack([x, y, np.ones_like(x)], 1)
    reduce = -np.linalg.solve(linear.T @ linear, linear.T @ quadratic)
    scatter = quadratic.T @ quadratic + quadratic.T @ linear @ reduce
    scatter = np.array([scatter[2] / 2, -scatter[1], scatter[0] / 2])
    _, vectors = np.linalg.eig(scatter)
    vectors = vectors.real
    a, b, c = vectors[:, np.argmax(4 * vectors[0] * vectors[2] - vectors[1] ** 2)]
    return float(np.arccos(np.clip(-b / (2 * np.sqrt(max(a * c, 1e-300))) * np.sign(a), -1, 1)))


def ellipse_offsets(run: PortRun, good: np.ndarray, block: int) -> np.ndarray:
    """One offset a block of consecutive usable shots."""
    share = run.counts[good, :, 0] / run.counts[good].sum(2)
    return np.array([ellipse_phase(*share[k : k + block, :2].T) for k in range(0, len(share) - block + 1, block)])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("shots", 3000), ("runs", 5), ("block", 20)):
        arguments.add_argument(f"--{name}", type=int, default=default)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    truth = Truth(offsets=(0.0, 1.70), contrast=(0.8, 0.7), amplitude_rad=0.012, curv=0.0, lin=0.0, stark=0.0)
    rows: dict[str, list[tuple[float, float, float]]] = {f"ellipse, blocks of {chosen.block}": [], "ellipse, whole run": [], "shared likelihood": []}
    for seed in range(chosen.runs):
        run = simulate_run(truth, chosen.shots, 1e6, np.random.default_rng(seed))
        good = (run.daq_status == 0) & (run.counts.sum(2) > 2e5).all(1)
        for name, block in zip(rows, (chosen.block, int(good.sum())), strict=False):
            began = time.perf_counter()
            offsets = ellipse_offsets(run, good, block)
            rows[name].append((float(offsets.mean()), float(offsets.std()), time.perf_counter() - began))
        began = time.perf_counter()
        found = fit_run(run.counts[good].astype(float), run.time[good], np.flatnonzero(good) / (len(good) - 1), np.zeros((0, int(good.sum()))))
        fit = found.regressions[0]
        rows["shared likelihood"].append((fit.offset, fit.offset_std * np.sqrt(good.sum() / chosen.block), time.perf_counter() - began))
    print(f"{chosen.runs} runs of {chosen.shots} shots, offset 1.70 rad, contrast 0.8 to 0.7, signal of 12 mrad\n")
    print("| method | bias [mrad] | scatter over runs [mrad] | scatter of a block [mrad] | seconds |\n|---|---|---|---|---|")
    for name, values in rows.items():
        mean, spread, seconds = np.array(values).T
        print(f"| {name} | {(mean.mean() - 1.70) * 1e3:.3f} | {mean.std() * 1e3:.3f} | {spread.mean() * 1e3:.3f} | {seconds.mean():.2f} |")


if __name__ == "__main__":
    main()
