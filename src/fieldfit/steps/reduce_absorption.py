"""Optical density and atom number of a run of absorption triplets: read, reduce, write."""

import logging
from collections.abc import Mapping
from pathlib import Path

import dask.array as da
import numpy as np
from dask.delayed import delayed

from fieldfit.calibration.absorption import judge, lit, photon_transfer
from fieldfit.config.magis import Absorption
from fieldfit.contract.magis import PixelUse
from fieldfit.experiments.magis.absorption import numbers, pictures, raw_density
from fieldfit.experiments.magis.eigen_background import Background, eigen_background, find_atoms, held_out_chi2
from fieldfit.io.absorption import Triplet, common_shape, find_triplets, read_triplet, time_stamp
from fieldfit.io.clock import contradicted
from fieldfit.io.exposure import BadFrame
from fieldfit.io.products import product, write_product
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)

PROBES = 32  # whose light makes the eigen-images, evenly spaced over the run: bounds memory and time
FEWEST_FITTED = 50  # fitted pixels for every coefficient of the background


def reduce_absorption(raw: Path, output: Path, entry: Absorption) -> None:
    """Reduce the run a shot at a time; a bad shot is flagged with its reason in the log and in the attribute `flagged`.

    Raises InputError when no shot can be used, when no atoms are found and no region is given, or when a key cannot be met.
    """
    triplets = find_triplets(raw, {"image": entry.image, "probe": entry.probe, "background": entry.background})
    shape = common_shape(triplets)
    status, times, times_from, reasons = _judged(triplets, shape, entry)
    for reason in reasons:
        log.warning("%s", reason)
    good = np.flatnonzero(status == Status.good)
    if not good.size:
        raise InputError(f"{raw}: none of the {len(triplets)} shots can be used:\n" + "\n".join(reasons))
    chosen = [int(place) for place in good[np.unique(np.linspace(0, len(good) - 1, min(PROBES, len(good))).astype(int))]]
    background, lights, atoms_from = _background(raw, [read_triplet(triplets[place], shape) for place in chosen], entry)
    error = np.mean([held_out_chi2(light, background) for light in lights], axis=0)
    components = int(np.argmin(error)) + 1 if entry.components is None else entry.components
    if components > len(error):
        raise InputError(f"key 'components' is {components}, expected at most {len(error)}, the number of independent probes (16 at most)")
    own = {place: number for number, place in enumerate(chosen)}

    def settings(place: int) -> tuple[np.ndarray, Background, int, int, float | None]:
        return read_triplet(triplets[place], shape), background, components, own.get(place, -1), entry.saturation_counts

    found = {int(place): numbers(*settings(int(place))) for place in good}
    for place, of_shot in found.items():
        told = "shot %d: rms optical density without atoms %.4f raw, %.4f with %d eigen-images (photons alone: %.4f)"
        log.info(told, triplets[place].shot, of_shot["background_rms_raw"], of_shot["background_rms"], components, of_shot["background_floor"])
        if of_shot["opaque_pixels"]:
            log.warning("shot %d: %d pixels let no light through, the atom number is a lower limit", triplets[place].shot, of_shot["opaque_pixels"])
    values = _stacked(found, len(triplets))
    values |= _in_metres(values, shape, entry)
    # A shot is drawn when it is written, so that one is in memory at a time.
    nothing = da.full((4, *shape), np.nan, dtype=np.float32, chunks=(4, *shape))
    draw = delayed(lambda place: pictures(*settings(place)), traverse=False)
    maps = da.stack([da.from_delayed(draw(n), (4, *shape), dtype=np.float32) if n in found else nothing for n in range(len(triplets))])
    drawn = {"optical_density": maps[:, 0], "optical_density_std": maps[:, 1], "optical_density_raw": maps[:, 2]}
    if entry.cross_section_m2:
        drawn["column_density"] = maps[:, 3] / np.float32(entry.cross_section_m2)
    missing = [f"'{key}'" for key in ("pixel_object_m", "cross_section_m2") if getattr(entry, key) is None]
    dataset = product(
        "optical_density",
        {**values, **drawn, "pixel_use": background.use, "held_out_chi2": error, "status": status, "time": times},
        {"shot": [triplet.shot for triplet in triplets], "image_axis": ["row", "column"], "component": np.arange(1, len(error) + 1)},
        flagged="\n".join(reasons) or "none",
        not_given=f"{' and '.join(missing)}: what needs it is NaN (of atom_number, position, size)" if missing else "none",
        noise=f"gain {background.noise.gain:.4g} DN, read noise {background.noise.read:.4g} DN: {background.noise.told}",
        components_from="the configuration" if entry.components else "the least error of held-out pixels",
        bands_px=" ".join(f"{width:g}" for width in background.bands) or "none",
        atoms_from=atoms_from,
        time_from=times_from,
    )
    inputs = [path for triplet in triplets for paths in triplet.files.values() for path in paths]
    title = "Optical density and atom number of absorption triplets"
    write_product(dataset, output, inputs, entry.model_dump(mode="json"), title, "reduce_absorption", entry.seed)


