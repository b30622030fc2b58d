"""A printed object in a reconstructed density: its surface, its pose, and how far it lies from the drawing (CAD).

    level = background + share (plateau - background)

plateau and background: medians of the density inside and outside of the level, iterated until they stand still (Ridler and Calvard, IEEE Trans.
Syst. Man Cybern. 8, 630 (1978), with medians). At half, the surface of an evenly filled body stays in place under any symmetric blur.
Surface: marching cubes (Lewiner et al., J. Graph. Tools 8, 1 (2003)) of voxel means, the largest connected piece and those not much smaller.
"""

import logging
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from fieldfit.config.magis import PrintedObject
from fieldfit.metrics.registration import Pose, registered
from fieldfit.metrics.surfaces import Surface, drawn_points, moved, signed_distance, vertex_areas, weighted_quantile
from fieldfit.units import MM

log = logging.getLogger(__name__)

ISLAND = 0.02  # of the largest piece's voxels, below which a piece is left out
FEWEST = 27  # voxels of a piece worth a surface
DRAWN = 4000  # points of the drawing that are looked for in the surface
ROUNDS = 50


@dataclass(frozen=True)
class Found:
    """surface: in the laboratory [m]; level, plateau [m-3]; islands: pieces that were left out; pose: of the drawing;
    distance (vertex) [m]: to the drawing, negative inside of it; drawing_distance (point) [m]: of its points to the surface, likewise."""

    surface: Surface
    level: float
    plateau: float
    islands: int
    pose: Pose
    distance: np.ndarray
    drawing_distance: np.ndarray

    def summary(self) -> dict[str, float]:
        """What the distances come to, both ways [m]; vertices count by the area around them."""
        area = vertex_areas(self.surface)
        forth, back = np.abs(self.distance), np.abs(self.drawing_distance)
        return {
            "distance_rms": float(np.sqrt(area @ forth**2 / area.sum())),
            "distance_mean": float(area @ self.distance / area.sum()),
            "distance_median": weighted_quantile(forth, area, 0.5),
            "distance_95": weighted_quantile(forth, area, 0.95),
            "drawing_distance_rms": float(np.sqrt((back**2).mean())),
            "drawing_distance_median": float(np.quantile(back, 0.5)),
            "drawing_distance_95": float(np.quantile(back, 0.95)),
        }


def scaled(vertices: np.ndarray, triangles: np.ndarray, entry: PrintedObject) -> Surface:
    """The drawing in metres, the middle of its box at the origin: its unit a millimetre, or its longest edge `extent_mm`."""
    low, high = vertices.min(0), vertices.max(0)
    unit = MM if entry.extent_mm is None else entry.extent_mm * MM / float((high - low).max())
    return Surface((vertices - (low + high) / 2) * unit, triangles)


def half_way(density: np.ndarray, share: float = 0.5) -> tuple[float, float]:
    """(level, plateau) of a density (x, y, z): between the medians outside and inside, in steps of the level."""
    level = share * float(density.max())
    plateau = background = 0.0
    for _ in range(ROUNDS):
        inside = density > level
        if not inside.any() or inside.all():
            break
        plateau, background = float(np.median(density[inside])), float(np.median(density[~inside]))
        last, level = level, background + share * (plateau - background)
        if abs(level - last) < 1e-4 * plateau:
            break
    return level, plateau


def surface_of(density: np.ndarray, axis: np.ndarray, level: float) -> tuple[Surface, int] | None:
    """(surface at `level` of voxel means (x, y, z) around `axis` [m], pieces left out), None where the density never gets there."""
    pieces, number = ndimage.label(density > level)
    sizes = np.bincount(pieces.ravel())[1:]
    if not number or sizes.max() < FEWEST:
        return None
    kept = np.flatnonzero(sizes >= max(ISLAND * sizes.max(), FEWEST)) + 1
    # Voxels of the pieces left out fall below the level, others stay as they are, so that the surface of what is kept does not move.
    whole = np.where((pieces > 0) & ~np.isin(pieces, kept), min(level, 0.0), density)
    pitch = float(axis[1] - axis[0])
    padded = np.pad(whole, 1, constant_values=min(level, 0.0))  # a surface that leaves the cube is closed at its side
    vertices, triangles, _, _ = marching_cubes(padded, level, spacing=(pitch, pitch, pitch), gradient_direction="ascent", allow_degenerate=False)
    return Surface(vertices.astype(float) + axis[0] - pitch, triangles.astype(np.int64)), int(number - len(kept))


def found_in(density: np.ndarray, axis: np.ndarray, drawing: Surface, entry: PrintedObject) -> Found | None:
    """The drawing's body in a density (x, y, z) [m-3], None where there is no surface."""
    level, plateau = half_way(density, entry.level)
    extracted = surface_of(density, axis, level)
    if extracted is None:
        return None
    surface, islands = extracted
    pose = registered(surface, drawing, entry.scale)
    placed = moved(drawing, pose.rotation, pose.translation, pose.scale)
    distance = signed_distance(surface.vertices, placed)
    drawn = drawn_points(drawing, DRAWN)
    back = signed_distance(pose.scale * drawn @ pose.rotation.T + pose.translation, surface)
    return Found(surface, level, plateau, islands, pose, distance, back)
