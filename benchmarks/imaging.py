"""The field beside the classical answers and the published recipe: the same shots, the same photons, the same projector, in one run.

Usage: uv run --group bench python benchmarks/imaging.py SCORER.py [--ring6 FOLDER] [--docs PAGE.md] [--recipe-steps 30] [--speed PICTURE.png]
SCORER has `score(density, axes, truth, coords, atoms, period)` and `on_grid(values, axes, target)`; they and the truth are used for scoring only,
but for the row that says so. FOLDER holds the reference shots (left out: simulated cases alone); simulated shots are made in a temporary folder,
seeds 1, 2, and so on.
Prints a table a case, and with --docs puts them between the marks of that page. --speed measures and draws seconds a shot instead, by batch and
by grid.
"""

import argparse
import importlib.util
import itertools
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from imaging_cases import SIMULATED, Case, Prepared, case_of, prepared, simulated
from imaging_speed import draw_speed
from marked import write_between
from tqdm import tqdm

from fieldfit.config.magis import DensityFit, Grid, Imaging
from fieldfit.experiments.magis.classical import gaussian, reconstructed
from fieldfit.experiments.magis.imaging import field_of_fit, fit_shots
from fieldfit.experiments.magis.iterative import mlem_iterations
from fieldfit.experiments.magis.volume import Volume, axis_of, on_grid

