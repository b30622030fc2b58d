"""Conjugate gradients solve many systems at once, with or without a preconditioner."""

import torch

from fieldfit.fitting.conjugate import conjugate_gradients


def test_every_system_is_solved() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 12, 12, dtype=torch.float64, generator=generator)
    matrix = root @ root.transpose(1, 2) + 0.1 * torch.eye(12, dtype=torch.float64)
    right = torch.randn(3, 12, dtype=torch.float64, generator=generator)
    jacobi = 1 / matrix.diagonal(dim1=1, dim2=2)
    for precondition in (lambda r: r, lambda r: jacobi * r):
        found = conjugate_gradients(lambda v: (matrix @ v[..., None])[..., 0], right, 200, 1e-9, precondition)
        assert torch.allclose((matrix @ found[..., None])[..., 0], right, atol=1e-6)


def test_a_good_preconditioner_needs_one_step() -> None:
    scale = torch.logspace(-3, 3, 20)
    found = conjugate_gradients(lambda v: scale * v, torch.ones(1, 20), 1, 1e-6, lambda r: r / scale)
    assert torch.allclose(found[0], 1 / scale, rtol=1e-4)
