"""Where the cameras really stand, from the images of points whose places are known.

    x = argmin  sum_i |u_i - u(r_i; x)|^2 / (2 std_i^2)  +  sum_d (x_d / prior_d)^2 / 2      u: row and column of a point's image (geometry.lens)

for each view alone, by Gauss-Newton. The target fixes the world: there is no gauge. What its points cannot tell apart, as a small shift and a
small turn of a camera far away, the prior shares out; where they put images does not depend on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.corrections import corrected, place_slopes, places

ROUNDS = 12
SETTLED = 0.1  # standard deviations that a step moves all images of a view together
OUTLIER = 6.0  # standard deviations of a sighting


@dataclass(frozen=True)
class Fit:
    """Of one view. corrections, in the order of corrections.degrees_of, and their covariance; before, after (n, 2): measured less expected row and
    column [pixels]; converged."""

    corrections: np.ndarray
    covariance: np.ndarray
    before: np.ndarray
    after: np.ndarray
    converged: bool


def fit_view(camera: Camera, points: np.ndarray, measured: np.ndarray, std: np.ndarray, prior: np.ndarray) -> Fit:
    """The corrections of one view. points (n, 3) [m]; measured (n, 2): row and column [pixel edges]; std (n) [pixels]; prior: standard deviations."""
    at, seen, sigma = torch.from_numpy(points), torch.from_numpy(measured), torch.from_numpy(prior)
    error = torch.from_numpy(std)[:, None]
    values = torch.zeros(len(prior), dtype=torch.float64)
    before = _missing(camera, values, at, seen)
    converged = False
    for _ in range(ROUNDS):
        slopes = (place_slopes(camera, values.tolist(), at) / error[:, :, None]).reshape(-1, len(prior)) * sigma
        rest = (_missing(camera, values, at, seen) / error).reshape(-1)
        covariance = torch.linalg.inv(slopes.T @ slopes + torch.eye(len(prior), dtype=torch.float64))
        step = covariance @ (slopes.T @ rest - values / sigma)
        values = values + sigma * step
        if converged := bool((slopes @ step).norm() < SETTLED):
            break
    after = _missing(camera, values, at, seen)
    return Fit(values.numpy(), (sigma[:, None] * covariance * sigma).numpy(), before.numpy(), after.numpy(), converged)


def _missing(camera: Camera, values: Tensor, points: Float[Tensor, "n 3"], seen: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    return seen - places(corrected(camera, values.tolist()), points)


def outliers(after: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Sightings too far from where the fit puts them, the worst first."""
    sigmas = np.abs(after / std[:, None]).max(1)
    order = np.argsort(-sigmas)
    return order[sigmas[order] > OUTLIER]


def joined(fits: Sequence[Fit]) -> tuple[list[np.ndarray], np.ndarray]:
    """(corrections a view, covariance of all of them): views do not depend on each other."""
    return [fit.corrections for fit in fits], torch.block_diag(*[torch.from_numpy(fit.covariance) for fit in fits]).numpy()
