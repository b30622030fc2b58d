"""Which blurs images hold, against rays drawn one by one and waves blurred on a sensor."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fieldfit.geometry.blur import LOSS, blur_of, with_blurs
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import images
from fieldfit.geometry.modulation import modulation, sight_of
from fieldfit.types import InputError

# A pixel is 35 um at the object; the plane of focus, 0.36 m, holds the origin.
CAMERA = Camera("left", (-0.36, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 0.06, 0.02, 0.2, 7e-6, 400, 400, 0.8, 2.0)
HALF, PERIOD = 1e-3, 150e-6


def test_the_largest_blur_is_that_of_rays_through_the_whole_lens() -> None:
    """From the nearest corner of the cube to the sensor, by the lens maker's plane of focus alone."""
    random = np.random.default_rng(0)
    radius, angle = CAMERA.radius * np.sqrt(random.random(200_000)), 2 * math.pi * random.random(200_000)
    lens = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    depth, sensor = 0.36 - HALF, 0.06 * 1.2
    image = 1 / (1 / 0.06 - 1 / depth)  # where the lens puts the corner's image, behind the sensor
    chief = -np.array([HALF, HALF]) / depth
    landed = lens + (chief * image - lens) * sensor / image
    blur = blur_of(CAMERA, "auto", HALF, PERIOD)
    assert blur.defocus == pytest.approx(float(landed.std(0).mean()) / CAMERA.pitch, rel=0.01)
    assert blur.holds_defocus and not blur.holds_airy and blur.airy == 0


@pytest.mark.parametrize("radius", [0.02, 2e-3, 2e-4])
def test_what_is_left_out_costs_no_contrast(radius: float) -> None:
    """A wave on the sensor, sampled finely, blurred by the blur's own Gaussian."""
    blur = blur_of(replace(CAMERA, radius=radius, wavelength=461e-9), "auto", HALF, PERIOD)
    x = np.arange(0, 40 * blur.finest, 0.01)
    for rms, held in ((blur.defocus, blur.holds_defocus), (blur.airy, blur.holds_airy)):
        at = np.linspace(-5, 5, 401) * rms
        weight = np.exp(-0.5 * (at / max(rms, 1e-9)) ** 2)
        wave = sum(w * np.cos(2 * math.pi * (x - a) / blur.finest) for w, a in zip(weight / weight.sum(), at, strict=True))
        assert (1 - float(np.max(wave)) > LOSS) == held


def test_the_finest_wave_is_the_one_asked_for_but_no_finer_than_two_pixels() -> None:
    assert blur_of(CAMERA, "auto", HALF, 150e-6).finest == pytest.approx(150 / 35)
    assert blur_of(CAMERA, "auto", HALF, 40e-6).finest == 2


def test_orders_are_obeyed_by_images_and_by_what_the_set_up_tells() -> None:
    wide = replace(CAMERA, wavelength=461e-9, lens=(-0.35, 0.0, 0.0))
    point, wave = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[0.0, 2 * math.pi / PERIOD, 0.0]], dtype=torch.float64)
    sharp, blurred, both = (with_blurs([wide], order, HALF, PERIOD)[0] for order in ("pinhole", "defocus", "diffraction"))
    seen = [images(camera, point) for camera in (sharp, blurred, both)]
    assert float(seen[0].row_blur) == 0 < float(seen[1].row_blur) < float(seen[2].row_blur)
    assert seen[0].electrons == seen[1].electrons == seen[2].electrons  # a pinhole would catch nothing: its light is the lens's
    shown = [float(modulation([sight_of(camera)], wave, 0.3e-3)) for camera in (sharp, blurred, both)]
    assert shown[0] > shown[1] > shown[2]


def test_diffraction_needs_a_wavelength() -> None:
    with pytest.raises(InputError, match="camera left: 'optics: diffraction' needs 'wavelength_m'"):
        with_blurs([CAMERA], "diffraction", HALF, PERIOD)
