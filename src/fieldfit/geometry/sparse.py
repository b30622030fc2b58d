"""Linear maps that a geometry fixes once: a sparse matrix beside its transpose, so that gradients cost as much as predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float
from torch import Tensor


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
        return self.transposed @ values


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, linear: SparseMap, values: Tensor) -> Tensor:
        ctx.linear = linear
        return linear.matrix @ values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, ctx.linear.transposed @ gradients[0].contiguous()


def sparse_map(matrix: scipy.sparse.csr_matrix, dtype: torch.dtype, transposed: scipy.sparse.csr_matrix | None = None) -> SparseMap:
    """The map of a SciPy matrix; transposed: its transpose as CSR, where it is at hand."""
    return SparseMap(_csr(matrix, dtype), _csr(matrix.T.tocsr() if transposed is None else transposed, dtype))


def _csr(matrix: scipy.sparse.csr_matrix, dtype: torch.dtype) -> Tensor:
    # 32-bit indices are what the sparse kernels take without a copy.
    start, index = (torch.from_numpy(part.astype(np.int32, copy=False)) for part in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(start, index, torch.from_numpy(matrix.data).to(dtype), matrix.shape)
