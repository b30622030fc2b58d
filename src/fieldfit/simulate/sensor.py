"""Sensors that are not ideal, and the frames that characterise them.

    charge = min(Poisson(response light + dark), full well),    DN = round(offset + gain (charge + read noise)), cut at 16 bits

response differs from pixel to pixel; dark: electrons a frame without light, many in a hot pixel. NumPy only.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldfit.config.magis import SimulateSensor, SimulateShots
from fieldfit.simulate.frames import write_run
from fieldfit.simulate.layouts import layout_of

TOP = np.iinfo(np.uint16).max
HOT_E = (200.0, 2000.0)  # electrons a frame
DEAD_RESPONSE = 0.1


@dataclass(frozen=True)
class Sensor:
    """gain [DN/electron]; offset [DN]; read_noise, full_well [electrons]; response (row, column), 1 on average over live pixels;
    dark (row, column) [electrons]."""

    gain: float
    offset: float
    read_noise: float
    full_well: float
    response: np.ndarray
    dark: np.ndarray


def sensor_of(keys: SimulateSensor, shape: tuple[int, int], pedestal: float, random: np.random.Generator) -> Sensor:
    """A sensor of this (row, column). pedestal: dark electrons of an ordinary pixel."""
    response = 1 + keys.response_spread * np.clip(random.standard_normal(shape), -4, 4)
    dead = random.random(shape) < keys.dead_share
    response = np.where(dead, DEAD_RESPONSE, response / response[~dead].mean())
    hot = random.random(shape) < keys.hot_share
    dark = pedestal + hot * random.uniform(*HOT_E, shape)
    return Sensor(keys.gain, keys.offset_dn, keys.read_noise, keys.full_well, response, dark)


def sensors_of(entry: SimulateShots, seed: int) -> list[Sensor]:
    """The sensors of a simulated run, none where ideal ones are asked for: the same in its shots and in its calibrations."""
    if entry.sensor is None:
        return []
    random = np.random.default_rng([seed, 4])
    cameras = layout_of(entry)["cameras"]
    return [sensor_of(entry.sensor, tuple(camera["resolution_hw"]), camera["pedestal_poisson_mean"], random) for camera in cameras]


def collected(sensor: Sensor, light: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(row, column) electrons of the light of a shot that was traced with `most(sensor)` times its photons: thinned, so that it stays Poisson."""
    return random.binomial(light, sensor.response / most(sensor))


def most(sensor: Sensor) -> float:
    """The largest response."""
    return float(sensor.response.max())


def read_out(sensor: Sensor, electrons: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(row, column) uint16 frame of so many electrons of light."""
    charge = np.minimum(electrons + random.poisson(sensor.dark), sensor.full_well)
    value = sensor.offset + sensor.gain * (charge + sensor.read_noise * random.standard_normal(charge.shape))
    return np.clip(np.rint(value), 0, TOP).astype(np.uint16)


def darks(sensors: Sequence[Sensor], number: int, random: np.random.Generator) -> Iterator[tuple[int, np.ndarray]]:
    """Numbered frames (sensor, row, column) without light."""
    for place in range(number):
        yield place, np.stack([read_out(sensor, np.zeros(sensor.dark.shape, int), random) for sensor in sensors])


def flats(sensors: Sequence[Sensor], light: Sequence[float], random: np.random.Generator) -> Iterator[tuple[int, np.ndarray]]:
    """Two numbered frames (sensor, row, column) for each of these lights [electrons a pixel]."""
    for place, level in enumerate(np.repeat(light, 2)):
        yield place, np.stack([read_out(sensor, random.poisson(level * sensor.response), random) for sensor in sensors])


def write_calibration(dark: Path, flat: Path | None, name: str, keys: SimulateSensor, sensors: Sequence[Sensor], seed: int, form: str) -> None:
    """The dark frames of the calibration of this name and, with a path for them, its flats, in the format of the shots."""
    random = np.random.default_rng([seed, 5, zlib.crc32(name.encode())])
    write_run(dark, form, darks(sensors, keys.darks, random))
    if flat is not None:
        light = keys.full_well * np.linspace(keys.brightest / keys.levels, keys.brightest, keys.levels)
        write_run(flat, form, flats(sensors, light.tolist(), random))
