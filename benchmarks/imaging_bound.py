"""The Cramer-Rao bound of a fringed cloud seen by cameras, of photons and of atoms, at its true parameters.

    Sigma = diag(mean) + A diag(n / V) A^T:            covariance of the pixels: Poisson photons of atoms that are Poisson themselves
    F = J^T Sigma^-1 J = H - G^T S (1 + S A^T W A S)^-1 S G,   W = 1/mean,  H = J^T W J,  G = A^T W J,  S = sqrt(n / V)

by Woodbury. To first order in the photons detected an atom, F^-1 is H^-1 + H^-1 K H^-1 with K = G^T (n/V) G, which is what a fit by the photons'
likelihood alone can reach (experiments/magis/precision.py). Free: envelope and fringe (15 parameters); for the wavefront three more.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fieldfit.experiments.magis.envelopes import sampled
from fieldfit.experiments.magis.precision import _wavefront
from fieldfit.experiments.magis.volume import Lattice
from fieldfit.fields.fringed import BELOW, PARAMETERS
from fieldfit.forward.imaging import back_projected, light
from fieldfit.simulate.clouds import Cloud

ROUNDS = 5  # of conjugate gradients: the matrix lies between 1 and 1 + photons detected an atom


@dataclass(frozen=True)
class Bound:
    """Smallest standard deviations, SI, by quantity: of any estimate (best), and of a fit by the photons' likelihood (fit)."""

    best: dict[str, np.ndarray]
    fit: dict[str, np.ndarray]


def true_parameters(cloud: Cloud, atoms: float, half: float) -> Tensor:
    """(1, 15) of fields.fringed; atoms: expected."""
    p = torch.zeros(1, PARAMETERS, dtype=torch.float64)
    p[0, 0] = math.log(atoms / cloud.mean_fringe())
    p[0, 1:4] = torch.tensor(cloud.centre) / half
    p[0, 4:7] = (half / torch.tensor(cloud.size)).log()
    p[0, 10:13] = cloud.wave_number * torch.tensor(cloud.along) * half
    p[0, 13], p[0, 14] = cloud.contrast * math.cos(cloud.phase), cloud.contrast * math.sin(cloud.phase)
    return p


def bound_of(lattice: Lattice, half: float, cloud: Cloud, atoms: float) -> Bound:
    """Of one shot of `cloud`. lattice: the turned one; half: half the width of the fitted box [m]; atoms: expected."""
    projector = lattice.projector
    p = true_parameters(cloud, atoms, half)
    density, by = sampled(lattice, half, p, None)
    n = density[0].clamp_min(0)
    columns = torch.cat([by[0], _wavefront(lattice.x, p, density, by)]).T.contiguous()
    mean = light(projector, n[:, None])[:, 0] + projector.pedestal
    jacobian = light(projector, columns)
    scale = (jacobian.square() / mean[:, None]).sum(0).sqrt()
    jacobian = jacobian / scale
    information = (jacobian.T @ (jacobian / mean[:, None])).double()
    spread = (n / projector.volume).sqrt()[:, None]
    score = spread * back_projected(projector, jacobian / mean[:, None])

    def applied(x: Tensor) -> Tensor:
        return x + spread * back_projected(projector, light(projector, spread * x) / mean[:, None])

    atomic = (score.T @ score).double()
    exact = information - (score.T @ _solved(applied, score)).double()
    by_atoms = projector.volume * columns.double().sum(0) / scale.double()
    found = []
    for kind in ("best", "fit"):
        stds = {}
        for number, names in ((PARAMETERS, None), (len(scale), ("wavefront",))):
            part = slice(0, number)
            inverse = torch.linalg.inv(information[part, part])
            covariance = torch.linalg.inv(exact[part, part]) if kind == "best" else inverse + inverse @ atomic[part, part] @ inverse
            if names:
                stds["wavefront"] = (covariance.diagonal().sqrt() / scale)[PARAMETERS:].numpy()
                continue
            stds["atom_number"] = (by_atoms[part] @ covariance @ by_atoms[part]).sqrt().numpy()
            covariance = covariance / torch.outer(scale[part], scale[part])
            for name, function in _quantities(half).items():
                slope = torch.autograd.functional.jacobian(function, p[0])
                stds[name] = torch.einsum("...p,pq,...q->...", slope, covariance, slope).sqrt().numpy()
        found.append(stds)
    return Bound(*found)


def _solved(applied, right: Tensor) -> Tensor:
    """Conjugate gradients, each column by itself."""
    x, residual = torch.zeros_like(right), right.clone()
    along, size = residual.clone(), residual.square().sum(0)
    for _ in range(ROUNDS):
        image = applied(along)
        step = size / (along * image).sum(0).clamp_min(1e-30)
        x, residual = x + step * along, residual - step * image
        new = residual.square().sum(0)
        along, size = residual + new / size.clamp_min(1e-30) * along, new
    return x


def _quantities(half: float) -> dict:
    def size(q: Tensor) -> Tensor:
        chol = torch.diag_embed(q[4:7].exp())
        for place, (i, j) in enumerate(BELOW):
            chol = chol + torch.nn.functional.pad(q[7 + place, None, None], (j, 2 - j, i, 2 - i))
        return torch.linalg.inv(chol @ chol.T).diagonal().sqrt() * half

    return {
        "position": lambda q: q[1:4] * half,
        "size": size,
        "phase": lambda q: torch.atan2(q[14], q[13]),
        "contrast": lambda q: torch.hypot(q[13], q[14]),
        "fringe_period": lambda q: 2 * math.pi * half / q[10:13].norm(),
    }
