"""Sightings of a target's known points: a CSV file with one line for each point in each view.

    view,x_m,y_m,z_m,row,column,std_px
    0,0.0005,0,-0.0005,121.33,87.92,0.02

view: id of the camera (camera-mirror behind mirrors); x_m, y_m, z_m: the point in the world's frame [m]; row, column: the middle of its image in
pixel edges of the sensor's frame (the middle of the first pixel is 0.5, 0.5); std_px: standard deviation of row and of column [pixels].
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldfit.geometry.cameras import Camera
from fieldfit.types import InputError, nearest

COLUMNS = ("view", "x_m", "y_m", "z_m", "row", "column", "std_px")
LARGEST = 1 << 24  # bytes
FEWEST = 4  # points a view


@dataclass(frozen=True)
class Sightings:
    """Of one view. points (n, 3) [m]; places (n, 2): row and column in pixel edges of the view's region; std (n) [pixels]; lines (n) of the file."""

    points: np.ndarray
    places: np.ndarray
    std: np.ndarray
    lines: np.ndarray


def read_target(path: Path, cameras: Sequence[Camera]) -> list[Sightings]:
    """The sightings of each view.

    Raises InputError naming file, line and column where one is absent, unknown, no number or out of range, and a view with fewer than FEWEST.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a CSV file with the columns {', '.join(COLUMNS)}")
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: {path.stat().st_size} bytes, expected a CSV file of {LARGEST} bytes at most")
        rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None
    header = [name.strip() for name in rows[0]] if rows else []
    for name in header:
        if name not in COLUMNS:
            raise InputError(f"{path}: unknown column '{name}'{nearest(name, COLUMNS)}; expected {', '.join(COLUMNS)}")
    for name in COLUMNS:
        if header.count(name) != 1:
            raise InputError(f"{path}: column '{name}' is there {header.count(name)} times, expected once; found {', '.join(header) or 'nothing'}")
    views = {camera.name: view for view, camera in enumerate(cameras)}
    found: list[list[list[float]]] = [[] for _ in cameras]
    for line, row in enumerate(rows[1:], 2):
        if row:
            view, values = _sighting(dict(zip(header, row, strict=False)), views, cameras, f"{path}: line {line}")
            found[view].append([*values, line])
    for camera, own in zip(cameras, found, strict=True):
        if len(own) < FEWEST:
            raise InputError(f"{path}: view {camera.name} has {len(own)} sightings, expected {FEWEST} at least in every view")
    tables = [np.array(own) for own in found]
    return [Sightings(table[:, :3], table[:, 3:5], table[:, 5], table[:, 6].astype(int)) for table in tables]


def _sighting(row: dict[str, str], views: dict[str, int], cameras: Sequence[Camera], where: str) -> tuple[int, list[float]]:
    """(view, [x, y, z, row, column, std])."""
    if len(row) < len(COLUMNS):
        raise InputError(f"{where}: {len(row)} values, expected {len(COLUMNS)}")
    name = row["view"].strip()
    if name not in views:
        raise InputError(f"{where}: no view '{name}'{nearest(name, views)}; the camera file has {', '.join(views)}")
    values = {}
    for key in COLUMNS[1:]:
        try:
            values[key] = float(row[key])
        except ValueError:
            values[key] = math.nan
        if not math.isfinite(values[key]):
            raise InputError(f"{where}: column '{key}' is {row[key]!r}, expected a number")
    if values["std_px"] <= 0:
        raise InputError(f"{where}: column 'std_px' is {values['std_px']:g}, expected a number above 0")
    camera = cameras[views[name]]
    for key, size in zip(("row", "column"), camera.sensor, strict=True):
        if not 0 <= values[key] <= size:
            raise InputError(f"{where}: column '{key}' is {values[key]:g}, expected 0 to {size}, the frame of view {name}")
    values["row"] -= camera.corner[0]
    values["column"] -= camera.corner[1]
    return views[name], [values[key] for key in COLUMNS[1:]]
