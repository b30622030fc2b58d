"""How much of a fitted visibility is light that comes straight to the sensor.

    v_c(x) = alpha_c g_c(x) exp(-r_c(x) / L) + sum_b d_cb phi_b(x)

The two outputs of a fitted field do not tell: far from a sensor its solid angle g is as smooth as all else, and the network shares the light
out as it likes. Here the direct way has one number a channel and one for all, and what is left is a polynomial over the box. Least squares of
the relative residual at points all over the box; L is the one of the smallest sum.
"""

import math

import torch
from torch import Tensor

from fieldfit.fields.calibrated import box_terms
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks
from fieldfit.geometry.sensors import offsets

POINTS = 6000
DEGREE = 7
LENGTHS = 30  # tried, in even steps of the logarithm
SHORTEST, LONGEST = 0.2, 50.0  # in half the longest edge of the box
OUTLIER = 0.1  # relative residual that counts no more: shadows, and light that no polynomial follows


@torch.no_grad()
def direct_light(base: VisibilityField) -> tuple[Tensor, Tensor]:
    """(alpha (channel), L () [m]), float64; alpha is 0 for a channel that is fitted without its solid angle."""
    settings = base.settings()
    centre, half = (torch.tensor(settings[name], dtype=torch.float64) for name in ("box_centre", "box_half"))
    points = centre + half * (2 * torch.rand(POINTS, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1)
    v = in_chunks(base, points.float()).double().clamp(min=1e-30)
    g = in_chunks(base.geometric, points.float()).double()
    r = offsets(base.sensors.double(), points)[1]
    diffuse = torch.cat([torch.ones(POINTS, 1, dtype=torch.float64), box_terms(points, centre, half, DEGREE)], 1)
    lengths = torch.logspace(math.log10(SHORTEST), math.log10(LONGEST), LENGTHS, dtype=torch.float64) * half.max()
    alpha, cost = torch.zeros(2, LENGTHS, v.shape[1], dtype=torch.float64)
    for c in torch.nonzero(torch.tensor(base.factor))[:, 0].tolist():
        # what the polynomial explains is projected out once: each length then takes one product
        plane = torch.linalg.qr(diffuse / v[:, c, None])[0]
        straight = (g[:, c] * (-r[:, c] / lengths[:, None]).exp() / v[:, c]).T
        straight, one = (a - plane @ (plane.T @ a) for a in (straight, torch.ones(POINTS, 1, dtype=torch.float64)))
        alpha[:, c] = (straight * one).sum(0) / straight.square().sum(0).clamp(min=1e-300)
        cost[:, c] = (one - straight * alpha[:, c]).square().clamp(max=OUTLIER**2).sum(0)
    best = int(cost.sum(1).argmin())
    return alpha[best].clamp(min=0), lengths[best]
