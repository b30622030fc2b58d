"""The one loop: it finds minima, keeps batch members apart, and stops on held-out data alone."""

import pytest
import torch

from fieldfit.fitting.fit import Adam, Schedule, device_of, fit, generator_of


def bowl(targets: torch.Tensor):
    start = torch.zeros_like(targets, requires_grad=True)
    return start, lambda _: (start - targets).square().sum(1)


def test_every_member_of_the_batch_finds_its_own_minimum():
    targets = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    theta, objective = bowl(targets)
    fit([([theta], 1.0)], objective, Schedule(400, 0.1))
    assert torch.allclose(theta.detach(), targets, atol=1e-2)


def test_a_member_is_not_moved_by_the_others():
    together, objective = bowl(torch.tensor([[1.0], [100.0]]))
    alone, lonely = bowl(torch.tensor([[1.0]]))
    fit([([together], 1.0)], objective, Schedule(50, 0.1))
    fit([([alone], 1.0)], lonely, Schedule(50, 0.1))
    assert torch.allclose(together[:1], alone)


def test_blind_stopping_keeps_each_members_best_check():
    targets = torch.tensor([[1.0], [1.0]])
    theta, objective = bowl(targets)
    wanted = torch.tensor([[0.5], [1.0]])
    found = fit([([theta], 1.0)], objective, Schedule(200, 0.02, check=2, patience=1000), held_out=lambda: (theta - wanted).square().sum(1))
    assert torch.allclose(theta.detach(), wanted, atol=0.05)
    assert found.kept_step[0] < found.kept_step[1]


def test_fit_ends_when_no_member_improves():
    theta, objective = bowl(torch.tensor([[1.0]]))
    found = fit([([theta], 1.0)], objective, Schedule(1000, 0.02, check=1, patience=3), held_out=lambda: theta.square().sum(1))
    assert len(found.losses) == 4
    assert found.kept_step.tolist() == [1]


def test_a_member_with_a_broken_loss_does_not_stop_the_others():
    targets = torch.tensor([[1.0], [float("nan")]])
    theta, objective = bowl(targets)
    fit([([theta], 1.0)], objective, Schedule(300, 0.1))
    assert abs(float(theta[0].detach()) - 1) < 1e-2


def test_no_finite_loss_is_an_error():
    theta, objective = bowl(torch.full((2, 1), float("nan")))
    with pytest.raises(FloatingPointError, match="no loss is finite at step 0"):
        fit([([theta], 1.0)], objective, Schedule(5, 0.1))


def test_a_gpu_that_is_not_there_is_refused_and_auto_is_not():
    assert device_of("auto").type in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="there is no GPU"):
            device_of("cuda")


def test_the_same_seed_draws_the_same_numbers():
    assert torch.equal(torch.rand(4, generator=generator_of(3)), torch.rand(4, generator=generator_of(3)))


@pytest.mark.slow
def test_adam_takes_the_steps_of_torchs_own():
    rng = generator_of(0)
    ours = torch.randn(5, 3, generator=rng, dtype=torch.float64).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    adam, reference = Adam([ours]), torch.optim.Adam([theirs], lr=0.03)
    for _ in range(50):
        for theta in (ours, theirs):
            theta.grad = None
            (theta.sin() * theta).sum().backward()
        adam.step([0.03])
        reference.step()
    assert torch.allclose(ours, theirs, rtol=1e-12)
