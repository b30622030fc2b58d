"""Which of a lens's blurs the images of a view hold: by order, or where it matters.

    kept = exp(-(2 pi b / p)^2 / 2),   p = max(2 pixels, shortest fringe period on the sensor)

is what a Gaussian blur of rms b leaves of the contrast of the finest wave that is both shown by the pixels and asked for (for two pixels a period
that compares b with the pixel: kept = 0.99 at b = 0.045 pixels). By default a blur is held where it takes more than LOSS of that contrast
somewhere in the reported cube: b is the largest there, of light out of focus through the open part of the lens, and of Airy's disc.
Light, perspective and the pixel's own width are always held.
"""

import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import images, local_axes
from fieldfit.types import InputError, Optics

LOSS = 0.01  # of the contrast
ACROSS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the cube's half width: where blurs are looked at

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Blur:
    """Of one view. defocus, airy: largest rms in the cube [pixels]; finest: p [pixels]; holds_defocus, holds_airy: whether the images hold them."""

    defocus: float
    airy: float
    finest: float
    holds_defocus: bool
    holds_airy: bool


def blur_of(camera: Camera, optics: Optics, half_width: float, period: float) -> Blur:
    """half_width [m]: of the reported cube; period [m]: the shortest that is asked for. Raises InputError where diffraction is asked for and the
    camera has no wavelength."""
    if optics == "diffraction" and not camera.wavelength:
        raise InputError(f"camera {camera.name}: 'optics: diffraction' needs 'wavelength_m' in the camera file, found none")
    places = half_width * torch.tensor(list(itertools.product(ACROSS, repeat=3)), dtype=torch.float64)
    airy = _largest(replace(camera, out_of_focus=False), places)
    defocus = _largest(replace(camera, wavelength=0.0, out_of_focus=True), places)
    finest = max(2.0, period * float(local_axes(camera)[1].norm(dim=1).max()))
    matters = {
        "pinhole": (False, False),
        "defocus": (True, False),
        "diffraction": (True, True),
        "auto": (_loss(defocus, finest) > LOSS, _loss(airy, finest) > LOSS),
    }[optics]
    return Blur(defocus, airy, finest, *matters)


def with_blurs(cameras: Sequence[Camera], optics: Optics, half_width: float, period: float) -> list[Camera]:
    """The views with those blurs alone that their images are to hold: see `blur_of`."""
    found = []
    for camera in cameras:
        blur = blur_of(camera, optics, half_width, period)
        held = [name for name, holds in (("defocus", blur.holds_defocus), ("diffraction", blur.holds_airy)) if holds]
        log.info(
            "view %s: blur of up to %.2f pixels off focus, %.2f by diffraction, finest period %.1f pixels: %s held",
            camera.name, blur.defocus, blur.airy, blur.finest, " and ".join(held) or "neither",
        )  # fmt: skip
        found.append(replace(camera, out_of_focus=blur.holds_defocus, wavelength=camera.wavelength if blur.holds_airy else 0.0))
    return found


def _largest(camera: Camera, places: torch.Tensor) -> float:
    seen = images(camera, places)
    return float(torch.maximum(seen.row_blur, seen.column_blur).max())


def _loss(blur: float, finest: float) -> float:
    return 1 - math.exp(-0.5 * (2 * math.pi * blur / finest) ** 2)
