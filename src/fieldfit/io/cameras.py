"""Camera descriptions: the reference JSON files, or the same keys as YAML.

    cameras: a list, one entry a sensor; an entry with `mirrors` (centre_m, normal, radius_m) gives a view a mirror, and none straight.
    lens, sensor, views: the layout of the reference dome, one camera and a view a mirror; read as the same.

Other keys are left alone: reference files also hold `shots`, which tells the truth.
"""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from fieldfit.documents import is_number, read_document
from fieldfit.geometry.cameras import Camera, Distortion, Glass, Mirror, Vector, reflected
from fieldfit.types import InputError, nearest

REQUIRED = (
    "lens_position_m", "look", "left", "up", "focal_length_m", "aperture_diameter_m", "magnification",
    "pixel_pitch_m", "resolution_hw", "quantum_efficiency", "pedestal_poisson_mean",
)  # fmt: skip
OPTIONAL = ("id", "type", "gain", "f_number", "object_distance_m", "sensor_position_m", "wavelength_m", "glass", "distortion", "mirrors")
MIRROR = ("id", "center_m", "normal", "radius_m")
# The reference dome's names for the same things.
LENS = {
    "position_m": "lens_position_m", "look": "look", "left": "left", "up": "up", "focal_length_m": "focal_length_m", "f_number": "f_number",
    "magnification": "magnification", "aperture_diameter_m": "aperture_diameter_m", "plane_of_focus_from_lens_m": "object_distance_m",
}  # fmt: skip
SENSOR = {
    "position_m": "sensor_position_m", "pixel_pitch_m": "pixel_pitch_m", "resolution_hw": "resolution_hw",
    "quantum_efficiency": "quantum_efficiency", "pedestal_poisson_mean": "pedestal_poisson_mean",
}  # fmt: skip
VIEW = {"id": "id", "mirror_center_m": "center_m", "mirror_normal": "normal", "mirror_radius_m": "radius_m"}
TYPES = ("thin_lens",)
MOST_PIXELS = 20_000
TOLERANCE = 1e-6  # of unit vectors and of the distances that are stated twice


def read_cameras(path: Path, field_m: float = 1.6e-3) -> list[Camera]:
    """The views of a run, in the order of the file, all of one size: a smaller region is filled up at its far edges to the largest, its optical
    axis kept where it is. `region_sizes` tells what is real.

    field_m: half width of the volume that is looked at, about the world's origin [m]; it sets the region of the sensor that a mirror's view
    needs: the image of a sphere of sqrt(2) times that radius. All mirrors of a sensor have regions of one size.
    Raises InputError naming the file, the camera and the key where one is missing, unknown, of wrong length or out of range.
    """
    views = _listed(path, field_m)
    rows, columns = max(view.rows for view in views), max(view.columns for view in views)
    return [view if (view.rows, view.columns) == (rows, columns) else replace(view, rows=rows, columns=columns, axis=view.middle) for view in views]


def region_sizes(path: Path, field_m: float = 1.6e-3) -> list[tuple[int, int]]:
    """(rows, columns) of each view's own region, before it is filled up. Raises InputError as `read_cameras` does."""
    return [(view.rows, view.columns) for view in _listed(path, field_m)]


def frame_sizes(path: Path) -> list[tuple[int, int]]:
    """(rows, columns) of the frame of each sensor of a shot. Raises InputError as `read_cameras` does."""
    sizes = {view.frame: view.sensor for view in _listed(path)}
    return [sizes[frame] for frame in sorted(sizes)]


def _listed(path: Path, field_m: float = 1.6e-3) -> list[Camera]:
    """The views with their own regions."""
    path = Path(path)
    content = read_document(path, "a camera description in JSON or YAML")
    if isinstance(content, dict) and "cameras" not in content and {"lens", "sensor", "views"} <= set(content):
        content = {"cameras": [_dome(content, path)]}
    listed = content.get("cameras") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        close = nearest("cameras", map(str, content)) if isinstance(content, dict) else ""
        raise InputError(f"{path}: found {found}, expected a key 'cameras' with a list of cameras{close}")
    cameras = [view for place, entry in enumerate(listed) for view in _views(entry, place, path, field_m)]
    names = [camera.name for camera in cameras]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: camera id {twice} is there {names.count(twice)} times, expected once")
    return cameras


