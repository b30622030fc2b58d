"""Eigen-background: what an absorption picture would show without its atoms, told from all probes of the run.

A = image - background, P = probe - background [DN]. Between image and probe the light's interference fringes move, so the reference R is
not the shot's own probe but the best linear combination of the eigen-images U_e of all probes, fitted to A outside of the atoms (Li et
al., Chin. Opt. Lett. 5, 128 (2007); Ockeloen et al., PRA 82, 061606 (2010); Niu et al., Appl. Phys. Lett. 113, 144103 (2018)). Each
eigen-image is split at the widths s_b of Gaussian blurs G_b, because coarse and fine fringes move apart; beyond the first they leave out
their finest band, which holds photon noise:

    R = M sum_e sum_b beta_eb (G_b - G_b+1) U_e / M,     beta = argmin sum_(p fitted) (A - R)^2 / Var A

with M the run's mean light, blurred by 8 px, divided out so that a blur does not flatten the beam itself. The number of eigen-images is
what predicts held-out pixels best. R averages many probes: its photon noise is below that of one.
ln is taken with its second-order bias removed: E[ln A] = ln a - Var A / 2 a^2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_erosion, binary_fill_holes, distance_transform_edt, gaussian_filter, label

from fieldfit.calibration.absorption import Noise, lit
from fieldfit.contract.magis import PixelUse

SMOOTH = 3.0  # width [px] at which atoms are looked for
FOUND_SIGMA = 5.0  # atoms stand this far out of the robust scatter of the smoothed optical density
MEAN_BLUR = 8.0  # width [px] of the blur that makes M
STEEPER, MARGIN_PX, MARGIN_FOLDS = 4.0, 4.0, 3.0  # around what was found: 4 px and 3 e-folds of its edge, told from the contour 4 times higher
WIDEST_BAND = 32  # blurs up to this part of the frame's shorter edge: a coarser band has too few patches to be fitted on
TILE = 16  # tiles to an edge; every fifth is held out
MOST_COMPONENTS = 16  # eigen-images that are tried: bounds memory


@dataclass(frozen=True)
class Background:
    """What a run's probes say of its light. K probes, M maps (one a kept eigen-image and band).

    levels: (K) mean light of the probes; maps: (M, row, column); component, band: (M) of each map; mix: (K, component) share of each
    probe in an eigen-image; bands: blur widths; use: (row, column) PixelUse; mean: (row, column) M; weight: (row, column) inverse
    variance of A.
    """

    levels: np.ndarray
    maps: np.ndarray
    component: np.ndarray
    band: np.ndarray
    mix: np.ndarray
    bands: tuple[float, ...]
    use: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    noise: Noise

    @cached_property
    def gram(self) -> dict[PixelUse, np.ndarray]:
        """(M, M) weighted products of the maps over the fitted and over the held-out pixels."""
        return {use: _products(self.maps, self.maps, np.where(self.use == use, self.weight, 0.0)) for use in (PixelUse.fitted, PixelUse.held_out)}

    @cached_property
    def kernels(self) -> tuple[np.ndarray, np.ndarray]:
        """(band, band) products of the bands' kernels and (band) their values at the middle."""
        half = int(5 * max(self.bands, default=1)) + 1
        point = np.zeros((2 * half + 1, 2 * half + 1))
        point[half, half] = 1
        kernels = split(point, self.bands)
        return np.tensordot(kernels, kernels, ((1, 2), (1, 2))), kernels[:, half, half]


@dataclass(frozen=True)
class Cleaned:
    """One shot against its eigen-background.

    light: A, not below one electron above the dark noise; reference: R; optical_density: ln(R/A), unbiased; variance: of it, photon and
    read noise: (row, column). coefficient: (M), covariance: (M, M) of the maps; response: (K, band) of R to the probes; own: the shot's
    place among the K probes or -1; opaque: (row, column) pixels at the lower limit of A.
    """

    light: np.ndarray
    reference: np.ndarray
    optical_density: np.ndarray
    variance: np.ndarray
    coefficient: np.ndarray
    covariance: np.ndarray
    response: np.ndarray
    own: int
    opaque: np.ndarray


