"""Absorption triplets of a known number of atoms, in moving light: nothing here is shared with the analysis.

Atoms are drawn one by one from a Gaussian cloud and counted in pixels; n of them on a pixel of area a^2 let the share I/I0 through that
solves  ln(I0/I) + (I0 - I)/C_sat = n sigma / a^2  (Lambert's W; exp(-n sigma/a^2) without saturation). The light is a broad Gaussian
beam times interference fringes whose phases are drawn anew for every exposure, so that dividing image by probe leaves fringes.
Photo-electrons are Poisson; the camera multiplies by its gain, adds an offset with a fixed pattern, read noise, and rounds.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import tifffile
from scipy.special import lambertw

from fieldfit.config.magis import Absorption, SimulateTriplets
from fieldfit.io.whole import whole
from fieldfit.units import SR_IMAGING_WAVELENGTH_M, TAU

PIXEL_OBJECT_M = 5e-6
CROSS_SECTION_M2 = 3 * SR_IMAGING_WAVELENGTH_M**2 / TAU  # resonant two-level cross section 3 lambda^2 / 2 pi
OFFSET, PATTERN = 490.0, 2.0  # of the camera, and scatter of the offset from pixel to pixel [DN]
BEAM = 0.8  # rms radius of the beam over the frame's edge
LEVEL = 0.05  # scatter of the light from exposure to exposure
PERIODS_PX = (9.0, 17.0, 30.0)
AMPLITUDES = (0.04, 0.06, 0.06)
CLOUD = 0.0625  # rms size of the cloud over the frame's edge
ATOMS_SPREAD = 0.5  # of the number of atoms from shot to shot, uniform
FIRST = datetime(2020, 1, 1)


@dataclass(frozen=True)
class Scene:
    """What a run keeps: wanted numbers, wave vectors (fringe, 2) [rad/px], the camera's offset (row, column) [DN], optical density an atom."""

    wanted: SimulateTriplets
    waves: np.ndarray
    offset: np.ndarray
    depth_an_atom: float
    saturation_electrons: float | None


@dataclass(frozen=True)
class Shot:
    """Truth of one shot: atoms drawn, those in the frame, centre and rms width of them (row, column) [px]."""

    shot: int
    atoms: int
    atoms_in_frame: int
    centre_px: tuple[float, float]
    width_px: tuple[float, float]


def scene(wanted: SimulateTriplets, depth_an_atom: float, saturation_electrons: float | None, generator: np.random.Generator) -> Scene:
    """A run's fringes and camera."""
    angles = generator.uniform(0, np.pi, len(PERIODS_PX))
    waves = TAU / np.array(PERIODS_PX)[:, None] * np.stack([np.sin(angles), np.cos(angles)], 1)
    return Scene(wanted, waves, OFFSET + generator.normal(0, PATTERN, (wanted.side, wanted.side)), depth_an_atom, saturation_electrons)


def photograph(run: Scene, shot: int, atoms: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Shot]:
    """(image, probe and background (3, row, column) uint16 [DN], atoms on each pixel (row, column), truth)."""
    side = run.wanted.side
    middle = side / 2 + generator.normal(0, 0.02 * side, 2)
    place = middle + generator.normal(size=(atoms, 2)) * CLOUD * side
    on_pixels, _, _ = np.histogram2d(place[:, 0], place[:, 1], bins=(np.arange(side + 1), np.arange(side + 1)))
    depth = on_pixels * run.depth_an_atom
    light = _light(run, generator)
    if run.saturation_electrons is None:
        through = light * np.exp(-depth)
    else:
        s = light / run.saturation_electrons
        through = run.saturation_electrons * lambertw(s * np.exp(s - depth)).real
    frames = np.stack([_read(run, mean, generator) for mean in (through, _light(run, generator), np.zeros_like(light))])
    index = np.arange(side, dtype=float)
    parts = [(on_pixels.sum(1), index), (on_pixels.sum(0), index)]
    inside = max(on_pixels.sum(), 1)
    centre = [float((n * i).sum() / inside) for n, i in parts]
    width = [float(np.sqrt((n * (i - c) ** 2).sum() / inside)) for (n, i), c in zip(parts, centre, strict=True)]
    truth = Shot(shot, atoms, int(on_pixels.sum()), (centre[0], centre[1]), (width[0], width[1]))
    return frames, on_pixels, truth


def write_triplets(folder: Path, truth: Path, entry: Absorption) -> None:
    """The files of a run as an Andor camera names them, and the truth beside them."""
    wanted = entry.simulate or SimulateTriplets()
    generator = np.random.default_rng(entry.seed)
    pixel, sigma = entry.pixel_object_m or PIXEL_OBJECT_M, entry.cross_section_m2 or CROSS_SECTION_M2
    run = scene(wanted, sigma / pixel**2, entry.saturation_counts / wanted.gain if entry.saturation_counts else None, generator)
    shots = []
    for shot in range(wanted.shots):
        atoms = int(wanted.atoms * generator.uniform(1 - ATOMS_SPREAD, 1 + ATOMS_SPREAD))
        frames, _, known = photograph(run, shot, atoms, generator)
        for pattern, frame in zip((entry.image, entry.probe, entry.background), frames, strict=True):
            with whole(folder / f"{pattern.replace('*', f'simulated_{shot:04d}')}.tiff") as unfinished:
                tifffile.imwrite(unfinished, frame, datetime=FIRST + timedelta(seconds=10 * shot))
        shots.append(asdict(known))
    told = {"pixel_object_m": pixel, "cross_section_m2": sigma, "gain": wanted.gain, "read_noise": wanted.read_noise, "shots": shots}
    with whole(truth) as unfinished:
        unfinished.write_text(json.dumps(told, indent=1))


def _light(run: Scene, generator: np.random.Generator) -> np.ndarray:
    """(row, column) expected photo-electrons of one exposure without atoms."""
    side = run.wanted.side
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    beam = np.exp(-(rows**2 + columns**2) / (2 * (BEAM * side) ** 2))
    fringes = np.ones((side, side))
    for (row, column), amplitude in zip(run.waves, AMPLITUDES, strict=True):
        fringes += amplitude * np.cos(row * rows + column * columns + generator.uniform(0, TAU))
    return run.wanted.electrons * generator.normal(1, LEVEL) * beam * fringes


def _read(run: Scene, mean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(row, column) uint16 [DN] of a frame with `mean` expected electrons."""
    counts = run.wanted.gain * generator.poisson(mean) + run.offset + generator.normal(0, run.wanted.read_noise, mean.shape)
    return np.clip(np.round(counts), 0, 65535).astype(np.uint16)
