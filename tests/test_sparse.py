"""A product whose terms are added in order is the product."""

import numpy as np
import pytest
import scipy.sparse
import torch

from fieldfit.geometry import sparse
from fieldfit.geometry.sparse import in_order, sparse_map


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("at_once", [1, sparse.MOST])
def test_a_product_in_order_is_the_product(batch: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "MOST", at_once)
    matrix = scipy.sparse.random(40, 30, 0.1, "csr", np.float64, np.random.default_rng(1))
    matrix[[0, 17, 39]] = 0  # rows without a term: first, last, and one between
    matrix.eliminate_zeros()
    values = np.random.default_rng(2).random((30, batch))
    found = in_order(sparse_map(matrix, torch.float64).matrix, torch.from_numpy(values))
    np.testing.assert_allclose(found.numpy(), matrix @ values, rtol=1e-13, atol=1e-15)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_product_on_a_gpu_has_the_same_bits_every_time() -> None:
    matrix = scipy.sparse.random(3000, 5000, 0.02, "csr", np.float32, np.random.default_rng(1))
    there, values = sparse_map(matrix, torch.float32), torch.rand(5000, 16, device="cuda")
    there = sparse.SparseMap(there.matrix.cuda(), there.transposed.cuda())
    first = there(values)
    assert all(torch.equal(there(values), first) for _ in range(20))
    back = there.adjoint(first)
    assert all(torch.equal(there.adjoint(first), back) for _ in range(20))
