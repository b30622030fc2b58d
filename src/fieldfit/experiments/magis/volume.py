"""The samples that a block of shots is fitted on, and the cameras' view of them.

Two lattices. `fine` has the reported voxels: free shapes and classical reconstructions live there. `turned` is coarser and serves
envelope and fringe. A wave exp(ik.r) on a lattice has ghosts exp(i(k + G).r), G the lattice's own wave vectors, damped only by the squares
that are drawn; a view sees a ghost only if its line of sight is perpendicular to k + G within 1 / size of the cloud (projection-slice).
So the lattice is turned until no view sees one: a wave is then exact at 2.5 samples a period, where the voxels along
the axes lose (k h)^4 of its contrast.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import uniform_filter
from scipy.spatial.transform import Rotation
from torch import Tensor

from fieldfit.config.magis import Grid
from fieldfit.experiments.magis.start import Moments, View, Wave, views_of
from fieldfit.fields.correlated import Correlated, correlated
from fieldfit.forward.imaging import Projector, build_projector
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import pixel_position

log = logging.getLogger(__name__)

MARGIN = 8  # the fitted box is wider than the reported one by an eighth of it on each side: light from there reaches the pixels too
REACH = 4.0  # standard deviations of the envelope that are kept: 1e-3 of a Gaussian cloud lies beyond
WINDOW, WIDE = 5, 17  # pixels over which light is looked for where silhouettes are cut: everywhere, and inside an envelope
SILHOUETTE_SIGMA = {WINDOW: 5.0, WIDE: 3.0}
DIM = 0.012  # of the peak light: exp(-z^2 / 2) at z = 3
STEEP = 0.9  # |k| h above which the fine lattice is interlaced with a second one, half a voxel off along x, y and z: it lies along the axes
PIXELS_A_PERIOD = 7.0  # binned pixels that a fringe period must span at least; a sinc(1/7) costs 3 % of contrast
STEP_OF_WAVE = 2.5  # |k| h of the turned lattice
STEPS_OF_SIZE = 5.0  # of the turned lattice, in the envelope's smallest standard deviation
MOST_OF_SIZE = 10.0  # of its steps there, whatever ghosts remain: some 3e5 samples
TURNS = 500  # orientations that are tried
ORDERS = np.array([order for order in itertools.product(range(-3, 4), repeat=3) if any(order)])  # of the ghosts that are looked at
GHOSTS = 2e-3  # of the wave's power in the views that its ghosts may have: that share of the contrast is lost,
FAINT_GHOSTS = 0.03  # and of its power in all views but the one that sees most of it: their marks, however faint, tell its direction
FINEST = 0.9  # of the reported pitch: the turned lattice is never finer
ROUGH = 1.5  # the same where only places matter, and no contrast
ROUGH_PIXELS_A_PERIOD = 5.25
ROUGH_GHOSTS = 1e-6  # of the wave's power there: bumps of less than a unit of log-likelihood for 1e9 photons in the dome
TENT = (1.75, 1.75)  # boxes drawn there one on the other, in steps of the lattice: they damp the ghosts a thousandfold


@dataclass(frozen=True)
class Lattice:
    """projector: from these samples to the pixels; x (sample, 3): where they are, in half widths; free: the random field of free shapes on them."""

    projector: Projector
    x: Float[Tensor, "sample 3"]
    free: Correlated


@dataclass(frozen=True)
class Volume:
    """half_width [m] of the fitted box; side: voxels along its edge; boxed: index of each voxel sample of `fine` in the box (side^3);
    reported: index of each sample of `fine` in the reported grid (voxels^3), -1 outside it and for the samples of an interlaced lattice."""

    fine: Lattice
    turned: Lattice
    half_width: float
    side: int
    boxed: Tensor
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
    """Samples inside the silhouettes of all views, fainter ones inside the envelope of a shot, and their projectors.

    electrons: (shot, view, row, column) above the pedestal; bad: (view, row, column).
    """
    pitch = 2 * grid.half_width_m / grid.voxels
    pad = -(-grid.voxels // MARGIN)
    side = grid.voxels + 2 * pad
    axis = (np.arange(side) + 0.5) * pitch - 0.5 * side * pitch
    half_width = 0.5 * side * pitch
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    around = _inside_envelopes(starts, points)
    keep = _inside_silhouettes(cameras, electrons, bad, points, WINDOW)
    keep[around] |= _inside_silhouettes(cameras, electrons, bad, points[around], WIDE)
    index = np.flatnonzero(keep)
    steepest = max((float(np.linalg.norm(wave.vector)) for wave in waves if wave), default=0.0)
    lattices = 2 if steepest * pitch > STEEP else 1
    centres = np.concatenate([points[index] + 0.5 * pitch * shifted for shifted in range(lattices)])
    binning = _binning(cameras, pitch, waves)
    use = torch.from_numpy(~bad)
    length = float(np.sqrt(np.median([np.trace(start.covariance) / 3 for start in starts])))

    def lattice(at: np.ndarray, number: np.ndarray, layers: int, edge: float) -> Lattice:
        where = torch.from_numpy(at)
        projector = build_projector(cameras, where.to(torch.float32), edge, photons_per_atom, binning, use, edge**3 / layers)
        return Lattice(projector, (where / half_width).to(torch.float32), correlated(torch.from_numpy(number), layers, edge, length))

    i, j, k = np.unravel_index(index, (side, side, side))
    places = np.stack([i, j, k]) - pad
    inside = ((places >= 0) & (places < grid.voxels)).all(0)
    reported = np.where(inside, (places[0] * grid.voxels + places[1]) * grid.voxels + places[2], -1)
    reported = np.concatenate([reported] + [np.full(len(reported), -1)] * (lattices - 1))
    fine = lattice(centres, np.stack([i, j, k], 1), lattices, pitch)
    samples, number, edge = _turned(cameras, starts, waves, pitch, binning)
    return Volume(fine, lattice(samples, number, 1, edge), half_width, side, torch.from_numpy(index), torch.from_numpy(reported))


def turned_volume(
    cameras: Sequence[Camera], bad: np.ndarray, starts: Sequence[Moments], waves: Sequence[Wave | None], grid: Grid, photons_per_atom: float
) -> Volume:
    """The turned lattice alone, no finer than ROUGH, which stands for the fine one too: enough for where views see envelope and fringe.

    Its pixels are as large as the cloud allows and its samples drawn as tents wider than their spacing: ghosts in a view, however faint, would
    pass for marks of where it stands.
    """
    pitch = 2 * grid.half_width_m / grid.voxels
    shortest = min((2 * np.pi / float(np.linalg.norm(wave.vector)) for wave in waves if wave), default=np.inf)
    size = np.sqrt(min(np.linalg.eigvalsh(start.covariance)[0] for start in starts))
    largest = min(size / STEPS_OF_SIZE, shortest / ROUGH_PIXELS_A_PERIOD)
    binning = max(1, int(largest / max(camera.pixel_at_object for camera in cameras)))
    samples, number, step = _turned(cameras, starts, waves, pitch, binning, ROUGH, ROUGH_GHOSTS, TENT)
    where = torch.from_numpy(samples)
    x = (where / grid.half_width_m).to(torch.float32)
    edge = float(np.linalg.norm(TENT)) * step
    projector = build_projector(cameras, where.to(torch.float32), edge, photons_per_atom, binning, torch.from_numpy(~bad), step**3, tent=True)
    lattice = Lattice(projector, x, correlated(torch.from_numpy(number), 1, step, float(size)))
    return Volume(lattice, lattice, grid.half_width_m, grid.voxels, torch.arange(0), torch.full((len(x),), -1))


def seen_by(lattice: Lattice, cameras: Sequence[Camera], bad: np.ndarray, photons_per_atom: float) -> Lattice:
    """The same samples through other cameras."""
    old = lattice.projector
    new = build_projector(cameras, old.centres, old.pitch, photons_per_atom, old.binning, torch.from_numpy(~bad), old.volume, old.tent)
    return replace(lattice, projector=new)


def on_grid(volume: Volume, values: Float[Tensor, "sample batch"], side: int) -> Float[Tensor, "batch x y z"]:
    """Means over the reported voxels (side^3) of densities whose samples, drawn as cubes on the fine lattice, make what the views see.

        mean = n * cube * cube,   a factor prod_i sinc(k_i h / 2)^2 on each wave k of the samples n, to order (k h)^2

    once as the views blur each sample and once as the mean over a voxel does; the steps between the cubes are no part of the density.
    Zero where nothing lies.
    """
    return _on_voxels(volume, volume.reported, values, side)


def in_box(volume: Volume, values: Float[Tensor, "sample batch"]) -> Float[Tensor, "boxed batch"]:
    """The same means, over the voxels that are boxed."""
    index = torch.cat([volume.boxed, volume.boxed.new_full((len(values) - len(volume.boxed),), -1)])
    return _on_voxels(volume, index, values, volume.side).flatten(1)[:, volume.boxed].T


def on_reported(volume: Volume, values: Float[Tensor, "sample batch"]) -> Float[Tensor, "reported batch"]:
    """The same means, over those voxels of the reported grid where samples lie, in their order in `reported`."""
    return in_box(volume, values)[volume.reported[: len(volume.boxed)] >= 0]


def _on_voxels(volume: Volume, index: Tensor, values: Tensor, side: int) -> Tensor:
    grid = values.new_zeros(values.shape[1], side**3)
    inside = index >= 0
    grid[:, index[inside]] = values[inside].T
    grid, share = grid.reshape(-1, side, side, side), 1 / 12
    projector = volume.fine.projector
    if projector.volume < 0.75 * projector.pitch**3:
        # The second lattice's places lie at the voxels' corners: half of its mean over eight corners, and then less is left to smooth.
        second = slice(len(values) // 2, None)
        place = torch.round(projector.centres[second] / projector.pitch + 0.5 * side).long()
        near = ((place >= 0) & (place <= side)).all(1)
        i, j, k = place[near].T
        corners = values.new_zeros(len(grid), side + 1, side + 1, side + 1)
        corners[:, i, j, k] = values[second][near].T
        for axis in (1, 2, 3):
            corners = 0.5 * (corners.narrow(axis, 0, side) + corners.narrow(axis, 1, side))
        grid, share = 0.5 * (grid + corners), 1 / 48
    for axis in (1, 2, 3):
        wide = torch.nn.functional.pad(grid, [0, 0] * (3 - axis) + [1, 1])
        grid = (1 - 2 * share) * grid + share * (wide.narrow(axis, 0, side) + wide.narrow(axis, 2, side))
    return grid


def _inside_envelopes(starts: Sequence[Moments], points: np.ndarray) -> np.ndarray:
    keep = np.zeros(len(points), bool)
    for start in starts:
        d = points - start.centre
        keep |= np.einsum("ni,ij,nj->n", d, np.linalg.inv(start.covariance), d) < REACH**2
    return keep


def _turned(
    cameras: Sequence[Camera],
    starts: Sequence[Moments],
    waves: Sequence[Wave | None],
    pitch: float,
    binning: int,
    finest: float = FINEST,
    ghosts: float = GHOSTS,
    boxes: Sequence[float] = (1.0,),
) -> tuple[np.ndarray, np.ndarray, float]:
    """(samples (n, 3) [m], their numbers along the lattice's axes (n, 3), spacing [m]) of the lattice whose ghosts the views see least.

    boxes: convolved with each other they are what is drawn for a sample along each axis of a sensor, in steps of the lattice.
    """
    vectors = np.array([wave.vector for wave in waves if wave]).reshape(-1, 3)
    size = np.sqrt(min(np.linalg.eigvalsh(start.covariance)[0] for start in starts))
    steepest = np.linalg.norm(vectors, axis=1).max(initial=0)
    widest = max(min(size / STEPS_OF_SIZE, STEP_OF_WAVE / steepest if steepest else np.inf), 0.5 * pitch)
    wave = vectors[np.argmax(np.linalg.norm(vectors, axis=1))] if steepest else np.zeros(3)
    allowed = min([ghosts] + [FAINT_GHOSTS * float(1 - seen.views.max() / seen.views.sum()) for seen in waves if seen])
    sights, edges, pixel = _seen_from(views_of(cameras), binning)
    turns = Rotation.random(TURNS, rng=np.random.default_rng(0)).as_matrix()
    step, least = widest, max(finest * pitch, size / MOST_OF_SIZE)
    while True:
        powers = [_ghosts(sights, edges, pixel, turn, step, wave, size, boxes) for turn in turns]
        axes, power = turns[int(np.argmin(powers))], min(powers)
        if power < allowed or step <= least:
            break
        step = max(0.9 * step, least)
    log.info("turned lattice: %.0f um, ghosts have %.1e of the wave's power in the views", step * 1e6, power)
    centre = np.mean([start.centre for start in starts], 0)
    reach = max(float(np.linalg.norm(start.centre - centre)) + REACH * np.sqrt(np.linalg.eigvalsh(start.covariance)[-1]) for start in starts)
    number = int(np.ceil(reach / step))
    along = np.arange(-number, number + 1)
    places = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
    samples = centre + step * places @ axes.T
    inside = _inside_envelopes(starts, samples)
    return samples[inside], places[inside], float(step)


def _seen_from(views: Sequence[View], binning: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(lines of sight (view, 3), directions of rows and columns (view, 2, 3), edge of a binned pixel at the object [m])."""
    sights = np.array([view.sight for view in views])
    edges = np.array([view.slope / np.linalg.norm(view.slope, axis=1, keepdims=True) for view in views])
    return sights, edges, binning * float(np.mean([view.pixel for view in views]))


def _ghosts(
    sights: np.ndarray,
    edges: np.ndarray,
    pixel: float,
    axes: np.ndarray,
    step: float,
    wave: np.ndarray,
    size: float,
    boxes: Sequence[float] = (1.0,),
) -> float:
    """Power of the ghosts of wave and envelope in all views, relative to the wave's own (without a wave: to the envelope's).

    Each is damped by what is drawn for a sample and by the pixel, and by the cloud's extent along the line of sight.
    """
    own = 2 * np.pi / step * ORDERS @ axes.T
    total = 0.0
    for ghosts in (own - wave, own):
        along = np.exp(-0.5 * (size * ghosts @ sights.T) ** 2)
        ghost, view = np.nonzero(along > 1e-4)
        across = np.einsum("ni,nei->ne", ghosts[ghost], edges[view]) / (2 * np.pi)
        left = np.prod([np.sinc(across * width) for width in (pixel, *(step * box for box in boxes))], 0)
        total += float(np.square(left.prod(1) * along[ghost, view]).sum())
    return total / float(np.exp(-((size * wave @ sights.T) ** 2)).sum())


def _binning(cameras: Sequence[Camera], pitch: float, waves: Sequence[Wave | None]) -> int:
    """As many pixels as a voxel spans, but never so many that a fringe is washed out."""
    pixel = max(camera.pixel_at_object for camera in cameras)
    shortest = min((2 * np.pi / float(np.linalg.norm(wave.vector)) for wave in waves if wave), default=np.inf)
    return max(1, int(min(pitch, shortest / PIXELS_A_PERIOD) / pixel))


def _inside_silhouettes(cameras: Sequence[Camera], electrons: np.ndarray, bad: np.ndarray, points: np.ndarray, window: int) -> np.ndarray:
    """Points that no view shows dark and two views show at all, light being summed over squares of `window` pixels and the shots.

    Inside an envelope (`window` is WIDE) a view says nothing where what it calls dark would cut the envelope's own wings.
    """
    total = np.where(bad, 0.0, electrons.sum(0))
    keep, views = np.ones(len(points), bool), np.zeros(len(points), int)
    at = torch.from_numpy(points)
    for camera, image in zip(cameras, total, strict=True):
        row, column, _ = (value.numpy() for value in pixel_position(camera, at))
        inside = (row >= 0) & (row < camera.rows) & (column >= 0) & (column < camera.columns)
        views += inside
        light = uniform_filter(image, window)
        dark = SILHOUETTE_SIGMA[window] * np.sqrt(camera.pedestal * len(electrons)) / window
        if window == WIDE and dark > DIM * light.max():
            continue
        noise = np.sqrt(np.maximum(light, 0) + camera.pedestal * len(electrons)) / window
        bright = uniform_filter((light > SILHOUETTE_SIGMA[window] * noise).astype(np.float32), window) > 0
        keep[inside] &= bright[row[inside].astype(int), column[inside].astype(int)]
    return keep & (views >= min(2, len(cameras)))
