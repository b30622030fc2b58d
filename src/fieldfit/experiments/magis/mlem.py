"""The classical baseline: maximum likelihood by expectation maximisation, stopped by photons that it never sees.

n <- n / (A^T 1) * A^T ( X / (A n + pedestal) )       (Shepp and Vardi, IEEE Trans. Med. Imaging 1, 113 (1982))
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.forward.imaging import Projector, back_projected, light
from fieldfit.likelihoods import poisson


@dataclass(frozen=True)
class Classical:
    """density (voxel, shot) [m-3] of each shot's best iteration; iterations (shot)."""

    density: Float[Tensor, "voxel shot"]
    iterations: Int[Tensor, "shot"]


def mlem(
    projector: Projector,
    counts: Float[Tensor, "pixel shot"],
    held_out: Float[Tensor, "pixel shot"],
    share: float,
    most: int = 60,
    patience: int = 2,
    good: Float[Tensor, "pixel shot"] | None = None,
) -> Classical:
    """counts: the photons fitted, a binomial `share` of all, pedestal included; held_out: the rest.

    good: 0 where a shot's pixel must not count.
    Each shot keeps the iteration at which its held-out photons are likeliest; the loop ends when none has improved for `patience` iterations.
    """
    use = torch.ones_like(counts[:, :1]) if good is None or bool((good > 0).all()) else good
    sensitivity = back_projected(projector, use).clamp_min(torch.finfo(counts.dtype).tiny)
    excess = (use * (counts / share - projector.pedestal[:, None])).sum(0).clamp_min(1.0)
    density = (excess / sensitivity.sum(0)).expand(sensitivity.shape[0], -1).clone()
    best, score = density.clone(), torch.full_like(excess, torch.inf)
    iterations = torch.zeros(counts.shape[1], dtype=torch.long)
    waited = 0
    for step in range(1, most + 1):
        mean = light(projector, density) + projector.pedestal[:, None]
        if step > 1:
            new = (use * poisson(held_out, (1 - share) * mean.clamp_min(1e-9))).double().sum(0).to(score.dtype)
            better = new < score
            best, score = torch.where(better, density, best), torch.where(better, new, score)
            iterations = torch.where(better, step - 1, iterations)
            waited = 0 if better.any() else waited + 1
            if waited >= patience:
                break
        density = density / sensitivity * back_projected(projector, use * counts / (share * mean).clamp_min(1e-9))
    return Classical(best, iterations)
