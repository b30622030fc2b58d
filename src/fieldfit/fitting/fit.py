"""The one loop: theta* = argmin  -log p(X | F(field_theta)) + Omega(field_theta).

An experiment hands over its parameters and two functions: the objective (likelihood and prior) and, where data can be held
out, a score on the held-out part. The loop never sees truth, files or experiments.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm


@dataclass(frozen=True)
class Schedule:
    """steps: largest number of steps; rate falls by a half cosine to `last` of itself; held-out data are asked every `check` steps
    and the fit ends when none of the batch has improved for `patience` checks."""

    steps: int
    rate: float
    last: float = 0.01
    check: int = 10
    patience: int = 5


@dataclass(frozen=True)
class Fit:
    """losses (step, batch); held_out (check, batch), empty where nothing was held out; kept_step (batch): the step whose parameters remain."""

    losses: Tensor
    held_out: Tensor
    kept_step: Tensor


def device_of(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises RuntimeError when a GPU is asked for and there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("device: cuda is asked for and there is no GPU; device: auto takes the CPU")
    return torch.device(name)


def moved(thing: Any, device: torch.device | str) -> Any:
    """The same on a device: a tensor, or a dataclass, a dictionary with what they hold."""
    if isinstance(thing, Tensor):
        return thing.to(device)
    if isinstance(thing, dict):
        return {name: moved(part, device) for name, part in thing.items()}
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{part.name: moved(getattr(thing, part.name), device) for part in fields(thing)})
    return thing


def generator_of(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """An explicit source of random numbers."""
    return torch.Generator(device).manual_seed(seed)


class Adam:
    """Kingma and Ba, arXiv 1412.6980, algorithm 1.

    Ten lines of our own: building torch's optimiser imports its compiler, seconds of every job.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self, rates: Sequence[float], beta1: float = 0.9, beta2: float = 0.999, small: float = 1e-8) -> None:
        """One update in place; a parameter without gradient stays."""
        self.steps += 1
        for p, m, v, rate in zip(self.parameters, self.first, self.second, rates, strict=True):
            if p.grad is None:
                continue
            m.lerp_(p.grad, 1 - beta1)
            v.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
            p.addcdiv_(m, (v / (1 - beta2**self.steps)).sqrt_().add_(small), value=-rate / (1 - beta1**self.steps))


def fit(
    groups: Sequence[tuple[Sequence[Tensor], float]],
    objective: Callable[[int], Tensor],
    schedule: Schedule,
    held_out: Callable[[], Tensor] | None = None,
    name: str = "fit",
) -> Fit:
    """Minimise with Adam, every member of the batch on its own.

    groups: (parameters, factor on the rate) pairs; each parameter is changed in place.
    objective(step) -> (batch,) loss, or a scalar for a single field. Members do not share parameters, so their sum has each one's gradient.
    held_out() -> (batch,) score of the present parameters on data that the objective never sees. With it, each member keeps the
    parameters of its own best check (blind stopping) and every parameter must have the batch as its leading axis, unless the batch is 1.
    Raises FloatingPointError when every member's loss is not finite.
    """
    parameters = [p for members, _ in groups for p in members]
    factors = [factor for members, factor in groups for _ in members]
    adam = Adam(parameters)
    losses = torch.zeros(0, 0, device="cpu")
    scores: list[Tensor] = []
    best: Tensor | None = None
    kept = [p.detach().clone() for p in parameters]
    kept_step = torch.zeros(1, dtype=torch.long, device="cpu")
    waited = done = 0
    for step in tqdm(range(schedule.steps), desc=name, file=sys.stderr, mininterval=2.0, leave=False):
        for p in parameters:
            p.grad = None
        loss = objective(step).reshape(-1)
        if not torch.isfinite(loss).any():
            raise FloatingPointError(f"{name}: no loss is finite at step {step}")
        loss.sum().backward()
        decay = schedule.last + (1 - schedule.last) * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        adam.step([schedule.rate * factor * decay for factor in factors])
        if step == 0:  # one array for all steps: small pieces kept from each would lie between freed large ones, and memory would grow
            losses = torch.empty(schedule.steps, loss.numel(), dtype=loss.dtype, device="cpu")
        losses[step] = loss.detach().cpu()
        done = step + 1
        if held_out is None or ((step + 1) % schedule.check and step + 1 != schedule.steps):
            continue
        with torch.no_grad():
            score = held_out().reshape(-1)
            better = torch.isfinite(score) if best is None else score < best
            best = score if best is None else torch.where(better, score, best)
            kept_step = torch.where(better.cpu(), step + 1, kept_step)
            for p, k in zip(parameters, kept, strict=True):
                k.copy_(torch.where(better.reshape([-1] + [1] * (p.ndim - 1)) if better.numel() > 1 else better.reshape([1] * p.ndim), p, k))
        scores.append(score.cpu())
        waited = 0 if better.any() else waited + 1
        if waited >= schedule.patience:
            break
    if held_out is not None:
        with torch.no_grad():
            for p, k in zip(parameters, kept, strict=True):
                p.copy_(k)
    else:
        kept_step = torch.full((losses.shape[1],), schedule.steps, device="cpu")
    return Fit(losses[:done], torch.stack(scores) if scores else torch.zeros(0, losses.shape[1]), kept_step)
