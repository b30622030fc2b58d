"""Profiling out one unknown a shot gives the same answer as solving for everything."""

import torch

from fieldfit.fitting.profiled import local_step, reduced, solve


def test_profiled_solution_is_the_full_least_squares():
    g = torch.Generator().manual_seed(0)
    shots, data, shared = 7, 3, 4
    residual, local, slopes = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((shots, data), (shots, data), (shots, data, shared)))
    whole = torch.zeros(shots * data, shots + shared, dtype=torch.float64)
    for s in range(shots):
        whole[s * data : (s + 1) * data, s] = local[s]
    whole[:, shots:] = slopes.flatten(0, 1)
    exact = torch.linalg.lstsq(whole, residual.flatten()).solution
    step, covariance = solve(reduced(residual[:4], local[:4], slopes[:4]) + reduced(residual[4:], local[4:], slopes[4:]), 0.0)
    assert torch.allclose(step, exact[shots:])
    assert torch.allclose(local_step(residual, local, slopes @ step), exact[:shots])
    assert torch.allclose(covariance, torch.linalg.inv(whole.T @ whole)[shots:, shots:])


def test_a_direction_without_information_gets_no_step():
    slopes = torch.zeros(5, 2, 2, dtype=torch.float64)
    slopes[:, 0, 0] = 1.0
    step, _ = solve(reduced(torch.ones(5, 2, dtype=torch.float64), torch.tensor([[0.0, 1.0]]).double().expand(5, 2), slopes), 1e-6)
    assert abs(step[0].item() - 1) < 1e-5
    assert step[1].item() == 0
