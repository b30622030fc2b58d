"""Gaussian posterior of a model whose channels share some parameters z and have others of their own, y_c.

    H = J' W J + P = [ S    B_1' ... B_C' ]          step of scoring: H step = J' W (measured - PE) - P parameters
                     [ B_c  A_c           ]          covariance: H^-1

Channels meet only in z, so that one Schur complement S - sum_c B_c' A_c^-1 B_c solves all: cost and memory grow with the channels, not with
their cube. The evidence of a prior (Laplace) is exp(b' H^-1 b / 2) (|P| / |H|)^(1/2), b = J' W (measured - PE + J parameters).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Information:
    """What data say: S (s, s), A (channel, k, k), B (channel, k, s), and the gradients J' W residual of both, (s) and (channel, k)."""

    shared: Float[Tensor, "s s"]
    own: Float[Tensor, "channel k k"]
    cross: Float[Tensor, "channel k s"]
    shared_gradient: Float[Tensor, "s"]
    own_gradient: Float[Tensor, "channel k"]

    def __add__(self, other: "Information") -> "Information":
        return Information(
            self.shared + other.shared,
            self.own + other.own,
            self.cross + other.cross,
            self.shared_gradient + other.shared_gradient,
            self.own_gradient + other.own_gradient,
        )


@dataclass(frozen=True)
class Prior:
    """Precisions of independent Gaussians of mean zero: (s) and (channel, k); zero for a parameter that is free."""

    shared: Float[Tensor, "s"]
    own: Float[Tensor, "channel k"]


@dataclass(frozen=True)
class Posterior:
    """Mode (s), (channel, k), and the covariance of z, of each y_c, and between them; log_evidence up to a constant of the data."""

    shared: Float[Tensor, "s"]
    own: Float[Tensor, "channel k"]
    shared_covariance: Float[Tensor, "s s"]
    own_covariance: Float[Tensor, "channel k k"]
    cross_covariance: Float[Tensor, "channel k s"]
    log_evidence: float

    def variance(self, channel: int, shared: Float[Tensor, "n s"], own: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """J C J' of n quantities of a channel, given their derivatives."""
        found: Tensor = (
            ((shared @ self.shared_covariance) * shared).sum(1)
            + ((own @ self.own_covariance[channel]) * own).sum(1)
            + 2 * ((own @ self.cross_covariance[channel]) * shared).sum(1)
        )
        return found.clamp(min=0)


def informed(
    shared: Float[Tensor, "track s"], own: Float[Tensor, "track k"], weight: Float[Tensor, "track"], residual: Float[Tensor, "track"]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(S, A, B, gradients) of one channel's measurements."""
    heavy, pull = own * weight[:, None], weight * residual
    return (shared * weight[:, None]).T @ shared, heavy.T @ own, heavy.T @ shared, shared.T @ pull, own.T @ pull


def posterior_of(data: Information, prior: Prior, shared: Float[Tensor, "s"], own: Float[Tensor, "channel k"]) -> Posterior:
    """The posterior of a model taken as linear around (shared, own)."""
    right_shared = data.shared_gradient + data.shared @ shared + torch.einsum("cks,ck->s", data.cross, own)
    right_own = data.own_gradient + torch.einsum("ckl,cl->ck", data.own, own) + data.cross @ shared
    factor = torch.linalg.cholesky(data.own + torch.diag_embed(prior.own))
    inverse = torch.cholesky_inverse(factor)
    through = inverse @ data.cross  # A^-1 B
    schur = data.shared + torch.diag(prior.shared) - torch.einsum("cks,ckt->st", data.cross, through)
    schur_factor = torch.linalg.cholesky((schur + schur.T) / 2)
    covariance = torch.cholesky_inverse(schur_factor)
    mode_shared = covariance @ (right_shared - torch.einsum("cks,ck->s", through, right_own))
    mode_own = (inverse @ right_own[:, :, None])[:, :, 0] - through @ mode_shared
    cross = -through @ covariance
    free = torch.cat([prior.shared, prior.own.flatten()])
    evidence = (right_shared @ mode_shared + (right_own * mode_own).sum() + free[free > 0].log().sum()) / 2
    evidence = evidence - schur_factor.diagonal().log().sum() - factor.diagonal(dim1=-2, dim2=-1).log().sum()
    return Posterior(mode_shared, mode_own, covariance, inverse - cross @ through.transpose(1, 2), cross, float(evidence))
