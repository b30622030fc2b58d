"""Steps by the Schur complement are those of the whole system; what the data leave free stays nearest to the prior's mean."""

import torch

from fieldfit.fitting.bundle import Blocks, shared_step

RANDOM = torch.Generator().manual_seed(0)


def whole(jacobians: torch.Tensor, residuals: torch.Tensor, p: int) -> Blocks:
    shared, own = jacobians[:, :, :p], jacobians[:, :, p:]
    return Blocks(
        (shared.transpose(1, 2) @ shared).sum(0),
        shared.transpose(1, 2) @ own,
        own.transpose(1, 2) @ own,
        torch.einsum("smp,sm->p", shared, residuals),
        torch.einsum("smq,sm->sq", own, residuals),
    )


def test_the_step_solves_the_whole_system() -> None:
    p, q, members, data = 4, 3, 5, 20
    jacobians = torch.randn(members, data, p + q, generator=RANDOM, dtype=torch.float64)
    residuals = torch.randn(members, data, generator=RANDOM, dtype=torch.float64)
    values, prior = torch.randn(p, generator=RANDOM, dtype=torch.float64), torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    step = shared_step(whole(jacobians, residuals, p), values, prior)
    matrix, right = torch.zeros(p + members * q, p + members * q, dtype=torch.float64), torch.zeros(p + members * q, dtype=torch.float64)
    for member in range(members):
        place = torch.cat([torch.arange(p), p + member * q + torch.arange(q)])
        matrix[place[:, None], place] += jacobians[member].T @ jacobians[member]
        right[place] += jacobians[member].T @ residuals[member]
    matrix[:p, :p] += torch.diag(prior**-2)
    right[:p] -= values / prior**2
    expected = torch.linalg.solve(matrix, right)
    assert torch.allclose(step.shared, expected[:p])
    assert torch.allclose(step.own.reshape(-1), expected[p:])
    assert torch.allclose(step.covariance, torch.linalg.inv(matrix)[:p, :p])
    assert torch.isclose(torch.tensor(step.gain, dtype=torch.float64), 0.5 * expected @ right)


def test_a_parameter_that_a_member_does_not_have_stays() -> None:
    jacobians = torch.randn(2, 10, 4, generator=RANDOM, dtype=torch.float64)
    jacobians[1, :, 3] = 0
    step = shared_step(whole(jacobians, torch.ones(2, 10, dtype=torch.float64), 2), torch.zeros(2).double(), torch.ones(2).double())
    assert step.own[1, 1] == 0
    assert torch.isfinite(step.covariance).all()


def test_the_gauge_is_fixed_by_the_smallest_corrections() -> None:
    """Data that see only differences of two places and of what stands in them: the mean correction stays zero."""
    # residual_i = shared_i - own: a common shift of both is hidden by `own`.
    jacobians = 100 * torch.tensor([[[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]]], dtype=torch.float64)
    step = shared_step(whole(jacobians, torch.tensor([[100.0, -300.0]]).double(), 2), torch.zeros(2).double(), torch.ones(2).double())
    assert torch.allclose(step.shared, torch.tensor([2.0, -2.0]).double(), atol=1e-3)
    assert torch.allclose(step.covariance.diagonal(), torch.full((2,), 0.5).double(), atol=1e-3)
