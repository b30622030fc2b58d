"""Small real steps on simulated raw files: each makes the products of one experiment, raw files once in `raw`, products in `out`."""

from pathlib import Path

from fieldfit.config.load import load_entry
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.estimate_phase import estimate_phase
from fieldfit.steps.export_visibility import export_visibility
from fieldfit.steps.fit_density import fit_density
from fieldfit.steps.fit_gradiometer import fit_gradiometer
from fieldfit.steps.fit_pictures import fit_pictures
from fieldfit.steps.fit_visibility import fit_visibility
from fieldfit.steps.optimise_material import optimise_material
from fieldfit.steps.read_library import read_library
from fieldfit.steps.simulate_library import simulate_library
from fieldfit.steps.simulate_pictures import simulate_pictures
from fieldfit.steps.simulate_ports import simulate_ports
from fieldfit.steps.simulate_shots import simulate_shots


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
    keys = {"format": "larsoft", "library": raw / "library.root", "channels": raw / "channels.json", "photons_per_voxel": 1000, "times": True}
    keys |= {
        "export": {"formats": ["larndsim_npz"]},
        "geometry": {"min_cm": [0, -50, 0], "max_cm": [100, 50, 160], "divisions": [5, 5, 8]},
        "fit": {"steps": 60, "width": 24, "batch": 64},
    }
    entry = load_entry("dune", keys | {"simulate": {"photons": 1000, "divisions": [5, 5, 8]}})
    if not entry.library.exists():
        simulate_library(entry, raw / "truth.json")
    read_library(entry.library, entry.channels, out / "library.nc", entry)
    fit_visibility(out / "library.nc", out / "visibility.nc", entry)
    export_visibility(out / "visibility.nc", None, out / "export", entry)
    return [out / "library.nc", out / "visibility.nc"]


def material(_: Path, out: Path) -> list[Path]:
    keys = {"model": "shower_2d", "study": {"region": {"shape": "annulus", "inner": 2.0, "outer": 3.5}}, "seeds": [1]}
    optimise_material(out / "material.nc", load_entry("design", keys | {"fit": {"steps": 3, "primaries": 16, "cells": 16}}), 1)
    return [out / "material.nc"]


def pictures(raw: Path, out: Path) -> list[Path]:
    entry = load_entry("magis", {"format": "pictures", "raw": raw / "pictures.npz", "simulate": {"pictures": 3}})
    if not entry.raw.exists():
        simulate_pictures(entry.raw, raw / "truth.json", entry)
    fit_pictures(entry.raw, out / "phase.nc", entry)
    return [out / "phase.nc"]
