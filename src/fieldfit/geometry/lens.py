"""Images of points through a thin-lens camera.

    z = (P - c) . look,   m_z = f (1 + m) / z,   plane of focus at z = f (1 + m) / m
    row = H/2 + m_z up . (P - c) / pitch,   column = W/2 + m_z left . (P - c) / pitch      (pixel r covers [r, r + 1))
    share of the light caught = (1 - z' / sqrt(z'^2 + R^2)) / 2 ~ R^2 / (4 d^2),   R = f / (2 N), d the distance to the lens
    blur circle of a point off the plane of focus, at the object: radius R |z - z_f| / z_f

The image is inverted. Walker et al. (gradoptics) and physics of a thin lens (Hecht, Optics, section 5.2).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.cameras import Camera, Vector


def _vector(values: Vector, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def pixel_position(camera: Camera, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"], Float[Tensor, "n"]]:
    """(row, column, depth [m]) of the images of `points` [m], pixel-edge coordinates, not clipped to the sensor."""
    offset = points - _vector(camera.lens, points)
    depth = offset @ _vector(camera.look, points)
    scale = camera.focal_length * (1 + camera.magnification) / (depth * camera.pitch)
    row = camera.rows / 2 + scale * (offset @ _vector(camera.up, points))
    column = camera.columns / 2 + scale * (offset @ _vector(camera.left, points))
    return row, column, depth


def electrons_per_photon(camera: Camera, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """Electrons expected for each photon that is emitted, into all directions alike, at `points` [m]."""
    square = (points - _vector(camera.lens, points)).square().sum(1)
    return camera.efficiency * 0.5 * (1 - torch.rsqrt(1 + camera.radius**2 / square))


def blur_radius(camera: Camera, depth: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Radius of the blur circle on the sensor, in pixels, of points at `depth` [m]."""
    scale = camera.focal_length * (1 + camera.magnification) / (depth * camera.pitch)
    return scale * camera.radius * (depth - camera.focus).abs() / camera.focus
