"""The picture of a fringe: slopes are gradients, pixels integrate, and the mirror image is the same picture."""

import math

import numpy as np
import pytest
import torch

from fieldfit.forward.fringes import PARAMETERS, QUANTITIES, picture, picture_and_slopes, quantities, raster

CLOUD = torch.tensor(
    [[2.0, 3e-5, -5e-5, math.log(4e-4), 0.4, -0.5, 2.1e4, 1.5e3], [1.0, -6e-5, 2e-5, math.log(3e-4), -0.2, 0.3, 3.9e4, -6e3]], dtype=torch.float64
)


def test_sampled_picture_is_the_formula():
    on = raster(5, 7, 1e-4)
    y, x = (np.arange(5) - 2)[:, None] * 1e-4, (np.arange(7) - 3) * 1e-4
    a, y0, x0, log_s, c, s, ky, kx = CLOUD[0].numpy()
    envelope = np.exp(a - ((y - y0) ** 2 + (x - x0) ** 2) / (2 * np.exp(2 * log_s)))
    expected = envelope * (1 + np.hypot(c, s) * np.cos(ky * y + kx * x + np.arctan2(s, c))) + 2.31
    assert np.allclose(picture(CLOUD, on, 2.31)[0].reshape(5, 7), expected, rtol=1e-12)


@pytest.mark.parametrize("integrated", [False, True])
def test_slopes_are_the_gradient(integrated: bool):
    on = raster(6, 5, 8e-5, integrated)
    units = torch.tensor([1, 1e-4, 1e-4, 1, 1, 1, 1e4, 1e4], dtype=torch.float64)
    exact = torch.stack(
        [torch.autograd.functional.jacobian(lambda u, p=p: picture((p + u * units)[None], on, 1.0)[0], torch.zeros(8).double()) for p in CLOUD]
    )
    mean, slopes = picture_and_slopes(CLOUD, on, 1.0)
    assert torch.allclose(mean, picture(CLOUD, on, 1.0), rtol=1e-13)
    assert torch.allclose(slopes * units[:, None], exact.transpose(1, 2), rtol=1e-9, atol=1e-10)


def test_pixels_integrate_the_fringe():
    coarse, fine = raster(8, 8, 5e-5, integrated=True), raster(8 * 15, 8 * 15, 5e-5 / 15)
    averaged = picture(CLOUD, fine, 0.0).reshape(2, 8, 15, 8, 15).mean((2, 4)).flatten(1)
    assert torch.allclose(picture(CLOUD, coarse, 0.0), averaged, rtol=3e-3)  # the fine raster itself is a midpoint rule
    attenuation = math.sin(2.1e4 * 2.5e-5) / (2.1e4 * 2.5e-5)
    wide = torch.tensor([[0.0, 0.0, 0.0, math.log(1.0), 1.0, 0.0, 2.1e4, 0.0]], dtype=torch.float64)
    on = raster(40, 1, 5e-5, integrated=True)
    assert torch.allclose(picture(wide, on, 0.0)[0], 1 + attenuation * torch.cos(2.1e4 * on.rows.mean(-1)), atol=1e-6)


def test_backward_wave_is_the_same_picture_and_is_told_forward():
    turned = CLOUD.clone()
    turned[:, [5, 6, 7]] *= -1
    on = raster(9, 9, 5e-5)
    assert torch.allclose(picture(CLOUD, on, 1.0), picture(turned, on, 1.0))
    assert torch.allclose(quantities(CLOUD, 5e-5), quantities(turned, 5e-5))
    tilt = quantities(turned, 5e-5)[:, QUANTITIES.index("tilt")]
    assert (tilt.abs() < math.pi / 2).all()
    assert len(PARAMETERS) == CLOUD.shape[1]


def test_light_is_the_sum_over_pixels():
    on = raster(300, 300, 2e-5)
    plain = CLOUD[:1].clone()
    plain[:, 4:6] = 0
    assert picture(plain, on, 0.0).sum().item() == pytest.approx(quantities(plain, 2e-5)[0, QUANTITIES.index("electrons")].item(), rel=1e-9)


def test_raster_without_pixels_is_refused():
    with pytest.raises(ValueError, match="0 x 4 pixels"):
        raster(0, 4, 1e-5)
