"""Refined cameras out of a geometry product."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fieldfit.geometry.cameras import Camera, Vector
from fieldfit.io.products import open_product
from fieldfit.types import InputError


def read_geometry(path: Path, cameras: Sequence[Camera]) -> list[Camera]:
    """The views of the camera file as a geometry product has refined them; what it does not refine stays.

    Raises InputError when the product is of other views.
    """
    found = open_product(path, "geometry")
    names = str(found.attrs["views"]).split("\n")
    if names != [camera.name for camera in cameras]:
        raise InputError(f"{path}: has the views {', '.join(names)}, expected those of the camera file, {', '.join(c.name for c in cameras)}")
    refined = []
    for view, camera in enumerate(cameras):
        one = found.isel(view=view)
        mirror = camera.mirror and replace(camera.mirror, centre=_vector(one.mirror_centre.values), normal=_vector(one.mirror_normal.values))
        refined.append(
            replace(
                camera,
                lens=_vector(one.lens_position.values),
                look=_vector(one.look.values),
                left=_vector(one.left.values),
                up=_vector(one.up.values),
                focal_length=float(one.focal_length),
                magnification=float(one.magnification),
                mirror=mirror,
            )
        )
    return refined


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
