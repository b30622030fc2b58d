"""MLEM with total variation: for objects of plateaus and edges, a printed one say. Stopped, and its strength chosen, by photons never fitted.

    theta = argmin  sum_p -log Poisson(counts_p | share (pedestal + A n)_p) + strength share <s> sum_v |grad n|_v,   s = A^T 1
    m = n / s A^T ( counts / (share mean) )                                                             (an iteration of MLEM)
    n <- argmin_x  sum_v share s_v / (2 n_v) (x_v - m_v)^2 + strength share <s> sum_v |grad x|_v,  x >= 0

EM-TV (Sawatzky, Brune, Wubbeling, Kosters, Schafers, Burger, IEEE NSS 2008, 5133); the weighted denoising by projected gradients on its dual
with momentum (Beck and Teboulle, IEEE TIP 18, 2419 (2009)), started where the iteration before ended. Differences are those to the next
sample along each axis, of each lattice on its own; outside the samples lies nothing.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.experiments.magis.iterative import LEAST, Classical, Iterations, mlem_iterations, stopped
from fieldfit.fields.correlated import Correlated
from fieldfit.forward.imaging import Projector, mean_electrons

STRENGTHS = (0.01, 0.03, 0.1, 0.3)  # light of a voxel that a step between neighbours costs
MOST, PATIENCE = 60, 2  # iterations, and those without gain before the end
INNER = 8  # steps of the dual between two iterations of MLEM
SLOPES = 12.0  # square of the norm of the differences in three dimensions
AXES = (1, 2, 3)


def em_tv(
    projector: Projector,
    lattice: Correlated,
    counts: Float[Tensor, "pixel shot"],
    held_out: Float[Tensor, "pixel shot"],
    share: float,
    good: Float[Tensor, "pixel shot"],
) -> Classical:
    """Each shot at the strength and the iteration at which its held-out photons are likeliest. counts: a `share` of the photons, pedestal included;
    good: 0 where a shot's pixel must not count. Stronger ones are tried as long as one of the shots gains."""
    tried = (stopped(_iterations(projector, lattice, counts, share, good, strength), held_out, share, MOST, PATIENCE, good) for strength in STRENGTHS)
    best = next(tried)
    for found in tried:
        better = found.loss < best.loss
        if not better.any():
            break
        pairs = ((found.density, best.density), (found.iterations, best.iterations), (found.loss, best.loss))
        best = Classical(*(torch.where(better, new, old) for new, old in pairs))
    return best


def _iterations(projector: Projector, lattice: Correlated, counts: Tensor, share: float, good: Tensor, strength: float) -> Iterations:
    sensitivity = projector.electrons.adjoint(good)
    cost = strength * float(sensitivity.mean())
    stiffness = sensitivity.clamp_min(torch.finfo(counts.dtype).tiny)
    edges = counts.new_zeros(3, lattice.layers * counts.shape[1], *lattice.size)
    density, mean = next(mlem_iterations(projector.electrons, projector.pedestal, counts, share, good))
    while True:
        loose = density / stiffness
        density, edges = denoised(lattice, loose * projector.electrons.adjoint(good * counts / (share * mean)), loose, cost, edges)
        mean = mean_electrons(projector, density).clamp_min(LEAST)
        yield density, mean


def denoised(
    lattice: Correlated, values: Float[Tensor, "sample shot"], loose: Float[Tensor, "sample shot"], cost: float, edges: Float[Tensor, "3 batch x y z"]
) -> tuple[Float[Tensor, "sample shot"], Float[Tensor, "3 batch x y z"]]:
    """(x, edges) with x = argmin sum (x - values)^2 / (2 loose) + cost sum |grad x|, nowhere negative, after INNER steps from the dual `edges`:
    x = values - loose div^T edges, |edges| <= cost."""
    given, give = lattice.boxed(values), lattice.boxed(loose)
    step = 1 / (SLOPES * give.amax(AXES, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny))
    ahead, momentum = edges, 1.0
    for _ in range(INNER):
        moved = ahead + step * _differences(given - give * _adjoint(ahead))
        moved = moved / (moved.norm(dim=0) / cost).clamp_min(1)
        following = 0.5 * (1 + math.sqrt(1 + 4 * momentum**2))
        ahead, edges, momentum = moved + (momentum - 1) / following * (moved - edges), moved, following
    return lattice.unboxed(given - give * _adjoint(edges)).clamp_min(0), edges


def _differences(box: Float[Tensor, "batch x y z"]) -> Float[Tensor, "3 batch x y z"]:
    return torch.stack([torch.roll(box, -1, axis) - box for axis in AXES])


def _adjoint(edges: Float[Tensor, "3 batch x y z"]) -> Float[Tensor, "batch x y z"]:
    return sum((torch.roll(part, 1, axis) - part for part, axis in zip(edges, AXES, strict=True)), torch.zeros((), dtype=edges.dtype))
