"""The box of an optical library: where its voxels lie."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Geometry
from fieldfit.types import InputError
from fieldfit.units import CM

MOST_VOXELS = 10**10  # far beyond any library


@dataclass(frozen=True)
class Box:
    """Voxels of a library: lower and upper corner [m], divisions along x, y, z."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    divisions: tuple[int, int, int]

    @property
    def voxels(self) -> int:
        return math.prod(self.divisions)

    @property
    def pitch(self) -> NDArray[np.float64]:
        """Edges of a voxel [m], (3)."""
        edges: NDArray[np.float64] = (np.array(self.upper) - np.array(self.lower)) / np.array(self.divisions)
        return edges

    def centres(self) -> tuple[NDArray[np.float64], ...]:
        """Voxel centres along x, y, z [m]."""
        return tuple(low + (np.arange(n) + 0.5) * edge for low, n, edge in zip(self.lower, self.divisions, self.pitch, strict=True))

    def points(self, planes: slice = slice(None)) -> NDArray[np.float64]:
        """(voxel, 3) centres [m] of all planes of constant x or some, z fastest."""
        x, y, z = self.centres()
        return np.stack(np.meshgrid(x[planes], y, z, indexing="ij"), -1).reshape(-1, 3)

    def told(self) -> str:
        """The box as the key `geometry` would give it."""
        low, high = ([round(v / CM, 6) for v in corner] for corner in (self.lower, self.upper))
        return f"min_cm {low}, max_cm {high}, divisions {list(self.divisions)}"


def given_box(geometry: Geometry) -> Box:
    """The box of the key `geometry`. Raises InputError when it encloses nothing."""
    box = box_between(geometry.min_cm, geometry.max_cm, geometry.divisions, CM)
    if any(n < 1 for n in box.divisions) or any(b <= a for a, b in zip(box.lower, box.upper, strict=True)):
        raise InputError(f"key 'geometry' is min_cm {geometry.min_cm}, max_cm {geometry.max_cm}, divisions {geometry.divisions}: expected a box")
    if box.voxels > MOST_VOXELS:
        raise InputError(f"key 'geometry' has divisions {geometry.divisions}, {box.voxels} voxels: expected {MOST_VOXELS} at most")
    return box


def box_between(lower: Any, upper: Any, divisions: Any, unit: float) -> Box:
    """The box between two corners of three lengths in `unit` [m]."""
    (x0, y0, z0), (x1, y1, z1), (nx, ny, nz) = ([float(v) * unit for v in lower], [float(v) * unit for v in upper], [int(n) for n in divisions])
    return Box((x0, y0, z0), (x1, y1, z1), (nx, ny, nz))


def same_box(one: Box, other: Box) -> bool:
    """Whether two boxes agree, to 10 um."""
    return one.divisions == other.divisions and bool(np.allclose(one.lower + one.upper, other.lower + other.upper, rtol=0, atol=1e-5))
