"""The detector study: which layout of matter makes showers deposit their energy in the region, at the price of its mass?

    loss = 1 - E[deposit in the region] / E0 + mass_weight * mean(density over the disc)

A Fourier-feature field gives the material. Each step draws it once on the raster, sends new showers through it, and hands the
likelihood-ratio gradient of every cell (forward.shower) back through the network in one product.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.config.design import MaterialFit, Study
from fieldfit.fields.fourier import FourierMaterial
from fieldfit.fitting.fit import Schedule, device_of, fit, generator_of
from fieldfit.forward.shower import FLOOR, cell_centres, draw, learn, no_baseline, score_gradient, simulate

# Shape of the optimisation, the same for every study.
_LOGIT_PENALTY = 5e-4  # mean squared logit, fading to zero with the same cosine as the rate
_SUBSTEPS = 2  # steps a cell while fitting; evaluation takes four


@dataclass(frozen=True)
class Material:
    """A fitted layout. field: batch of one. values: in [0, 1] at the cells' centres. losses: the study's loss, estimated from each step's batch."""

    field: FourierMaterial
    values: Float[np.ndarray, "y x"]
    losses: Float[np.ndarray, "step"]


def raster_points(radius: float, cells: int) -> Float[Tensor, "cell 2"]:
    """Centres (x, y) of the cells of the square [-radius, radius]^2, row by row with y ascending."""
    centres = torch.from_numpy(cell_centres(radius, cells)).to(torch.float32)
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x.reshape(-1), y.reshape(-1)], -1)


def inside_disc(radius: float, cells: int) -> np.ndarray:
    """Whether each cell's centre lies in the disc, (y, x)."""
    centres = cell_centres(radius, cells)
    inside: np.ndarray = np.hypot(centres[None, :], centres[:, None]) < radius
    return inside


def density_of(material: np.ndarray) -> np.ndarray:
    """What the showers see: never below FLOOR."""
    return np.clip(material, FLOOR, 1.0)


def optimise(study: Study, how: MaterialFit, seed: int, device: str = "cpu") -> Material:
    """Fit one layout. The network may run on a GPU; the showers run on the CPU, one thread, and the same seed gives the same layout there."""
    where = device_of(device)
    inside = torch.from_numpy(inside_disc(study.radius, how.cells).ravel())
    points = raster_points(study.radius, how.cells)
    within = points[inside].to(where)
    field = FourierMaterial(1, study.radius, generator=generator_of(seed)).to(where)
    luck = np.random.default_rng([seed, 1])
    baseline = no_baseline(study, how.cells)

    def objective(step: int) -> Tensor:
        nonlocal baseline
        logits = field.logit(within)[0]
        material = torch.sigmoid(logits)
        raster = np.zeros(how.cells**2)
        raster[inside.numpy()] = material.detach().cpu().numpy()
        density = density_of(raster).reshape(how.cells, how.cells)
        showers = simulate(study, density, draw(study, how.primaries, luck, stratified=True), record=True, substeps=_SUBSTEPS)
        slope = score_gradient(study, density, showers, baseline).ravel()[inside.numpy()]
        baseline = learn(baseline, showers)
        fading = 0.5 * (1 + np.cos(np.pi * step / how.steps))
        surrogate = (
            -(torch.from_numpy(slope).to(material) * material).sum()
            + study.mass_weight * material.mean()
            + _LOGIT_PENALTY * fading * logits.square().mean()
        )
        loss = 1 - showers.reward.mean() + study.mass_weight * density.ravel()[inside.numpy()].mean()
        return surrogate - surrogate.detach() + float(loss)

    result = fit([(list(field.parameters()), 1.0)], objective, Schedule(how.steps, how.rate), name=f"material, seed {seed}")
    field = field.cpu().eval()
    with torch.no_grad():
        values = field(points)[0].reshape(how.cells, how.cells).numpy()
    return Material(field, values, result.losses[:, 0].numpy())
