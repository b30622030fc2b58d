"""Point flashes matched by the gradient of a field, beside looking them up in its table, at places and with light of a known truth.

    uv run python benchmarks/flash.py results/dune/mini ../shared/data/larsoft/truth_offgrid.npz ../shared/data/larsoft/tracks_truth.npz

The light is Poisson around photons x the truth's efficiency x visibility at its off-grid places. All methods see the same light and the same
efficiencies, those of calibration.nc. Prints Markdown: median and 95 %
of the distance to the true place and of the relative error of the charge, for flashes of 1e6, 1e7 and 1e8 photons, and pulls of the field's.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.interpolate import RegularGridInterpolator

import fieldfit
from fieldfit.experiments.dune.flash import Flashes, Light, match_flashes

FLASHES = 500
STEP = 1e-3  # m, of the slopes of an interpolated table


def sloped(values: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Slopes by central differences."""
    return lambda x: np.stack([(values(x + STEP * a) - values(x - STEP * a)) / (2 * STEP) for a in np.eye(3)], -1)


def line(name: str, photons: float, found: Flashes, place: np.ndarray, looked: bool, seconds: float) -> str:
    """A row of the table."""
    x = found.looked_up if looked else found.position
    error, charge = 100 * np.linalg.norm(x - place, axis=1), 100 * np.abs(found.charge / photons - 1)
    told = "-" if looked else f"{charge_text(charge)}"
    pulls = "-" if looked else f"{np.quantile(np.abs((x - place) / found.position_std)[~found.at_face], 0.683):.2f}"
    return f"| {photons:.0e} | {name} | {np.median(error):.2f} | {np.quantile(error, 0.95):.1f} | {told} | {pulls} | {1e3 * seconds / len(x):.1f} |"


def charge_text(charge: np.ndarray) -> str:
    return f"{np.median(charge):.2f}, {np.quantile(charge, 0.95):.1f}"


def main(results: Path, points: Path, truth: Path) -> None:
    """Match, print."""
    visibility, calibration = xr.open_dataset(results / "visibility.nc"), xr.open_dataset(results / "calibration.nc")
    own = np.load(truth, allow_pickle=False)["efficiency_times_visibility"]
    place = np.load(points, allow_pickle=False)["position_cm"] * 0.01
    axes = [visibility[a].values.astype(np.float64) for a in "xyz"]
    pitch = np.array([axis[1] - axis[0] for axis in axes])
    lower, upper = np.array([axis[0] for axis in axes]) - pitch / 2, np.array([axis[-1] for axis in axes]) + pitch / 2
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    live, efficiency = calibration.dead.values == 0, calibration.efficiency.values
    table = np.moveaxis(visibility.library_visibility.values, 0, -1) * efficiency
    fitted = np.moveaxis(calibration.visibility_calibrated.values, 0, -1).reshape(len(voxels), -1).astype(np.float64)
    relative = np.moveaxis(
        (calibration.visibility_calibrated_std / calibration.visibility_calibrated.where(calibration.visibility_calibrated > 0)).fillna(0).values,
        0,
        -1,
    )
    spread = RegularGridInterpolator(axes, relative, method="nearest", bounds_error=False, fill_value=None)
    field, gradient = (load(results / "calibration.nc") for load in (fieldfit.load_field, fieldfit.load_gradient))
    light = Light(lambda x: field(x).astype(np.float64), lambda x: gradient(x).astype(np.float64), spread, lower, upper, live)
    inner = RegularGridInterpolator(axes, table, bounds_error=False, fill_value=None)  # extrapolated in the outer half voxels
    trilinear: Callable[[np.ndarray], np.ndarray] = lambda x: np.maximum(inner(x), 0)  # noqa: E731
    of_table = replace(light, values=trilinear, slopes=sloped(trilinear), relative_std=lambda x: np.zeros((len(x), len(live))))
    generator = np.random.default_rng(1)
    print(
        "| photons | method | median [cm] | 95 % [cm] | charge median, 95 % [%] | 68 % of pulls within | ms a flash |\n|---|---|---|---|---|---|---|"
    )
    for photons in (1e6, 1e7, 1e8):
        some = generator.choice(len(place), FLASHES, replace=False)
        counts = generator.poisson(photons * own[some]).astype(np.float64)
        began = time.perf_counter()
        found = match_flashes(light, counts, voxels, fitted)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        looked = match_flashes(of_table, counts, voxels, table.reshape(len(voxels), -1))
        print(line("table: most likely voxel", photons, looked, place[some], True, 0.0))
        print(line("table: trilinear, one efficiency a channel", photons, looked, place[some], False, time.perf_counter() - began))
        print(line("field, calibrated", photons, found, place[some], False, seconds), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*map(Path, sys.argv[1:]))
