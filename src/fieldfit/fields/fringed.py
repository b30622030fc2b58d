"""Density of a cloud: a Gaussian envelope, a free shape on it, and an explicit fringe.

    n(r) = n_0(r) exp(rho(r)) [1 + a cos(k.r) - b sin(k.r)],     a = C cos(phi), b = C sin(phi):   1 + C cos(k.r + phi)
    n_0(r) = N det(L) (2 pi)^(-3/2) exp(-|L^T (r - c)|^2 / 2),   L lower triangular: inverse covariance L L^T

rho is linear between the nodes of a cubic grid. The wave is known in closed form, so that its mean over a voxel
of edge h is the wave times prod_i sinc(k_i h / 2), and contrast is neither lost nor overstated on a coarse grid.
Inside, lengths are counted in half widths of the box, so that single precision suffices.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fieldfit.fields.field import Field
from fieldfit.fields.grids import around, between
from fieldfit.geometry.sparse import SparseMap

ENVELOPE = 10  # log N, centre (3), log diag L (3), L below the diagonal (3): rows 10, 20, 21
WAVE = 5  # k (3), a, b
PARAMETERS = ENVELOPE + WAVE
BELOW = ((1, 0), (2, 0), (2, 1))
NORM = -1.5 * math.log(2 * math.pi)
LEAST_MEAN, FURTHEST = 0.2, 2.6  # of a wave over a cube, where it is undone, and the k edge / 2 at which it has sunk to that
SADDLE = 1.0  # w^T S^-1 w is never held to be larger: a cube far wider than the cloud draws neither


def interpolation(points: Float[Tensor, "n 3"], nodes: int) -> SparseMap:
    """From `nodes`^3 nodes that fill [-1, 1]^3, edges included, to `points` (in half widths); beyond the box the edge's value holds."""
    (i, j, k), weights = around(points, nodes)
    return between((i * nodes + j) * nodes + k, weights, nodes**3)


def density(
    shape: Float[Tensor, "batch 10"],
    wave: Float[Tensor, "batch 5"],
    x: Float[Tensor, "n 3"],
    free: Float[Tensor, "batch n"],
    edge: float = 0.0,
    undo: bool = False,
) -> Float[Tensor, "batch n"]:
    """Density at `x` in half widths [atoms per cubed half width]; free: exp(rho) there.

    edge > 0: its mean over a cube of that edge (in half widths). undo: instead the samples from which a cube of that edge, drawn at
    each, makes the density again. With the covariance S of n_0, v = edge^2 / 12, and v_i the derivative of -log sinc(k_i edge / 2) by k_i^2 / 2:
        mean(n_0)           = n_0 of covariance S + v                                                                      (a cube as a Gaussian)
        mean(n_0 exp(ik.r)) = prod_i sinc(k_i edge / 2) exp(ik.r) n_0(r + i w) of covariance S + v,   w_i = v_i k_i       (the saddle point)
    and the same with -v and -w, over the sinc, for undo: to order (edge / size)^4, in the wave (edge / size)^2 (k edge)^2 / 60.
    """
    return _terms(shape, wave, x, free, edge, undo)[0]


def slopes(
    shape: Float[Tensor, "batch 10"],
    wave: Float[Tensor, "batch 5"],
    x: Float[Tensor, "n 3"],
    free: Float[Tensor, "batch n"],
    edge: float = 0.0,
    undo: bool = False,
) -> tuple[Float[Tensor, "batch n"], Float[Tensor, "batch 15 n"]]:
    """(density, its derivatives by the 15 parameters). The derivatives of what `edge` changes are left out: they are of order (edge / size)^2."""
    value, smooth, u, d, chol, cosine, sine = _terms(shape, wave, x, free, edge, undo)
    diagonal = shape[:, 4:7].exp()
    by_angle = smooth * (-wave[:, 3, None] * sine - wave[:, 4, None] * cosine)
    out = torch.empty(len(shape), PARAMETERS, len(x), dtype=value.dtype, device=value.device)
    out[:, 0] = value
    out[:, 1:4] = (chol @ u.transpose(1, 2)) * value[:, None]
    for i in range(3):
        out[:, 4 + i] = value * (1 - u[..., i] * d[..., i] * diagonal[:, i, None])
    for place, (i, j) in enumerate(BELOW):
        out[:, 7 + place] = -value * u[..., j] * d[..., i]
    out[:, 10:13] = by_angle[:, None] * x.T
    out[:, 13], out[:, 14] = smooth * cosine, -smooth * sine
    return value, out


def wave_mean(wave: Float[Tensor, "batch 5"], edge: float) -> Float[Tensor, "batch 1"]:
    """Mean of the wave over a cube of `edge` (in half widths), relative to its value at the cube's centre: prod_i sinc(k_i edge / 2)."""
    return torch.sinc(wave[:, :3] * edge / (2 * math.pi)).prod(1, keepdim=True)


