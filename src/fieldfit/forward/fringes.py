"""Picture of a fringe across a Gaussian cloud, seen along world z.

    mean(Y, X) = A env(Y, X) [1 + C cos(k (cos(tilt) Y + sin(tilt) X) + phase)] + pedestal
    env(Y, X)  = exp(-[(Y - y0)^2 + (X - x0)^2] / (2 s^2))

(phase shear read-out: Sugarbaker et al., PRL 111, 113002 (2013), eq. 2, with a Gaussian envelope). Y runs along rows, X along
columns, both from the picture's centre. Everything is separable, so a batch of pictures is a batch of small matrix products:

    mean - pedestal = A { g(Y) g(X) + Re[(a + i b) h(Y) h(X)] },   g = exp(-(x - x0)^2 / 2 s^2),   h = g exp(i k_x x)

with a = C cos(phase), b = C sin(phase), k_y = k cos(tilt), k_x = k sin(tilt). A pixel either samples this at its centre or averages it
over its area, by Gauss-Legendre quadrature in each direction (3 nodes: exact to 1e-7 of A for four pixels a period).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# Order of the model's parameters along the last axis. They are chosen to be smooth everywhere: no angle wraps, no width turns negative.
PARAMETERS = ("log_amplitude", "centre_y", "centre_x", "log_size", "cosine", "sine", "wave_y", "wave_x")
# What is read off them.
QUANTITIES = ("phase", "contrast", "period", "tilt", "centre_y", "centre_x", "size", "electrons")


@dataclass(frozen=True)
class Raster:
    """Where a picture's pixels look: positions of their quadrature nodes [m] and the nodes' weights.

    rows: (row, node); columns: (column, node); weights: (node,), summing to 1. pitch: pixel edge [m].
    """

    rows: Tensor
    columns: Tensor
    weights: Tensor
    pitch: float


def raster(rows: int, columns: int, pitch: float, integrated: bool = False, device: torch.device | str = "cpu") -> Raster:
    """Pixels of `pitch` metres, centred on the origin: sampled at their centres, or `integrated` over their area.

    Raises ValueError when there are no pixels or the pitch is not positive.
    """
    if rows < 1 or columns < 1 or not pitch > 0:
        raise ValueError(f"a raster of {rows} x {columns} pixels of {pitch} m, expected at least 1 x 1 and a positive pitch")
    nodes, weights = np.polynomial.legendre.leggauss(3) if integrated else (np.zeros(1), np.full(1, 2.0))
    inside = torch.as_tensor(nodes * 0.5 * pitch, dtype=torch.float64, device=device)

    def centres(count: int) -> Tensor:
        return (torch.arange(count, dtype=torch.float64, device=device) - (count - 1) / 2) * pitch

    return Raster(
        centres(rows)[:, None] + inside, centres(columns)[:, None] + inside, torch.as_tensor(weights / 2, dtype=torch.float64, device=device), pitch
    )


def picture(parameters: Float[Tensor, "shot 8"], on: Raster, pedestal: float) -> Float[Tensor, "shot pixel"]:
    """Mean photo-electrons of each pixel, rows first."""
    amplitude, y0, x0, log_size, a, b, wave_y, wave_x = parameters.unbind(-1)
    gy, hy = _factors(on.rows, on.weights, y0, log_size, wave_y)
    gx, hx = _factors(on.columns, on.weights, x0, log_size, wave_x)
    z = torch.complex(a, b)[:, None]
    light = _outer(gy[0], gx[0], z * hy[0], hx[0])
    return (amplitude.exp()[:, None, None] * light).flatten(1) + pedestal


def picture_and_slopes(
    parameters: Float[Tensor, "shot 8"], on: Raster, pedestal: float
) -> tuple[Float[Tensor, "shot pixel"], Float[Tensor, "shot 8 pixel"]]:
    """Mean photo-electrons and their derivatives with respect to each of PARAMETERS."""
    amplitude, y0, x0, log_size, a, b, wave_y, wave_x = parameters.unbind(-1)
    gy, hy = _factors(on.rows, on.weights, y0, log_size, wave_y)
    gx, hx = _factors(on.columns, on.weights, x0, log_size, wave_x)
    z = torch.complex(a, b)[:, None]
    zero = torch.zeros_like(gy[0])
    wy = [z * h for h in hy]  # with the fringe's amplitude, so that only its derivatives by a and b go without
    # Each slope is the sum of at most two products [gy, hy] x [gx, hx]; the second is empty except for the size.
    pairs = [
        ((gy[0], wy[0]), (gx[0], hx[0]), None),
        ((gy[1], wy[1]), (gx[0], hx[0]), None),
        ((gy[0], wy[0]), (gx[1], hx[1]), None),
        ((gy[2], wy[2]), (gx[0], hx[0]), ((gy[0], wy[0]), (gx[2], hx[2]))),
        ((zero, hy[0]), (gx[0], hx[0]), None),
        ((zero, 1j * hy[0]), (gx[0], hx[0]), None),
        ((zero, wy[3]), (gx[0], hx[0]), None),
        ((zero, wy[0]), (gx[0], hx[3]), None),
    ]
    empty = (zero, zero + 0j), (torch.zeros_like(gx[0]), torch.zeros_like(hx[0]))
    rows = torch.stack([torch.cat([_left(*left), _left(*(more or empty)[0])], -1) for left, _, more in pairs], 1)
    columns = torch.stack([torch.cat([_right(*right), _right(*(more or empty)[1])], -2) for _, right, more in pairs], 1)
    slopes = ((amplitude.exp()[:, None, None, None] * rows) @ columns).flatten(2)
    return slopes[:, 0] + pedestal, slopes  # the slope by log amplitude is the light itself


def quantities(parameters: Float[Tensor, "shot 8"], pitch: float) -> Float[Tensor, "shot 8"]:
    """QUANTITIES of the fitted parameters: k > 0, tilt in (-pi/2, pi/2), contrast >= 0, phase in (-pi, pi] at the picture's centre.

    electrons: light of the cloud without its fringe, 2 pi A (s / pitch)^2.
    """
    amplitude, y0, x0, log_size, a, b, wave_y, wave_x = parameters.unbind(-1)
    turn = torch.where(wave_y < 0, -1.0, 1.0)  # cos is even: (k, phase) and (-k, -phase) are the same picture
    electrons = 2 * torch.pi * amplitude.exp() * (log_size.exp() / pitch) ** 2
    return torch.stack(
        [
            torch.atan2(turn * b, a),
            torch.hypot(a, b),
            2 * torch.pi / torch.hypot(wave_y, wave_x),
            torch.atan2(turn * wave_x, turn * wave_y),
            y0,
            x0,
            log_size.exp(),
            electrons,
        ],
        -1,
    )


def _factors(nodes: Tensor, weights: Tensor, centre: Tensor, log_size: Tensor, wave: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Pixel means along one direction, each (shot, pixel): of g and of h, each with its derivatives by centre, log size and (h) wave number."""
    x = nodes[None]
    u = (x - centre[:, None, None]) * (-log_size).exp()[:, None, None]
    g = torch.exp(-0.5 * u.square()) * weights
    h = torch.polar(g, wave[:, None, None] * x)
    by_centre, by_size = u * (-log_size).exp()[:, None, None], u.square()
    return [(g * f).sum(-1) for f in (torch.ones_like(u), by_centre, by_size)], [
        (h * f).sum(-1) for f in (torch.ones_like(u), by_centre, by_size, 1j * x)
    ]


def _left(g: Tensor, h: Tensor) -> Tensor:
    """(shot, row, 3)."""
    return torch.stack([g, h.real, -h.imag], -1)


def _right(g: Tensor, h: Tensor) -> Tensor:
    """(shot, 3, column)."""
    return torch.stack([g, h.real, h.imag], -2)


def _outer(gy: Tensor, gx: Tensor, hy: Tensor, hx: Tensor) -> Tensor:
    """g(Y) g(X) + Re[h(Y) h(X)] as one product of (row, 3) with (3, column)."""
    return _left(gy, hy) @ _right(gx, hx)
