"""What keeps a density positive and is linear where there are atoms: n = base s(1 + u),   s(v) = log(1 + exp(b v)) / b."""

import torch
from torch import Tensor

BEND = 3.0  # b


def positive(u: Tensor) -> Tensor:
    """s(1 + u)."""
    return torch.nn.functional.softplus(1 + u, BEND)


def positive_slope(u: Tensor) -> Tensor:
    """Its derivative by u."""
    return torch.sigmoid(BEND * (1 + u))
