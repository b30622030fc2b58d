"""Classical iterations from photons to density, each shot stopped by photons that it never sees.

    MLEM   n <- n / (A^T 1) A^T ( X / (A n + pedestal) )      (Shepp and Vardi, IEEE Trans. Med. Imaging 1, 113 (1982))
    SIRT   fitting.algebraic, the pedestal subtracted         (Gregor and Benson, IEEE TMI 27, 918 (2008))

Both get worse when they go on, because noise is drawn last. An iteration is a pair (density, its mean electrons), so that whoever
stops them, held-out photons or a benchmark that knows the truth, sees the same ones.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.fitting import algebraic
from fieldfit.geometry.sparse import SparseMap
from fieldfit.likelihoods import poisson

LEAST = 1e-9  # electrons: a mean is never below
LEAST_SUM = 1e-3  # of the largest row's or column's: those that meet less are left alone by SIRT
SIRT_ROUND = 5  # SIRT steps between two looks

Iterations = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Classical:
    """density (voxel, shot) [m-3] of each shot's best iteration; iterations (shot): its number; loss (shot): minus log-likelihood of the
    held-out photons there."""

    density: Float[Tensor, "voxel shot"]
    iterations: Int[Tensor, "shot"]
    loss: Float[Tensor, "shot"]


Answer = TypeVar("Answer")


def joined(parts: Sequence[Answer]) -> Answer:
    """Answers of some shots each as one of all, in their order: dataclasses of tensors, `density` (sample, shot), all else with the shot first."""
    names = [part.name for part in fields(parts[0])]  # type: ignore[arg-type]
    return type(parts[0])(*(torch.cat([getattr(part, name) for part in parts], int(name == "density")) for name in names))


def mlem_iterations(
    electrons: SparseMap,
    pedestal: Float[Tensor, "pixel"],
    counts: Float[Tensor, "pixel shot"],
    share: float,
    good: Float[Tensor, "pixel shot"] | None = None,
) -> Iterations:
    """Without end, from an even density on. counts: a `share` of all photons, pedestal included; good: 0 where a shot's pixel must not count."""
    use = torch.ones_like(counts[:, :1]) if good is None else good
    sensitivity = electrons.adjoint(use).clamp_min(torch.finfo(counts.dtype).tiny)
    density = _even(sensitivity, pedestal, counts, share, use)
    mean = _mean(electrons, pedestal, density)
    while True:
        density = density / sensitivity * electrons.adjoint(use * counts / (share * mean))
        mean = _mean(electrons, pedestal, density)
        yield density, mean


def sirt_iterations(
    electrons: SparseMap,
    pedestal: Float[Tensor, "pixel"],
    counts: Float[Tensor, "pixel shot"],
    share: float,
    good: Float[Tensor, "pixel shot"] | None = None,
) -> Iterations:
    """As `mlem_iterations`, SIRT_ROUND steps at once."""
    use = torch.ones_like(counts[:, :1]) if good is None else good
    sensitivity = electrons.adjoint(use)
    density = _even(sensitivity, pedestal, counts, share, use)
    rows = electrons(torch.ones_like(density[:, :1]))
    least = LEAST_SUM * float(torch.minimum(sensitivity.max(), rows.max()))
    while True:
        density = algebraic.sirt(electrons, counts / share - pedestal[:, None], density, SIRT_ROUND, least, good)
        yield density, _mean(electrons, pedestal, density)


def stopped(
    iterations: Iterations,
    held_out: Float[Tensor, "pixel shot"],
    share: float,
    most: int,
    patience: int,
    good: Float[Tensor, "pixel shot"] | None = None,
) -> Classical:
    """Each shot's iteration at which its held-out photons, all but a `share`, are likeliest; ends when none has improved for `patience`."""
    use = torch.ones_like(held_out[:, :1]) if good is None else good
    best = score = torch.empty(0)
    number = torch.zeros(held_out.shape[1], dtype=torch.long)
    waited = 0
    for step, (density, mean) in enumerate(itertools.islice(iterations, most), 1):
        new = (use * poisson(held_out, (1 - share) * mean)).double().sum(0)
        better = new < score if step > 1 else torch.ones_like(number, dtype=torch.bool)
        best = torch.where(better, density, best) if step > 1 else density
        score = torch.where(better, new, score) if step > 1 else new
        number = torch.where(better, step, number)
        waited = 0 if better.any() else waited + 1
        if waited >= patience:
            break
    return Classical(best, number, score)


def mlem(
    electrons: SparseMap,
    pedestal: Float[Tensor, "pixel"],
    counts: Float[Tensor, "pixel shot"],
    held_out: Float[Tensor, "pixel shot"],
    share: float,
    most: int = 60,
    patience: int = 2,
    good: Float[Tensor, "pixel shot"] | None = None,
) -> Classical:
    """counts: the photons fitted, a binomial `share` of all, pedestal included; held_out: the rest; good: 0 where a shot's pixel must not count."""
    return stopped(mlem_iterations(electrons, pedestal, counts, share, good), held_out, share, most, patience, good)


def sirt(
    electrons: SparseMap,
    pedestal: Float[Tensor, "pixel"],
    counts: Float[Tensor, "pixel shot"],
    held_out: Float[Tensor, "pixel shot"],
    share: float,
    most: int = 60,
    patience: int = 2,
    good: Float[Tensor, "pixel shot"] | None = None,
) -> Classical:
    """As `mlem`; iterations are counted in rounds of SIRT_ROUND steps."""
    return stopped(sirt_iterations(electrons, pedestal, counts, share, good), held_out, share, most, patience, good)


def _even(sensitivity: Tensor, pedestal: Tensor, counts: Tensor, share: float, use: Tensor) -> Float[Tensor, "voxel shot"]:
    """As many atoms as the light asks for, everywhere alike."""
    excess = (use * (counts / share - pedestal[:, None])).sum(0).clamp_min(1.0)
    return (excess / sensitivity.sum(0)).expand(sensitivity.shape[0], -1).clone()


def _mean(electrons: SparseMap, pedestal: Tensor, density: Tensor) -> Float[Tensor, "pixel shot"]:
    return (electrons(density) + pedestal[:, None]).clamp_min(LEAST)
