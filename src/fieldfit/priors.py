"""What is believed of a field before the data: penalties, one number a field of the batch."""

import torch
from torch import Tensor


def total_variation(values: Tensor, edge: float = 1e-3) -> Tensor:
    """Sum of sqrt(|gradient|^2 + edge^2) - edge on a grid, over all but the first (batch) axis (Rudin, Osher, Fatemi, Physica D 60, 259 (1992))."""
    square = torch.zeros_like(values)
    for axis in range(1, values.ndim):
        step = torch.diff(values, dim=axis)
        pad = [0, 0] * (values.ndim - 1 - axis) + [0, 1]
        square = square + torch.nn.functional.pad(step, pad).square()
    return ((square + edge**2).sqrt() - edge).flatten(1).sum(1)
