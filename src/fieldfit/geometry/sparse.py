"""Linear maps that a geometry fixes once: a sparse matrix beside its transpose, so that gradients cost as much as predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float
from torch import Tensor

MOST = 2**28  # products in memory at once on a GPU: 1 GiB of them


@dataclass(frozen=True)
class SparseMap:
    """matrix: sparse CSR (row, column); transposed: the same transposed."""

    matrix: Tensor
    transposed: Tensor

    def __call__(self, values: Float[Tensor, "column batch"]) -> Float[Tensor, "row batch"]:
        """The matrix times `values`, with the exact adjoint as gradient."""
        result: Tensor = _Apply.apply(self, values)
        return result

    def adjoint(self, values: Float[Tensor, "row batch"]) -> Float[Tensor, "column batch"]:
        """The transposed matrix times `values`."""
        return _product(self.transposed, values)


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, linear: SparseMap, values: Tensor) -> Tensor:
        ctx.linear = linear
        return _product(linear.matrix, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, _product(ctx.linear.transposed, gradients[0].contiguous())


def _product(matrix: Tensor, values: Tensor) -> Tensor:
    return in_order(matrix, values) if values.is_cuda else matrix @ values


def in_order(matrix: Tensor, values: Float[Tensor, "column batch"]) -> Float[Tensor, "row batch"]:
    """The product with the terms of each row added one after the other: the same bits every time.

    cuSPARSE, which torch asks on a GPU, adds them as they come (its documentation of CUSPARSE_SPMM_CSR_ALG2). On an H100 a product takes 3 ms so
    and 0.3 ms there, a density fit, which waits for the CPU, the same time.
    """
    start, column, weight = matrix.crow_indices().long(), matrix.col_indices(), matrix.values()[:, None]
    parts = values.split(max(1, MOST // max(1, len(weight))), 1)
    sums = [torch.segment_reduce(part.index_select(0, column).mul_(weight), "sum", offsets=start, axis=0, unsafe=True) for part in parts]
    return torch.cat(sums, 1)


def sparse_map(matrix: scipy.sparse.csr_matrix, dtype: torch.dtype, transposed: scipy.sparse.csr_matrix | None = None) -> SparseMap:
    """The map of a SciPy matrix; transposed: its transpose as CSR, where it is at hand."""
    return SparseMap(_csr(matrix, dtype), _csr(matrix.T.tocsr() if transposed is None else transposed, dtype))


def _csr(matrix: scipy.sparse.csr_matrix, dtype: torch.dtype) -> Tensor:
    # 32-bit indices are what the sparse kernels take without a copy.
    start, index = (torch.from_numpy(part.astype(np.int32, copy=False)) for part in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(start, index, torch.from_numpy(matrix.data).to(dtype), matrix.shape)
