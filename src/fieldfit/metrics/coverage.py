"""What part of Fourier space a set of views measures.

    covered(k) = any_v |k . s_v| < pi / width,     FSC(k) <= sqrt(share of the shell |k| that is covered)

A view measures the plane of wave vectors across its line of sight s_v (projection-slice theorem), as thick as an object of that width makes
it (Crowther, DeRosier and Klug, Proc. R. Soc. A 317, 319 (1970)). Noise aside, what is not covered comes from a prior, and has nothing to do with
the truth otherwise: the power of truth and reconstruction being alike, the correlation is at most the square root of the share.
The lens's cone of directions thickens the planes as well, and blurs; it is not counted.
"""

import math

import numpy as np

DIRECTIONS = 20_000  # on the half sphere: the share is then good to 0.2 %


def half_sphere(number: int) -> np.ndarray:
    """Unit vectors (number, 3) with y above 0, spread evenly: a spiral of golden angles."""
    y = (np.arange(number) + 0.5) / number
    turn = math.pi * (3 - math.sqrt(5)) * np.arange(number)
    across = np.sqrt(1 - y * y)
    return np.stack([across * np.cos(turn), y, across * np.sin(turn)], 1)


def fourier_coverage(sights: np.ndarray, frequency: np.ndarray, width: float) -> np.ndarray:
    """Share of each shell of `frequency` [1/m] that views along `sights` (view, 3) measure of an object of `width` [m]."""
    steepest = np.abs(half_sphere(DIRECTIONS) @ sights.T).min(1)  # |cosine| to the view that is most nearly across
    return np.array([(steepest * f < 0.5 / width).mean() for f in frequency])


def fsc_limit(coverage: np.ndarray) -> np.ndarray:
    """Largest Fourier shell correlation with the truth that a reconstruction without a prior can have."""
    limit: np.ndarray = np.sqrt(coverage)
    return limit
