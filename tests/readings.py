"""Every file that fieldfit reads: a small sound one, and the reader that takes it whole."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
import trimesh
import yaml

import libraries
from fieldfit.config.dune import Quality
from fieldfit.config.load import load_entry, load_study
from fieldfit.io.absorption import common_shape, find_triplets, read_triplet
from fieldfit.io.cameras import read_cameras
from fieldfit.io.channels import read_channels
from fieldfit.io.data_exchange import read_scan
from fieldfit.io.exposure import BadFrame
from fieldfit.io.flashes import read_flashes
from fieldfit.io.frames import read_block
from fieldfit.io.optical.box import Box
from fieldfit.io.optical.table import fill_table
from fieldfit.io.pictures import read_pictures
from fieldfit.io.ports import read_ports
from fieldfit.io.stl import read_body
from fieldfit.io.target import read_target
from fieldfit.io.tracks import read_tracks
from fieldfit.simulate.frames import write_run
from fieldfit.simulate.layouts import ring_of_cameras
from fieldfit.simulate.ports import Truth, simulate_run
from fieldfit.simulate.ports import write_run as write_ports

SHAPE = (2, 24, 21)
BOX = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 2))
PATTERNS = {"image": "Image_*", "probe": "Probe_*", "background": "Background_*"}


@dataclass(frozen=True)
class Reading:
    """write: makes the file(s) in a folder, and returns the one that a test damages; read: takes all of it, as a step does."""

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]

    def __str__(self) -> str:
        return self.name


def frames_of(shot: int) -> np.ndarray:
    return np.random.default_rng(shot).poisson(40.0, SHAPE).astype(np.uint16)


def _block(form: str) -> Reading:
    """A good shot beside the damaged one, so that the block goes on."""

    def write(folder: Path) -> Path:
        write_run(folder / "run", form, [(shot, frames_of(shot)) for shot in range(2)])
        return min((folder / "run").iterdir()) if form == "hdf5" else max((folder / "run").iterdir())

    def read(path: Path) -> Any:
        block = read_block(path.parent, (0, 1), [SHAPE[1:]] * SHAPE[0], form)
        return block.frames.compute(), block.status, block.reasons

    return Reading(form, write, read)


def _views(folder: Path) -> Path:
    for shot in range(2):
        (folder / f"run/shot{shot:03d}").mkdir(parents=True)
        for view in range(2):
            tifffile.imwrite(folder / f"run/shot{shot:03d}/frame_cam{view}.tif", frames_of(shot)[view])
    return folder / "run/shot001/frame_cam1.tif"


def _triplets(folder: Path) -> Path:
    for shot in range(2):
        for member in ("Image", "Probe", "Background"):
            tifffile.imwrite(folder / f"{member}_{shot}.tif", np.random.default_rng(shot).poisson(40.0, (40, 36)).astype(np.uint16))
    return folder / "Image_1.tif"


def _read_triplets(path: Path) -> Any:
    triplets = find_triplets(path.parent, PATTERNS)
    shape = common_shape(triplets)
    found = []
    for triplet in triplets:
        try:
            found.append(read_triplet(triplet, shape))
        except BadFrame as bad:
            found.append(bad.status)
    return found


def _ports(folder: Path) -> Path:
    truth = Truth()
    write_ports(simulate_run(truth, 30, 1e5, np.random.default_rng(0)), truth, folder / "run.h5", folder / "truth.json")
    return folder / "run.h5"


def _pictures(folder: Path) -> Path:
    np.savez_compressed(folder / "pictures.npz", frames=np.random.default_rng(0).poisson(9.0, (3, 12, 12)).astype(np.uint16), pixel_object_m=2e-5)
    return folder / "pictures.npz"


def _json(name: str, content: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(yaml.safe_dump(content) if name.endswith("yaml") else json.dumps(content))
        return folder / name

    return write


CHANNELS = [{"kind": "disk", "centre": [0.0, 10.0 * k, 0.0], "normal": [2.0, 0.0, 0.0], "radius": 10.0, "channel": k} for k in range(3)]
STUDY = {"radius": 4.0, "source": [0.0, 0.0], "region": {"shape": "annulus", "inner": 2.0, "outer": 3.0}}


def _tracks(folder: Path) -> Path:
    with h5py.File(folder / "tracks.h5", "w") as file:
        file["point_cm"] = np.random.default_rng(0).uniform(0, 100, (6, 3))
        file["point_offset"] = [0, 2, 6]
        file["point_photons"] = np.full(6, 1e4)
        file["pe_measured"] = np.ones((2, 3))
        file["run"] = [0, 1]
        file["saturation_pe"] = [np.nan, 100.0, 200.0]
    return folder / "tracks.h5"


def _flashes(folder: Path) -> Path:
    with h5py.File(folder / "flashes.h5", "w") as file:
        file["pe_measured"] = np.random.default_rng(0).poisson(30.0, (5, 3))
    return folder / "flashes.h5"


def _scan(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    with h5py.File(folder / "scan.h5", "w") as file:
        file["exchange/data"] = generator.uniform(400, 900, (12, 2, 20)).astype("f4")
        file["exchange/data_white"] = generator.uniform(900, 1000, (4, 2, 20)).astype("f4")
        file["exchange/data_dark"] = generator.uniform(90, 110, (3, 2, 20)).astype("f4")
        file["exchange/theta"] = np.linspace(0, 180, 12, endpoint=False)
    return folder / "scan.h5"


def _stl(folder: Path) -> Path:
    trimesh.creation.box((2.0, 1.0, 0.6)).export(folder / "drawing.stl")
    return folder / "drawing.stl"


def _target(folder: Path) -> Path:
    (folder / "cameras.json").write_text(json.dumps(ring_of_cameras()))
    lines = [f"{view},0.0001,0,{1e-4 * point},{100 + point},90.5,0.02" for view in range(6) for point in range(4)]
    (folder / "target.csv").write_text("\n".join(["view,x_m,y_m,z_m,row,column,std_px", *lines]) + "\n")
    return folder / "target.csv"


def _library(form: str, write: Callable[[Path], Path], name: str) -> Reading:
    keys = {"geometry": libraries.GEOMETRY} if form in ("larndsim_npz", "hits") else {"component": "direct"} if form == "larsoft" else {}
    return Reading(
        form, lambda folder: write(folder / name), lambda path: fill_table(libraries.opened(path, form, **keys), Quality(), None, 2**28).values
    )


READINGS = [
    *(_block(form) for form in ("tiff", "fits", "hdf5")),
    Reading("tiff views", _views, lambda path: _block("tiff").read(path.parent)),
    Reading("absorption", _triplets, _read_triplets),
    Reading("ports", _ports, lambda path: read_ports(path, 0.2)),
    Reading("pictures", _pictures, read_pictures),
    Reading("cameras json", _json("cameras.json", ring_of_cameras()), read_cameras),
    Reading("cameras yaml", _json("cameras.yaml", ring_of_cameras()), read_cameras),
    Reading("channels", _json("channels.json", CHANNELS), read_channels),
    Reading("study", _json("study.json", STUDY), lambda path: load_study(load_entry("design", {"model": "shower_2d", "study": str(path)}))),
    Reading("tracks", _tracks, lambda path: read_tracks(path, 3, BOX)),
    Reading("flashes", _flashes, lambda path: read_flashes(path, 3)),
    Reading("data exchange", _scan, read_scan),
    Reading("stl", _stl, read_body),
    Reading("target", _target, lambda path: read_target(path, read_cameras(path.with_name("cameras.json")))),
    _library("larsoft", libraries.write_larsoft, "library.root"),
    _library("dune_export", libraries.write_dune, "library.root"),
    _library("arcube_lut", libraries.write_arcube, "library.root"),
    _library("larndsim_npz", libraries.write_npz, "library.npz"),
    _library("photonlib_h5", libraries.write_photonlib, "library.h5"),
    _library("hits", libraries.write_hits, "library.h5"),
]
