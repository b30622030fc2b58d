"""Make fringe pictures of known phase."""

from pathlib import Path

import numpy as np

from fieldfit.config.magis import Pictures, SimulatePictures
from fieldfit.simulate.pictures import draw_fringe, photograph, write_pictures

PIXEL_M = 24e-6


def simulate_pictures(output: Path, truth: Path, entry: Pictures) -> None:
    """Draw the pictures of an entry's `simulate` key and write them with their truth."""
    wanted = entry.simulate or SimulatePictures()
    generator = np.random.default_rng(entry.seed)
    fringes = [draw_fringe(generator, wanted.electrons) for _ in range(wanted.pictures)]
    frames = np.stack([photograph(fringe, generator, pixel=PIXEL_M, pedestal=entry.pedestal) for fringe in fringes])
    write_pictures(frames, fringes, PIXEL_M, Path(output), Path(truth))
