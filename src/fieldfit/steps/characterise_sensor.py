"""What the sensors of a run do to light, from the dark and flat frames of one calibration: read, measure, write."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fieldfit.calibration.sensor import QUANTUM, Dark, Pairs, dark_of, flat_of, levels_of, transfer
from fieldfit.catalogue import shots_of
from fieldfit.config.magis import Imaging
from fieldfit.contract.magis import SensorPixel
from fieldfit.io.cameras import frame_sizes
from fieldfit.io.exposure import largest
from fieldfit.io.frames import Block, read_block
from fieldfit.io.products import product, write_product
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)
MAPS = ("dark", "dark_std", "flat", "flat_std")


def characterise_sensor(cameras: Path, output: Path, entry: Imaging, name: str) -> None:
    """Measure every sensor, one after the other. A frame that cannot be read is left out, with its reason in the log.

    Raises InputError with fewer than two dark frames, without a whole pair of flats, for flats too faint for a gain, or of unlike pairs.
    """
    own = entry.calibrations[name]
    sizes = frame_sizes(cameras)
    darks = _read(own.dark, sizes, entry)
    if int((darks.status == Status.good).sum()) < 2:
        raise InputError(f"{own.dark}: 1 dark frame can be used, expected at least 2, better 16")
    flats, pairs = None, np.zeros((0, 2), int)
    if own.flat is not None:
        flats = _read(own.flat, sizes, entry)
        pairs = _pairs(own.flat, flats)
    values = {key: np.full(largest(sizes), np.nan) for key in MAPS}
    values["quality"] = np.full(largest(sizes), SensorPixel.absent, np.int8)
    rows = [_measured(sensor, size, darks, flats, pairs, values, own.flat) for sensor, size in enumerate(sizes)]
    values |= {key: np.array([row[key] for row in rows]) for key in rows[0]}
    values |= {"valid_from": np.array(own.interval[0]), "valid_until": np.array(own.interval[1])}
    files = [cameras, *darks.files, *(flats.files if flats else ())]
    told = {"calibration": name, "dark_frames": darks.source, "flat_frames": flats.source if flats else "none"}
    dataset = product("sensor", values, {}, **told)
    write_product(dataset, output, files, entry.model_dump(mode="json"), "Response of the sensors", "characterise_sensor")


def _read(raw: Path, sizes: list[tuple[int, int]], entry: Imaging) -> Block:
    block = read_block(raw, list(shots_of(raw, entry.format)), sizes, entry.format, adc_step=entry.adc_step)
    for line in (*block.notes, *block.reasons):
        log.info("%s: %s", raw, line)
    return block


def _pairs(raw: Path, flats: Block) -> np.ndarray:
    """(pair, 2) places of flats whose numbers follow each other, counted from the first."""
    good = {shot: place for place, shot in enumerate(flats.shots) if flats.status[place] == Status.good}
    first = flats.shots[0]
    whole = [(good[shot], good[shot + 1]) for shot in good if (shot - first) % 2 == 0 and shot + 1 in good]
    left = len(flats.shots) - 2 * len(whole)
    if left:
        log.warning("%s: %d flats without the other of their pair are left out", raw, left)
    if not whole:
        raise InputError(f"{raw}: no pair among the flats {', '.join(map(str, flats.shots))}: expected two numbers in a row for each light")
    return np.array(whole)


def _measured(
    sensor: int, size: tuple[int, int], darks: Block, flats: Block | None, pairs: np.ndarray, maps: dict[str, np.ndarray], raw: Path | None
) -> dict[str, float | np.ndarray]:
    """What is one number a sensor, or one a level; what is one a pixel goes into `maps`."""

    def frame(block: Block, place: int) -> np.ndarray:
        return block.frames[place, sensor, : size[0], : size[1]].compute()

    def paired() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        assert flats is not None
        for one, other in pairs:
            yield frame(flats, one), frame(flats, other)

    dark = dark_of(frame(darks, int(place)) for place in np.flatnonzero(darks.status == Status.good))
    found: dict[str, float | np.ndarray] = {"dark_variance": dark.variance, "dark_variance_std": dark.variance_std}
    found |= dict.fromkeys(("gain", "gain_std", "read_noise", "read_noise_std", "saturation", "saturation_std"), np.nan)
    nothing = np.full(size, np.nan)
    quality, flat, flat_std = dark.quality, nothing, nothing
    if flats is not None:
        try:
            more, flat, flat_std, quality = _lit(paired, dark)
        except InputError as error:
            raise InputError(f"{raw}: sensor {sensor}: {error}") from None
        found |= more
    for key, value in zip((*MAPS, "quality"), (dark.level, dark.level_std, flat, flat_std, quality), strict=True):
        maps[key][sensor, : size[0], : size[1]] = value
    counted = ", ".join(f"{int((quality == kind).sum())} {kind.name}" for kind in SensorPixel if kind != SensorPixel.absent)
    told = "sensor %d: gain %.5g +- %.2g DN an electron, noise %.4g electrons (%.4g DN) without light, full at %.0f DN; pixels: %s"
    dn = float(np.sqrt(dark.variance))
    log.info(told, sensor, found["gain"], found["gain_std"], found["read_noise"], dn, found["saturation"], counted)
    return found


def _lit(pairs: Pairs, dark: Dark) -> tuple[dict[str, float | np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """(numbers, response, its standard deviation, quality) of one sensor."""
    levels = levels_of(pairs, dark)
    found = transfer(levels, dark)
    flat, std, quality = flat_of(pairs, dark, levels, found)
    noise = float(np.sqrt(dark.variance)) / found.gain
    relative = np.hypot(dark.variance_std / max(2 * dark.variance, QUANTUM), found.gain_std / found.gain)
    numbers: dict[str, float | np.ndarray] = {
        "gain": found.gain,
        "gain_std": found.gain_std,
        "read_noise": noise,
        "read_noise_std": noise * float(relative),
        "saturation": found.saturation,
        "saturation_std": found.saturation_std,
        "level_mean": levels.mean,
        "level_variance": levels.variance,
        "level_variance_std": levels.variance_std,
        "level_used": found.used,
    }
    return numbers, flat, std, quality
