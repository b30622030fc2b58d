"""Sensors of an optical detector: a JSON list with channel, kind, centre [cm], normal and radius [cm] of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldfit.documents import is_number, read_document
from fieldfit.types import InputError, nearest
from fieldfit.units import CM

KINDS = ("disk",)
KEYS = ("channel", "kind", "centre", "normal", "radius")


@dataclass(frozen=True)
class Disks:
    """Disk sensors in the order of their channels. centre (channel, 3) [m]; normal (channel, 3), unit vectors; radius (channel) [m]."""

    centre: NDArray[np.float64]
    normal: NDArray[np.float64]
    radius: NDArray[np.float64]

    @property
    def count(self) -> int:
        return len(self.radius)


def read_channels(path: Path) -> Disks:
    """The sensors at `path`, channels 0 to N - 1 in any order.

    Raises InputError naming the channel and the key when the file is no such list.
    """
    path = Path(path)
    found = read_document(path, "a JSON list of sensors")
    if not isinstance(found, list) or not found or not all(isinstance(sensor, dict) for sensor in found):
        raise InputError(f"{path}: expected a JSON list with one object a sensor ({', '.join(KEYS)})")
    rows = sorted((_channel(path, k, sensor) for k, sensor in enumerate(found)), key=lambda row: row[0])
    numbers = [row[0] for row in rows]
    if numbers != list(range(len(rows))):
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        detail = f"channel {twice[0]} is there twice" if twice else f"channels {numbers[0]} to {numbers[-1]} for {len(rows)} sensors"
        raise InputError(f"{path}: {detail}, expected each of 0 to {len(rows) - 1} once")
    centre, normal, radius = (np.array([row[k] for row in rows], np.float64) for k in (1, 2, 3))
    return Disks(centre * CM, normal / np.linalg.norm(normal, axis=1, keepdims=True), radius * CM)


def _channel(path: Path, place: int, sensor: dict[str, Any]) -> tuple[int, list[float], list[float], float]:
    number = sensor.get("channel", place)
    if not isinstance(number, int) or isinstance(number, bool):
        raise InputError(f"{path}: sensor {place}: 'channel' is {number!r}, expected a whole number")
    where = f"{path}: channel {number}"
    for key in sensor:
        if key not in KEYS and nearest(key, [k for k in KEYS if k not in sensor]):
            raise InputError(f"{where}: unknown key '{key}'{nearest(key, KEYS)} (known here: {', '.join(KEYS)})")
    kind = sensor.get("kind", "disk")
    if kind not in KINDS:
        raise InputError(
            f"{where}: kind {kind!r} is not known, expected {' or '.join(KINDS)}{nearest(str(kind), KINDS)}; "
            "a flat sensor of another shape can be given as the disk of the same area"
        )
    for key in ("centre", "normal", "radius"):
        if key not in sensor:
            raise InputError(f"{where}: key '{key}' is missing, expected {', '.join(KEYS)}")
    centre, normal = (_vector(where, key, sensor[key]) for key in ("centre", "normal"))
    radius = sensor["radius"]
    if not is_number(radius) or radius <= 0:
        raise InputError(f"{where}: radius is {radius!r}, expected a positive number of cm")
    if not any(normal):
        raise InputError(f"{where}: normal is zero, expected the direction in which the sensor looks")
    return number, centre, normal, float(radius)


def _vector(where: str, key: str, value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) != 3 or not all(is_number(v) for v in value):
        raise InputError(f"{where}: {key} is {value!r}, expected three finite numbers")
    return [float(v) for v in value]
