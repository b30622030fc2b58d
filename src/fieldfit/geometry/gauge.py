"""How far cameras put images from where others do, beyond what moving, turning and scaling the whole world explains.

d_vi = u'_v(r_i) - u_v(r_i),   d_vi ~ du_v/dr . (t + w x r_i + s r_i):   least squares over t, w, s (3 + 3 + 1), the rest is returned
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.corrections import places
from fieldfit.geometry.least_squares import least_squares

STEP = 1e-6  # metres


def world_motions(points: Float[Tensor, "n 3"]) -> Float[Tensor, "7 n 3"]:
    """Displacements of the points [m] by a unit of each: three shifts, three turns about the origin and a scale, of a micrometre at the points."""
    axes = torch.eye(3, dtype=points.dtype)
    size = points.norm(dim=1).mean()
    turns = [torch.linalg.cross(axis.expand_as(points), points) / size for axis in axes]
    return STEP * torch.stack([*(axis.expand_as(points) for axis in axes), *turns, points / size])


def motion_slopes(cameras: Sequence[Camera], points: Float[Tensor, "n 3"]) -> Float[Tensor, "view n 2 7"]:
    """Displacements of the images [pixels] by a unit of each of `world_motions`."""
    moves = world_motions(points)
    return torch.stack([torch.stack([(places(c, points + m) - places(c, points - m)) / 2 for m in moves], 2) for c in cameras])


def gauge_free(found: Sequence[Camera], true: Sequence[Camera], points: Float[Tensor, "n 3"]) -> Float[Tensor, "view n 2"]:
    """Error of the images of `points` [m] through the found cameras [pixels], the world's best similarity taken out."""
    off = torch.stack([places(one, points) - places(other, points) for one, other in zip(found, true, strict=True)])
    slopes = motion_slopes(found, points).reshape(-1, 7)
    return (off.flatten() - slopes @ least_squares(slopes, off.flatten())).reshape(off.shape)
