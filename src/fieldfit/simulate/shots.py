"""Camera shots of known clouds: photons traced one by one, through nothing that the fit uses.

Atoms are drawn from a Gaussian cloud times 1 + C cos(k y + phi); each photon leaves one atom, passes a random point of a lens's
aperture and runs towards the point's conjugate behind the ideal thin lens, 1/z + 1/z' = 1/f; the pixel is where this straight ray
crosses the sensor. Only photons that are detected are drawn: their number a camera is Poisson with mean
sum_atoms photons_per_atom QE (1 - cos(alpha)) / 2, alpha the aperture's half angle at the atom.
NumPy only.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from fieldfit.config import SimulateShots
from fieldfit.io.whole import whole
from fieldfit.units import TAU, UM

SIZE_M = 0.5e-3  # rms size of the cloud
JITTER_M = 20e-6  # of the cloud's centre from shot to shot
PHASE_STEP = 0.4  # radians from shot to shot, about
AZIMUTHS_DEG = (0, 30, 60, 90, 120, 150)
ELEVATIONS_DEG = (0, 20, 0, -20, 0, 20)
FOCAL_LENGTH_M, F_NUMBER, MAGNIFICATION, PITCH_M = 0.175 * 0.1 / 1.1, 2.0, 0.1, 2.4e-6
PIXELS, EFFICIENCY, PEDESTAL = 200, 0.72, 2.31


@dataclass(frozen=True)
class Cloud:
    """centre (3) [m]; size (3), rms [m]; wave number along y [rad/m]; contrast; phase at the world's origin [rad]; atoms."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    wave_number: float
    contrast: float
    phase: float
    atoms: int


def ring_of_cameras() -> dict[str, Any]:
    """The layout of the reference camera files: six cameras, every other one raised, y the fringe axis."""
    cameras = []
    distance = FOCAL_LENGTH_M * (1 + MAGNIFICATION) / MAGNIFICATION
    for number, (azimuth, elevation) in enumerate(zip(AZIMUTHS_DEG, ELEVATIONS_DEG, strict=True)):
        a, e = math.radians(azimuth), math.radians(elevation)
        away = np.array([math.cos(a) * math.cos(e), math.sin(e), math.sin(a) * math.cos(e)])
        look = -away
        left = np.cross([0.0, 0.0, 1.0], look)
        left = left / np.linalg.norm(left)
        cameras.append(
            {
                "id": number,
                "type": "thin_lens",
                "lens_position_m": (distance * away).tolist(),
                "look": look.tolist(),
                "left": left.tolist(),
                "up": np.cross(look, left).tolist(),
                "object_distance_m": distance,
                "focal_length_m": FOCAL_LENGTH_M,
                "f_number": F_NUMBER,
                "aperture_diameter_m": FOCAL_LENGTH_M / F_NUMBER,
                "magnification": MAGNIFICATION,
                "sensor_position_m": (distance * (1 + MAGNIFICATION) * away).tolist(),
                "pixel_pitch_m": PITCH_M,
                "resolution_hw": [PIXELS, PIXELS],
                "quantum_efficiency": EFFICIENCY,
                "pedestal_poisson_mean": PEDESTAL,
            }
        )
    return {
        "kind": "ring6",
        "units": "m",
        "convention": "pixel edges; row along up, column along left, from the middle of the sensor",
        "cameras": cameras,
    }


def clouds_of(entry: SimulateShots, photons_per_atom: float, seed: int) -> list[Cloud]:
    """The clouds of a run: phase and centre wander a little from shot to shot."""
    random = np.random.default_rng([seed, 0])
    clouds = []
    for shot in range(entry.shots):
        centre = JITTER_M * random.standard_normal(3)
        phase = 0.3 + PHASE_STEP * (shot + 0.3 * random.standard_normal())
        atoms = int(random.poisson(entry.photons / photons_per_atom))
        clouds.append(Cloud(tuple(centre.tolist()), (SIZE_M,) * 3, TAU / (entry.period_um * UM), entry.contrast, math.remainder(phase, TAU), atoms))
    return clouds


