"""Make an X-ray scan of known phantoms."""

from pathlib import Path

import numpy as np

from fieldfit.config.gallery import SimulateTomography, Tomography
from fieldfit.simulate.tomography import PHANTOM, Bench, Ellipse, write_scan

FRAMES = 10  # white and dark


def simulate_tomography(output: Path, truth: Path, entry: Tomography) -> None:
    """Draw the scan of an entry's `simulate` key and write it with its truth. Every row is the phantom turned a little further."""
    wanted = entry.simulate or SimulateTomography()
    bench = Bench(columns=wanted.columns, axis=0.483 * wanted.columns, radius=0.32 * wanted.columns, photons=wanted.photons)
    phantoms = [[_turned(ellipse, 0.3 * row) for ellipse in PHANTOM] for row in range(wanted.rows)]
    write_scan(phantoms, bench, wanted.views, FRAMES, np.random.default_rng(entry.seed), Path(output), Path(truth))


def _turned(e: Ellipse, by: float) -> Ellipse:
    x, y = e.x * np.cos(by) - e.y * np.sin(by), e.x * np.sin(by) + e.y * np.cos(by)
    return Ellipse(float(x), float(y), e.a, e.b, e.angle + by, e.value)
