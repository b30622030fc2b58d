"""Camera shots of known objects, with all that the analysis does not know: the demo's raw files, and those of every test of the imaging.

Atoms are drawn from the object (`simulate.clouds`, `simulate.solids`), photons traced one by one (`simulate.rays`) through the cameras
(`simulate.layouts`); each pixel gets a Poisson pedestal. The camera file says where the cameras should be. NumPy only.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldfit.config.magis import SimulateShots
from fieldfit.io.whole import whole
from fieldfit.simulate.clouds import Cloud, Ring, Source, Values, Vector, letters, spots, two_clouds
from fieldfit.simulate.frames import write_run
from fieldfit.simulate.layouts import FAULTY_VIEW, faulty, layout_of, misplaced
from fieldfit.simulate.rays import traced
from fieldfit.simulate.sensor import Sensor, collected, most, read_out, sensors_of
from fieldfit.simulate.solids import solid
from fieldfit.units import MM, TAU, UM

PHASE_STEP = 0.4  # radians from shot to shot, about
RING_M, TUBE_M = 0.6e-3, 0.18e-3
TWO_M, TWO_APART_M, TWO_SHARE = 0.25e-3, 1.2e-3, 0.6
SPOTS, SPOT_FWHM_M = 25, 60e-6
OUTSIDE_M = 6e-3  # from the middle along y, of a cloud outside the field
SATURATED_DN = 4095
TRACK_AREA, TRACK_PIXELS, TRACK_E = 13_000, 30, 1500  # pixels a cosmic ray; its longest track; its most electrons a pixel
HALF_WIDTH_M, VOXELS = 1.6e-3, 128  # of the true density


@dataclass(frozen=True)
class Shown:
    """What one shot shows. cloud: number of the object, the same for its repeats; centre [m]; source: None in a dark shot; fault: or None."""

    shot: int
    cloud: int
    centre: Vector
    source: Source | None
    fault: str | None


def shown_of(entry: SimulateShots, photons_per_atom: float, seed: int) -> list[Shown]:
    """The objects of a run: phase and centre wander a little from one to the next. Raises InputError where a mesh cannot be read."""
    random = np.random.default_rng([seed, 0])
    dark = entry.shots - 1 if entry.dark == "last" and entry.shots > 1 else None
    run = []
    for shot in range(entry.shots):
        fault = entry.faults.get(shot)
        if shot % entry.repeats == 0:
            cloud = shot // entry.repeats
            wander = entry.jitter_um * UM * random.standard_normal(3)
            phase = math.remainder(0.3 + PHASE_STEP * (cloud + 0.3 * random.standard_normal()), TAU)
        x, y, z = wander.tolist()
        centre = (x, y + OUTSIDE_M, z) if fault == "outside" else (x, y, z)
        atoms = int(random.poisson(entry.photons / photons_per_atom))
        source = None if shot == dark else source_of(entry, centre, phase, atoms, seed)
        run.append(Shown(shot, cloud, centre, source, fault))
    return run


def source_of(entry: SimulateShots, centre: Vector, phase: float, atoms: int, seed: int) -> Source:
    """The object that an entry asks for."""
    tilt, azimuth = math.radians(entry.tilt_deg), math.radians(entry.azimuth_deg)
    along = (math.sin(tilt) * math.cos(azimuth), math.cos(tilt), math.sin(tilt) * math.sin(azimuth))
    match entry.object:
        case "cloud":
            size = entry.size_mm * MM
            return Cloud(centre, (size,) * 3, TAU / (entry.period_um * UM), entry.contrast, phase, atoms, along, entry.defocus_rad)
        case "donut":
            return Ring(centre, RING_M, TUBE_M, along, atoms)
        case "two_clouds":
            return two_clouds(centre, along, TWO_APART_M, TWO_M, TWO_SHARE, atoms)
        case "spots":
            sigma = SPOT_FWHM_M / math.sqrt(8 * math.log(2))
            return spots(centre, SPOTS, entry.extent_mm * MM / 2, sigma, atoms, np.random.default_rng([seed, 2]))
        case "letters":
            return letters(centre, entry.extent_mm * MM, atoms)
        case "mesh":
            assert entry.mesh is not None  # the config sees to it
            return solid(entry.mesh, centre, entry.extent_mm * MM, atoms)


def atoms_in(source: Source, random: np.random.Generator) -> Values:
    """(atom, 3) positions [m], `source.atoms` of them."""
    return source.drawn(random)


def shot_of(
    cameras: Mapping[str, Any], source: Source | None, photons_per_atom: float, random: np.random.Generator, sensors: Sequence[Sensor] = ()
) -> np.ndarray:
    """(sensor, row, column) uint16 frames; None for a dark shot, which has the pedestal only. With `sensors`: their electrons of light."""
    atoms = atoms_in(source, random) if source else np.zeros((0, 3))
    if sensors:
        pairs = zip(cameras["cameras"], sensors, strict=True)
        return np.stack([collected(own, traced(camera, atoms, photons_per_atom * most(own), random), random) for camera, own in pairs])
    frames = []
    for camera in cameras["cameras"]:
        light = traced(camera, atoms, photons_per_atom, random)
        frames.append(light + random.poisson(camera["pedestal_poisson_mean"], light.shape))
    return np.minimum(np.stack(frames), np.iinfo(np.uint16).max).astype(np.uint16)


def write_shots(folder: Path, cameras: Path, truth: Path, entry: SimulateShots, photons_per_atom: float, seed: int, form: str = "tiff") -> None:
    """Write the shots in their format, the camera description, and the truth; with `truth_density` also the densities, which the list `shots`
    of the camera description names. Raises InputError where a mesh cannot be read."""
    layout = layout_of(entry)
    true = misplaced(layout, entry, np.random.default_rng([seed, 3])) if entry.misplaced_um or entry.misturned_mrad else layout
    run = shown_of(entry, photons_per_atom, seed)
    sensors = sensors_of(entry, seed)
    write_run(folder, form, _frames(run, true, photons_per_atom, seed, sensors))
    told = [{"shot": s.shot, "dark": s.source is None, **({"fault": s.fault} if s.fault else {}), **_told(s)} for s in run]
    if entry.sensor:
        layout = layout | {"cameras": [camera | {"gain": entry.sensor.gain} for camera in layout["cameras"]]}
    if entry.truth_density:
        densities = _write_densities(truth.with_suffix(""), run, entry.photons / photons_per_atom)
        layout = layout | {"shots": [_listed(s, entry, densities, cameras.parent) for s in run]}
    _write_json(cameras, layout)
    _write_json(truth, {"photons_per_atom": photons_per_atom, "object": entry.object, "shots": told, "cameras": true["cameras"]})


def _frames(
    run: list[Shown], layout: dict[str, Any], photons_per_atom: float, seed: int, sensors: Sequence[Sensor]
) -> Iterator[tuple[int, np.ndarray]]:
    top = int(sensors[0].full_well) if sensors else SATURATED_DN
    for shown in run:
        random = np.random.default_rng([seed, 1, shown.shot])
        place = faulty(layout, shown.fault) if shown.fault in ("moved", "blocked") else layout
        frames = shot_of(place, shown.source, photons_per_atom, random, sensors)
        if shown.fault == "saturated":
            saturate(frames[_faulty_frame(frames)], top)
        elif shown.fault == "cosmic":
            cross(frames[_faulty_frame(frames)], random)
        if sensors:
            frames = np.stack([read_out(own, frame, random) for own, frame in zip(sensors, frames, strict=True)])
        yield shown.shot, frames


def _faulty_frame(frames: np.ndarray) -> int:
    return min(FAULTY_VIEW, len(frames) - 1)


def saturate(frame: np.ndarray, top: int = SATURATED_DN) -> None:
    """Twice as bright as the sensor holds, in place."""
    frame[:] = np.minimum(frame * (2 * top / max(int(frame.max()), 1)), top)


def cross(frame: np.ndarray, random: np.random.Generator) -> None:
    """Straight tracks of cosmic rays, in place: one in TRACK_AREA pixels on average, one at least."""
    rows, columns = frame.shape
    for _ in range(1 + random.poisson(frame.size / TRACK_AREA - 1) if frame.size > TRACK_AREA else 1):
        way, angle = np.arange(random.integers(5, TRACK_PIXELS)), TAU * random.random()
        r = (rows * random.random() + way * math.sin(angle)).astype(int)
        c = (columns * random.random() + way * math.cos(angle)).astype(int)
        inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
        frame[r[inside], c[inside]] += random.integers(TRACK_E // 5, TRACK_E, int(inside.sum())).astype(frame.dtype)


def true_density(source: Source, atoms: float, half_width: float = HALF_WIDTH_M, voxels: int = VOXELS) -> tuple[Values, Values]:
    """(means over voxels (x, y, z) [1/m3] for `atoms` expected atoms, centres of the voxels along each axis [m])."""
    edges = half_width * (2 * np.arange(voxels + 1) - voxels) / voxels
    return atoms * source.means(edges), (edges[1:] + edges[:-1]) / 2


def _write_densities(folder: Path, run: list[Shown], expected: float) -> dict[int, Path]:
    """A file for each object inside the field, by the object's number."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[int, Path] = {}
    for shown in run:
        if shown.source is None or shown.fault == "outside" or shown.cloud in written:
            continue
        density, coords = true_density(shown.source, expected)
        written[shown.cloud] = folder / f"cloud{shown.cloud:04d}.npz"
        with whole(written[shown.cloud]) as unfinished:
            np.savez_compressed(unfinished, density=density.astype(np.float32), coords_m=coords)
    return written


