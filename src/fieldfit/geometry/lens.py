"""Images of points through a thin-lens camera, straight or through a mirror.

    z = (P - c) . look,   m_z = f (1 + m) / z,   plane of focus at z_f = f (1 + m) / m
    row = H/2 + m_z up . (P - c) / pitch,   column = W/2 + m_z left . (P - c) / pitch      (pixel r covers [r, r + 1))
    the ray through the point a of the lens lands (m_z / pitch) a (z - z_f) / z_f beside it: the blur off the plane of focus
    share of the light caught = integral over the open part of the lens of z / (4 pi d^3) dA

The open part is the lens's disc, (1 - z' / sqrt(z'^2 + R^2)) / 2 ~ R^2 / (4 d^2) with R = f / (2 N), cut by the mirror as it is seen
from P: its mean shifts the image, its second moments blur it. A plane-parallel glass brings the point nearer by
t [1 - cos(theta) / sqrt(n^2 - sin^2(theta))] (Hecht, Optics, section 4.4). The image is inverted.
Walker et al. (gradoptics) and the physics of a thin lens (Hecht, Optics, section 5.2).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.cameras import Camera, Mirror, Vector

CHORDS = 24  # of the lens, along which a mirror's edge is found in closed form
TOGETHER = 1600  # points whose chords stay in the processor's cache
# Standard deviation of the Gaussian nearest to Airy's disc, in wavelengths times the working f-number: Zhang et al., Appl. Opt. 46, 1819 (2007).
AIRY = 0.45


@dataclass(frozen=True)
class Images:
    """Of n points. row, column: centres of their images, pixel-edge coordinates, not clipped; depth [m];
    row_blur, column_blur: standard deviations of the images [pixels]; electrons: for each photon emitted into all directions alike."""

    row: Float[Tensor, "n"]
    column: Float[Tensor, "n"]
    depth: Float[Tensor, "n"]
    row_blur: Float[Tensor, "n"]
    column_blur: Float[Tensor, "n"]
    electrons: Float[Tensor, "n"]


@dataclass(frozen=True)
class Aperture:
    """The open part of the lens as n points see it. share: of their light; mean (n, 2) and variance (n, 2) along up and left [m], [m2]."""

    share: Float[Tensor, "n"]
    mean: Float[Tensor, "n 2"]
    variance: Float[Tensor, "n 2"]


def _vector(values: Vector, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def pixel_position(camera: Camera, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"], Float[Tensor, "n"]]:
    """(row, column, depth [m]) of the images of `points` [m] through the middle of the lens, pixel-edge coordinates, not clipped to the sensor."""
    offset = _apparent(camera, points)
    depth = offset @ _vector(camera.look, points)
    up, left = offset @ _vector(camera.up, points) / depth, offset @ _vector(camera.left, points) / depth
    if camera.distortion:
        up, left = _distorted(camera, up, left)
    scale = camera.focal_length * (1 + camera.magnification) / camera.pitch
    return camera.middle[0] + scale * up, camera.middle[1] + scale * left, depth


def _apparent(camera: Camera, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Where points seem to be, from the lens."""
    offset = points - _vector(camera.lens, points)
    if camera.glass is None:
        return offset
    look = _vector(camera.look, points)
    cosine = offset @ look / offset.norm(dim=1)
    nearer = camera.glass.thickness * (1 - cosine * torch.rsqrt(camera.glass.index**2 - 1 + cosine.square()))
    return offset - nearer[:, None] * look


