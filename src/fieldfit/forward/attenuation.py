"""X-rays through matter: each ray of a parallel beam loses photons to a field of attenuation.

    depth_k = sum_v A_kv mu_v                    A_kv: area of voxel v inside strip k, over the strip's width [pixel]
    mean_k  = incident_k (T_k - fringe T''_k),   T_k = exp(-depth_k)

A strip is what one detector column sees: the mean chord through a voxel, exact for square voxels. With fringe = 0 this is Beer-Lambert; the
second derivative along the detector is what propagation adds at edges, the transport of intensity for one material: fringe = distance delta / mu
(Paganin, Mayo, Gureyev, Miller and Wilkins, J. Microsc. 206, 33 (2002)); a blurred detector acts like a negative fringe.
Lengths are in detector columns. A view at `angle` sees a point (x, y) at column  axis + x cos(angle) + y sin(angle).
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fieldfit.geometry.sparse import SparseMap, sparse_map


@dataclass(frozen=True)
class Strips:
    """lengths: from voxels to rays [pixel], rays counted (view, column);
    voxel: place of each column of the matrix in the flattened square raster; views, columns; side of the raster."""

    lengths: SparseMap
    voxel: Int[Tensor, "voxel"]
    views: int
    columns: int
    side: int


def optical_depth(strips: Strips, mu: Float[Tensor, "voxel batch"]) -> Float[Tensor, "ray batch"]:
    """Mean line integral over each strip of the attenuation `mu` [1/pixel]."""
    return strips.lengths(mu)


def transmitted(
    strips: Strips, depth: Float[Tensor, "ray batch"], incident: Float[Tensor, "ray batch"], fringe: Float[Tensor, "batch"]
) -> Float[Tensor, "ray batch"]:
    """Mean number of photons behind the object; fringe [pixel2]. Nothing changes across the detector's ends (slope 0).

    Raises ValueError if any incident number is negative.
    """
    if (incident < 0).any():
        raise ValueError(f"incident photons: {int((incident < 0).sum())} of {incident.numel()} rays are negative, expected none")
    share = torch.exp(-depth).reshape(strips.views, strips.columns, -1)
    step = torch.diff(share, dim=1, prepend=share[:, :1], append=share[:, -1:])
    return incident * (share - fringe * torch.diff(step, dim=1)).reshape(depth.shape)


def raster(side: int) -> Float[Tensor, "voxel 2"]:
    """(x, y) of the centres of `side` x `side` unit voxels around the axis, y along rows, x along columns."""
    at = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def strips_of(angles: Float[Tensor, "view"], columns: int, axis: float, inside: Bool[Tensor, "side side"]) -> Strips:
    """Strips of every view through the voxels that are `inside`; matter elsewhere is not seen.

    angles [rad]; axis: column (counted from 0, at its centre) of the rotation axis. What falls beyond the detector's ends is dropped.
    The matrix has the type of `angles`. Raises ValueError when no voxel is inside.
    """
    voxel = torch.nonzero(inside.flatten()).flatten()
    if not len(voxel):
        raise ValueError("no voxel is inside, expected at least one")
    place = raster(len(inside))[voxel].numpy()
    parts = [_view(float(angle), columns, axis, place) for angle in angles]
    lengths = sparse_map(scipy.sparse.vstack(parts, format="csr"), angles.dtype)
    return Strips(lengths, voxel, len(angles), columns, len(inside))


def _view(angle: float, columns: int, axis: float, place: np.ndarray) -> scipy.sparse.csr_matrix:
    """(column, voxel) of one view: a unit square's shadow is a box of width |cos| convolved with one of width |sin|."""
    wide, narrow = sorted((abs(np.cos(angle)), abs(np.sin(angle))), reverse=True)
    narrow = max(narrow, 1e-6)  # a shadow with sharp edges is the limit, and this close to it nothing differs
    centre = axis + place[:, 0] * np.cos(angle) + place[:, 1] * np.sin(angle)
    first = np.floor(centre - 0.5 * (wide + narrow) + 0.5).astype(np.int64)  # the column that holds the shadow's lower end
    reach = int(np.ceil(wide + narrow)) + 1
    # The integral of the shadow from its centre, odd in t: its density is 1/wide over the core and falls linearly to 0 at (wide + narrow) / 2.
    t = first[:, None] + np.arange(reach + 1) - 0.5 - centre[:, None]
    size = np.minimum(np.abs(t), 0.5 * (wide + narrow))
    beyond = np.maximum(size - 0.5 * (wide - narrow), 0.0)
    share = np.diff(np.sign(t) * (size - beyond**2 / (2 * narrow)) / wide, axis=1)
    column = first[:, None] + np.arange(reach)
    seen = (column >= 0) & (column < columns) & (share > 1e-9)
    rows, voxels = column[seen], np.broadcast_to(np.arange(len(place))[:, None], seen.shape)[seen]
    return scipy.sparse.csr_matrix((share[seen], (rows, voxels)), shape=(columns, len(place)))
