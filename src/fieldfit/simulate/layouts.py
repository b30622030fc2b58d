"""Camera layouts, as the camera files hold them: two sets of separate cameras, and one camera that looks at a dome of mirrors.

y is the fringe axis: a view shows waves along y only where its line of sight is nearly perpendicular to y, and the laser passes along y.
"""

import copy
import math
from typing import Any

import numpy as np

from fieldfit.config.magis import SimulateShots
from fieldfit.units import MRAD, TAU, UM

AZIMUTHS_DEG = (0, 30, 60, 90, 120, 150)
ELEVATIONS_DEG = (0, 20, 0, -20, 0, 20)
LEVEL, RAISED, RAISED_DEG = 5, 7, 42  # of twelve cameras: across y, and at this elevation; no two lines of sight are closer than 36 degrees
FOCAL_LENGTH_M, F_NUMBER, MAGNIFICATION, PITCH_M = 0.175 * 0.1 / 1.1, 2.0, 0.1, 2.4e-6
PIXELS, EFFICIENCY, PEDESTAL = 200, 0.72, 2.31
# The dome: lens and binned sensor of an astronomy camera (JINST 17 P08021), mirrors on two circles.
DOME_FOCAL_LENGTH_M, DOME_F_NUMBER, DOME_MAGNIFICATION, DOME_PITCH_M = 0.062275, 1.4, 0.215, 7.52e-6
DOME_PIXELS, DOME_EFFICIENCY, DOME_PEDESTAL = 2560, 0.8, 2.0
IN_FOCUS_M, MIRROR_RADIUS_M = 0.03, 2.5e-3  # x of the virtual objects
CIRCLES = ((6, 0.022, 0.0), (12, 0.040, math.pi / 12))  # mirrors, radius of the circle of virtual objects [m], angle of the first
FAULTY_VIEW = 1
MOVED_M, MOVED_RAD = 200e-6, 2e-3


def layout_of(entry: SimulateShots) -> dict[str, Any]:
    """The camera description of a run, with its glass and distortion."""
    # Glass brings the object nearer by t (1 - 1/n): the lenses stand back by as much, so that the middle stays in focus.
    back = entry.glass.thickness_m * (1 - 1 / entry.glass.index) if entry.glass else 0.0
    layout = {"ring6": ring_of_cameras, "ring12": twelve_cameras, "dome": dome_of_mirrors}[entry.layout]()
    for camera in layout["cameras"]:
        for key in ("lens_position_m", "sensor_position_m"):
            camera[key] = (np.array(camera[key]) - back * np.array(camera["look"])).tolist() if back else camera[key]
        if entry.glass:
            camera["glass"] = entry.glass.model_dump()
        if entry.distortion:
            camera["distortion"] = entry.distortion.model_dump()
    return layout


def ring_of_cameras() -> dict[str, Any]:
    """The layout of the reference camera files: six cameras, every other one raised."""
    return _separate("ring6", list(zip(AZIMUTHS_DEG, ELEVATIONS_DEG, strict=True)))


def twelve_cameras() -> dict[str, Any]:
    """Twelve cameras spread over a hemisphere: five across y, seven raised, none on the axis of the laser."""
    level = [(180 / LEVEL * k, 0.0) for k in range(LEVEL)]
    return _separate("ring12", level + [(360 / RAISED * k, float(RAISED_DEG)) for k in range(RAISED)])


def _separate(kind: str, angles: list[Any]) -> dict[str, Any]:
    """Equal cameras in directions (azimuth from x to z, elevation towards y) [degrees] from the world's origin."""
    cameras = []
    distance = FOCAL_LENGTH_M * (1 + MAGNIFICATION) / MAGNIFICATION
    for number, (azimuth, elevation) in enumerate(angles):
        a, e = math.radians(azimuth), math.radians(elevation)
        away = np.array([math.cos(a) * math.cos(e), math.sin(e), math.sin(a) * math.cos(e)])
        look = -away
        left = np.cross([0.0, 0.0, 1.0], look)
        left = left / np.linalg.norm(left)
        cameras.append(
            {
                "id": number,
                "type": "thin_lens",
                "lens_position_m": (distance * away).tolist(),
                "look": look.tolist(),
                "left": left.tolist(),
                "up": np.cross(look, left).tolist(),
                "object_distance_m": distance,
                "focal_length_m": FOCAL_LENGTH_M,
                "f_number": F_NUMBER,
                "aperture_diameter_m": FOCAL_LENGTH_M / F_NUMBER,
                "magnification": MAGNIFICATION,
                "sensor_position_m": (distance * (1 + MAGNIFICATION) * away).tolist(),
                "pixel_pitch_m": PITCH_M,
                "resolution_hw": [PIXELS, PIXELS],
                "quantum_efficiency": EFFICIENCY,
                "pedestal_poisson_mean": PEDESTAL,
            }
        )
    return {
        "kind": kind,
        "units": "m",
        "convention": "pixel edges; row along up, column along left, from the middle of the sensor",
        "cameras": cameras,
    }


