"""Two output ports of an interferometer.

    P(phase) = (1 + balance + C cos(phase)) / 2                                    share of the atoms in the first port
    i(phase) = N (dP/dphase)^2 / [P (1 - P)]                                       information of one shot on its phase

The second is the Fisher information of a binomial, slope^2 / counting_variance; with balance 0 it is N C^2 sin^2 / (1 - C^2 cos^2), at
mid-fringe N C^2: quantum projection noise (Itano et al., PRA 47, 3554 (1993)).
"""

import torch
from torch import Tensor

EDGE = 1e-6  # shares are kept this far from 0 and 1: a port never holds all atoms


def share(phase: Tensor, contrast: Tensor, balance: Tensor) -> Tensor:
    """Expected share of the atoms in the first port; shapes broadcast."""
    return ((1 + balance + contrast * torch.cos(phase)) / 2).clamp(EDGE, 1 - EDGE)


def slope(phase: Tensor, contrast: Tensor) -> Tensor:
    """dP/dphase."""
    return -contrast * torch.sin(phase) / 2


def counting_variance(phase: Tensor, contrast: Tensor, balance: Tensor, atoms: Tensor) -> Tensor:
    """Variance of a measured share of `atoms` atoms, P (1 - P) / N."""
    return binomial_variance(share(phase, contrast, balance), atoms)


def binomial_variance(expected: Tensor, atoms: Tensor) -> Tensor:
    """P (1 - P) / N of an expected share."""
    return expected * (1 - expected) / atoms
