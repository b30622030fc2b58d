"""What a fitted layout is held against: its own binarised form, the best ring, and the region filled with matter.

All candidates of a seed meet the same showers (common random numbers), so that their differences are far better known than their losses.
Those showers are none that the fit saw, and none that the ring was chosen by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from fieldfit.config.design import Study
from fieldfit.experiments.design.study import density_of, inside_disc
from fieldfit.forward.shower import Draws, cell_centres, draw, in_region, simulate

CANDIDATES = ("field", "binarised", "best_ring", "filled_region")
_SEARCH_PRIMARIES = (150, 600)  # on the coarse grid of rings, and around its best


@dataclass(frozen=True)
class Ring:
    """Full density between two circles about `centre`, in the study's length unit."""

    centre: tuple[float, float]
    inner: float
    outer: float


@dataclass(frozen=True)
class Evaluation:
    """Losses in the order of CANDIDATES, with standard errors; difference: less the loss of the best ring, shower by shower."""

    loss: Float[np.ndarray, "candidate"]
    std: Float[np.ndarray, "candidate"]
    difference: Float[np.ndarray, "candidate"]
    difference_std: Float[np.ndarray, "candidate"]


def mass_of(study: Study, material: Float[np.ndarray, "y x"]) -> float:
    """Mean density over the disc."""
    return float(density_of(material)[inside_disc(study.radius, material.shape[0])].mean())


def loss_a_primary(study: Study, material: Float[np.ndarray, "y x"], draws: Draws) -> Float[np.ndarray, "primary"]:
    """The loss that each shower on its own would give; their mean is the estimate."""
    return 1 - simulate(study, density_of(material), draws).reward + study.mass_weight * mass_of(study, material)


def ring_material(study: Study, ring: Ring, cells: int) -> Float[np.ndarray, "y x"]:
    """The ring on the raster: cells whose centre lies in it."""
    centres = cell_centres(study.radius, cells)
    r = np.hypot(centres[None, :] - ring.centre[0], centres[:, None] - ring.centre[1])
    return ((r > ring.inner) & (r < ring.outer)).astype(float)


def filled_region(study: Study, cells: int) -> Float[np.ndarray, "y x"]:
    """Full density in the region: cells whose centre lies in it."""
    centres = cell_centres(study.radius, cells)
    return in_region(study, *np.meshgrid(centres, centres)).astype(float)


def best_ring(study: Study, cells: int, generator: np.random.Generator) -> Ring:
    """The ring about the source or the region's centre with the lowest loss: a coarse grid, then a compass search with shrinking steps.

    Every comparison shares its random numbers.
    """
    few, many = (draw(study, primaries, generator) for primaries in _SEARCH_PRIMARIES)
    best: tuple[float, Ring] | None = None
    for centre in sorted({study.source, study.region.centre}):
        far = study.radius + float(np.hypot(*centre))
        pitch = far / 12
        grid = [Ring(centre, i * pitch, o * pitch) for i, o in product(range(12), range(2, 13)) if o > i + 1]
        ranked = sorted(grid, key=lambda ring: _mean_loss(study, ring, cells, few))
        for start in ranked[:2]:
            found = _compass(study, start, cells, many, pitch / 2)
            best = found if best is None or found[0] < best[0] else best
    assert best is not None
    return best[1]


def _mean_loss(study: Study, ring: Ring, cells: int, draws: Draws) -> float:
    return float(loss_a_primary(study, ring_material(study, ring, cells), draws).mean())


def _compass(study: Study, ring: Ring, cells: int, draws: Draws, step: float) -> tuple[float, Ring]:
    """Move to the best neighbour until none is better, then halve the step, down to half a cell."""
    seen: dict[Ring, float] = {}

    def loss(candidate: Ring) -> float:
        if candidate not in seen:
            seen[candidate] = _mean_loss(study, candidate, cells, draws)
        return seen[candidate]

    while step > study.radius / cells:
        moves = [
            Ring(ring.centre, max(0.0, ring.inner + i * step), ring.outer + o * step)
            for i, o in product((-1, 0, 1), repeat=2)
            if ring.outer + o * step > ring.inner + i * step + step / 2
        ]
        best = min(moves, key=loss)
        ring, step = (best, step) if loss(best) < loss(ring) else (ring, step / 2)
    return loss(ring), ring


def candidates(study: Study, material: Float[np.ndarray, "y x"], ring: Ring) -> tuple[np.ndarray, ...]:
    """The layouts of CANDIDATES on the raster of `material`."""
    cells = material.shape[0]
    return material, (material > 0.5).astype(float), ring_material(study, ring, cells), filled_region(study, cells)


def evaluate(study: Study, layouts: Sequence[np.ndarray], primaries: int, generator: np.random.Generator) -> Evaluation:
    """Losses of the layouts of `candidates` on the same new showers."""
    draws = draw(study, primaries, generator)
    losses = np.stack([loss_a_primary(study, layout, draws) for layout in layouts])
    difference = losses - losses[CANDIDATES.index("best_ring")]
    root = np.sqrt(primaries)
    return Evaluation(losses.mean(1), losses.std(1, ddof=1) / root, difference.mean(1), difference.std(1, ddof=1) / root)