def _terms(shape: Tensor, wave: Tensor, x: Tensor, free: Tensor, edge: float, undo: bool) -> tuple[Tensor, ...]:
    sign = -1 if undo else 1
    d, chol = x[None] - shape[:, None, 1:4], _spread(_cholesky(shape), sign * edge**2 / 12) if edge else _cholesky(shape)
    u = d @ chol
    smooth = free * torch.exp((shape[:, 0] + chol.diagonal(dim1=1, dim2=2).log().sum(1) + NORM)[:, None] - 0.5 * u.square().sum(2))
    angle = wave[:, :3] @ x.T
    damped: Tensor | float = 1.0
    if edge:
        away = chol.transpose(1, 2) @ (sign * _curvature(wave[:, :3] * (edge / 2)) * edge**2 / 4 * wave[:, :3])[..., None]
        angle = angle - (u @ away)[..., 0]
        mean = wave_mean(wave, edge)
        damped = (1 / mean.clamp_min(LEAST_MEAN) if undo else mean) * torch.exp(0.5 * away.square().sum(1).clamp_max(SADDLE))
    cosine, sine = damped * angle.cos(), damped * angle.sin()
    return smooth * (1 + wave[:, 3, None] * cosine - wave[:, 4, None] * sine), smooth, u, d, chol, cosine, sine


def _cholesky(shape: Float[Tensor, "batch 10"]) -> Float[Tensor, "batch 3 3"]:
    """L."""
    chol = torch.diag_embed(shape[:, 4:7].exp())
    for place, (i, j) in enumerate(BELOW):
        chol = chol + torch.nn.functional.pad(shape[:, 7 + place, None, None], (j, 2 - j, i, 2 - i))
    return chol


def _spread(chol: Float[Tensor, "batch 3 3"], variance: float) -> Float[Tensor, "batch 3 3"]:
    """L of a Gaussian whose covariance is wider by `variance` along every axis, or narrower, by a half at most; NaN where there is none, as a fit
    on its way may ask for."""
    precision = (chol @ chol.transpose(1, 2)).double()
    finite = torch.isfinite(precision).all((1, 2))[:, None, None]
    values, vectors = torch.linalg.eigh(torch.where(finite, precision, torch.eye(3, dtype=precision.dtype, device=precision.device)))
    values = values / (1 + variance * values).clamp_min(0.5)
    wider, failed = torch.linalg.cholesky_ex(vectors * values[:, None] @ vectors.transpose(1, 2))
    return torch.where(finite & (failed == 0)[:, None, None], wider, torch.nan).to(chol.dtype)


def _curvature(x: Tensor) -> Tensor:
    """Minus the derivative of log sinc(x) = log(sin(x) / x) by x, over x: 1/3 at zero."""
    far = x.abs().clamp(0.1, FURTHEST)
    return torch.where(x.abs() < 0.1, 1 / 3 + x.square() / 45, (1 / far - 1 / far.tan()) / far)


class Fringed(Field):
    """shape (batch, 10), wave (batch, 5): see `slopes`; logarithm (batch, n, n, n): rho at `nodes`^3 nodes which fill the cube of half edge `reach`
    about `centre`, both in half widths; beyond it the edge's value holds. half_width [m] of the box."""

    def __init__(self, batch: int, half_width: float, nodes: int, centre: Sequence[float] = (0.0, 0.0, 0.0), reach: float = 1.0) -> None:
        super().__init__()
        self.batch = batch
        self.half_width = half_width
        self.nodes = nodes
        self.centre = (float(centre[0]), float(centre[1]), float(centre[2]))
        self.reach = reach
        self.shape = nn.Parameter(torch.zeros(batch, ENVELOPE))
        self.wave = nn.Parameter(torch.zeros(batch, WAVE))
        self.logarithm = nn.Parameter(torch.zeros(batch, nodes, nodes, nodes))

    def forward(self, points: Tensor) -> Tensor:
        """Densities (batch, n) [m-3] at points (n, 3) [m]; nowhere negative."""
        return self.means(points, 0.0)

    def means(self, points: Float[Tensor, "n 3"], edge: float) -> Float[Tensor, "batch n"]:
        """Means over cubes of `edge` [m] centred at `points` [m]: see `density` [m-3]; nowhere negative."""
        x = (points / self.half_width).to(self.shape.dtype)
        value = density(self.shape, self.wave, x, self.free(x), edge / self.half_width)
        return value.clamp_min(0) / self.half_width**3

    def free(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "batch n"]:
        """exp(rho) at `x` in half widths."""
        at_points = interpolation((x - torch.tensor(self.centre, dtype=x.dtype)) / self.reach, self.nodes)
        return at_points(self.logarithm.flatten(1).T.contiguous()).T.exp()

    def settings(self) -> dict[str, Any]:
        return {"batch": self.batch, "half_width": self.half_width, "nodes": self.nodes, "centre": self.centre, "reach": self.reach}
