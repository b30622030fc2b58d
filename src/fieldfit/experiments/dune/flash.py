"""Position and charge of point flashes from the light of all channels, by the gradient of a visibility.

    (x*, q*) = argmin  sum_c  -log Poisson( n_c | q w_c(x) )

n: photo-electrons; q: photons made; w: detected photo-electrons per photon. Fisher scoring in (x, log q): with J = (q dw/dx, q w) and the
variance V = q w + (r q w)^2, r being the visibility's own relative error,

    step = (J' V^-1 J)^-1 J' V^-1 (n - q w),      covariance = (J' V^-1 J)^-1

damped where a step does not help (Levenberg), inside the box. Starts are the best voxels of a table, one in each octant of the box: for a
given place the best charge is q = sum n / sum w, and minus the log-likelihood is - sum n log w + sum n log sum w.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Function = Callable[[Doubles], Doubles]  # points (n, 3) [m] -> (n, channel), or (n, channel, 3) of a gradient

STARTS = 3  # of the octants' best voxels, the most likely ones
STEPS = 30  # at most
SMALL = 1e-5  # of the box: a step below it is the last
DAMPING = (1e-3, 1e8)  # at the start, and where a flash is given up
AT_ONCE = 256  # flashes whose likelihood in all voxels is held at a time
LEAST = 1e-12  # of w: below it a channel sees nothing


@dataclass(frozen=True)
class Light:
    """What a flash is held against. values, slopes, relative_std: functions of points; lower, upper: the box [m]; live (channel)."""

    values: Function
    slopes: Function
    relative_std: Function
    lower: Doubles
    upper: Doubles
    live: NDArray[np.bool_]


@dataclass(frozen=True)
class Flashes:
    """position (flash, 3) [m], charge (flash) [photons], their std; chi2 (flash) a degree of freedom; looked_up (flash, 3): the best voxel;
    at_face (flash): the place is on the box's face, where its error is no Gaussian."""

    position: Doubles
    position_std: Doubles
    charge: Doubles
    charge_std: Doubles
    chi2: Doubles
    looked_up: Doubles
    at_face: NDArray[np.bool_]


def match_flashes(light: Light, counts: Doubles, voxels: Doubles, table: Doubles) -> Flashes:
    """Fit flashes with `counts` (flash, channel); voxels (voxel, 3) [m] and table (voxel, channel) of w are where to start from."""
    counts = np.where(light.live, counts, 0.0)
    starts = np.stack(_starts(light, counts, voxels, table))
    order = np.argsort([_loss(light, counts, start) for start in starts], axis=0)
    rows = np.arange(len(counts))
    fits = [_scored(light, counts, starts[one, rows]) for one in order[:STARTS]]
    best = np.argmin([loss for _, loss in fits], axis=0)
    x, loss = (np.stack([fit[k] for fit in fits])[best, rows] for k in (0, 1))
    _, mean, information = _system(light, counts, x)
    covariance = np.linalg.pinv(information, hermitian=True)
    std = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0))
    charge = _charge(counts, mean)
    edge = SMALL * (light.upper - light.lower)
    return Flashes(
        x,
        std[:, :3],
        charge,
        charge * std[:, 3],
        loss / max(1, int(light.live.sum()) - 4),
        starts[order[0], rows],
        ((x <= light.lower + edge) | (x >= light.upper - edge)).any(1),
    )


def _starts(light: Light, counts: Doubles, voxels: Doubles, table: Doubles) -> list[Doubles]:
    """(flash, 3) of each octant that has voxels: the most likely one."""
    w = np.maximum(table[:, light.live], LEAST)
    log_w, log_sum = np.log(w), np.log(w.sum(1))
    middle = (light.lower + light.upper) / 2
    found = []
    for signs in itertools.product((-1, 1), repeat=3):
        own = np.flatnonzero((np.where(voxels > middle, 1, -1) == signs).all(1))
        if not len(own):
            continue
        places = []
        for first in range(0, len(counts), AT_ONCE):
            n = counts[first : first + AT_ONCE][:, light.live]
            likelihood = n @ log_w[own].T - n.sum(1)[:, None] * log_sum[own]
            places.append(voxels[own[np.argmax(likelihood, axis=1)]])
        found.append(np.concatenate(places))
    return found


def _charge(counts: Doubles, w: Doubles) -> Doubles:
    charge: Doubles = counts.sum(1) / np.maximum(w.sum(1), LEAST)
    return charge


def _seen(light: Light, x: Doubles) -> Doubles:
    return np.where(light.live, np.maximum(light.values(x), LEAST), 0.0)


def _variance(light: Light, x: Doubles, mean: Doubles) -> Doubles:
    variance: Doubles = np.maximum(mean, 1e-3) + np.square(light.relative_std(x) * mean)
    return variance


def _loss(light: Light, counts: Doubles, x: Doubles) -> Doubles:
    """(flash) deviance, scaled down where the visibility's own error is larger than the counting's: chi-square of about one a channel."""
    w = _seen(light, x)
    mean = _charge(counts, w)[:, None] * w
    with np.errstate(divide="ignore", invalid="ignore"):
        deviance = 2 * (mean - counts + np.where(counts > 0, counts * np.log(counts / np.maximum(mean, LEAST)), 0))
    loss: Doubles = np.where(light.live, deviance * np.maximum(mean, 1e-3) / _variance(light, x, mean), 0).sum(1)
    return loss


def _system(light: Light, counts: Doubles, x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """(gradient (flash, 4), w (flash, channel), information (flash, 4, 4)) for (x, log q), q at its best."""
    w = _seen(light, x)
    charge = _charge(counts, w)[:, None]
    mean = charge * w
    slopes = np.where(light.live[:, None], charge[:, :, None] * light.slopes(x), 0.0)
    jacobian = np.concatenate([slopes, mean[:, :, None]], 2)
    weight = np.where(light.live, 1 / _variance(light, x, mean), 0.0)
    gradient = np.einsum("fca,fc->fa", jacobian, weight * (counts - mean))
    return gradient, w, np.einsum("fca,fc,fcb->fab", jacobian, weight, jacobian)


def _scored(light: Light, counts: Doubles, start: Doubles) -> tuple[Doubles, Doubles]:
    """(place, loss) of each flash by damped scoring from `start` (flash, 3)."""
    x, loss = start.copy(), _loss(light, counts, start)
    damping = np.full(len(x), DAMPING[0])
    going = counts.sum(1) > 0
    size = light.upper - light.lower
    for _ in range(STEPS):
        rows = np.flatnonzero(going)
        if not len(rows):
            break
        gradient, _, information = _system(light, counts[rows], x[rows])
        diagonal = np.einsum("faa->fa", information)
        damped = information + np.eye(4) * np.maximum(damping[rows, None] * diagonal, 1e-30)[:, None, :]
        step = np.linalg.solve(damped, gradient[:, :, None])[:, :3, 0]
        trial = np.clip(x[rows] + np.clip(step, -size / 4, size / 4), light.lower, light.upper)
        new = _loss(light, counts[rows], trial)
        better = new < loss[rows]
        moved = np.abs(trial - x[rows]).max(1) > SMALL * size.max()
        x[rows[better]], loss[rows[better]] = trial[better], new[better]
        damping[rows] = np.where(better, damping[rows] / 5, damping[rows] * 10)
        going[rows] = moved & (damping[rows] < DAMPING[1])
    return x, loss