def split(frame: np.ndarray, bands: Sequence[float]) -> np.ndarray:
    """(band + 1, row, column) of a frame, finest first: what one blur keeps and the next takes away. They sum to the frame."""
    blurred = [frame, *(gaussian_filter(frame, width) for width in bands), np.zeros_like(frame)]
    return np.stack([finer - coarser for finer, coarser in zip(blurred, blurred[1:], strict=False)])


def find_atoms(optical_density: np.ndarray, dark: np.ndarray) -> np.ndarray | None:
    """(row, column) where the run's mean optical density, blurred by 3 px, stands out at 5 robust standard deviations.

    Patches smaller than the blur's own area (4 pi s^2) are noise; holes are filled. Tails left outside would be fitted as light, so the
    margin is 4 px plus 3 lengths in which the edge falls by e: the area between this contour and the one 4 times higher, over its
    perimeter and ln 4. dark: pixels without light. None where nothing stands out.
    """
    share = gaussian_filter((~dark).astype(float), SMOOTH)
    blurred = gaussian_filter(np.where(dark, 0.0, optical_density), SMOOTH) / np.maximum(share, 0.05)
    level = np.median(blurred[~dark])
    scatter = 1.4826 * np.median(np.abs(blurred[~dark] - level))
    height = np.where(dark, 0.0, blurred - level)
    patches, _ = label(height > FOUND_SIGMA * scatter)
    area = np.bincount(patches.ravel())
    area[0] = 0
    found = np.isin(patches, np.flatnonzero(area >= 4 * np.pi * SMOOTH**2))
    if not found.any():
        return None
    inner = found & (height > STEEPER * FOUND_SIGMA * scatter)
    perimeter = int((found & ~binary_erosion(found, border_value=1)).sum())
    fold = (found.sum() - inner.sum()) / max(perimeter, 1) / np.log(STEEPER)
    return (distance_transform_edt(~binary_fill_holes(found)) <= MARGIN_PX + MARGIN_FOLDS * fold) & ~dark


