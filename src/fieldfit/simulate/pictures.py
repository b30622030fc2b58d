"""Fringe pictures of known phase: photo-electrons drawn one by one, so that nothing is shared with the fit's own forward model.

Positions come from the Gaussian envelope and are kept with probability [1 + C cos(k.r + phase)] / (1 + C) (rejection, von Neumann 1951);
they fall into pixels, and every pixel gets a Poisson pedestal. Pixels therefore hold integrals over their area.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

PEDESTAL = 2.31  # mean photo-electrons of the pedestal a pixel


@dataclass(frozen=True)
class Fringe:
    """Truth of one picture, in the names of the reference truth file. electrons: mean light without the fringe; centre: X, Y."""

    phase_rad: float
    contrast: float
    period_m: float
    tilt_rad: float
    sigma_m: float
    centre_m: tuple[float, float]
    electrons: float


def draw_fringe(generator: np.random.Generator, electrons: float) -> Fringe:
    """A fringe as the runs have it: any phase, periods of 0.15 to 0.4 mm, small tilts, clouds of 0.35 to 0.55 mm."""
    return Fringe(
        phase_rad=float(generator.uniform(0, 2 * np.pi)),
        contrast=float(generator.uniform(0.3, 0.95)),
        period_m=float(generator.uniform(0.15e-3, 0.4e-3)),
        tilt_rad=float(generator.uniform(-0.2, 0.2)),
        sigma_m=float(generator.uniform(0.35e-3, 0.55e-3)),
        centre_m=(float(generator.normal(0, 6e-5)), float(generator.normal(0, 6e-5))),
        electrons=electrons,
    )


def photograph(fringe: Fringe, generator: np.random.Generator, side: int = 160, pixel: float = 24e-6, pedestal: float = PEDESTAL) -> np.ndarray:
    """(side, side) photo-electrons, rows along Y."""
    wave = 2 * np.pi / fringe.period_m * np.array([np.cos(fringe.tilt_rad), np.sin(fringe.tilt_rad)])
    # The light is Poisson: thinning a Poisson number of candidates with intensity `electrons` (1 + C) leaves a Poisson number of photons.
    candidates = generator.poisson(fringe.electrons * (1 + fringe.contrast))
    place = generator.normal(size=(candidates, 2)) * fringe.sigma_m + np.array(fringe.centre_m)[::-1]
    keep = generator.uniform(size=candidates) * (1 + fringe.contrast) < 1 + fringe.contrast * np.cos(place @ wave + fringe.phase_rad)
    edges = (np.arange(side + 1) - side / 2) * pixel
    frame, _, _ = np.histogram2d(place[keep, 0], place[keep, 1], bins=(edges, edges))
    return (frame + generator.poisson(pedestal, size=(side, side))).astype(np.uint16)


def write_pictures(frames: np.ndarray, fringes: list[Fringe], pixel: float, output: Path, truth: Path) -> None:
    """The npz that io.pictures reads, and the truth beside it, each whole or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    truth.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f".{output.name}.part.npz")
    np.savez_compressed(unfinished, frames=frames, pixel_object_m=np.float64(pixel))
    unfinished.replace(output)
    unfinished = truth.with_name(f".{truth.name}.part")
    unfinished.write_text(json.dumps({"fringes": [asdict(fringe) for fringe in fringes]}, indent=1))
    unfinished.replace(truth)
