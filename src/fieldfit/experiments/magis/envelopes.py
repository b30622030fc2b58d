"""Envelope and fringe of a block of clouds on the lattices, and their parameters at their likeliest.

n = exp(log N) N(c, (L L^T)^-1) (1 + a cos k.r - b sin k.r)              fields.fringed, as samples of a lattice that the projector draws
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.experiments.magis.shape import LEAST
from fieldfit.experiments.magis.start import Moments, Wave
from fieldfit.experiments.magis.volume import Lattice, Volume
from fieldfit.fields.fringed import ENVELOPE, PARAMETERS, density, slopes
from fieldfit.fitting.fisher import fit_poisson
from fieldfit.forward.imaging import light
from fieldfit.geometry.least_squares import least_squares

SCORING_STEPS = 25
WAVE_STEPS = 15  # within which a wave settles, or is none
TOLERANCE = 0.03  # standard deviations
ROUGH = 0.2  # the same for what is scored again later


def started(starts: Sequence[Moments], waves: Sequence[Wave | None], half_width: float) -> Float[Tensor, "shot 15"]:
    """Parameters that have the moments of the views and the wave of their spectra, its amplitude still zero."""
    parameters = torch.zeros(len(starts), PARAMETERS, dtype=torch.float64)
    for row, start, wave in zip(parameters, starts, waves, strict=True):
        precision = torch.linalg.inv(torch.from_numpy(start.covariance) / half_width**2)
        chol = torch.linalg.cholesky(precision)
        row[0] = math.log(max(start.atoms, 1.0))
        row[1:4] = torch.from_numpy(start.centre) / half_width
        row[4:7] = chol.diagonal().log()
        row[7:10] = chol[[1, 2, 2], [0, 0, 1]]
        if wave is not None:
            row[ENVELOPE : ENVELOPE + 3] = torch.from_numpy(wave.vector) * half_width
    return parameters


def sampled(
    lattice: Lattice, half_width: float, parameters: Float[Tensor, "shot 15"], free: Float[Tensor, "shot sample"] | None
) -> tuple[Float[Tensor, "shot sample"], Float[Tensor, "shot 15 sample"]]:
    """(density [m-3], its slopes) as samples of a lattice, such that the squares which the projector draws there
    add up to the density itself. free: exp of the free logarithm."""
    value, by = slopes(*_arguments(lattice, half_width, parameters, free), undo=True)
    return value / half_width**3, by / half_width**3


def drawn(
    lattice: Lattice, half_width: float, parameters: Float[Tensor, "shot 15"], free: Float[Tensor, "shot sample"] | None
) -> Float[Tensor, "shot sample"]:
    """The density of `sampled` alone."""
    return density(*_arguments(lattice, half_width, parameters, free), undo=True) / half_width**3


def _arguments(lattice: Lattice, half_width: float, parameters: Tensor, free: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    p = parameters.to(torch.float32)
    ones = torch.ones(len(p), len(lattice.x)) if free is None else free
    return p[:, :ENVELOPE], p[:, ENVELOPE:], lattice.x, ones, lattice.projector.pitch / half_width


def scored(
    lattice: Lattice,
    half_width: float,
    counts: Float[Tensor, "pixel shot"],
    good: Float[Tensor, "pixel shot"],
    share: float,
    start: Float[Tensor, "shot 15"],
    free: Tensor | None,
    number: int,
    tolerance: float,
    steps: int = SCORING_STEPS,
) -> tuple[Float[Tensor, "shot 15"], Bool[Tensor, "shot"]]:
    """(parameters, converged): the first `number` parameters at their likeliest, by Fisher scoring on a `share` of the photons.

    good: 0 for a pixel that must not count: it is held to be predicted and counted as 1, whatever the parameters.
    """
    projector = lattice.projector
    use = good.T
    masked = bool((good == 0).any())

    def whole(some: Tensor, members: Tensor) -> tuple[Tensor, Tensor | None]:
        return torch.cat([some, start[members, number:]], 1), None if free is None else free[members]

    def model(some: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
        columns = sampled(lattice, half_width, *whole(some, members))[1][:, :number]
        seen = share * light(projector, columns.reshape(-1, columns.shape[-1]).T.contiguous())
        seen = seen.T.reshape(len(some), number, -1)
        # The density's slope by the logarithm of the atoms is the density.
        return mean_of(seen[:, 0], members), seen * use[members, None] if masked else seen

    def means(some: Tensor, members: Tensor) -> Tensor:
        return mean_of(share * light(projector, drawn(lattice, half_width, *whole(some, members)).T.contiguous()).T, members)

    def mean_of(seen: Tensor, members: Tensor) -> Tensor:
        mean = (seen + share * projector.pedestal).double().clamp_min(LEAST)
        return torch.where(use[members] > 0, mean, 1.0) if masked else mean

    found = fit_poisson(model, torch.where(use > 0, counts.T, 1.0).double(), start[:, :number].clone(), steps, tolerance, means)
    return torch.cat([found.parameters, start[:, number:]], 1), found.converged


def with_amplitude(
    volume: Volume, counts: Float[Tensor, "pixel shot"], good: Float[Tensor, "pixel shot"], share: float, start: Float[Tensor, "shot 15"]
) -> Float[Tensor, "shot 15"]:
    """The wave's two amplitudes by linear least squares, all else held: scoring needs a wave that is not zero to move its wave vector."""
    start = start.clone()
    projector = volume.turned.projector
    unit = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=start.dtype)  # the density is linear in the amplitudes
    for place in range(len(start)):
        p = torch.cat([start[place, :13].expand(3, -1), unit], 1)
        seen = share * light(projector, drawn(volume.turned, volume.half_width, p, None).T.contiguous()).double()
        mean = (seen[:, 0] + share * projector.pedestal).clamp_min(LEAST)
        columns = seen[:, 1:] - seen[:, :1]
        weighted = columns * (good[:, place].double() / mean)[:, None]
        found = least_squares(weighted.T @ columns, weighted.T @ (counts[:, place].double() - mean))
        size = float(found.norm())
        start[place, 13:15] = found * (min(1.0, 1.0 / size) if size else 1.0)
    return start
