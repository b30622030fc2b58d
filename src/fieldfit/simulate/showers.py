"""The same showers by another road: delta tracking, one particle's flight as a chain of trial collisions at full density.

    distance to the next trial ~ Exp(lambda); a trial is a collision with probability rho(x)     (Woodcock et al., ANL-7050, 557 (1965))

Exact on the raster, without steps and without integrals. It shares no code with forward/shower.py, which it checks.
"""

import math

import numpy as np
from jaxtyping import Float

from fieldfit.config.design import Annulus, Study

EMPTY = 1e-3  # density of what is called empty


def deposits(study: Study, material: Float[np.ndarray, "y x"], primaries: int, generator: np.random.Generator) -> Float[np.ndarray, "primary"]:
    """Share of each primary's energy that is deposited in the region. material: in [0, 1] on the square [-radius, radius]^2, x and y ascending."""
    share = np.zeros(primaries)
    shower = np.arange(primaries)
    place = np.tile(np.array(study.source, float), (primaries, 1))
    heading = generator.uniform(0, 2 * math.pi, primaries)
    energy = float(study.energy)
    while shower.size:
        place, collided = _to_collision(study, material, place, heading, generator)
        shower, place, heading = shower[collided], place[collided], heading[collided]
        last = energy < study.cutoff
        np.add.at(share, shower[_counts(study, place)], (1.0 if last else study.deposit_fraction) * energy / study.energy)
        if last:
            break
        energy *= (1 - study.deposit_fraction) / 2
        left = heading + study.angle * (0.5 + generator.random(heading.size))
        right = heading - study.angle * (0.5 + generator.random(heading.size))
        shower, place, heading = np.concatenate([shower, shower]), np.concatenate([place, place]), np.concatenate([left, right])
    return share


def _to_collision(
    study: Study, material: np.ndarray, place: np.ndarray, heading: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where each flight collides, and whether it does so before it leaves the disc."""
    place, along = place.copy(), np.stack([np.cos(heading), np.sin(heading)], 1)
    cells = material.shape[0]
    collided, flying = np.zeros(heading.size, bool), np.arange(heading.size)
    while flying.size:
        place[flying] += along[flying] * generator.exponential(study.mean_free_path, flying.size)[:, None]
        flying = flying[np.square(place[flying]).sum(1) < study.radius**2]
        column, row = np.minimum(((place[flying] / study.radius + 1) / 2 * cells).astype(int), cells - 1).T
        real = generator.random(flying.size) < np.clip(material[row, column], EMPTY, 1)
        collided[flying[real]] = True
        flying = flying[~real]
    return place, collided


def _counts(study: Study, place: np.ndarray) -> np.ndarray:
    """Whether a deposit at `place` lies in the region."""
    region = study.region
    turn = 0.0 if isinstance(region, Annulus) else -math.radians(region.angle_deg)
    spin = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    local = (place - np.array(region.centre)) @ spin.T
    inner, outer = np.broadcast_to(region.inner, 2), np.broadcast_to(region.outer, 2)
    counts: np.ndarray = (np.square(local / inner).sum(1) >= 1) & (np.square(local / outer).sum(1) <= 1)
    return counts
