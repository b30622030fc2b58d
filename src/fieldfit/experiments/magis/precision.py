"""How well a fitted density is known: linear propagation of photon and atom statistics through envelope, fringe and coarse shape.

    H = J^T W J + prior,  W = 1/mean:        Fisher information of the photons (Gauss-Newton at the fit)
    K = sum_v (n_v / V) G_v G_v^T,  G = A^T W J: covariance of the score because the atoms are finite, exact over pixels and views
    covariance = H^-1 + H^-1 K H^-1

J has a column for each parameter of envelope and fringe and for each node of a coarse grid of the free logarithm, whose prior
width is the one that makes the data most probable (evidence: MacKay, Neural Computation 4, 415 (1992), section 2). So every quantity is
marginal over shapes coarser than the grid. Where a free shape is used, atom number, position and size are moments of the density, and their
standard deviations and the density's own are those of the shape's posterior (experiments.magis.shape).

The wavefront: Zernike terms of the fringe phase over the disc transverse to the wave vector, of radius two envelope sizes,
by one Gauss-Newton step from zero. Piston is the phase itself, tilts belong to the wave vector.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.experiments.magis.alignment import view_shifts
from fieldfit.experiments.magis.envelopes import drawn, sampled
from fieldfit.experiments.magis.free_shapes import moments_of
from fieldfit.experiments.magis.imaging import Fitted, lattice_of
from fieldfit.experiments.magis.shape import LEAST
from fieldfit.experiments.magis.volume import Volume
from fieldfit.fields.fringed import BELOW, ENVELOPE, PARAMETERS, slopes
from fieldfit.forward.imaging import Projector, back_projected, light, variance

COARSE = 4  # nodes along each edge of the coarse shape grid
LEAST_SHARE = 2e-3  # of the atoms that a node must touch to count
PRIOR_STD = (1e-3, 3e-3, 1e-2, 2e-2, 4e-2, 8e-2, 0.16, 0.32)  # widths that the evidence chooses from
COEFFICIENTS = ("oblique astigmatism", "defocus", "vertical astigmatism")  # OSA j = 3, 4, 5


@dataclass(frozen=True)
class Derived:
    """Quantities of one shot with standard deviations, SI.

    values, stds: phase, contrast, fringe_period, atom_number (scalars), position, size, wave_vector (3), wavefront (3) by COEFFICIENTS,
    view_shift (view, 2) [camera pixels]: see alignment.view_shifts;
    density_std (reported sample of the fine lattice) [m-3]; shape_std: prior width of the free shape that was chosen.
    """

    values: dict[str, Tensor]
    stds: dict[str, Tensor]
    density_std: Float[Tensor, "voxel"]
    chi2_reduced: float
    shape_std: float


def derived(volume: Volume, fitted: Fitted, member: int, counts: Float[Tensor, "all"], good: Float[Tensor, "all"]) -> Derived:
    """Everything that is reported of one shot. counts: all electrons, pedestal included, in all pixels of the binned frames; good: 0 where
    a pixel must not count."""
    lattice, half = lattice_of(volume, fitted, member), volume.half_width
    projector = lattice.projector
    counts, good = counts[projector.pixel], good[projector.pixel]
    p = fitted.parameters[member : member + 1]
    has_shape = bool(fitted.kept_step[member])
    free = fitted.shape[member : member + 1] if has_shape else torch.ones(1, len(lattice.x))
    number = PARAMETERS if fitted.fringe[member] else ENVELOPE
    density, by = sampled(lattice, half, p, free)
    atoms = density[0].clamp_min(0)
    shapes = _shapes(lattice.x, atoms)
    extra = _wavefront(lattice.x, p, density, by) if number == PARAMETERS else by[0, :0]
    columns = torch.cat([by[0, :number], extra, density[0] * shapes.at(lattice.x)]).T.contiguous()
    # Samples that the fringe makes negative are drawn as they are, as in the fit; as counts of atoms they are none.
    mean = (light(projector, density.T)[:, 0] + projector.pedestal).clamp_min(LEAST)
    jacobian = light(projector, columns)
    scale = (jacobian.square() * (good / mean)[:, None]).double().sum(0).sqrt().clamp_min(1e-30)
    jacobian = (jacobian / scale.float()) * (good / mean.sqrt())[:, None]
    information = (jacobian.T @ jacobian).double()
    gradient = jacobian.T.double() @ ((counts - mean) / mean.sqrt()).double()
    score = back_projected(projector, jacobian / mean.sqrt()[:, None])
    atomic = (score.T @ (score * (atoms / projector.volume)[:, None])).double()
    waves = len(extra)
    main = torch.cat([torch.arange(number), torch.arange(number + waves, len(scale))])
    shape = torch.zeros(len(main), dtype=torch.bool)
    shape[number:] = True
    spread = _drawn_shape(free[0].log(), atoms) if has_shape else 0.0
    width = max(_evidence(information[main][:, main], gradient[main], scale[main], shape), spread)
    prior = torch.zeros(len(scale), dtype=torch.float64)
    prior[number + waves :] = 1 / (width * scale[number + waves :]).square()
    inverse = torch.linalg.inv(information[main][:, main] + torch.diag(prior[main]) + 1e-12 * torch.eye(len(main), dtype=torch.float64))
    covariance = (inverse + inverse @ atomic[main][:, main] @ inverse) / torch.outer(scale[main], scale[main])
    values, stds = _quantities(half, p[0], covariance[:number, :number], number)
    if has_shape:
        moments, moments_std = moments_of(lattice, half, atoms[:, None])[0][:, 0], fitted.moments_std[member]
        for name, at in (("atom_number", 0), ("position", slice(1, 4)), ("size", slice(4, 7))):
            values[name], stds[name] = moments[at], moments_std[at]
    else:
        # A thousandth of a Gaussian lies beyond the lattice: half a standard deviation.
        alone = torch.cat([p[:, : PARAMETERS - 2], torch.zeros_like(p[:, PARAMETERS - 2 :])], 1)
        by_atoms = projector.volume * columns.double().sum(0)[main]
        values["atom_number"] = density.double().sum() * p[0, 0].exp() / drawn(lattice, half, alone, None).double().sum()
        stds["atom_number"] = (by_atoms @ covariance @ by_atoms).sqrt()
    near = (jacobian * scale.float())[:, main]
    used = torch.where(good > 0, counts, mean)
    values["view_shift"], stds["view_shift"] = view_shifts(projector, used, mean, near, inverse / torch.outer(scale[main], scale[main]), atoms)
    values["wavefront"] = stds["wavefront"] = torch.full((len(COEFFICIENTS),), torch.nan, dtype=torch.float64)
    if waves:
        inverse = torch.linalg.inv(information + torch.diag(prior) + 1e-12 * torch.eye(len(prior), dtype=torch.float64))
        at = slice(number, number + waves)
        values["wavefront"] = (inverse @ gradient)[at] / scale[at]
        stds["wavefront"] = (inverse + inverse @ atomic @ inverse).diagonal()[at].sqrt() / scale[at]
    std = fitted.shape_std[member] if has_shape else _density_std(volume, p, shapes, covariance, number)
    return Derived(values, stds, std, chi2(projector, counts, mean, good, number + float(fitted.measured[member])), width)


@dataclass(frozen=True)
class _Shapes:
    """Hat functions of those coarse nodes that touch enough atoms. The grid spans the cloud, not the box: centre and reach (3) in half widths."""

    centre: Tensor
    reach: Tensor
    touched: Tensor

    def at(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "node n"]:
        return _hats((x - self.centre) / self.reach)[self.touched]


def _hats(at: Float[Tensor, "n 3"]) -> Float[Tensor, "node n"]:
    """Products of three hats a node of a grid that fills [-1, 1]^3; beyond it the edge's value holds."""
    place = (at.T.clamp(-1, 1) + 1) * (0.5 * (COARSE - 1))
    along = (1 - (place[:, None] - torch.arange(COARSE, dtype=at.dtype)[:, None]).abs()).clamp_min(0)
    return (along[0][:, None, None] * along[1][None, :, None] * along[2][None, None]).flatten(0, 2)


