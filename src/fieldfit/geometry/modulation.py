"""How much of a density wave each view shows.

A lens shows the cloud's parallel projections along all directions that pass its open part, each displaced by what is out of focus. Of

    n(r) = n_0(r) [1 + C cos(k.r + phi)],   n_0 a Gaussian of rms size sigma

a projection along s has the contrast C exp(-(sigma k.s)^2 / 2) (projection-slice theorem; Bracewell, Aust. J. Phys. 9, 198 (1956)).
With q the wave on the sensor [rad/pixel], k = E^T q + (k.s) s, the view therefore has the contrast C M,

    M = | int_-1^1 w(t) exp(i p t) exp(-sigma^2 (k.s + h t)^2 / 2) dt |  exp(-(a q)^2 / 2)  |sinc(q_row / 2 pi) sinc(q_column / 2 pi)|
    w(t) = 2/pi sqrt(1 - t^2),   h = e |(rho_row q_row, rho_column q_column)| / d,   p = h d (z - z_f) / z_f

rho: semi-axes of the open part of the lens, an ellipse of its variances; d: from the lens to the cloud, z its depth, z_f that in focus;
e: pixels a metre; a: Airy's width. Both the slope of the rays, h, and their displacement, p, are along (rho q), so that one chord is enough.
A wave finer than two pixels is shown by none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import AIRY, aperture, local_axes, pixel_position

CHORD = 24  # Gauss-Chebyshev nodes across the lens: exact for the polynomials that 15 rad of defocus need
ORIGIN = torch.zeros(1, 3, dtype=torch.float64)


@dataclass(frozen=True)
class Sight:
    """A view of the world's origin. direction (3): unit vector to the middle of the lens's open part; slope (2, 3): of row and column by
    position [pixels/m]; semi (2): rho over the distance d along row and column, times pixels a metre; defocus [m/m]: d (z - z_f) / z_f,
    which makes p of h; airy [pixels]."""

    direction: Float[Tensor, "3"]
    slope: Float[Tensor, "2 3"]
    semi: Float[Tensor, "2"]
    defocus: float
    airy: float


def sight_of(camera: Camera) -> Sight:
    """The view's lens, as light from the world's origin passes it."""
    _, slope = local_axes(camera)
    _, _, depth = pixel_position(camera, ORIGIN)
    z, open_part = float(depth[0]), aperture(camera, ORIGIN)
    up, left, lens = (torch.tensor(v, dtype=torch.float64) for v in (camera.up, camera.left, camera.lens))
    middle = lens + open_part.mean[0, 0] * up + open_part.mean[0, 1] * left
    rho = 2 * open_part.variance[0].sqrt()
    scale = camera.focal_length * (1 + camera.magnification) / (z * camera.pitch)
    distance = float(middle.norm())
    airy = AIRY * camera.wavelength * camera.focal_length * (1 + camera.magnification) / (2 * float(rho.mean().clamp_min(1e-6))) / camera.pitch
    defocus = distance * (z - camera.focus) / camera.focus if camera.out_of_focus else 0.0
    return Sight(middle / distance, slope, scale * rho / distance, defocus, airy)


def modulation(sights: Sequence[Sight], waves: Float[Tensor, "wave 3"], size: float) -> Float[Tensor, "wave view"]:
    """Share of the contrast of each wave [rad/m] that each view shows, of a cloud of rms size `size` [m]: 1 where all of it is seen."""
    return torch.stack([_shown(sight, waves, size) for sight in sights], 1)


def _shown(sight: Sight, waves: Float[Tensor, "wave 3"], size: float) -> Float[Tensor, "wave"]:
    slope = sight.slope
    q = torch.linalg.solve(slope @ slope.T, slope @ waves.T)  # (2, wave)
    angle = math.pi * torch.arange(1, CHORD + 1, dtype=waves.dtype) / (CHORD + 1)
    t, weight = angle.cos(), 2 / (CHORD + 1) * angle.sin().square()
    h = (sight.semi[:, None] * q).norm(dim=0)
    seen = torch.exp(-0.5 * (size * (waves @ sight.direction + h * t[:, None])).square()) * weight[:, None]  # (node, wave)
    turned = sight.defocus * h * t[:, None]
    amplitude = torch.hypot((seen * turned.cos()).sum(0), (seen * turned.sin()).sum(0))
    pixel = torch.sinc(q / (2 * math.pi)).abs().prod(0) * torch.exp(-0.5 * (sight.airy * q).square().sum(0))
    return torch.where((q.abs() <= math.pi).all(0), amplitude * pixel, 0.0)
