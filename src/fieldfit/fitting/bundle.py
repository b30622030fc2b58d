"""Parameters that all members share, and parameters of each member's own: Gauss-Newton steps by the Schur complement.

    [ A + P   B_1  B_2 ... ] [ shared ]   [ a - P x ]       A = sum_s A_s, a = sum_s a_s
    [ B_1^T   C_1          ] [ own_1  ] = [ c_1     ]       x: the shared parameters now, P = 1 / prior variance, prior mean 0
    [ ...          ...     ] [ ...    ]   [ ...     ]
    S = A + P - sum_s B_s C_s^-1 B_s^T,   shared = S^-1 (a - P x - sum_s B_s C_s^-1 c_s),   own_s = C_s^-1 (c_s - B_s^T shared)

S^-1 is the covariance of the shared parameters, all others free. Triggs et al., Bundle Adjustment - A Modern Synthesis,
LNCS 1883, 298 (2000), section 6.1. What the data leave free (the gauge) is held by the prior alone: of all answers that
differ by it, the one nearest to the prior's mean in the prior's own metric is taken (section 9.2.2 there).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """Information and score of some data: A, B, C and a, c of the equation above, members stacked."""

    shared: Float[Tensor, "p p"]
    between: Float[Tensor, "member p q"]
    own: Float[Tensor, "member q q"]
    score: Float[Tensor, "p"]
    own_score: Float[Tensor, "member q"]


@dataclass(frozen=True)
class Step:
    """shared: the step; own: each member's; covariance: of the shared parameters;
    gain: log-likelihood and prior together that the step promises."""

    shared: Float[Tensor, "p"]
    own: Float[Tensor, "member q"]
    covariance: Float[Tensor, "p p"]
    gain: float


def shared_step(blocks: Blocks, values: Float[Tensor, "p"], prior: Float[Tensor, "p"]) -> Step:
    """One step from `values` of the shared parameters. prior: their standard deviations, above 0."""
    through = passed(blocks)
    # In units of the prior, so that lengths and angles weigh alike.
    reduced = blocks.shared - (through @ blocks.between.transpose(1, 2)).sum(0)
    matrix = prior[:, None] * reduced * prior + torch.eye(len(prior), dtype=prior.dtype)
    right = prior * (blocks.score - (through @ blocks.own_score[:, :, None]).sum(0)[:, 0]) - values / prior
    inverse = torch.linalg.inv(0.5 * (matrix + matrix.T))
    shared = prior * (inverse @ right)
    steps = _own_solved(blocks, (blocks.own_score - shared @ blocks.between)[:, :, None])[:, :, 0]
    gain = 0.5 * float(shared @ (blocks.score - values / prior.square()) + (steps * blocks.own_score).sum())
    return Step(shared, steps, prior[:, None] * inverse * prior, gain)


def passed(blocks: Blocks) -> Float[Tensor, "member p q"]:
    """B_s C_s^-1: how much of a member's own score counts for the shared parameters, because it could as well be theirs."""
    return _own_solved(blocks, blocks.between.transpose(1, 2)).transpose(1, 2)


def _own_solved(blocks: Blocks, right: Float[Tensor, "member q n"]) -> Float[Tensor, "member q n"]:
    """C_s^-1 of something, scaled first so that units do not cost digits."""
    diagonal = blocks.own.diagonal(dim1=1, dim2=2)
    scale = torch.where(diagonal > 0, diagonal, 1.0).rsqrt()[:, :, None]  # a parameter that a member does not have stays where it is
    own = scale * blocks.own * scale.transpose(1, 2) + 1e-10 * torch.eye(blocks.own.shape[-1], dtype=blocks.own.dtype)
    return scale * torch.linalg.solve(own, scale * right)