def _judged(triplets: tuple[Triplet, ...], shape: tuple[int, int], entry: Absorption) -> tuple[np.ndarray, np.ndarray, str, tuple[str, ...]]:
    """(shot) flags, (shot) times [s], where the times come from, and one reason a flagged shot."""
    status, stamps = np.zeros(len(triplets), np.int8), np.full(len(triplets), np.nan)
    reasons = {}
    for place, triplet in enumerate(triplets):
        try:
            flag, why = judge(read_triplet(triplet, shape), entry.saturation)
            stamps[place] = time_stamp(triplet)
        except BadFrame as bad:
            flag, why = bad.status, str(bad)
        status[place] = flag
        if flag:
            reasons[place] = why
    shots = [triplet.shot for triplet in triplets]
    good = np.flatnonzero(status == Status.good)
    if not good.size or np.isnan(stamps[good]).any():
        times, source = entry.start + entry.shot_period_s * np.array(shots, float), "shot numbers"
    else:
        for place, why in contradicted([shots[place] for place in good], stamps[good].tolist()).items():
            status[good[place]], reasons[int(good[place])] = Status.mistimed, why
        first = stamps[status == Status.good][0]
        times, source = entry.start + stamps - first, "time stamps of the images, from the first good shot"
    lines = tuple(f"shot {shots[place]} is {Status(status[place]).name}: {reasons[place]}" for place in sorted(reasons))
    return status, times, source, lines


def _background(raw: Path, frames: list[np.ndarray], entry: Absorption) -> tuple[Background, np.ndarray, str]:
    """(the run's eigen-background, A of the shots it was made from (K, row, column), where the atoms' region comes from)."""
    noise = photon_transfer(frames, entry.gain, entry.read_noise)
    lights, probes = (np.stack([frame[member] - frame[2] for frame in frames]) for member in (0, 1))
    dark = ~lit(probes, noise)
    if entry.region is None:
        densities = np.stack([raw_density(light, probe) for light, probe in zip(lights, probes, strict=True)])
        levels = np.nanmedian(np.where(dark, np.nan, densities), axis=(1, 2), keepdims=True)
        atoms, atoms_from = find_atoms(np.nan_to_num(densities - levels).mean(0), dark), "the frames"
        if atoms is None:
            raise InputError(f"{raw}: no atoms stand out of the mean of {len(frames)} shots: expected key 'region' to say where they may be")
    else:
        top, bottom, left, right = entry.region
        if not (0 <= top < bottom <= dark.shape[0] and 0 <= left < right <= dark.shape[1]):
            raise InputError(
                f"key 'region' is {list(entry.region)}, expected rows and columns within {dark.shape[0]} x {dark.shape[1]}, first before last"
            )
        atoms, atoms_from = np.zeros_like(dark), "the configuration"
        atoms[top:bottom, left:right] = True
    background = eigen_background(probes, atoms, entry.bands_px, noise)
    fitted = int((background.use == PixelUse.fitted).sum())
    if fitted < FEWEST_FITTED * len(background.maps):
        hint = "give a smaller 'region'" if entry.region else "give 'region', or frames with more light around the atoms"
        raise InputError(f"{raw}: {fitted} lit pixels without atoms are left to fit {len(background.maps)} coefficients of the background: {hint}")
    log.info("noise: %s: gain %.4g DN, read noise %.4g DN", noise.told, noise.gain, noise.read)
    log.info("%d pixels of atoms (from %s), %d dark, %d fitted", int(atoms.sum()), atoms_from, int(dark.sum()), fitted)
    return background, lights, atoms_from


def _stacked(found: Mapping[int, Mapping[str, float | np.ndarray]], shots: int) -> dict[str, np.ndarray]:
    """(shot, ...) of each number, NaN for the shots without."""
    first = next(iter(found.values()))
    stacked = {name: np.full((shots, *np.shape(value)), np.nan) for name, value in first.items()}
    for place, of_shot in found.items():
        for name, value in of_shot.items():
            stacked[name][place] = value
    return stacked


def _in_metres(values: Mapping[str, np.ndarray], shape: tuple[int, int], entry: Absorption) -> dict[str, np.ndarray]:
    """atom_number, position and size with their errors; NaN without the keys that they need."""
    pixel = entry.pixel_object_m or np.nan
    atoms = pixel**2 / (entry.cross_section_m2 or np.nan)
    return {
        "atom_number": values["optical_density_sum"] * atoms,
        "atom_number_std": values["optical_density_sum_std"] * atoms,
        "position": (values["centre"] - (np.array(shape) - 1) / 2) * pixel,
        "position_std": values["centre_std"] * pixel,
        "size": values["width"] * pixel,
        "size_std": values["width_std"] * pixel,
    }
