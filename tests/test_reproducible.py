"""The same configuration and raw files give the same numbers: on one machine bit for bit, and across thread counts within rounding.

Between the runs memory is taken, so that the arrays of the second lie elsewhere: a library's last bit may depend on that. The parts of a
sum are added in another order where there are more threads. Stated tolerance: TOLERANCE of a variable's own scale, for fits that stop by
convergence; what a network's optimiser makes of rounding is larger, and is held to SHARE of the stated error instead.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from fieldfit.config.load import load_entry
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.estimate_phase import estimate_phase
from fieldfit.steps.fit_density import fit_density
from fieldfit.steps.fit_gradiometer import fit_gradiometer
from fieldfit.steps.fit_visibility import fit_visibility
from fieldfit.steps.optimise_material import optimise_material
from fieldfit.steps.read_library import read_library
from fieldfit.steps.simulate_library import simulate_library
from fieldfit.steps.simulate_ports import simulate_ports
from fieldfit.steps.simulate_shots import simulate_shots

TOLERANCE = 1e-4
SHARE = 0.1


def density(raw: Path, out: Path) -> list[Path]:
    keys = {"format": "tiff", "raw": raw / "shots", "cameras": raw / "cameras.json", "grid": {"voxels": 32}}
    entry = load_entry("magis", keys | {"simulate": {"shots": 2, "photons": 1e8, "dark": "none"}})
    if not entry.raw.exists():
        simulate_shots(entry.raw, entry.cameras, raw / "truth.json", entry)
    calibrate_frames(entry.raw, entry.cameras, out / "electrons.nc", entry, [0, 1])
    fit_density(out / "electrons.nc", entry.cameras, out / "density.nc", entry)
    estimate_phase([out / "density.nc"], out / "phase.nc", entry)
    return [out / "density.nc", out / "phase.nc"]


def gradiometer(raw: Path, out: Path) -> list[Path]:
    entry = load_entry("magis", {"format": "ports", "raw": raw / "ports.h5", "simulate": {"shots": 300}})
    if not entry.raw.exists():
        simulate_ports(entry.raw, raw / "truth.json", entry)
    fit_gradiometer(entry.raw, out / "gradiometer.nc", entry)
    return [out / "gradiometer.nc"]


def visibility(raw: Path, out: Path) -> list[Path]:
    keys = {"format": "larsoft", "library": raw / "library.root", "channels": raw / "channels.json", "photons_per_voxel": 1000}
    keys |= {"geometry": {"min_cm": [0, -50, 0], "max_cm": [100, 50, 160], "divisions": [5, 5, 8]}, "fit": {"steps": 60, "width": 24, "batch": 64}}
    entry = load_entry("dune", keys | {"simulate": {"photons": 1000, "divisions": [5, 5, 8]}})
    if not entry.library.exists():
        simulate_library(entry, raw / "truth.json")
    read_library(entry.library, entry.channels, out / "library.nc", entry)
    fit_visibility(out / "library.nc", out / "visibility.nc", entry)
    return [out / "library.nc", out / "visibility.nc"]


def material(_: Path, out: Path) -> list[Path]:
    keys = {"model": "shower_2d", "study": {"region": {"shape": "annulus", "inner": 2.0, "outer": 3.5}}, "seeds": [1]}
    optimise_material(out / "material.nc", load_entry("design", keys | {"fit": {"steps": 3, "primaries": 16, "cells": 16}}), 1)
    return [out / "material.nc"]


@pytest.fixture
def threads() -> Callable[[int], None]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("made", [density, gradiometer, visibility, material])
def test_the_same_numbers_come_out_again(tmp_path: Path, threads: Callable[[int], None], made: Callable[[Path, Path], list[Path]]) -> None:
    runs, random = [], np.random.default_rng(0)
    for name, count in (("first", 1), ("again", 1), ("threads", 2)):
        (tmp_path / name).mkdir()
        threads(count)
        elsewhere = [np.empty(size, np.uint8) for size in random.integers(1, 200_000, 200)]
        runs.append([xr.load_dataset(path, decode_times=False) for path in made(tmp_path, tmp_path / name)])
        del elsewhere
    for first, again, other in zip(*runs, strict=True):
        for name, values in first.variables.items():
            if values.dtype.kind != "f":
                assert values.identical(again[name].variable) and values.identical(other[name].variable), name
                continue
            assert values.values.tobytes() == again[name].values.tobytes(), name
            apart = float(np.nanmax(np.abs(values.values - other[name].values), initial=0.0))
            scale = float(np.nanmax(np.abs(values.values), initial=0.0))
            error = first[f"{name}_std"].values if f"{name}_std" in first else np.zeros(1)
            assert apart <= max(TOLERANCE * scale, SHARE * float(np.nanmedian(error))), name
