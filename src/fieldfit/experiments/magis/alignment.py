"""Whether all views show the same cloud in the same place: the shift of each view's images that the residuals of a fit ask for.

    d = -d(mean)/d(row), -d(mean)/d(column) of one view, in units of the noise; J: the slopes of all that was fitted, r: the residuals
    shift = M^-1 d^T (r - J H^-1 J^T r),   M = d^T d - d^T J H^-1 J^T d,   H = J^T J + prior              (score test: Rao 1948)
    covariance = M^-1 + M^-1 K M^-1,   K = sum_v (n_v / V) G_v G_v^T,  G = A^T q: the atoms are finite, and all views share them

Each view is tested alone, the others held, so that of one moved view and its neighbours the moved one stands out; what the cloud itself
could do about it (its place, shape and wave) is left free. To first order: a shift of more than some pixels is only roughly told.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.forward.imaging import Projector, back_projected

LIMIT_PIXELS = 0.5  # camera pixels: half a pixel of one of six views turns a 377 um fringe by 0.05 rad, beyond the errors of any shot
LIMIT_SIGMAS = 6.0
MODES = 100.0
FINITE = 1.1  # chi-square a pixel that the finite atoms can explain
USUAL = 3  # shots from which on the median over the block says what is usual


def view_shifts(
    projector: Projector,
    counts: Float[Tensor, "pixel"],
    mean: Float[Tensor, "pixel"],
    jacobian: Float[Tensor, "pixel parameter"],
    inverse: Float[Tensor, "parameter parameter"],
    atoms: Float[Tensor, "voxel"],
) -> tuple[Float[Tensor, "view 2"], Float[Tensor, "view 2"]]:
    """(shift, its standard deviation) of each view's image along rows and columns [camera pixels]; infinite deviation where a view is dark.

    counts, mean: pedestal included; jacobian: slopes / sqrt(mean); inverse: of its information and prior; atoms: density [m-3].
    What a view's chi-square has beyond FINITE times its pixels' number, and the shift does not explain, is misfit of another kind: taken to be
    spread evenly over MODES shapes of an image, it widens the standard deviations.
    """
    noise, slopes = mean.sqrt(), jacobian.double()
    residual = ((counts - mean) / noise).double()
    beyond = residual - slopes @ (inverse @ (slopes.T @ residual))
    views, pixels = projector.shape[0], projector.shape[1] * projector.shape[2]
    of_view = projector.pixel // pixels
    shift = torch.zeros(views, 2, dtype=torch.float64)
    solved, scores = torch.full((views, 2, 2), torch.inf, dtype=torch.float64), torch.zeros(len(mean), views, 2, dtype=torch.float64)
    for view, image in enumerate(_slopes(projector, mean - projector.pedestal)):
        own = of_view == view
        d = (image.flatten(1)[:, projector.pixel[own] % pixels] / noise[own]).T.double()
        through = slopes[own].T @ d
        matrix = d.T @ d - through.T @ inverse @ through
        if not own.any() or float(torch.linalg.det(matrix)) <= 1e-12 * float(matrix.trace()) ** 2:
            continue
        solved[view] = torch.linalg.inv(matrix)
        shift[view] = solved[view] @ (d.T @ beyond[own])
        scores[:, view] = -(slopes @ (inverse @ through))
        scores[own, view] += d
        rest = float(residual[own].square().sum() - FINITE * own.sum() - shift[view] @ matrix @ shift[view])
        solved[view] *= 1 + max(0.0, rest) / MODES
    back = back_projected(projector, (scores / noise[:, None, None]).flatten(1).to(mean.dtype)).double().unflatten(1, (views, 2))
    finite = torch.einsum("nvi,nvj,n->vij", back, back, (atoms / projector.volume).double())
    variance = solved + torch.where(solved.isfinite(), solved @ finite @ solved, 0.0)
    std = variance.diagonal(dim1=1, dim2=2).sqrt()
    return shift * projector.binning, std * projector.binning


def _slopes(projector: Projector, light: Float[Tensor, "pixel"]) -> Float[Tensor, "view 2 row column"]:
    """Minus the derivatives of the images by row and column, five points each; zero where a neighbour is not predicted."""
    flat = torch.full((int(np.prod(projector.shape)),), torch.nan, dtype=light.dtype)
    flat[projector.pixel] = light
    frames = torch.nn.functional.pad(flat.reshape(projector.shape), (2, 2, 2, 2), value=torch.nan)
    rows, columns = projector.shape[1:]

    def at(row: int, column: int) -> Tensor:
        return frames[:, 2 + row : 2 + row + rows, 2 + column : 2 + column + columns]

    along = [(8 * (at(r, c) - at(-r, -c)) - (at(2 * r, 2 * c) - at(-2 * r, -2 * c))) / 12 for r, c in ((1, 0), (0, 1))]
    return torch.nan_to_num(-torch.stack(along, 1))


def beyond_limits(shift: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Where shifts (..., 2) are both large and significant (...)."""
    size = np.hypot(shift[..., 0], shift[..., 1])
    with np.errstate(invalid="ignore"):
        sigmas = np.sqrt(((shift / std) ** 2).sum(-1))
    return (size > LIMIT_PIXELS) & (sigmas > LIMIT_SIGMAS)


def usual_shift(shift: np.ndarray) -> np.ndarray:
    """(view, 2): what most of the shots (shot, view, 2) show; zero where there are fewer than USUAL."""
    return np.median(shift, 0) if len(shift) >= USUAL else np.zeros(shift.shape[1:])


def moved_views(shift: np.ndarray, std: np.ndarray) -> list[int | None]:
    """For each shot the view that stands out most among those beyond the limits against the block's usual shifts; None where none is."""
    off = shift - usual_shift(shift)
    sigmas = np.where(beyond_limits(off, std), np.nan_to_num((off / std) ** 2).sum(-1), 0.0)
    return [int(np.argmax(row)) if row.any() else None for row in sigmas]


def told(names: Sequence[str], shot: int, view: int, shift: np.ndarray, std: np.ndarray) -> str:
    """One line for a moved view of a shot."""
    return f"shot {shot} is misaligned: the images of view {names[view]} lie {_shown(shift, std)} from where the other views put them"


def setup_told(names: Sequence[str], shift: np.ndarray, std: np.ndarray) -> list[str]:
    """One line where views are usually beyond the limits, over the shots (shot, view, 2): the set-up is not as the camera file says."""
    usual = np.median(shift, 0)
    error = np.median(std, 0) * np.sqrt(np.pi / 2 / len(std))
    off = np.flatnonzero(beyond_limits(usual, error))
    if not off.size:
        return []
    worst = off[np.argmax(np.hypot(*usual[off].T))]
    listed = ", ".join(names[int(view)] for view in off)
    return [
        f"the set-up is misaligned: views {listed} of {len(names)} do not show the cloud where the others do, view {names[int(worst)]} by "
        f"{_shown(usual[worst], error[worst])}; `refine: shots` finds where they stand"
    ]


def _shown(shift: np.ndarray, std: np.ndarray) -> str:
    return " and ".join(f"{s:+.2f} +- {e:.2f} {axis}" for s, e, axis in zip(shift, std, ("rows", "columns"), strict=True))
