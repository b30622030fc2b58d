"""Likelihoods have their minimum at the data, their expectation at the truth; priors are zero where they should be."""

import torch

from fieldfit.likelihoods import poisson, poisson_deviance
from fieldfit.priors import total_variation

MEAN = torch.linspace(0.5, 40.0, 200, dtype=torch.float64)


def test_poisson_gradient_vanishes_where_the_mean_equals_the_counts():
    mean = MEAN.clone().requires_grad_()
    poisson(MEAN, mean).sum().backward()
    assert torch.allclose(mean.grad, torch.zeros_like(mean), atol=1e-12)


def test_poisson_agrees_with_the_distribution_up_to_a_term_without_the_mean():
    counts = torch.arange(200, dtype=torch.float64) % 23
    exact = -torch.distributions.Poisson(MEAN).log_prob(counts)
    assert torch.allclose(exact - poisson(counts, MEAN), torch.lgamma(counts + 1))


def test_poisson_score_has_the_fisher_information_as_variance():
    rng = torch.Generator().manual_seed(0)
    mean = torch.full((200_000,), 7.0, dtype=torch.float64)
    score = 1 - torch.poisson(mean, rng) / mean
    assert abs(float(score.var() * 7.0) - 1) < 0.02


def test_deviance_is_zero_for_a_perfect_prediction_and_finite_for_empty_pixels():
    assert torch.allclose(poisson_deviance(MEAN, MEAN), torch.zeros_like(MEAN), atol=1e-12)
    assert torch.allclose(poisson_deviance(torch.zeros(1), torch.full((1,), 3.0)), torch.tensor([6.0]))


def test_poisson_passes_gradcheck():
    counts = torch.arange(1.0, 6.0, dtype=torch.float64)
    mean = (counts + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: poisson(counts, m), mean)


def test_constant_grid_has_no_variation_and_a_ramp_has_its_slope():
    flat, ramp = torch.ones(1, 4, 4), torch.arange(4.0).expand(1, 4, 4)
    assert total_variation(flat).item() == 0
    assert abs(total_variation(ramp, edge=1e-6).item() - 12) < 1e-3