ENTRY = Imaging.model_validate({"format": "tiff", "raw": "raw", "cameras": "cameras.json"})
TRUTH_MOST = 60  # MLEM iterations that the truth chooses from
HEAD = (
    "| method | stopped by | seconds a shot | relative L2 | correlation | atoms ratio | FSC 0.5 [um] | fringe ratio | phase error [mrad] |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """density (shot, x, y, z) [m-3] of the first shots of a case; seconds a shot, as they are told."""

    method: str
    stopped: str
    seconds: str
    density: np.ndarray


def by_field(case: Case, given: Prepared, fringe: bool) -> np.ndarray:
    options = ENTRY.fit.model_copy(update={"fringe": fringe})
    fitted = fit_shots(given.volume, given.photons, given.good, case.shots, given.starts, given.waves, options, ENTRY.seed)
    return means_of(case, field_of_fit(given.volume, fitted))


def points_of(grid: Grid) -> np.ndarray:
    axis = axis_of(grid)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def means_of(case: Case, field: Any) -> np.ndarray:
    side = case.grid.voxels
    with torch.no_grad():
        means: np.ndarray = field.means(torch.from_numpy(points_of(case.grid)).float(), 2 * case.grid.half_width_m / side).numpy()
    return means.reshape(-1, side, side, side)


def by_gaussian(case: Case, given: Prepared) -> np.ndarray:
    return means_of(case, field_of_fit(given.volume, gaussian(given.volume, given.photons, given.good, given.starts)))


def by_iterations(case: Case, given: Prepared, method: str) -> np.ndarray:
    found, _, _ = reconstructed(given.volume, given.photons, given.good, case.shots, given.starts, DensityFit(method=method), ENTRY.seed)
    return gridded(case, given.volume, found.density)


def gridded(case: Case, volume: Volume, samples: torch.Tensor) -> np.ndarray:
    return on_grid(volume, samples, case.grid.voxels).numpy()


def by_truth(case: Case, given: Prepared, scorer: ModuleType) -> np.ndarray:
    """MLEM on all photons, each shot at the iteration nearest to its truth: no experiment can stop there."""
    projector = given.volume.fine.projector
    truths = [scorer.on_grid(truth, [coords] * 3, axis_of(case.grid)) for truth, coords in case.truths]
    truths = [truth / truth.sum() for truth in truths]
    best, nearest = [np.zeros(0)] * len(truths), [np.inf] * len(truths)
    iterations = mlem_iterations(projector.electrons, projector.pedestal, given.photons[projector.pixel], 1.0)
    for density, _ in itertools.islice(iterations, TRUTH_MOST):
        for shot, (one, truth) in enumerate(zip(gridded(case, given.volume, density), truths, strict=True)):
            far = float(np.linalg.norm(one / one.sum() - truth))
            if far < nearest[shot]:
                best[shot], nearest[shot] = one, far
    return np.stack(best)


METHODS: dict[tuple[str, str], Callable[[Case, Prepared, ModuleType], np.ndarray]] = {
    ("field", "held-out photons"): lambda case, given, _: by_field(case, given, True),
    ("MLEM", "held-out photons"): lambda case, given, _: by_iterations(case, given, "mlem"),
    ("MLEM", "the truth"): by_truth,
    ("SIRT", "held-out photons"): lambda case, given, _: by_iterations(case, given, "sirt"),
}
FOR_CLOUDS: dict[tuple[str, str], Callable[[Case, Prepared, ModuleType], np.ndarray]] = {
    ("field, `fringe: false`", "held-out photons"): lambda case, given, _: by_field(case, given, False),
    ("Gaussian", "convergence"): lambda case, given, _: by_gaussian(case, given),
    ("Abel about y", "held-out photons"): lambda case, given, _: by_iterations(case, given, "abel"),
}
TOTAL_VARIATION = {("MLEM, total variation", "held-out photons"): lambda case, given, _: by_iterations(case, given, "tv")}
NETWORKS: dict[tuple[str, str], Callable[[Case, Prepared, ModuleType], np.ndarray]] = {
    ("Fourier features", "held-out photons"): lambda case, given, _: by_iterations(case, given, "fourier"),
    ("SIREN", "held-out photons"): lambda case, given, _: by_iterations(case, given, "siren"),
    ("hash grids", "held-out photons"): lambda case, given, _: by_iterations(case, given, "hash"),
}
FEW_SAMPLES = 200_000  # beyond, networks and total variation take minutes a shot


def rows_of(case: Case, recipe_steps: int, scorer: ModuleType) -> tuple[float, list[Row]]:
    """(seconds a block for what all share, a row for each method)."""
    began = time.perf_counter()
    given = prepared(case, ENTRY)
    shared = time.perf_counter() - began
    rows = []
    methods = METHODS if case.broadband else METHODS | FOR_CLOUDS
    if len(given.volume.fine.x) <= FEW_SAMPLES:
        methods = methods | TOTAL_VARIATION | ({} if case.broadband else NETWORKS)
    for (method, stopped), answer in tqdm(methods.items(), desc=case.name, leave=False):
        began = time.perf_counter()
        density = answer(case, given, scorer)
        seconds = f"{(time.perf_counter() - began) / len(case.shots):.1f}"
        rows.append(Row(method, stopped, "" if answer is by_truth else seconds, density))  # most of it went into looking at the truth
    if recipe_steps and not case.broadband:
        from gradoptics_recipe import STEPS, reconstruct  # of the group `bench`

        light = np.where(case.bad, 0.0, case.electrons)[0]
        found = reconstruct(case.cameras, light, ENTRY.photons_per_atom, points_of(case.grid), recipe_steps)
        told = f"{found.step_s * found.steps:.0f}; {STEPS} steps, extrapolated: {found.step_s * STEPS:.0f}"
        rows.append(Row("gradoptics recipe, first shot", f"step {found.steps} of {STEPS}", told, found.density.reshape(1, *[case.grid.voxels] * 3)))
    return shared, rows


def table_of(case: Case, shared: float, rows: list[Row], scorer: ModuleType) -> str:
    """Means over the shots; the phase error is their rms."""
    lines = [f"{case.name}, {len(case.shots)} shots; starts and projector {shared:.1f} s a block", "", HEAD]
    for row in rows:
        known = zip(row.density, case.truths, case.atoms, strict=False)  # the recipe has the first shot alone
        found = [scorer.score(density, [axis_of(case.grid)] * 3, *truth, atoms, case.period, None, case.voxels) for density, truth, atoms in known]
        cells = [f"{np.mean([one[name] for one in found]):.4f}" for name in ("relative_l2", "correlation", "atoms_ratio")]
        cells.append(f"{np.mean([one['resolution_um'] for one in found]):.0f}" if case.broadband else "")
        if case.period:
            phases = [one["fringe_phase_error_mrad"] for one in found]
            cells += [f"{np.mean([one['fringe_ratio'] for one in found]):.3f}", f"{np.sqrt(np.mean(np.square(phases))):.1f}"]
        else:
            cells += ["", ""]
        lines.append(f"| {row.method} | {row.stopped} | {row.seconds} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scorer_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("scorer", path)
    assert spec is not None
    assert spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    return scorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scorer", type=Path)
    parser.add_argument("--ring6", type=Path, default=None)
    parser.add_argument("--shots", type=int, default=2, help="of each simulated case")
    parser.add_argument("--only", nargs="+", default=list(SIMULATED), help="simulated cases, by their first word")
    parser.add_argument("--recipe-steps", type=int, default=30, help="0: without the recipe, and without gradoptics")
    parser.add_argument("--docs", type=Path, default=None)
    parser.add_argument("--speed", type=Path, default=None)
    given = parser.parse_args()
    load = f"load of the machine at the start {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores"
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, no GPU; {load}."
    if given.speed:
        table = draw_speed(given.speed)
        print(table)
        if given.docs:
            write_between(given.docs, "benchmarks/imaging_speed.py", f"{machine}\n\n{table}\n\n![Seconds a shot]({given.speed.name})")
        return
    scorer = scorer_of(given.scorer)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        cases = [lambda: case_of("reference shots, fringes of 377 um", given.ring6, given.ring6 / "cameras.json", [0, 1])] if given.ring6 else []
        for seed, name in enumerate(SIMULATED, 1):
            if any(name.startswith(only) for only in given.only):
                cases.append(lambda name=name, seed=seed: simulated(name, Path(folder), seed, given.shots))
        for made in cases:
            case = made()
            tables.append(table_of(case, *rows_of(case, given.recipe_steps, scorer), scorer))
            print(tables[-1] + "\n", flush=True)
    if given.docs:
        write_between(given.docs, "benchmarks/imaging.py", "\n\n".join([machine, *tables]))


if __name__ == "__main__":
    main()