def _listed(shown: Shown, entry: SimulateShots, densities: Mapping[int, Path], folder: Path) -> dict[str, Any]:
    """The shot as the reference camera files list it: its true density by path, atoms, and the period of fringes along y."""
    if shown.source is None:
        return {"shot": shown.shot, "truth": None, "cloud": None, "n_atoms": 0}
    path = None if shown.fault == "outside" else os.path.relpath(densities[shown.cloud], folder)
    along_y = isinstance(shown.source, Cloud) and entry.contrast > 0 and entry.tilt_deg == 0
    cloud = {"object": entry.object, **({"fringe_period_um": entry.period_um} if along_y else {})}
    return {"shot": shown.shot, "truth": path, "cloud": cloud, "n_atoms": shown.source.atoms}


def _told(shown: Shown) -> dict[str, Any]:
    if shown.source is None:
        return {}
    told: dict[str, Any] = {}
    if isinstance(shown.source, Cloud):
        cloud = shown.source
        told = {"phase_rad": cloud.phase, "contrast": cloud.contrast, "fringe_period_m": TAU / cloud.wave_number, "size_m": list(cloud.size)}
        told |= {"direction": list(cloud.along), "defocus_rad": cloud.defocus}
    return told | {"cloud": shown.cloud, "atoms": shown.source.atoms, "position_m": list(shown.centre)}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n")
