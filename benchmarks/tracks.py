"""Straight tracks of even light, for the calibration's benchmarks."""

import numpy as np


def straight(a: np.ndarray, b: np.ndarray, parts: int, photons_per_m: float) -> tuple[np.ndarray, np.ndarray]:
    """(points [m], photons) of tracks from a (track, 3) to b, one after the other: the middles of equal parts, and the photons made in each."""
    points = a[:, None] + (b - a)[:, None] * ((np.arange(parts) + 0.5) / parts)[:, None]
    return points.reshape(-1, 3), np.repeat(np.linalg.norm(b - a, axis=1) * photons_per_m / parts, parts)
