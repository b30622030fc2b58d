"""How data scatter around a prediction: minus log-likelihoods, up to what does not depend on the prediction.

All take tensors of the same shape and return that shape; the caller sums.
"""

import torch
from torch import Tensor


def poisson(counts: Tensor, mean: Tensor) -> Tensor:
    """-log Poisson(counts | mean) = mean - counts log(mean), for counts with their pedestal still in and mean > 0."""
    return mean - torch.xlogy(counts, mean)


def poisson_deviance(counts: Tensor, mean: Tensor) -> Tensor:
    """2 [mean - counts + counts log(counts / mean)]: zero for a perfect prediction, 1 on average for a true one at high counts."""
    return 2 * (mean - counts + torch.xlogy(counts, counts) - torch.xlogy(counts, mean))