def _distorted(camera: Camera, up: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    d = camera.distortion
    assert d is not None
    square = up.square() + left.square()
    radial = 1 + square * (d.k1 + square * (d.k2 + square * d.k3))
    return (
        up * radial + d.p1 * (square + 2 * up.square()) + 2 * d.p2 * up * left,
        left * radial + 2 * d.p1 * up * left + d.p2 * (square + 2 * left.square()),
    )


def aperture(camera: Camera, points: Float[Tensor, "n 3"]) -> Aperture:
    """What part of the lens the light of `points` [m] can pass: the whole of it, or what the mirror leaves open."""
    if camera.mirror is not None:
        return _behind_mirror(camera, camera.mirror, points)
    square = _apparent(camera, points).square().sum(1)
    share = 0.5 * (1 - torch.rsqrt(1 + camera.radius**2 / square))
    return Aperture(share, points.new_zeros(len(points), 2), points.new_full((len(points), 2), camera.radius**2 / 4))


def _behind_mirror(camera: Camera, mirror: Mirror, points: Tensor) -> Aperture:
    parts = [_through_hole(camera, mirror, part) for part in points.split(TOGETHER)]
    return Aperture(torch.cat([p.share for p in parts]), torch.cat([p.mean for p in parts]), torch.cat([p.variance for p in parts]))


def _through_hole(camera: Camera, mirror: Mirror, points: Tensor) -> Aperture:
    """Integrals over the part of the lens that a mirror leaves open, chord by chord.

    The ray from P along w = c - P + u up + v left meets the mirror's plane inside its edge when |g (w.n) + s w|^2 < r^2 (w.n)^2,
    g = P - M and s = -g.n: an ellipse a v^2 + 2 (b_0 + b_1 u) v + c_0 + 2 c_1 u + c_2 u^2 < 0. Its chords along v, cut by the lens, are known in
    closed form. Over u, between its ends or the lens's, by Chebyshev's nodes of the second kind, which integrate the square root of either end
    exactly: nodes that take no heed of where it ends would make the light tremble by 0.1 % as the mirror moves.
    """
    angle = math.pi * torch.arange(1, CHORDS + 1, dtype=points.dtype, device=points.device) / (CHORDS + 1)
    up, left, n = (_vector(v, points) for v in (camera.up, camera.left, mirror.normal))
    to_lens, g = -_apparent(camera, points), points - _vector(mirror.centre, points)
    s, q0, q_up, q_left = -(g @ n)[:, None], (to_lens @ n)[:, None], up @ n, left @ n
    f0, f_up, f_left = g * q0 + s * to_lens, g * q_up + s * up, g * q_left + s * left

    def dot(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum(-1, keepdim=True)

    r2, lens = mirror.radius**2, camera.radius
    a = dot(f_left, f_left) - r2 * q_left**2
    b0, b1 = dot(f0, f_left) - r2 * q_left * q0, dot(f_up, f_left) - r2 * q_left * q_up
    c0, c1, c2 = dot(f0, f0) - r2 * q0.square(), dot(f0, f_up) - r2 * q0 * q_up, dot(f_up, f_up) - r2 * q_up**2
    # b^2 - a c = p u^2 + 2 q u + r, positive between the ends of the ellipse along u
    p, q, r = b1.square() - a * c2, b0 * b1 - a * c1, b0.square() - a * c0
    ends = p < 0  # else the mirror reaches beside the point itself, and its image on the lens has none
    centre = torch.where(ends, -q / p, 0.0)
    far = torch.where(ends, (q.square() - p * r).clamp_min(0).sqrt() / -p, lens)
    first, last = (centre - far).clamp(-lens, lens), (centre + far).clamp(-lens, lens)
    u = 0.5 * (first + last) + 0.5 * (last - first) * angle.cos()
    weights = 0.5 * (last - first) * angle.sin() * math.pi / (CHORDS + 1)
    b, root = b0 + b1 * u, (p * u.square() + 2 * q * u + r).clamp_min(0).sqrt()
    half = (lens**2 - u.square()).clamp_min(0).sqrt()
    low, high = torch.maximum((-b - root) / a, -half), torch.minimum((-b + root) / a, half)
    length = (high - low).clamp_min(0)
    middle = 0.5 * (low + high)
    depth, above, beside = (to_lens @ _vector(camera.look, points))[:, None], (to_lens @ up)[:, None] + u, (to_lens @ left)[:, None] + middle
    square = depth.square() + above.square() + beside.square()
    bend = length.square() / 24 * (15 * beside.square() / square - 3) / square  # of d^-3 along the chord
    flux = depth.abs() / (4 * math.pi * square**1.5) * (1 + bend)
    area = length * weights
    total = area.sum(1).clamp_min(torch.finfo(points.dtype).tiny)
    mean_u, mean_v = (area * u).sum(1) / total, (area * middle).sum(1) / total
    var_u = (area * u.square()).sum(1) / total - mean_u.square()
    var_v = (area * (middle.square() + length.square() / 12)).sum(1) / total - mean_v.square()
    return Aperture((area * flux).sum(1), torch.stack([mean_u, mean_v], 1), torch.stack([var_u, var_v], 1).clamp_min(0))


def images(camera: Camera, points: Float[Tensor, "n 3"]) -> Images:
    """Where the images of `points` [m] lie, how wide they are, and how many electrons they give. Diffraction as a Gaussian of Airy's width."""
    row, column, depth = pixel_position(camera, points)
    open_part = aperture(camera, points)
    scale = camera.focal_length * (1 + camera.magnification) / (depth * camera.pitch) * (depth - camera.focus) / camera.focus
    radius = open_part.variance.mean(1).sqrt().mul(2).clamp_min(1e-6)
    airy = AIRY * camera.wavelength * camera.focal_length * (1 + camera.magnification) / (2 * radius) / camera.pitch
    spread = open_part.variance * scale.square()[:, None] if camera.out_of_focus else 0.0
    blur = (spread + airy.square()[:, None]).sqrt().expand(-1, 2)
    return Images(
        row + scale * open_part.mean[:, 0],
        column + scale * open_part.mean[:, 1],
        depth,
        blur[:, 0],
        blur[:, 1],
        camera.efficiency * open_part.share,
    )


def local_axes(camera: Camera) -> tuple[tuple[float, float], Float[Tensor, "2 3"]]:
    """((row, column) of the world's origin, its slope by position [pixels/m]): the view as a parallel projection."""
    origin = torch.zeros(1, 3, dtype=torch.float64)
    row, column, _ = pixel_position(camera, origin)

    def place(point: Tensor) -> Tensor:
        r, c, _ = pixel_position(camera, point[None])
        return torch.cat([r, c])

    slope = torch.autograd.functional.jacobian(place, origin[0])
    assert isinstance(slope, Tensor)
    return (float(row), float(column)), slope
