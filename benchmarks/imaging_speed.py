"""Seconds a shot of the whole density step (starts, projectors, fit, errors) against batch and grid."""

import time
from pathlib import Path

import numpy as np
from imaging_cases import cameras_of
from matplotlib.figure import Figure
from tqdm import tqdm

from fieldfit.config.magis import Imaging, SimulateShots
from fieldfit.experiments.magis.densities import densities
from fieldfit.simulate.layouts import layout_of
from fieldfit.simulate.shots import shot_of, shown_of

BATCHES, GRIDS, GRID_BATCH = (1, 2, 4, 8, 16, 32), (32, 64, 96), 4
METHODS = ("field", "mlem")
SEED = 4


def draw_speed(picture: Path) -> str:
    """Measure, draw, and return the numbers as a table."""
    made = SimulateShots(shots=max(BATCHES), dark="none")
    layout = layout_of(made)
    cameras = cameras_of(layout)
    electrons = np.stack(
        [shot_of(layout, one.source, 1000.0, np.random.default_rng([SEED, 1, one.shot])) - 2.31 for one in shown_of(made, 1000.0, SEED)]
    )
    bad = np.zeros(electrons.shape[1:], bool)

    def seconds(method: str, batch: int, voxels: int) -> float:
        keys = {"format": "tiff", "raw": "raw", "cameras": "c", "grid": {"voxels": voxels}, "fit": {"method": method}}
        began = time.perf_counter()
        densities(cameras, electrons[:batch], bad, list(range(batch)), Imaging.model_validate(keys))
        return (time.perf_counter() - began) / batch

    wanted = [(method, batch, 64) for method in METHODS for batch in BATCHES]
    wanted += [(method, GRID_BATCH, voxels) for method in METHODS for voxels in GRIDS]
    found = {one: seconds(*one) for one in tqdm(dict.fromkeys(wanted), desc="speed")}
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for method in METHODS:
        left.semilogx(BATCHES, [found[method, batch, 64] for batch in BATCHES], "o-", label=method, base=2)
        right.plot(GRIDS, [found[method, GRID_BATCH, voxels] for voxels in GRIDS], "o-", label=method)
    left.set(xlabel="shots fitted together, 64$^3$ voxels", ylabel="seconds a shot", ylim=(0, None), xticks=BATCHES, xticklabels=map(str, BATCHES))
    right.set(xlabel=f"voxels along an edge, {GRID_BATCH} shots together", xticks=GRIDS, xticklabels=map(str, GRIDS))
    left.legend(frameon=False)
    figure.savefig(picture, dpi=120)
    lines = ["| method | shots | voxels | seconds a shot |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {method} | {batch} | {voxels}^3 | {value:.2f} |" for (method, batch, voxels), value in found.items()])
