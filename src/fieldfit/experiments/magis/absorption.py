"""Optical density, column density and atom number of absorption triplets, against the shot's eigen-background.

Beer's law, with the saturation term of Reinaudi et al., Opt. Lett. 32, 3143 (2007); A the light with atoms, R without [DN]:

    sigma n(p) = ln(R/A) + (R - A) / C_sat,        N = a^2 sum_p n(p)

Errors are those of photons and read noise, carried to first order through the logarithm, the blurs and the fit of R, and of the fringes
that are left, measured in the pixels without atoms.
"""

import numpy as np

from fieldfit.calibration.absorption import Noise
from fieldfit.contract.magis import PixelUse
from fieldfit.experiments.magis.eigen_background import Background, Cleaned, clean, levels, split

SEEN_SIGMA = 5.0  # atoms whose sum stands this far out of its own error have a centre and a width
FEWEST_BLOCKS = 24  # blocks without atoms from which the scatter of their means is told


def numbers(frames: np.ndarray, background: Background, components: int, own: int, saturation_counts: float | None) -> dict[str, float | np.ndarray]:
    """The numbers of one shot, by their names in the product. frames: image, probe and background (member, row, column) [DN]."""
    light, probe = frames[0] - frames[2], frames[1] - frames[2]
    cleaned = clean(light, background, components, own)
    rest, excess = structure(cleaned, background)
    inside = background.use == PixelUse.atoms
    total = float(column(cleaned, saturation_counts)[inside].sum()), sum_error(1.0, cleaned, background, saturation_counts, excess)
    fitted, held = background.use == PixelUse.fitted, background.use == PixelUse.held_out
    raw = raw_density(light, probe)
    return {
        "optical_density_sum": total[0],
        "optical_density_sum_std": total[1],
        "background_rms_raw": float(np.sqrt(np.nanmean(raw[held] ** 2))),
        "background_rms_scaled": float(np.sqrt(np.nanmean((raw[held] - np.nanmean(raw[fitted])) ** 2))),
        "background_rms": float(np.sqrt(np.mean(cleaned.optical_density[held] ** 2))),
        "background_floor_raw": float(np.sqrt(np.mean(raw_variance(light, probe, background.noise)[held]))),
        "background_floor": float(np.sqrt(np.mean(cleaned.variance[held]))),
        "structure_std": rest,
        "components": components,
        "opaque_pixels": int((cleaned.opaque & inside).sum()),
        **moments(cleaned, background, saturation_counts, excess, total),
    }


def pictures(frames: np.ndarray, background: Background, components: int, own: int, saturation_counts: float | None) -> np.ndarray:
    """(4, row, column) of one shot: optical density, its standard deviation, raw optical density, sigma n; NaN where the probe is dark."""
    light, probe = frames[0] - frames[2], frames[1] - frames[2]
    cleaned = clean(light, background, components, own)
    std = np.sqrt(cleaned.variance + structure(cleaned, background)[0] ** 2)
    found = np.stack([cleaned.optical_density, std, raw_density(light, probe), column(cleaned, saturation_counts)])
    return np.where(background.use == PixelUse.dark, np.nan, found).astype(np.float32)


