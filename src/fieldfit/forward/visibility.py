"""What a visibility field predicts: photons counted from the voxels of a library, and photo-electrons of tracks.

A library's value is the mean over its voxel, since photons start anywhere in it:

    counts_vc = N <v_c>_v,    <g exp(a) + exp(b)>_v ~ <g>_v exp(a(centre)) + exp(b(centre))

The geometric share g is steep near a sensor and its mean is taken by Gauss quadrature, once; a and b are smooth. `voxel_mean` takes the
mean of the whole: the two agree as the voxels shrink (a test holds that).

A track is a row of points that make photons: PE_tc = sum_p q_p v_c(x_p), summed here by segments.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

GAUSS = 1 / (2 * math.sqrt(3))  # of an edge: abscissa of the two-point Gauss rule
CPU_VALUES, CPU_POINTS = 100_000, 1024  # at a time: what a processor's cache holds, of the values and of a network's units
GPU_VALUES = 4_000_000  # at a time: what keeps a GPU busy
LEAST_POINTS = 64

Values = Callable[[Tensor], Tensor]


def voxel_mean(values: Values, centres: Float[Tensor, "voxel 3"], edges: Float[Tensor, "3"]) -> Float[Tensor, "voxel channel"]:
    """Mean of `values` over each voxel by the 2 x 2 x 2 Gauss rule: exact for cubics along each axis."""
    signs = torch.cartesian_prod(*[torch.tensor([-GAUSS, GAUSS], dtype=centres.dtype, device=centres.device)] * 3)
    return sum((values(centres + sign * edges) for sign in signs), torch.zeros((), dtype=centres.dtype, device=centres.device)) / len(signs)


def in_chunks(values: Values, points: Shaped[Tensor, "n *any"]) -> Float[Tensor, "n *value"]:
    """`values` at many points (or of many rows), so many at a time that the memory is bounded and the cache is used."""
    first = values(points[:LEAST_POINTS])
    width = max(1, first[0].numel())
    chunk = max(LEAST_POINTS, min(CPU_POINTS, CPU_VALUES // width) if points.device.type == "cpu" else GPU_VALUES // width)
    return torch.cat([first, *(values(part) for part in points[LEAST_POINTS:].split(chunk) if len(part))])


def expected_counts(
    share: Float[Tensor, "voxel head"],
    direct: Float[Tensor, "voxel head"],
    diffuse: Float[Tensor, "voxel head"],
    photons: Float[Tensor, "voxel head"],
) -> Float[Tensor, "voxel head"]:
    """Mean photon counts of voxels, N min(1, <g> exp(a) + exp(b)); share: <g>; direct, diffuse: the logarithms a and b at the centres."""
    return photons * (share * direct.exp() + diffuse.exp()).clamp(max=1.0)


def photoelectrons(
    visibility: Float[Tensor, "point channel"], photons: Float[Tensor, "point"], track: Int[Tensor, "point"], tracks: int
) -> Float[Tensor, "track channel"]:
    """PE_tc = sum of q v_c over the points of a track; track: which one each point belongs to."""
    light = photons[:, None] * visibility
    return torch.zeros(tracks, light.shape[1], dtype=light.dtype, device=light.device).index_add(0, track, light)