def atoms_in(cloud: Cloud, random: np.random.Generator) -> np.ndarray:
    """(atom, 3) positions [m], by rejection: the envelope times the fringe, `cloud.atoms` of them in all."""
    found: list[np.ndarray] = []
    missing = cloud.atoms
    while missing > 0:
        r = np.array(cloud.centre) + np.array(cloud.size) * random.standard_normal((2 * missing + 100, 3))
        bright = 1 + cloud.contrast * np.cos(cloud.wave_number * r[:, 1] + cloud.phase)
        r = r[random.random(len(r)) * (1 + cloud.contrast) < bright][:missing]
        found.append(r)
        missing -= len(r)
    return np.concatenate(found) if found else np.zeros((0, 3))


def traced(camera: Mapping[str, Any], atoms: np.ndarray, photons_per_atom: float, random: np.random.Generator) -> np.ndarray:
    """(row, column) electrons from the cloud in one view, before the pedestal."""
    rows, columns = camera["resolution_hw"]
    radius, f = camera["aperture_diameter_m"] / 2, camera["focal_length_m"]
    offset = atoms - np.array(camera["lens_position_m"])
    square = (offset**2).sum(1)
    caught = camera["quantum_efficiency"] * 0.5 * (1 - 1 / np.sqrt(1 + radius**2 / square))
    number = random.poisson(photons_per_atom * caught)  # detected photons of each atom
    offset = np.repeat(offset, number, axis=0)
    z = offset @ np.array(camera["look"])
    angle, length = TAU * random.random(len(z)), radius * np.sqrt(random.random(len(z)))
    conjugate, sensor = 1 / (1 / f - 1 / z), f * (1 + camera["magnification"])
    place = []
    for axis, aperture in (("up", length * np.cos(angle)), ("left", length * np.sin(angle))):
        image = -(offset @ np.array(camera[axis])) * conjugate / z  # the conjugate point is inverted
        crossing = aperture + (image - aperture) * sensor / conjugate
        place.append(-crossing / camera["pixel_pitch_m"])  # the pixels are numbered along the inverted axes
    r, c = np.floor(rows / 2 + place[0]).astype(int), np.floor(columns / 2 + place[1]).astype(int)
    inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
    return np.bincount(r[inside] * columns + c[inside], minlength=rows * columns).reshape(rows, columns)


def shot_of(cameras: Mapping[str, Any], cloud: Cloud | None, photons_per_atom: float, random: np.random.Generator) -> np.ndarray:
    """(view, row, column) uint16 frames; None for a dark shot, which has the pedestal only."""
    atoms = atoms_in(cloud, random) if cloud else np.zeros((0, 3))
    frames = []
    for camera in cameras["cameras"]:
        light = traced(camera, atoms, photons_per_atom, random)
        frames.append(light + random.poisson(camera["pedestal_poisson_mean"], light.shape))
    return np.minimum(np.stack(frames), np.iinfo(np.uint16).max).astype(np.uint16)


def write_shots(folder: Path, cameras: Path, truth: Path, entry: SimulateShots, photons_per_atom: float, seed: int) -> None:
    """Write one multi-page TIFF a shot (page = view), the camera description, and the truth. The last of several shots is dark."""
    folder.mkdir(parents=True, exist_ok=True)
    layout = ring_of_cameras()
    clouds: list[Cloud | None] = list(clouds_of(entry, photons_per_atom, seed))
    if len(clouds) > 1:
        clouds[-1] = None
    told = []
    for shot, cloud in enumerate(clouds):
        frames = shot_of(layout, cloud, photons_per_atom, np.random.default_rng([seed, 1, shot]))
        path = folder / f"shot{shot:04d}.tif"
        with whole(path) as unfinished:
            tifffile.imwrite(unfinished, frames, photometric="minisblack", compression="zlib", metadata=None)
        dark: dict[str, Any] = {"shot": shot, "dark": True}
        told.append(dark if cloud is None else {"shot": shot, "dark": False, **_told(cloud)})
    _write_json(cameras, layout)
    _write_json(truth, {"photons_per_atom": photons_per_atom, "shots": told})


def _told(cloud: Cloud) -> dict[str, Any]:
    return {
        "phase_rad": cloud.phase,
        "contrast": cloud.contrast,
        "fringe_period_m": TAU / cloud.wave_number,
        "atoms": cloud.atoms,
        "position_m": list(cloud.centre),
        "size_m": list(cloud.size),
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n")
