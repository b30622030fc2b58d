"""Clouds with an axis of symmetry: the inverse Abel transform, for any views.

    n(r) = sum_ij c_ij H(rho / h - i) H(z / h - j),   c >= 0,   H(t) = max(0, 1 - |t|)        rho, z: distance from the axis, place along it

A basis of rings with hats for profiles (onion peeling with linear shells: Dasch, Appl. Opt. 31, 1146 (1992)); the views' projector, its
columns summed over azimuth, takes the place of the integral along parallel rays. MLEM stopped by held-out photons finds c: the transform is
ill-posed near the axis, and plain inversion draws noise there.
"""

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.sparse import SparseMap, sparse_map

AXES = ("x", "y", "z")


def rings(points: Float[Tensor, "n 3"], centre: Float[Tensor, "3"], axis: int, step: float) -> scipy.sparse.csr_matrix:
    """(n, node) values at `points` [m] of rings about a line through `centre` along x, y or z (axis 0, 1, 2), `step` [m] apart.

    As many as the farthest point needs; nodes that no point meets are left in.
    """
    d = (points.double() - centre.double()).numpy()
    rho = np.hypot(*(d[:, other] for other in range(3) if other != axis)) / step
    z = (d[:, axis] - d[:, axis].min()) / step
    across, along = int(rho.max()) + 2, int(z.max()) + 2
    index, weight = [], []
    for up, out in ((0, 0), (0, 1), (1, 0), (1, 1)):
        i, j = rho.astype(int) + out, z.astype(int) + up
        index.append(j * across + i)
        weight.append((1 - np.abs(rho - i)) * (1 - np.abs(z - j)))
    start = np.arange(len(d) + 1) * 4
    return scipy.sparse.csr_matrix((np.stack(weight, 1).ravel(), np.stack(index, 1).ravel(), start), shape=(len(d), across * along))


def seen_rings(electrons: SparseMap, drawn: scipy.sparse.csr_matrix) -> tuple[SparseMap, Tensor]:
    """(map from rings to pixels, the rings that any pixel sees): the projector's columns summed over azimuth."""
    matrix = electrons.matrix
    parts = matrix.values().numpy(), matrix.col_indices().numpy(), matrix.crow_indices().numpy()
    whole = scipy.sparse.csr_matrix(parts, shape=matrix.shape) @ drawn.astype(parts[0].dtype)
    seen = np.flatnonzero(np.asarray(whole.sum(0)).ravel() > 0)
    return sparse_map(whole[:, seen].tocsr(), matrix.dtype), torch.from_numpy(seen)
