"""Small corrections of where views stand and how they magnify, each view in its own axes.

    camera   c' = c + s_look look + s_left left + s_up up,   (look, left, up)' = R(t) (look, left, up)
             R(t): turn about the axis t = t_look look + t_left left + t_up up by |t|           (Rodrigues)
             v' = v exp(scale),  z_f' = z_f + focus:   image distance v = f (1 + m), plane of focus z_f = v / m
    mirror   n' = n + a e_1 + b e_2 (normalised),   M' = M + d n + s_1 e_1 + s_2 e_2:   e_1, e_2 perpendicular to the normal n
             its camera stays where it is; shifts in the mirror's own plane move its edge, and so what light of which point passes

The last line of `camera` keeps what the images show apart: v alone sets their size, z_f alone their blur.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.cameras import Camera, Vector, reflected
from fieldfit.geometry.lens import images

OF_CAMERA = ("shift_look", "shift_left", "shift_up", "turn_look", "turn_left", "turn_up", "scale", "focus")
OF_MIRROR = ("normal_first", "normal_second", "displacement", "shift_first", "shift_second")
DEGREES = OF_CAMERA + OF_MIRROR
UNITS = dict(zip(DEGREES, ("m",) * 3 + ("rad",) * 3 + ("1", "m") + ("1",) * 2 + ("m",) * 3, strict=True))
# Steps of the derivatives: each moves an image by some tenths of a micrometre to some micrometres at the object.
STEPS = dict(zip(DEGREES, (20e-6, 5e-6, 5e-6, 1e-3, 3e-5, 3e-5, 1e-3, 100e-6, 1e-4, 1e-4, 5e-6, 20e-6, 20e-6), strict=True))


def degrees_of(camera: Camera) -> tuple[str, ...]:
    """What can be wrong with a view: the names of its corrections, in order."""
    return OF_MIRROR if camera.mirror else OF_CAMERA


def corrected(camera: Camera, values: Sequence[float]) -> Camera:
    """The view with its corrections applied, in the order of `degrees_of`. Raises ValueError when their number is another."""
    if len(values) != len(degrees_of(camera)):
        raise ValueError(f"view {camera.name}: {len(values)} corrections, expected {', '.join(degrees_of(camera))}")
    return _mirror_moved(camera, *values) if camera.mirror else _camera_moved(camera, values)


def _camera_moved(camera: Camera, values: Sequence[float]) -> Camera:
    axes = np.array([camera.look, camera.left, camera.up])
    lens = np.array(camera.lens) + np.array(values[:3]) @ axes
    turn = np.array(values[3:6]) @ axes
    angle = float(np.linalg.norm(turn))
    if angle:
        k = turn / angle
        axes = axes * math.cos(angle) + np.cross(k, axes) * math.sin(angle) + np.outer(axes @ k, k) * (1 - math.cos(angle))
    behind = camera.focal_length * (1 + camera.magnification) * math.exp(values[6])
    in_focus = camera.focus + values[7]
    look, left, up = (_vector(axis) for axis in axes)
    return replace(
        camera,
        lens=_vector(lens),
        look=look,
        left=left,
        up=up,
        magnification=behind / in_focus,
        focal_length=behind * in_focus / (behind + in_focus),
    )


def _mirror_moved(camera: Camera, first: float, second: float, displacement: float, along: float, across: float) -> Camera:
    mirror = camera.mirror
    assert mirror is not None
    normal = np.array(mirror.normal)
    one, other = _across(normal)
    turned = normal + first * one + second * other
    centre = np.array(mirror.centre) + displacement * normal + along * one + across * other
    moved = replace(mirror, centre=_vector(centre), normal=_vector(turned / np.linalg.norm(turned)))
    return reflected(reflected(camera, mirror, camera.name), moved, camera.name)  # back to the camera itself, then through the moved mirror


def _across(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors perpendicular to a unit vector and to each other."""
    first = np.zeros(3)
    first[int(np.argmin(np.abs(normal)))] = 1
    one = np.cross(normal, first)
    one /= np.linalg.norm(one)
    return one, np.cross(normal, one)


def _vector(values: np.ndarray) -> Vector:
    x, y, z = values.tolist()
    return x, y, z


def stepped(camera: Camera, values: Sequence[float], degree: int, sign: float) -> Camera:
    """The view with its corrections, one of them a step further."""
    names = degrees_of(camera)
    return corrected(camera, [value + sign * STEPS[name] * (place == degree) for place, (name, value) in enumerate(zip(names, values, strict=True))])


def places(camera: Camera, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2"]:
    """(row, column) of the images of `points` [m], centres of the light that passes the lens."""
    seen = images(camera, points)
    return torch.stack([seen.row, seen.column], 1)


def place_slopes(camera: Camera, values: Sequence[float], points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2 degree"]:
    """Derivatives of `places` of the corrected view by its corrections: central differences."""
    return image_slopes(camera, values, points)[0]


def image_slopes(
    camera: Camera, values: Sequence[float], points: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "n 2 degree"], Float[Tensor, "n degree"]]:
    """The same, and likewise those of the logarithm of the light that the corrected view catches of `points`: zero where it catches none."""
    by_place, by_light = [], []
    for degree, name in enumerate(degrees_of(camera)):
        after, before = (images(stepped(camera, values, degree, sign), points) for sign in (1.0, -1.0))
        moved = torch.stack([after.row - before.row, after.column - before.column], 1)
        by_place.append(moved / (2 * STEPS[name]))
        both = (after.electrons + before.electrons).clamp_min(torch.finfo(points.dtype).tiny)
        by_light.append((after.electrons - before.electrons) / both / STEPS[name])
    return torch.stack(by_place, 2), torch.stack(by_light, 1)
