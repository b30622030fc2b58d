"""How much of a fitted visibility is light that comes straight to the sensor.

    v_c(x) = alpha_c g_c(x) exp(-r_c(x) / L) + sum_w e_cw D_cw(x) + sum_b d_cb phi_b(x)

D: light that met wall w once on its way (`geometry.walls`), which a sensor near an edge sees brightly, and as little of a polynomial as g.
The two outputs of a fitted field do not tell: far from a sensor its solid angle g is as smooth as all else, and the network shares the light
out as it likes. Here the direct way has one number a channel and one for all, and what met more walls is a polynomial over the box. Least
squares of the relative residual at points all over the box; L is the one of the smallest sum.
"""

import math

import torch
from torch import Tensor

from fieldfit.fields.calibrated import box_terms
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks
from fieldfit.geometry.sensors import offsets
from fieldfit.geometry.walls import once_met

POINTS = 4000
DEGREE = 7
LENGTHS = 60  # tried, in even steps of the logarithm: 10 %
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
    met = once_met(points, base.sensors.double(), centre, half)
    smooth = torch.cat([torch.ones(POINTS, 1, dtype=torch.float64), box_terms(points, centre, half, DEGREE)], 1)
    lengths = torch.logspace(math.log10(SHORTEST), math.log10(LONGEST), LENGTHS, dtype=torch.float64) * half.max()
    alpha, cost = torch.zeros(2, LENGTHS, v.shape[1], dtype=torch.float64)
    for c in torch.nonzero(torch.tensor(base.factor))[:, 0].tolist():
        # what diffuse light explains is projected out once: each length then takes one product; a sensor's own wall sends it nothing
        diffuse = torch.cat([smooth, met[:, c, met[:, c].amax(0) > 0]], 1)
        plane = torch.linalg.qr(diffuse / v[:, c, None])[0]
        straight = (g[:, c] * (-r[:, c] / lengths[:, None]).exp() / v[:, c]).T
        straight, one = (a - plane @ (plane.T @ a) for a in (straight, torch.ones(POINTS, 1, dtype=torch.float64)))
        alpha[:, c] = (straight * one).sum(0) / straight.square().sum(0).clamp(min=1e-300)
        cost[:, c] = (one - straight * alpha[:, c]).square().clamp(max=OUTLIER**2).sum(0)
    best = int(cost.sum(1).argmin())
    return alpha[best].clamp(min=0), lengths[best]
