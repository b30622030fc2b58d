"""Fisher scoring finds the closed-form optimum, and its covariance is the inverse information."""

import torch

from fieldfit.fitting.fisher import covariance_of, fit_poisson, propagate

X = torch.linspace(0, 1, 50, dtype=torch.float64)


def line(parameters: torch.Tensor, members: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """mean = exp(a) (1 + b x)."""
    scale = parameters[:, :1].exp()
    mean = scale * (1 + parameters[:, 1:] * X)
    return mean, torch.stack([mean, scale * X.expand(len(parameters), -1)], 1)


def test_one_rate_has_its_closed_form():
    counts = torch.poisson(torch.full((3, 50), 40.0, dtype=torch.float64), generator=torch.Generator().manual_seed(0))

    def rate(parameters: torch.Tensor, members: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = parameters.exp() * torch.ones_like(X)
        return mean, mean[:, None]

    found = fit_poisson(rate, counts, torch.full((3, 1), 2.0, dtype=torch.float64))
    assert found.converged.all()
    assert torch.allclose(found.parameters[:, 0], counts.mean(1).log(), atol=1e-6)
    assert torch.allclose(found.covariance[:, 0, 0], 1 / counts.sum(1), rtol=1e-4)


def test_pulls_are_standard_normal():
    truth = torch.tensor([3.0, 0.7], dtype=torch.float64).expand(400, 2)
    counts = torch.poisson(line(truth, truth)[0], generator=torch.Generator().manual_seed(1))
    found = fit_poisson(line, counts, torch.zeros(400, 2, dtype=torch.float64))
    pull = (found.parameters - truth) / found.covariance.diagonal(dim1=1, dim2=2).sqrt()
    assert found.converged.all()
    assert (pull.mean(0).abs() < 0.2).all()
    assert ((pull.std(0) - 1).abs() < 0.12).all()
    assert abs(found.chi2_reduced.mean().item() - 1) < 0.02


def test_a_member_with_a_hopeless_start_does_not_converge_and_harms_no_other():
    truth = torch.tensor([[3.0, 0.7], [3.0, 0.7]], dtype=torch.float64)
    counts = torch.poisson(line(truth, truth)[0], generator=torch.Generator().manual_seed(2))
    start = torch.tensor([[0.0, -5.0], [0.0, 0.0]], dtype=torch.float64)  # the first predicts negative light
    found = fit_poisson(line, counts, start)
    assert found.converged.tolist() == [False, True]


def test_covariance_survives_units_and_says_when_there_is_none():
    well = torch.diag(torch.tensor([1e-30, 1e12], dtype=torch.float64))
    assert torch.allclose(covariance_of(well[None])[0].diagonal(), torch.tensor([1e30, 1e-12], dtype=torch.float64))
    assert covariance_of(torch.zeros(1, 2, 2, dtype=torch.float64)).isnan().all()


def test_propagation_is_exact_for_a_linear_function():
    covariance = torch.tensor([[[2.0, 0.5], [0.5, 1.0]]], dtype=torch.float64)
    value, std = propagate(lambda p: p.sum(-1, keepdim=True), torch.ones(1, 2, dtype=torch.float64), covariance)
    assert value.item() == 2
    assert abs(std.item() - 4.0**0.5) < 1e-12
