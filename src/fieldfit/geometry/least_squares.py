"""Linear least squares of few unknowns, to the same last bit every time and on every device."""

import torch
from jaxtyping import Float
from torch import Tensor


def least_squares(columns: Float[Tensor, "n p"], right: Float[Tensor, "n"]) -> Float[Tensor, "p"]:
    """x with the least |columns x - right|, and of all such x the shortest (Golub and Van Loan, Matrix Computations, section 5.5).

    LAPACK's gelsd, on the CPU wherever the tensors are: what gelsy, torch's default, finds depends in the last bit on where its work lies in
    memory, and a GPU has neither of the two.
    """
    return torch.linalg.lstsq(columns.cpu(), right.cpu()[:, None], driver="gelsd").solution[:, 0].to(columns.device)