def pixel_use(atoms: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """(row, column) PixelUse: every fifth tile outside of the atoms is held out, a knight's move apart."""
    rows, columns = np.indices(atoms.shape)
    tile = max(4, min(atoms.shape) // TILE)
    held_out = (rows // tile + 2 * (columns // tile)) % 5 == 0
    use = np.where(held_out, PixelUse.held_out, PixelUse.fitted)
    return np.where(dark, PixelUse.dark, np.where(atoms, PixelUse.atoms, use)).astype(np.int8)


def eigen_background(probes: np.ndarray, atoms: np.ndarray, bands: Sequence[float], noise: Noise) -> Background:
    """The eigen-images of a run's probes, in bands.

    probes: (K, row, column) P; atoms: (row, column). An eigen-image is sum_k V_ke P_k with V from the singular value decomposition of
    the probes over all lit pixels: a probe has no atoms anywhere. Bands wider than 1/32 of the frame are left out.
    """
    bands = tuple(sorted(width for width in bands if width <= min(atoms.shape) / WIDEST_BAND))
    dark = ~lit(probes, noise)
    use = pixel_use(atoms, dark)
    mean = np.maximum(gaussian_filter(np.mean(probes, 0, dtype=np.float64), MEAN_BLUR), noise.gain + noise.read)
    weight = np.where(dark, 0.0, 1 / (noise.variance(mean) + noise.read**2))
    values, vectors = np.linalg.eigh(_products(probes, probes, weight))
    kept = np.flatnonzero(values[::-1] > 1e-9 * values[-1])[:MOST_COMPONENTS]
    mix = vectors[:, ::-1][:, kept]
    maps: list[np.ndarray] = []
    component: list[int] = []
    band: list[int] = []
    for number, column in enumerate(mix.T):
        parts = mean * split(np.tensordot(column, probes, 1) / mean, bands)
        first = 1 if number and bands else 0
        maps += [part.astype(np.float32) for part in parts[first:]]
        component += [number] * (len(parts) - first)
        band += range(first, len(parts))
    return Background(
        probes[:, ~dark].mean(1, dtype=np.float64), np.stack(maps), np.array(component), np.array(band), mix, bands, use, mean, weight, noise
    )


def held_out_chi2(light: np.ndarray, background: Background) -> np.ndarray:
    """(component) mean square of the held-out pixels' residual over their noise, for 1, 2, ... eigen-images. light: A of one shot."""
    products = {use: _against(light, background, use) for use in background.gram}
    held = background.use == PixelUse.held_out
    total, count = float((background.weight * np.square(light, dtype=np.float64))[held].sum()), int(held.sum())
    error = []
    for components in range(1, background.mix.shape[1] + 1):
        kept = background.component < components
        beta = _solve(background.gram[PixelUse.fitted][np.ix_(kept, kept)], products[PixelUse.fitted][kept])[0]
        across = background.gram[PixelUse.held_out][np.ix_(kept, kept)]
        error.append((total - 2 * beta @ products[PixelUse.held_out][kept] + beta @ across @ beta) / count)
    return np.array(error)


def clean(light: np.ndarray, background: Background, components: int, own: int) -> Cleaned:
    """Optical density of one shot. light: A (row, column) [DN]; own: place of the shot's own probe among the background's, or -1."""
    noise = background.noise
    kept = background.component < components
    beta = np.zeros(len(kept))
    covariance = np.zeros((len(kept), len(kept)))
    beta[kept], covariance[np.ix_(kept, kept)] = _solve(
        background.gram[PixelUse.fitted][np.ix_(kept, kept)], _against(light, background, PixelUse.fitted)[kept]
    )
    lowest = noise.gain + np.sqrt(2) * noise.read
    reference = np.maximum(np.tensordot(beta.astype(np.float32), background.maps, 1).astype(np.float64), lowest)
    opaque = light < lowest
    a = np.maximum(light, lowest).astype(np.float64)
    response = np.zeros((len(background.levels), len(background.bands) + 1))
    for value, component, band in zip(beta, background.component, background.band, strict=True):
        response[:, band] += value * background.mix[:, component]
    among, middle = background.kernels
    power = np.einsum("kb,bc,kc->k", response, among, response)  # share of a probe's pixel variance that reaches R
    of_reference = noise.gain * (power @ levels(reference, background)) * reference + 2 * noise.read**2 * power.sum()
    of_light = noise.variance(a) + noise.read**2
    shared = 2 * noise.read**2 * (response[own] @ middle if own >= 0 else 0.0) / (a * reference)  # the same background in A and R
    variance = of_light / a**2 + of_reference / reference**2 - shared
    density = np.log(reference / a) + of_reference / (2 * reference**2) - of_light / (2 * a**2)
    return Cleaned(a, reference, density, variance, beta, covariance, response, own, opaque)


def levels(reference: np.ndarray, background: Background) -> np.ndarray:
    """(K) light of the probes over that of R: their noise follows the same picture to the fringes' contrast."""
    return background.levels / reference[background.weight > 0].mean()


def _solve(gram: np.ndarray, against: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares from normal equations, columns scaled to 1: (coefficients, their covariance)."""
    scale = 1 / np.sqrt(np.diag(gram))
    inverse = np.linalg.pinv(gram * np.outer(scale, scale), rcond=1e-12, hermitian=True) * np.outer(scale, scale)
    return inverse @ against, inverse


def _against(light: np.ndarray, background: Background, use: PixelUse) -> np.ndarray:
    weight = np.where(background.use == use, background.weight, 0.0)
    return _products(background.maps, light[None], weight)[:, 0]


def _products(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(F, S) sum_p weight first second, a row of pixels at a time in double precision."""
    total = np.zeros((len(first), len(second)))
    for row in range(weight.shape[0]):
        total += (first[:, row] * weight[row]) @ second[:, row].T.astype(np.float64)
    return total