def _shapes(x: Float[Tensor, "n 3"], atoms: Float[Tensor, "n"]) -> _Shapes:
    weight = atoms / atoms.sum()
    centre = weight @ x
    reach = 2.6 * (weight @ (x - centre).square()).sqrt()
    return _Shapes(centre, reach, torch.nonzero(_hats((x - centre) / reach) @ weight > LEAST_SHARE).flatten())


def _wavefront(x: Tensor, p: Tensor, density: Tensor, by: Tensor) -> Float[Tensor, "3 voxel"]:
    """Columns of the Zernike terms of the phase: the density's derivative by the phase times the polynomial (OSA normalisation)."""
    wave = p[0, ENVELOPE:].to(torch.float32)
    by_phase = wave[3] * by[0, 14] - wave[4] * by[0, 13]
    k = wave[:3] / wave[:3].norm()
    first = torch.zeros(3)
    first[int(torch.argmin(k.abs()))] = 1
    across = first - (first @ k) * k
    across = across / across.norm()
    other = torch.linalg.cross(k, across)
    weight = density[0].clamp_min(0)
    d = x - (weight @ x) / weight.sum()
    s, t = d @ across, d @ other
    radius = 2 * ((weight @ (s.square() + t.square())) / weight.sum() / 2).sqrt()
    s, t = s / radius, t / radius
    terms = (math.sqrt(6) * 2 * s * t, math.sqrt(3) * (2 * (s.square() + t.square()) - 1), math.sqrt(6) * (s.square() - t.square()))
    return torch.stack([by_phase * term for term in terms])


