"""Cameras around a cloud that shines: electrons in each pixel from the density of atoms.

    mean_p = pedestal_p + sum_v A_pv n_v,     A_pv = photons_per_atom V e_v(view) w_pv

n_v: number density at the centre of voxel v; V: its volume; e: electrons for a photon emitted there (`geometry.lens`);
w_pv: share of the voxel's image that falls on pixel p. Along each sensor axis the image is the voxel's square convolved with the
blur of the lens's open part and integrated over the pixel; a box of the blur's variance stands for it. For a disc of radius a that is a
square of edge a sqrt(3), and their spectra differ by 5e-4 (ka)^4 only. A cube projects with variance h^2/12 along any direction.
Emission only: the optical depth of the cloud at the imaging light is neglected.

The matrix is computed once and shared by all shots of all blocks with these cameras.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import images
from fieldfit.geometry.sparse import SparseMap, sparse_map

POINTS, POINT = 500, 1e-3  # points whose images tell how an atom's light spreads, and their edge in that of a voxel


@dataclass(frozen=True)
class Projector:
    """electrons: from voxels to pixels [electrons m3];
    pixel: index of each row of the matrix among all (view, row, column) of the binned frames; binning: camera pixels along each edge of one of these;
    shape: (view, row, column) of the binned frames; pedestal (pixel) [electrons] in one binned pixel;
    lump (pixel) [electrons]: of one atom that fall together, see `variance`;
    centres (voxel, 3) [m]; pitch: edge of the cube that is drawn for a sample [m]; volume: that a sample stands for [m3];
    tent: the cube is drawn as a tent of the same variance, see `build_projector`."""

    electrons: SparseMap
    pixel: Int[Tensor, "pixel"]
    binning: int
    shape: tuple[int, int, int]
    pedestal: Float[Tensor, "pixel"]
    lump: Float[Tensor, "pixel"]
    centres: Float[Tensor, "voxel 3"]
    pitch: float
    volume: float
    tent: bool


def light(projector: Projector, density: Float[Tensor, "voxel shot"]) -> Float[Tensor, "pixel shot"]:
    """Mean electrons from the cloud, without the pedestal. density [m-3]."""
    return projector.electrons(density)


def mean_electrons(projector: Projector, density: Float[Tensor, "voxel shot"]) -> Float[Tensor, "pixel shot"]:
    """Mean electrons in each binned pixel, pedestal included. density [m-3]."""
    return light(projector, density) + projector.pedestal[:, None]


def variance(projector: Projector, mean: Float[Tensor, "pixel"]) -> Float[Tensor, "pixel"]:
    """Of the electrons in each pixel, from their mean, pedestal included: Poisson photons of atoms that are Poisson themselves.

        variance_p = mean_p + sum_atoms e_p^2 = mean_p + lump light_p,   lump = sum_p e_p^2 / sum_p e_p

    e_p: electrons of an atom in pixel p. The lump of a view is that of points in the middle of the samples.
    """
    return projector.pedestal + (1 + projector.lump) * (mean - projector.pedestal).clamp_min(0)


def back_projected(projector: Projector, pixels: Float[Tensor, "pixel shot"]) -> Float[Tensor, "voxel shot"]:
    """Adjoint of `light`."""
    return projector.electrons.adjoint(pixels)


def binned(frames: Float[Tensor, "shot view row column"], binning: int) -> Float[Tensor, "shot view r c"]:
    """Sums over squares of pixels; rows and columns that do not fill a square are left out at the far edges."""
    shots, views, rows, columns = frames.shape
    r, c = rows // binning, columns // binning
    return frames[..., : r * binning, : c * binning].reshape(shots, views, r, binning, c, binning).sum((3, 5))


def pixels_of(projector: Projector, frames: Float[Tensor, "shot view row column"]) -> Float[Tensor, "all shot"]:
    """All pixels of the binned `frames`; the projector predicts those of its `pixel`."""
    return binned(frames, projector.binning).flatten(1).T.contiguous()


def build_projector(
    cameras: Sequence[Camera],
    centres: Float[Tensor, "voxel 3"],
    pitch: float,
    photons_per_atom: float,
    binning: int = 1,
    use: Bool[Tensor, "view row column"] | None = None,
    volume: float | None = None,
    tent: bool = False,
) -> Projector:
    """The projector from voxels at `centres` [m] with edges of `pitch` [m] to the pixels of all views.

    volume: that each sample stands for [m3], pitch^3 when left out.
    tent: draw, for the square of a voxel, the one of edge pitch / sqrt(2) convolved with itself: of the same variance, and without the corners
    that let a lattice be seen.
    use: False for a pixel that must not count (a bad one): the binned pixel that holds it is left out.
    The matrix has the type of `centres`. Raises ValueError when the views differ in size, a voxel lies behind a lens, or no pixel sees a voxel.
    """
    if len({(camera.rows, camera.columns) for camera in cameras}) != 1:
        raise ValueError("the views differ in rows and columns; expected one size")
    rows, columns = cameras[0].rows // binning, cameras[0].columns // binning
    shape = (len(cameras), rows, columns)
    volume = pitch**3 if volume is None else volume
    # (voxel, pixel of all views); no copy of it is kept longer than it has to be: it can be as large as everything else together
    stacked = scipy.sparse.hstack(
        [_footprints(camera, centres, pitch, photons_per_atom * volume, binning, rows, columns, tent) for camera in cameras], format="csr"
    )
    wanted = np.ones(math.prod(shape), bool) if use is None else (binned((~use[None]).to(torch.float64), binning).flatten() == 0).numpy()
    pixel = np.flatnonzero((np.bincount(stacked.indices, minlength=math.prod(shape)) > 0) & wanted)
    if not pixel.size:
        raise ValueError("no pixel sees a voxel")
    if pixel.size < math.prod(shape):
        stacked = stacked[:, pixel].tocsr()
    view = torch.from_numpy(pixel) // (rows * columns)
    pedestal = torch.tensor([camera.pedestal * binning**2 for camera in cameras], dtype=centres.dtype)[view]
    # Where most of a cloud is: half as far from the samples' middle as they reach; anywhere in their voxels, so as not to keep step with the pixels.
    middle = centres[(centres - centres.mean(0)).square().sum(1).argsort()[: -(-len(centres) // 8)]]
    random = np.random.default_rng(0)
    points = middle[random.integers(len(middle), size=POINTS)] + pitch * torch.from_numpy(random.uniform(-0.5, 0.5, (POINTS, 3))).to(centres.dtype)
    lumps = [_lump(_footprints(camera, points, POINT * pitch, photons_per_atom, binning, rows, columns)) for camera in cameras]
    lump = torch.tensor(lumps, dtype=centres.dtype)[view]
    electrons = sparse_map(stacked.T.tocsr(), centres.dtype, stacked)
    return Projector(electrons, torch.from_numpy(pixel), binning, shape, pedestal, lump, centres, pitch, volume, tent)


def _lump(points: scipy.sparse.csr_matrix) -> float:
    """Of the (point, pixel) electrons of one view; 0 where it sees no point."""
    total = points.sum()
    return float(points.power(2).sum() / total) if total else 0.0


def _footprints(
    camera: Camera, centres: Tensor, pitch: float, photons: float, binning: int, rows: int, columns: int, tent: bool = False
) -> scipy.sparse.csr_matrix:
    """(voxel, pixel) electrons m3 of one view."""
    seen = images(camera, centres.double())
    if (seen.depth <= 0).any():
        raise ValueError(f"camera {camera.name}: {int((seen.depth <= 0).sum())} voxels lie behind its lens, expected none")
    square = pitch * camera.focal_length * (1 + camera.magnification) / (seen.depth * camera.pitch * binning)
    blurs = [math.sqrt(12) * blur / binning for blur in (seen.row_blur, seen.column_blur)]
    if tent:
        square = square / math.sqrt(2)
        blurs = [torch.hypot(blur, square) for blur in blurs]
    strength = (photons * seen.electrons).to(centres.dtype)
    first_row, along_rows = _shares(seen.row / binning, square, blurs[0], centres.dtype)
    first_column, along_columns = _shares(seen.column / binning, square, blurs[1], centres.dtype)
    wide, high = along_columns.shape[1], along_rows.shape[1]
    values = strength[:, None, None] * along_rows[:, :, None] * along_columns[:, None, :]
    r = first_row[:, None, None] + torch.arange(high, dtype=torch.int32)[:, None]
    c = first_column[:, None, None] + torch.arange(wide, dtype=torch.int32)
    inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns) & (values > 0)
    count = inside.sum((1, 2))
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), count.cumsum(0)])
    return scipy.sparse.csr_matrix((values[inside].numpy(), (r * columns + c)[inside].numpy(), indptr.numpy()), shape=(len(centres), rows * columns))


def _shares(centre: Tensor, square: Tensor, blur: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(first pixel, share in each of the next pixels) of a trapezoid: a box of width `square` convolved with one of width `blur`, in pixels."""
    wide, narrow = torch.maximum(square, blur), torch.minimum(square, blur).clamp_min(1e-3)
    reach = 0.5 * (wide + narrow)
    first = torch.floor(centre - reach).int()
    number = int(torch.ceil((2 * reach).max()).item()) + 1
    edges = first[:, None] + torch.arange(number + 1, dtype=torch.int32)
    # The integral of the trapezoid is a second difference of the ramp's integral.
    t = edges - centre[:, None]
    w, n = wide[:, None], narrow[:, None]
    ramp = [sign * (t + 0.5 * offset).clamp_min(0).square() for sign, offset in ((1, w + n), (-1, w - n), (-1, n - w), (1, -w - n))]
    cumulative = (ramp[0] + ramp[1] + ramp[2] + ramp[3]) / (2 * w * n)
    shares = cumulative.diff(dim=1).clamp_min(0)
    return first, torch.where(shares > 1e-9, shares, 0.0).to(dtype)
