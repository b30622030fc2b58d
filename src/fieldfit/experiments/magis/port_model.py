"""Ports of several interferometers under one laser: the shots, the model of them, and what it expects; a block of shots at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.forward.ports import binomial_variance, share, slope

BLOCK = 4096  # shots that are evaluated together


@dataclass(frozen=True)
class Shots:
    """Usable shots. counts: atoms in each port, int32 or float64; place: where the shot stands in the run, 0 to 1, ascending."""

    counts: Tensor  # (shot, interferometer, 2)
    place: Float[Tensor, "shot"]

    @property
    def atoms(self) -> Float[Tensor, "shot interferometer"]:
        """Atoms in both ports."""
        return self.counts[..., 0].double() + self.counts[..., 1]

    @property
    def share(self) -> Float[Tensor, "shot interferometer"]:
        """Atoms in the first port over all."""
        return self.counts[..., 0] / self.atoms

    def part(self, block: slice) -> "Shots":
        """Some of the shots."""
        return Shots(self.counts[block], self.place[block])


@dataclass(frozen=True)
class Model:
    """offset, balance: (interferometer); knots: coefficients of the contrast's spline (interferometer, knot); common: theta (shot);
    modulation (shot, interferometer) [rad]; jitter [rad]; detection [1]."""

    offset: Tensor
    balance: Tensor
    knots: Tensor
    common: Tensor
    modulation: Tensor
    jitter: float
    detection: float = 0.0

    def part(self, block: slice) -> "Model":
        """The model of some of the shots."""
        return replace(self, common=self.common[block], modulation=self.modulation[block])


def blocks(shots: int, size: int = BLOCK) -> Iterator[slice]:
    """All shots, `size` at a time."""
    return (slice(first, min(first + size, shots)) for first in range(0, shots, size))


def spline(place: Float[Tensor, "shot"], knots: int) -> tuple[Int[Tensor, "shot"], Float[Tensor, "shot weight"]]:
    """(first knot, weights of it and of those that follow) of the B-splines on [0, 1], cubic where there are knots enough.

    The weights, one more than the degree, sum to 1; the recursion is that of de Boor, J. Approx. Theory 6, 50 (1972), with the end knots repeated.
    """
    degree = min(3, knots - 1)
    intervals = knots - degree
    at = place * intervals
    cell = at.floor().clamp(0, intervals - 1)
    left = [at - (cell + 1 - j).clamp(min=0) for j in range(1, degree + 1)]
    right = [(cell + j).clamp(max=intervals) - at for j in range(1, degree + 1)]
    weights = [torch.ones_like(at)]
    for j in range(degree):
        raised = [torch.zeros_like(at)]
        for r, weight in enumerate(weights):
            ratio = weight / (right[r] + left[j - r])
            raised = [*raised[:-1], raised[-1] + right[r] * ratio, left[j - r] * ratio]
        weights = raised
    return cell.long(), torch.stack(weights, 1)


def contrast_of(model: Model, place: Float[Tensor, "shot"]) -> Float[Tensor, "shot interferometer"]:
    """Contrast of every interferometer at each shot, kept between 0 and 1."""
    first, weight = spline(place, model.knots.shape[1])
    out = weight[:, :1] * model.knots.T[first]
    for k in range(1, weight.shape[1]):
        out += weight[:, k, None] * model.knots.T[first + k]
    return out.clamp(1e-3, 1.0)


def phases(model: Model) -> Float[Tensor, "shot interferometer"]:
    """theta + Phi + m."""
    return model.common[:, None] + model.offset + model.modulation


def expected_shares(shots: Shots, model: Model, contrast: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(measured less expected share, slope by phase, variance) of some shots, (shot, interferometer) each."""
    contrast = contrast_of(model, shots.place) if contrast is None else contrast
    phase, atoms = phases(model), shots.atoms
    expected, lever = share(phase, contrast, model.balance), slope(phase, contrast)
    variance = binomial_variance(expected, atoms) + model.detection**2 + (lever * model.jitter).square()
    return shots.counts[..., 0] / atoms - expected, lever, variance