def dome_of_mirrors() -> dict[str, Any]:
    """One camera on the x axis and eighteen flat mirrors, each with the virtual object of the world's origin in the plane of focus.

    A mirror stands where the line from the lens to the virtual object V crosses the plane that bisects 0 and V: c . V = V^2 / 2.
    """
    f, m = DOME_FOCAL_LENGTH_M, DOME_MAGNIFICATION
    distance = f * (1 + m) / m
    lens = np.array([IN_FOCUS_M - distance, 0.0, 0.0])
    mirrors: list[dict[str, Any]] = []
    for number, radius, first in CIRCLES:
        for angle in first + TAU / number * np.arange(number):
            virtual = np.array([IN_FOCUS_M, radius * math.cos(angle), radius * math.sin(angle)])
            along = virtual - lens
            centre = lens + (virtual @ virtual / 2 - lens @ virtual) / (along @ virtual) * along
            normal = -virtual / np.linalg.norm(virtual)
            mirrors.append({"id": len(mirrors), "center_m": centre.tolist(), "normal": normal.tolist(), "radius_m": MIRROR_RADIUS_M})
    camera = {
        "id": 0,
        "type": "thin_lens",
        "lens_position_m": lens.tolist(),
        "look": [1.0, 0.0, 0.0],
        "left": [0.0, 1.0, 0.0],
        "up": [0.0, 0.0, 1.0],
        "object_distance_m": distance,
        "focal_length_m": f,
        "f_number": DOME_F_NUMBER,
        "aperture_diameter_m": f / DOME_F_NUMBER,
        "magnification": m,
        "sensor_position_m": [lens[0] - f * (1 + m), 0.0, 0.0],
        "pixel_pitch_m": DOME_PITCH_M,
        "resolution_hw": [DOME_PIXELS, DOME_PIXELS],
        "quantum_efficiency": DOME_EFFICIENCY,
        "pedestal_poisson_mean": DOME_PEDESTAL,
        "mirrors": mirrors,
    }
    return {
        "kind": "dome",
        "units": "m",
        "convention": "one sensor; reflect a point in a mirror, then pixel edges: row along up, column along left, from the middle of the sensor",
        "cameras": [camera],
    }


# ------------------------------------------------------------- what the camera file does not say


def misplaced(layout: dict[str, Any], entry: SimulateShots, random: np.random.Generator) -> dict[str, Any]:
    """The layout with every view shifted and turned at random, `misplaced_um` and `misturned_mrad` rms an axis."""
    true = copy.deepcopy(layout)
    for view in _views(true):
        _move(view, entry.misplaced_um * UM * random.standard_normal(3), entry.misturned_mrad * MRAD * random.standard_normal(3))
    return true


def faulty(layout: dict[str, Any], fault: str) -> dict[str, Any]:
    """The layout with view 1 moved by 0.2 mm along `left` (a mirror: across its normal) and turned by 2 mrad about `up`; or with it dark."""
    true = copy.deepcopy(layout)
    view = _views(true)[FAULTY_VIEW]
    if fault == "moved":
        _move(view, np.array([0.0, MOVED_M, 0.0]), np.array([0.0, 0.0, MOVED_RAD]))
    elif "normal" in view:
        true["cameras"][0]["mirrors"].remove(view)
    else:
        view["quantum_efficiency"] = 0.0
    return true


def _views(layout: dict[str, Any]) -> list[dict[str, Any]]:
    """Every camera without mirrors and every mirror, to be changed in place."""
    return [view for camera in layout["cameras"] for view in camera.get("mirrors", [camera])]


def _move(view: dict[str, Any], shift: np.ndarray, turn: np.ndarray) -> None:
    """Shift [m] along, and turn [rad] about, look, left and up of a camera; of a mirror: its normal and two directions across it."""
    mirror = "normal" in view
    axes = np.stack([np.array(view["normal"]), *across(np.array(view["normal"]))]) if mirror else np.array([view[k] for k in ("look", "left", "up")])
    place = "center_m" if mirror else "lens_position_m"
    view[place] = (np.array(view[place]) + shift @ axes).tolist()
    angle = float(np.linalg.norm(turn))
    k = turn @ axes / max(angle, 1e-300)
    for key in ("normal",) if mirror else ("look", "left", "up"):  # Rodrigues: v cos + k x v sin + k (k.v) (1 - cos)
        v = np.array(view[key])
        view[key] = (v * math.cos(angle) + np.cross(k, v) * math.sin(angle) + k * (k @ v) * (1 - math.cos(angle))).tolist()
    if not mirror:  # the sensor moves with the lens
        behind = view["focal_length_m"] * (1 + view["magnification"])
        view["sensor_position_m"] = (np.array(view["lens_position_m"]) - behind * np.array(view["look"])).tolist()


def across(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors that make a right-handed frame with a unit vector."""
    first = np.zeros(3)
    first[np.argmin(np.abs(normal))] = 1
    one = np.cross(normal, first)
    one /= np.linalg.norm(one)
    return one, np.cross(normal, one)
