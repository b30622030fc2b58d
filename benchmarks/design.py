"""Gradient estimators of the detector study side by side: variance with and without baseline, and primaries a second.

    python benchmarks/design.py [STUDY.json] [--cells 96] [--primaries 384] [--batches 30]

Prints Markdown tables. Peers in one run: the plain score, the score with the learned baseline, delta tracking; the toy's four estimators.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from fieldfit.config.design import Annulus, Study
from fieldfit.experiments.design.toy import ESTIMATORS, gradients
from fieldfit.forward.shower import cell_centres, draw, in_region, learn, no_baseline, score_gradient, simulate
from fieldfit.simulate.showers import deposits


def layouts(study: Study, cells: int) -> dict[str, np.ndarray]:
    """Half density everywhere, as a fit begins, and nearly the filled region, as it ends."""
    centres = cell_centres(study.radius, cells)
    inside = in_region(study, *np.meshgrid(centres, centres))
    return {"half density": np.full((cells, cells), 0.5), "near the optimum": np.where(inside, 0.95, 0.05)}


def variances(study: Study, density: np.ndarray, primaries: int, batches: int) -> tuple[float, float, float]:
    """(variance of the plain score, of the score with baseline, summed over cells; seconds a batch with gradient)."""
    baseline = no_baseline(study, density.shape[0])
    for k in range(20):
        baseline = learn(baseline, simulate(study, density, draw(study, primaries, np.random.default_rng([1, k])), record=True))
    both, spent = [], 0.0
    for k in range(batches):
        began = time.perf_counter()
        showers = simulate(study, density, draw(study, primaries, np.random.default_rng([2, k])), record=True)
        reduced = score_gradient(study, density, showers, baseline)
        spent += time.perf_counter() - began
        both.append((score_gradient(study, density, showers), reduced))
    plain, reduced = np.moveaxis(np.array(both), 1, 0)
    return float(plain.var(0).sum()), float(reduced.var(0).sum()), spent / batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=96)
    parser.add_argument("--primaries", type=int, default=384)
    parser.add_argument("--batches", type=int, default=30)
    chosen = parser.parse_args()
    ring = Study(region=Annulus(shape="annulus", inner=2.0, outer=3.5))
    study = Study.model_validate(json.loads(chosen.study.read_text())) if chosen.study else ring
    print("| layout | variance, score | variance, score + baseline | ratio | primaries/s with gradient | without | delta tracking |")
    print("|---|---|---|---|---|---|---|")
    for name, density in layouts(study, chosen.cells).items():
        plain, reduced, seconds = variances(study, density, chosen.primaries, chosen.batches)
        began = time.perf_counter()
        simulate(study, density, draw(study, 4000, np.random.default_rng(4)))
        bare = 4000 / (time.perf_counter() - began)
        began = time.perf_counter()
        deposits(study, density, 4000, np.random.default_rng(5))
        woodcock = 4000 / (time.perf_counter() - began)
        rates = f"{chosen.primaries / seconds:.0f} | {bare:.0f} | {woodcock:.0f}"
        print(f"| {name} | {plain:.3g} | {reduced:.3g} | {plain / reduced:.1f} | {rates} |")
    print("\n| estimator of the toy at th = 2.5 | mean | standard error | spread an event |")
    print("|---|---|---|---|")
    began = time.perf_counter()
    toy = gradients(2.5, 2000, np.random.default_rng(6))
    for name, mean, error, spread in zip(ESTIMATORS, toy.mean, toy.error, toy.spread, strict=True):
        print(f"| {name} | {mean:.2f} | {error:.2f} | {spread:.2f} |")
    print(f"\n{4000 / (time.perf_counter() - began):.0f} toy events/s, half of them with an alternative")


if __name__ == "__main__":
    main()
