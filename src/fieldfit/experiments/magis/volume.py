"""The voxels that a block of shots is fitted on, and the cameras' view of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import uniform_filter
from torch import Tensor

from fieldfit.config import Grid
from fieldfit.experiments.magis.start import Moments, Wave
from fieldfit.fields.fringed import Interpolation, interpolation
from fieldfit.forward.imaging import Projector, build_projector
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import pixel_position

MARGIN = 8  # the fitted box is wider than the reported one by an eighth of it on each side: light from there reaches the pixels too
REACH = 4.0  # standard deviations of the envelope that are kept: 1e-3 of a Gaussian cloud lies beyond
WINDOW = 9  # pixels that are summed before silhouettes are cut
SILHOUETTE_SIGMA = 5.0
STEEP = 0.9  # |k| h above which the lattice is interlaced with a second one, half a voxel off along x, y and z: see `volume_of`
PIXELS_A_PERIOD = 7.0  # binned pixels that a fringe period must span at least; a sinc(1/7) costs 3 % of contrast


@dataclass(frozen=True)
class Volume:
    """projector: from these voxels to the pixels; x (voxel, 3): their centres in half widths; half_width [m] of the fitted box;
    between: interpolation from the finest nodes to the voxels; nodes: of the free logarithm's grids, coarse to fine;
    reported: index of each voxel in the reported grid (voxels^3), -1 outside it and for the voxels of an interlaced lattice."""

    projector: Projector
    x: Float[Tensor, "voxel 3"]
    half_width: float
    between: Interpolation
    nodes: tuple[int, ...]
    reported: Tensor


def axis_of(grid: Grid) -> np.ndarray:
    """Centres of the reported voxels along each axis [m]."""
    pitch = 2 * grid.half_width_m / grid.voxels
    return (np.arange(grid.voxels) + 0.5) * pitch - grid.half_width_m


def volume_of(
    cameras: Sequence[Camera],
    electrons: np.ndarray,
    bad: np.ndarray,
    starts: Sequence[Moments],
    waves: Sequence[Wave | None],
    grid: Grid,
    photons_per_atom: float,
) -> Volume:
    """Voxels inside an envelope of any shot or inside the silhouettes of all views, and their projector.

    A wave on a lattice of pitch h has a ghost at |2 pi / h - k|, which a drawn square damps only to (k h / 2 pi) of the wave, and which
    takes part of its contrast: (k h)^4, 12 % at three voxels a period. A second lattice in the gaps cancels the ghost.

    electrons: (shot, view, row, column) above the pedestal; bad: (view, row, column).
    """
    pitch = 2 * grid.half_width_m / grid.voxels
    pad = -(-grid.voxels // MARGIN)
    side = grid.voxels + 2 * pad
    axis = (np.arange(side) + 0.5) * pitch - 0.5 * side * pitch
    half_width = 0.5 * side * pitch
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    keep = _inside_silhouettes(cameras, electrons, bad, points)
    for start in starts:
        d = points - start.centre
        keep |= np.einsum("ni,ij,nj->n", d, np.linalg.inv(start.covariance), d) < REACH**2
    index = np.flatnonzero(keep)
    steepest = max((float(np.linalg.norm(wave.vector)) for wave in waves if wave), default=0.0)
    lattices = 2 if steepest * pitch > STEEP else 1
    centres = torch.from_numpy(np.concatenate([points[index] + 0.5 * pitch * shifted for shifted in range(lattices)]))
    binning = _binning(cameras, pitch, waves)
    use = torch.from_numpy(~bad)
    projector = build_projector(cameras, centres.to(torch.float32), pitch, photons_per_atom, binning, use, pitch**3 / lattices)
    x = (centres / half_width).to(torch.float32)
    nodes = tuple(n for n in (5, 9, 17, 33, 49) if n <= side // 2 + 1)
    i, j, k = np.unravel_index(index, (side, side, side))
    places = np.stack([i, j, k]) - pad
    inside = ((places >= 0) & (places < grid.voxels)).all(0)
    reported = np.where(inside, (places[0] * grid.voxels + places[1]) * grid.voxels + places[2], -1)
    reported = np.concatenate([reported] + [np.full(len(reported), -1)] * (lattices - 1))
    return Volume(projector, x, half_width, interpolation(x, nodes[-1]), nodes, torch.from_numpy(reported))


def _binning(cameras: Sequence[Camera], pitch: float, waves: Sequence[Wave | None]) -> int:
    """As many pixels as a voxel spans, but never so many that a fringe is washed out."""
    pixel = max(camera.pixel_at_object for camera in cameras)
    shortest = min((2 * np.pi / float(np.linalg.norm(wave.vector)) for wave in waves if wave), default=np.inf)
    return max(1, int(min(pitch, shortest / PIXELS_A_PERIOD) / pixel))


def _inside_silhouettes(cameras: Sequence[Camera], electrons: np.ndarray, bad: np.ndarray, points: np.ndarray) -> np.ndarray:
    total = np.where(bad, 0.0, electrons.sum(0))
    keep = np.ones(len(points), bool)
    at = torch.from_numpy(points)
    for camera, image in zip(cameras, total, strict=True):
        noise = np.sqrt(np.maximum(uniform_filter(image, WINDOW), 0) + camera.pedestal * len(electrons)) / WINDOW
        bright = uniform_filter((uniform_filter(image, WINDOW) > SILHOUETTE_SIGMA * noise).astype(np.float32), WINDOW) > 0
        row, column, _ = (value.numpy() for value in pixel_position(camera, at))
        inside = (row >= 0) & (row < camera.rows) & (column >= 0) & (column < camera.columns)
        seen = np.zeros(len(points), bool)
        seen[inside] = bright[row[inside].astype(int), column[inside].astype(int)]
        keep &= seen
    return keep