def raw_density(light: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """-ln(A/P) of a shot's own frames, NaN where one of them is not above the background."""
    both = (light > 0) & (probe > 0)
    return np.where(both, -np.log(np.where(both, light, 1.0) / np.where(both, probe, 1.0)), np.nan)


def raw_variance(light: np.ndarray, probe: np.ndarray, noise: Noise) -> np.ndarray:
    """Variance of raw_density from photon and read noise; the background is the same in both frames."""
    a, p = (np.maximum(frame, noise.gain).astype(np.float64) for frame in (light, probe))
    return noise.variance(a) / a**2 + noise.variance(p) / p**2 + noise.read**2 * (1 / a - 1 / p) ** 2


def structure(cleaned: Cleaned, background: Background) -> tuple[float, float]:
    """What photons do not explain in the pixels without atoms: (rms optical density of a held-out pixel, variance it adds to a sum, a pixel).

    The second is B^2 [Var(mean of a block) - photon noise of it], blocks of B x B pixels: fringes that are left make neighbours err
    together. B is an eighth of the frame, halved as long as fewer than 24 blocks are free of atoms.
    """
    held = background.use == PixelUse.held_out
    rms2 = np.mean(cleaned.optical_density[held] ** 2) - np.mean(cleaned.variance[held])
    free = (background.use == PixelUse.held_out) | (background.use == PixelUse.fitted)
    noise = background.noise
    alone = (noise.variance(cleaned.light) + 2 * noise.read**2) / cleaned.light**2
    together = (cleaned.response[:, -1] ** 2).sum() * noise.gain / cleaned.reference
    side = min(free.shape) // 8
    while side > 1 and (_block_means(free, side) == 1).sum() < FEWEST_BLOCKS:
        side //= 2
    whole = _block_means(free, side) == 1
    means, photons = (_block_means(picture, side)[whole] for picture in (cleaned.optical_density, alone + together))
    beyond = float(np.mean(means**2) * side**2 - photons.mean())
    return float(np.sqrt(max(rms2, 0.0))), max(beyond, 0.0)


def column(cleaned: Cleaned, saturation_counts: float | None) -> np.ndarray:
    """(row, column) sigma n: the optical density plus (R - A)/C_sat where C_sat is given."""
    extra = (cleaned.reference - cleaned.light) / saturation_counts if saturation_counts else 0.0
    return cleaned.optical_density + extra


def sum_error(weights: np.ndarray | float, cleaned: Cleaned, background: Background, saturation_counts: float | None, excess: float) -> float:
    """Standard deviation of sum_p w_p sigma n_p over the atoms' region. excess: structure()'s variance a pixel.

    Photon and read noise go through the logarithm, through the blurs of R (which are their own adjoints) and through the fit of beta.
    """
    noise = background.noise
    w = np.where(background.use == PixelUse.atoms, weights, 0.0)
    per_count = 1 / saturation_counts if saturation_counts else 0.0
    slope_light = w * (1 / cleaned.light + per_count)
    slope_reference = w * (1 / cleaned.reference + per_count)
    # The fitted pixels act through beta = G^-1 U^T W A: d beta = G^-1 U^T W (dA - dU beta), to first order in the noise.
    through = cleaned.covariance @ np.tensordot(background.maps, slope_reference.astype(np.float32), ((1, 2), (0, 1))).astype(np.float64)
    fitted = np.where(background.use == PixelUse.fitted, background.weight, 0.0) * np.tensordot(through.astype(np.float32), background.maps, 1)
    slope_light, slope_reference = slope_light - fitted, slope_reference - fitted
    bands = split(slope_reference * background.mean, background.bands) / background.mean
    photons = cleaned.response.T * levels(cleaned.reference, background) @ cleaned.response
    reads = cleaned.response.T @ cleaned.response
    own = np.tensordot(cleaned.response[cleaned.own], bands, 1) if cleaned.own >= 0 else np.zeros_like(w)
    variance = slope_light**2 * noise.variance(cleaned.light) + excess * (w**2 + (fitted * cleaned.reference) ** 2)
    variance += noise.gain * cleaned.reference * _squared(bands, photons)
    variance += noise.read**2 * (2 * _squared(bands, reads) - own**2 + (slope_light - own) ** 2)
    return float(np.sqrt(variance.sum()))


def moments(
    cleaned: Cleaned, background: Background, saturation_counts: float | None, excess: float, total: tuple[float, float]
) -> dict[str, np.ndarray]:
    """centre, centre_std, width, width_std, each (row, column) in pixels, NaN where `total` is not 5 of its standard deviations.

    With S = sum sigma n over the region: m = sum p sigma n / S, width^2 = sum (p - m)^2 sigma n / S. To first order in the noise an error
    of sigma n moves them by sums with weights (p - m)/S and [(p - m)^2 - width^2] / (2 width S).
    """
    found = {name: np.full(2, np.nan) for name in ("centre", "centre_std", "width", "width_std")}
    if not total[0] > SEEN_SIGMA * total[1]:
        return found
    share = np.where(background.use == PixelUse.atoms, column(cleaned, saturation_counts), 0.0) / total[0]
    for axis, place in enumerate(np.indices(share.shape, dtype=np.float64)):
        away = place - (place * share).sum()
        square = float((away**2 * share).sum())
        found["centre"][axis] = (place * share).sum()
        found["centre_std"][axis] = sum_error(away / total[0], cleaned, background, saturation_counts, excess)
        if square > 0:
            slope = (away**2 - square) / (2 * np.sqrt(square) * total[0])
            found["width"][axis] = np.sqrt(square)
            found["width_std"][axis] = sum_error(slope, cleaned, background, saturation_counts, excess)
    return found


def _squared(bands: np.ndarray, form: np.ndarray) -> np.ndarray:
    """(row, column) sum_bc bands_b form_bc bands_c."""
    return np.einsum("brc,brc->rc", np.tensordot(form, bands, 1), bands)


def _block_means(frame: np.ndarray, side: int) -> np.ndarray:
    rows, columns = frame.shape[0] // side, frame.shape[1] // side
    return frame[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3))
