"""Run Snakemake on the checkout's Snakefile in a throw-away folder."""

import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from fieldfit.simulate.layouts import ring_of_cameras

CHECKOUT = Path(__file__).parents[2]

# All three experiments at the smallest size that still goes through every rule.
TINY = {
    "magis": {
        "clouds": {
            "format": "tiff",
            "raw": "demo/shots",
            "cameras": "demo/cameras.json",
            "block_size": 2,
            "grid": {"voxels": 32},
            "fit": {"steps": 20},
            "calibrations": {"first": {"dark": "demo/first/dark", "flat": "demo/first/flat"}},
            "object": {"cad": "drawing.stl"},
            "refine": "target.csv",
            "simulate": {"shots": 3, "photons": 2e8, "sensor": {"darks": 4, "levels": 2, "brightest": 0.6}},
        },
        "pictures": {"format": "pictures", "raw": "demo/pictures.npz", "simulate": {"pictures": 3}},
        "ports": {"format": "ports", "raw": "demo/ports.h5", "simulate": {"shots": 120}},
        "gradio": {"format": "ports", "raw": "demo/{night}/ports.h5", "simulate": {"shots": 60}},  # a run a night, made for the night asked for
        "triplets": {
            "format": "absorption",
            "raw": "demo/triplets",
            "pixel_object_m": 5e-6,
            "cross_section_m2": 1e-13,
            "simulate": {"shots": 3, "side": 96},
        },
    },
    "dune": {
        "box": {
            "format": "larsoft",
            "library": "demo/library.root",
            "channels": "demo/channels.json",
            "tracks": "demo/tracks.h5",
            "flashes": "demo/flashes.h5",
            "photons_per_voxel": 2000,
            "times": True,
            "geometry": {"min_cm": [0, -50, 0], "max_cm": [100, 50, 160], "divisions": [5, 5, 8]},
            "fit": {"steps": 40, "width": 32, "depth": 2, "batch": 64},
            "export": {"formats": ["larsoft", "larndsim_npz", "photonlib_h5", "numpy", "onnx"], "voxel_cm": 25},
            "simulate": {"photons": 2000, "divisions": [5, 5, 8], "tracks": 30, "flashes": 10},
        }
    },
    "design": {
        "ring": {
            "model": "shower_2d",
            "study": {"region": {"shape": "annulus", "inner": 2.0, "outer": 3.5}},
            "seeds": [1],
            "fit": {"steps": 3, "primaries": 16, "cells": 16, "evaluation_primaries": 100},
        },
        "toy": {"model": "published_toy", "events": 50, "scan": [1.0, 2.5]},
    },
    "gallery": {
        "scan": {
            "model": "tomography",
            "raw": "demo/scan.h5",
            "every": [1, 2],
            "pixel_um": 2.0,
            "fit": {"steps": 6, "variation": [4.0]},
            "simulate": {"views": 24, "columns": 64, "rows": 2},
        }
    },
}


def write_drawing(path: Path) -> None:
    """An octahedron of 1 mm as a binary STL."""
    triangles = np.zeros(8, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]))
    for face, signs in enumerate(itertools.product((1, -1), repeat=3)):
        corners = 0.5 * np.diag(signs)
        triangles["corners"][face] = corners if np.prod(signs) > 0 else corners[::-1]
    path.write_bytes(bytes(80) + np.uint32(8).tobytes() + triangles.tobytes())


def write_sightings(path: Path) -> None:
    """Nine known points in the six views of the simulated ring, where its camera file says."""
    lines = ["view,x_m,y_m,z_m,row,column,std_px"]
    for camera in ring_of_cameras()["cameras"]:
        lens, look, left, up = (np.array(camera[key]) for key in ("lens_position_m", "look", "left", "up"))
        for x, y, z in [(0.0, 0.0, 0.0), *itertools.product((-5e-4, 5e-4), repeat=3)]:
            offset = np.array([x, y, z]) - lens
            scale = camera["focal_length_m"] * (1 + camera["magnification"]) / (offset @ look) / camera["pixel_pitch_m"]
            row, column = (n / 2 + scale * (offset @ axis) for n, axis in zip(camera["resolution_hw"], (up, left), strict=True))
            lines.append(f"{camera['id']},{x},{y},{z},{row:.4f},{column:.4f},0.02")
    path.write_text("\n".join(lines) + "\n")


def snakemake(
    folder: Path, *arguments: str, config: dict | None = None, package: Path | None = None, timeout: int = 900
) -> subprocess.CompletedProcess:
    """`snakemake` in `folder` with `config` as its configuration (the demo's when None) and the package's sources at `package`."""
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        write_drawing(folder / "drawing.stl")
        write_sightings(folder / "target.csv")
        arguments = (*arguments, "--configfile", "config.yaml")
    environment = os.environ | ({"PYTHONPATH": str(package)} if package else {})
    if "--profile" not in arguments:
        environment["PATH"] = f"{CHECKOUT / 'tests/workflow/no_slurm'}:{environment['PATH']}"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile"), "--directory", str(folder), "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def jobs_of(run: subprocess.CompletedProcess) -> Counter[str]:
    """Number of jobs by rule in the table that Snakemake prints first."""
    text = run.stdout + run.stderr
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal +\d+", text, re.S)
    return Counter({name: int(count) for name, count in (line.split() for line in table.group(1).splitlines())} if table else {})


def only(config: dict, *names: str) -> dict:
    """The configuration with only the entries named."""
    kept = {section: {name: entry for name, entry in entries.items() if name in names} for section, entries in config.items()}
    return {section: entries for section, entries in kept.items() if entries}