def _evidence(information: Tensor, gradient: Tensor, scale: Tensor, shape: Tensor) -> float:
    """Prior width of the shape nodes that makes the data most probable, all else free."""
    free, rest = torch.nonzero(shape).flatten(), torch.nonzero(~shape).flatten()
    solve = torch.linalg.solve(information[rest][:, rest] + 1e-12 * torch.eye(len(rest), dtype=torch.float64), information[rest][:, free])
    schur = information[free][:, free] - information[free][:, rest] @ solve
    pull = gradient[free] - solve.T @ gradient[rest]
    best, chosen = -math.inf, PRIOR_STD[0]
    for width in PRIOR_STD:
        # In units of the prior: x = width * y, y standard normal.
        unit = width * scale[free]
        matrix = torch.eye(len(free), dtype=torch.float64) + unit[:, None] * schur * unit
        b = unit * pull
        value = 0.5 * float(b @ torch.linalg.solve(matrix, b)) - 0.5 * float(torch.linalg.slogdet(matrix).logabsdet)
        if value > best:
            best, chosen = value, width
    return chosen


def _drawn_shape(logarithm: Tensor, atoms: Tensor) -> float:
    """Spread of the free logarithm over the atoms: what the fit drew is no less wide than the prior of the shapes."""
    weight = atoms / atoms.sum()
    mean = weight @ logarithm
    return float((weight @ (logarithm - mean).square()).sqrt())


def _quantities(half: float, p: Tensor, covariance: Tensor, number: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Values and first-order standard deviations of what the parameters give."""

    def position(q: Tensor) -> Tensor:
        return q[1:4] * half

    def size(q: Tensor) -> Tensor:
        chol = torch.diag_embed(q[4:7].exp())
        for place, (i, j) in enumerate(BELOW):
            chol = chol + torch.nn.functional.pad(q[7 + place, None, None], (j, 2 - j, i, 2 - i))
        return torch.linalg.inv(chol @ chol.T).diagonal().sqrt() * half

    quantities = {"position": position, "size": size}
    if number == PARAMETERS:
        quantities["phase"] = lambda q: torch.atan2(q[14], q[13])
        quantities["contrast"] = lambda q: torch.hypot(q[13], q[14])
        quantities["fringe_period"] = lambda q: 2 * math.pi * half / q[10:13].norm()
        quantities["wave_vector"] = lambda q: q[10:13] / half
    values, stds = {}, {}
    for name, function in quantities.items():
        slope = torch.autograd.functional.jacobian(function, p[:number])
        values[name] = function(p[:number])
        stds[name] = torch.einsum("...p,pq,...q->...", slope, covariance, slope).sqrt()
    for name in ("phase", "contrast", "fringe_period"):
        values.setdefault(name, torch.tensor(torch.nan, dtype=torch.float64))
        stds.setdefault(name, torch.tensor(torch.nan, dtype=torch.float64))
    values.setdefault("wave_vector", torch.full((3,), torch.nan, dtype=torch.float64))
    return values, stds


def _density_std(volume: Volume, p: Tensor, shapes: _Shapes, covariance: Tensor, number: int) -> Tensor:
    """Standard deviation of the means over the reported voxels, of a density without a free shape."""
    fine, half = volume.fine, volume.half_width
    inside = torch.nonzero(volume.reported >= 0).flatten()
    x = fine.x[inside]
    q = p.to(torch.float32)
    density, by = slopes(q[:, :ENVELOPE], q[:, ENVELOPE:], x, torch.ones(1, len(x)), fine.projector.pitch / half)
    columns = torch.cat([by[0, :number], density.clamp_min(0) * shapes.at(x)]) / half**3
    scale = covariance.diagonal().sqrt().clamp_min(1e-30)
    values, vectors = torch.linalg.eigh(covariance / torch.outer(scale, scale))
    root = scale[:, None] * vectors * values.clamp_min(0).sqrt()
    return (root.float().T @ columns).square().sum(0).sqrt()


def chi2(projector: Projector, counts: Tensor, mean: Tensor, good: Tensor, number: float) -> float:
    """Pearson chi-square a degree of freedom of the good pixels, `number` of them taken by the fit, by the variance of photons and finite atoms."""
    pull = (counts - mean).square() / variance(projector, mean)
    return float((good * pull).double().sum() / (float(good.sum()) - number))
