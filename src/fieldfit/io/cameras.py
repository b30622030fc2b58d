"""Camera descriptions: the reference JSON, or the same keys as YAML.

Only the key `cameras` is read. Reference files also hold `shots`, which tells the truth: it is left alone.
"""

import json
import math
from pathlib import Path
from typing import Any

import yaml

from fieldfit.geometry.cameras import Camera, Vector
from fieldfit.types import InputError, nearest

REQUIRED = (
    "lens_position_m", "look", "left", "up", "focal_length_m", "aperture_diameter_m", "magnification",
    "pixel_pitch_m", "resolution_hw", "quantum_efficiency", "pedestal_poisson_mean",
)  # fmt: skip
OPTIONAL = ("id", "type", "gain", "f_number", "object_distance_m", "sensor_position_m")
TYPES = ("thin_lens",)
MOST_PIXELS = 20_000
TOLERANCE = 1e-6  # of unit vectors and of the distances that are stated twice


def read_cameras(path: Path) -> list[Camera]:
    """The views of a run, in the order of the file.

    Raises InputError naming the file, the camera and the key where one is missing, unknown, of wrong length or out of range.
    """
    path = Path(path)
    try:
        text = path.read_text()
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a camera description in JSON or YAML") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as a camera description ({error})") from None
    listed = content.get("cameras") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        close = nearest("cameras", map(str, content)) if isinstance(content, dict) else ""
        raise InputError(f"{path}: found {found}, expected a key 'cameras' with a list of cameras{close}")
    cameras = [_camera(entry, place, path) for place, entry in enumerate(listed)]
    names = [camera.name for camera in cameras]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: camera id {twice} is there {names.count(twice)} times, expected once")
    return cameras


def _camera(entry: Any, place: int, path: Path) -> Camera:
    if not isinstance(entry, dict):
        raise InputError(f"{path}: camera number {place} is {entry!r}, expected a mapping of keys")
    where = f"{path}: camera {entry.get('id', place)}"
    for key in entry:
        if key not in REQUIRED + OPTIONAL:
            raise InputError(f"{where}: unknown key '{key}'{nearest(str(key), REQUIRED + OPTIONAL)}; known here: {', '.join(REQUIRED + OPTIONAL)}")
    kind = entry.get("type", "thin_lens")
    if kind not in TYPES:
        raise InputError(f"{where}: key 'type' is {kind!r}, expected one of {', '.join(TYPES)}{nearest(str(kind), TYPES)}")
    for key in REQUIRED:
        if key not in entry:
            raise InputError(f"{where}: key '{key}' is missing, expected one of the keys {', '.join(REQUIRED)}; found {', '.join(map(str, entry))}")
    look, left, up = (_unit(entry, key, where) for key in ("look", "left", "up"))
    for (a, first), (b, second) in ((("look", look), ("left", left)), (("look", look), ("up", up)), (("left", left), ("up", up))):
        if abs(sum(p * q for p, q in zip(first, second, strict=True))) > TOLERANCE:
            raise InputError(f"{where}: keys '{a}' and '{b}' are not perpendicular, expected look, left and up at right angles")
    lens = _numbers(entry, "lens_position_m", 3, where)
    rows, columns = _resolution(entry, where)
    camera = Camera(
        name=str(entry.get("id", place)),
        lens=(lens[0], lens[1], lens[2]),
        look=look,
        left=left,
        up=up,
        focal_length=_positive(entry, "focal_length_m", where),
        radius=_positive(entry, "aperture_diameter_m", where) / 2,
        magnification=_positive(entry, "magnification", where),
        pitch=_positive(entry, "pixel_pitch_m", where),
        rows=rows,
        columns=columns,
        efficiency=_positive(entry, "quantum_efficiency", where, most=1.0),
        pedestal=_positive(entry, "pedestal_poisson_mean", where, least=0.0),
        gain=_positive({"gain": 1.0, **entry}, "gain", where),
    )
    if "object_distance_m" in entry:
        stated = _positive(entry, "object_distance_m", where)
        if abs(stated / camera.focus - 1) > 1e-3:
            raise InputError(f"{where}: key 'object_distance_m' is {stated:g}, expected f (1 + m) / m = {camera.focus:g} from the other keys")
    if "f_number" in entry:
        stated = _positive(entry, "f_number", where)
        if abs(stated * 2 * camera.radius / camera.focal_length - 1) > 1e-3:
            ratio = camera.focal_length / camera.radius / 2
            raise InputError(f"{where}: key 'f_number' is {stated:g}, expected focal length / aperture diameter = {ratio:g} from the other keys")
    return camera


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(entry: dict[str, Any], key: str, length: int, where: str) -> list[float]:
    value = entry[key]
    if not isinstance(value, list) or len(value) != length or not all(_number(v) for v in value):
        found = f"{len(value)} values {value!r}" if isinstance(value, list) else repr(value)
        raise InputError(f"{where}: key '{key}' holds {found}, expected {length} numbers")
    return [float(v) for v in value]


def _unit(entry: dict[str, Any], key: str, where: str) -> Vector:
    x, y, z = _numbers(entry, key, 3, where)
    length = math.sqrt(x * x + y * y + z * z)
    if abs(length - 1) > TOLERANCE:
        raise InputError(f"{where}: key '{key}' has length {length:g}, expected a unit vector")
    return x, y, z


def _positive(entry: dict[str, Any], key: str, where: str, least: float | None = None, most: float = math.inf) -> float:
    value = entry[key]
    low = value >= least if least is not None and _number(value) else _number(value) and value > 0
    if not _number(value) or not low or value > most:
        bounds = f"a number {'of at least ' + format(least, 'g') if least is not None else 'above 0'}" + (
            f" and at most {most:g}" if most < math.inf else ""
        )
        raise InputError(f"{where}: key '{key}' is {value!r}, expected {bounds}")
    return float(value)


def _resolution(entry: dict[str, Any], where: str) -> tuple[int, int]:
    rows, columns = _numbers(entry, "resolution_hw", 2, where)
    for value in (rows, columns):
        if value != int(value) or not 1 <= value <= MOST_PIXELS:
            raise InputError(f"{where}: key 'resolution_hw' holds {value:g}, expected whole numbers of 1 to {MOST_PIXELS}")
    return int(rows), int(columns)