def _dome(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The reference dome as one camera with mirrors."""
    entry: dict[str, Any] = {"id": content.get("kind", "dome")}
    for part, names in (("lens", LENS), ("sensor", SENSOR)):
        if not isinstance(content[part], dict):
            raise InputError(f"{path}: key '{part}' is {content[part]!r}, expected a mapping of keys")
        entry |= {names[key]: value for key, value in content[part].items() if key in names}
    if not isinstance(content["views"], list) or not all(isinstance(view, dict) for view in content["views"]):
        raise InputError(f"{path}: key 'views' is no list of mappings, expected one a mirror")
    entry["mirrors"] = [{VIEW[key]: value for key, value in view.items() if key in VIEW} for view in content["views"]]
    return entry


def _views(entry: Any, place: int, path: Path, field_m: float) -> list[Camera]:
    """The views of one sensor: its camera, or one for each of its mirrors."""
    camera = replace(_camera(entry, place, path), frame=place)
    if "mirrors" not in entry:
        return [camera]
    listed = entry["mirrors"]
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path}: camera {camera.name}: key 'mirrors' is {listed!r}, expected a list of mirrors")
    return _regions(
        [reflected(camera, mirror, name) for mirror, name in (_mirror(m, k, camera.name, path) for k, m in enumerate(listed))], path, field_m
    )


def _mirror(entry: Any, place: int, camera: str, path: Path) -> tuple[Mirror, str]:
    if not isinstance(entry, dict):
        raise InputError(f"{path}: camera {camera}: mirror number {place} is {entry!r}, expected a mapping of keys")
    name = f"{camera}-{entry.get('id', place)}"
    where = f"{path}: mirror {name}"
    for key in entry:
        if key not in MIRROR:
            raise InputError(f"{where}: unknown key '{key}'{nearest(str(key), MIRROR)}; known here: {', '.join(MIRROR)}")
    for key in MIRROR[1:]:
        if key not in entry:
            raise InputError(f"{where}: key '{key}' is missing, expected {', '.join(MIRROR[1:])}; found {', '.join(map(str, entry))}")
    x, y, z = _numbers(entry, "center_m", 3, where)
    return Mirror((x, y, z), _unit(entry, "normal", where), _positive(entry, "radius_m", where)), name


def _regions(views: list[Camera], path: Path, field_m: float) -> list[Camera]:
    """Each mirror's view cut out of the sensor around the image of the world's origin; never beyond half way to the next view."""
    found = []
    for view in views:
        offset = [-c for c in view.lens]
        depth = sum(a * b for a, b in zip(offset, view.look, strict=True))
        if depth <= 0:
            raise InputError(f"{path}: mirror {view.name}: the world's origin lies behind its lens, expected a mirror that shows it")
        scale = view.focal_length * (1 + view.magnification) / (depth * view.pitch)
        up, left = (sum(a * b for a, b in zip(offset, axis, strict=True)) for axis in (view.up, view.left))
        found.append((view.rows / 2 + scale * up, view.columns / 2 + scale * left, scale * math.sqrt(2) * field_m))
    gaps = [max(abs(a[0] - b[0]), abs(a[1] - b[1])) / 2 for i, a in enumerate(found) for b in found[:i]]
    half = math.floor(min([max(size for _, _, size in found), *gaps]))
    regions = []
    for view, (row, column, _) in zip(views, found, strict=True):
        corner = round(row) - half, round(column) - half
        if half < 4 or min(corner) < 0 or corner[0] + 2 * half > view.rows or corner[1] + 2 * half > view.columns:
            seen = f"the world's origin is seen at row {row:.0f}, column {column:.0f} of {view.rows} x {view.columns}"
            raise InputError(f"{path}: mirror {view.name}: {seen}; expected it at least {half} pixels from the edge and between views")
        axis = view.rows / 2 - corner[0], view.columns / 2 - corner[1]
        regions.append(replace(view, rows=2 * half, columns=2 * half, corner=corner, axis=axis, sensor=(view.rows, view.columns)))
    return regions


def _glass(entry: dict[str, Any], where: str) -> Glass | None:
    if "glass" not in entry:
        return None
    keys = _mapping(entry, "glass", ("thickness_m", "index"), where)
    return Glass(_positive(keys, "thickness_m", where), _positive(keys, "index", where, least=1.0))


def _distortion(entry: dict[str, Any], where: str) -> Distortion | None:
    if "distortion" not in entry:
        return None
    names = tuple(field.name for field in fields(Distortion))
    keys = _mapping(entry, "distortion", names, where, dict.fromkeys(names, 0.0))
    return Distortion(**{name: _numbers({name: [value]}, name, 1, where)[0] for name, value in keys.items()})


def _mapping(entry: dict[str, Any], key: str, names: tuple[str, ...], where: str, defaults: dict[str, float] | None = None) -> dict[str, Any]:
    value = entry[key]
    given = {**(defaults or {}), **value} if isinstance(value, dict) else {}
    if set(given) != set(names):
        unknown = next((str(k) for k in given if k not in names), "")
        raise InputError(f"{where}: key '{key}' is {value!r}, expected the keys {', '.join(names)}{nearest(unknown, names) if unknown else ''}")
    return given


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
        sensor=(rows, columns),
        glass=_glass(entry, where),
        distortion=_distortion(entry, where),
        wavelength=_positive({"wavelength_m": 0.0, **entry}, "wavelength_m", where, least=0.0),
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


def _numbers(entry: dict[str, Any], key: str, length: int, where: str) -> list[float]:
    value = entry[key]
    if not isinstance(value, list) or len(value) != length or not all(is_number(v) for v in value):
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
    low = value >= least if least is not None and is_number(value) else is_number(value) and value > 0
    if not is_number(value) or not low or value > most:
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
