"""Photons traced one by one against closed forms: solid angles, mirror images, blur, glass, distortion; and the layouts they are traced in."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fieldfit.config.magis import Distortion, Glass, SimulateShots
from fieldfit.io.cameras import read_cameras
from fieldfit.simulate.clouds import Cloud
from fieldfit.simulate.layouts import dome_of_mirrors, layout_of, ring_of_cameras, twelve_cameras
from fieldfit.simulate.rays import traced
from fieldfit.simulate.shots import shot_of
from fieldfit.types import InputError

CAMERA = {**ring_of_cameras()["cameras"][0], "resolution_hw": [400, 400]}  # at x = 0.175 m, up along z, left along -y
DISTANCE, SCALE = 0.175, 0.1 / 2.4e-6  # pixels a metre in the plane of focus


ATOMS = 20_000
CENTROID = 4 / math.sqrt(ATOMS)  # tolerance of a centroid [pixels]


def seen(camera: dict[str, Any], point: list[float], photons: float, wide: bool = True) -> np.ndarray:
    """Electrons from atoms in a Gaussian spot one pixel wide (rms), so that centroids and widths are not rounded; or from a point."""
    random = np.random.default_rng(0)
    spread = camera["pixel_pitch_m"] / camera["magnification"] if wide else 0.0
    return traced(camera, np.array(point) + spread * random.standard_normal((ATOMS, 3)), photons / ATOMS, random)


def centre_of(image: np.ndarray) -> np.ndarray:
    """(row, column) of the centroid, pixel edges."""
    return np.array([image.sum(1 - axis) @ (np.arange(image.shape[axis]) + 0.5) / image.sum() for axis in (0, 1)])


def rms_of(image: np.ndarray) -> np.ndarray:
    """(row, column) rms widths, without those of the pixel and of the spot; uncertain by 0.1 where there is no other."""
    k = [np.arange(n) + 0.5 - c for n, c in zip(image.shape, centre_of(image), strict=True)]
    return np.sqrt([max(image.sum(1 - axis) @ k[axis] ** 2 / image.sum() - 1 - 1 / 12, 0.0) for axis in (0, 1)])


def facing(distance: float, radius: float, turn: float = 0.0) -> dict[str, Any]:
    """A camera at x = -0.4 m with a huge lens, and one mirror at x = distance whose normal is turned by an angle from -x towards y."""
    lens = {"lens_position_m": [-0.4, 0.0, 0.0], "look": [1.0, 0.0, 0.0], "left": [0.0, 1.0, 0.0], "up": [0.0, 0.0, 1.0]}
    size = {"focal_length_m": 0.05, "magnification": 0.05, "aperture_diameter_m": 0.8, "pixel_pitch_m": 1e-3, "resolution_hw": [400, 400]}
    mirror = {"center_m": [distance, 0.0, 0.0], "normal": [-math.cos(turn), math.sin(turn), 0.0], "radius_m": radius}
    return {**lens, **size, "quantum_efficiency": 0.5, "mirrors": [mirror]}


def test_a_mirror_takes_the_solid_angle_of_its_disc() -> None:
    """On its axis (1 - h / sqrt(h^2 + r^2)) / 2 of the light, also where the mirror is large."""
    for distance, radius in ((0.02, 0.0025), (0.02, 0.01)):
        expected = 2e6 * 0.5 * 0.5 * (1 - distance / math.hypot(distance, radius))
        assert seen(facing(distance, radius), [0, 0, 0], 2e6, wide=False).sum() == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_a_turned_mirror_takes_the_cosine_of_its_area() -> None:
    expected = 1e8 * 0.5 * math.pi * 0.0005**2 * math.cos(0.35) / (4 * math.pi * 0.02**2)
    assert seen(facing(0.02, 0.0005, 0.35), [0, 0, 0], 1e8, wide=False).sum() == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_light_from_behind_a_mirror_and_light_that_it_throws_away_from_the_lens_are_lost() -> None:
    assert seen(facing(0.02, 0.0025), [0.03, 0, 0], 1e7, wide=False).sum() == 0
    assert seen(facing(0.02, 0.0025, 2.0), [0, 0.03, 0], 1e7, wide=False).sum() == 0


@pytest.mark.parametrize("number", [0, 4, 6, 13])
def test_each_mirror_shows_the_middle_at_the_image_of_its_virtual_object(number: int) -> None:
    camera = dome_of_mirrors()["cameras"][0]
    camera = {**camera, "mirrors": [camera["mirrors"][number]]}
    image = seen(camera, [0, 0, 0], 3e7)
    radius, angle = (0.022, number * math.pi / 3) if number < 6 else (0.040, (number - 5.5) * math.pi / 6)
    at = 1280 + 0.215 / 7.52e-6 * radius * np.array([math.sin(angle), math.cos(angle)])
    assert centre_of(image) == pytest.approx(at, abs=CENTROID)
    assert rms_of(image).max() < 0.3  # in focus


def test_a_point_beside_the_middle_is_shown_where_its_mirror_image_is() -> None:
    camera = dome_of_mirrors()["cameras"][0]
    camera = {**camera, "mirrors": [camera["mirrors"][7]]}
    mirror = camera["mirrors"][0]
    point, n = np.array([3e-4, -2e-4, 4e-4]), np.array(mirror["normal"])
    virtual = point - 2 * ((point - np.array(mirror["center_m"])) @ n) * n
    depth = virtual[0] - camera["lens_position_m"][0]
    blur = abs(depth - 0.062275 / 0.215 * 1.215) / depth * 0.022 * 0.215 / 7.52e-6  # radius of the whole lens' blur circle [pixels]
    image = seen(camera, point.tolist(), 3e7)
    at = 1280 + 0.062275 * 1.215 / depth / 7.52e-6 * virtual[[2, 1]]
    assert np.abs(centre_of(image) - at).max() < 0.3 * blur + CENTROID


def test_the_dome_is_the_reference_one_and_gives_its_light(reference: Path) -> None:
    """Geometry to rounding; each view's light within the noise of two independent shots of the same cloud, traced by another program."""
    told = json.loads((reference / "dome" / "cameras.json").read_text())
    layout = dome_of_mirrors()
    for ours, theirs in zip(layout["cameras"][0]["mirrors"], told["views"], strict=True):
        for key in ("center_m", "normal", "radius_m"):
            assert np.allclose(ours[key], theirs[f"mirror_{key}"], atol=1e-12)
    for key in ("focal_length_m", "aperture_diameter_m", "magnification"):
        assert layout["cameras"][0][key] == pytest.approx(told["lens"][key])
    cloud = Cloud((0, 0, 0), (5e-4,) * 3, 1e-2 / 6e-7, 1.0, 0.1, 1_000_000)
    ours = shot_of(layout, cloud, 200.0, np.random.default_rng(0))[0].astype(float)
    theirs = tifffile.imread(reference / "dome" / "shot000" / "frame.tif").astype(float)
    for view in told["views"]:
        row, column = (int(k) for k in view["image_center_rowcol"])
        region = slice(row - 160, row + 160), slice(column - 160, column + 160)
        light = theirs[region].sum() - 2 * 320**2
        assert ours[region].sum() - 2 * 320**2 == pytest.approx(light, abs=4 * math.sqrt(2 * (1.2 * light + 2 * 320**2)))


def test_a_point_out_of_focus_is_a_disc_of_the_stated_width() -> None:
    for away in (2e-3, -4e-3):  # towards the camera
        image = seen(CAMERA, [away, 0, 0], 1e9)
        depth = DISTANCE - away
        radius = DISTANCE / depth * SCALE * CAMERA["aperture_diameter_m"] / 2 * abs(away) / DISTANCE
        assert rms_of(image) == pytest.approx(radius / 2, rel=0.03)


def test_glass_brings_the_object_nearer() -> None:
    """t (1 - 1/n) on the axis: light, image place and focus."""
    glass = Glass(thickness_m=0.03, index=1.5)
    camera = {**layout_of(SimulateShots(glass=glass))["cameras"][0], "resolution_hw": [400, 400]}
    assert camera["glass"] == {"thickness_m": 0.03, "index": 1.5}
    assert camera["lens_position_m"][0] == pytest.approx(DISTANCE + 0.01)
    image = seen(camera, [0, 2e-3, 0], 1e10)
    assert centre_of(image) == pytest.approx([200, 200 - 2e-3 * SCALE], abs=CENTROID)
    assert rms_of(image).max() < 0.3  # in focus but for the plate's own aberrations
    light = 1e10 * 0.72 * (CAMERA["aperture_diameter_m"] / 2 / DISTANCE / 2) ** 2
    assert image.sum() == pytest.approx(light, rel=5e-3)
    off = seen({**camera, "glass": {"thickness_m": 0.06, "index": 1.5}}, [0, 2e-3, 0], 1e9)
    assert centre_of(off)[1] == pytest.approx(200 - 2e-3 * SCALE * DISTANCE / (DISTANCE - 0.01), abs=0.1)
    assert rms_of(off).max() == pytest.approx(SCALE * CAMERA["aperture_diameter_m"] / 2 * 0.01 / (DISTANCE - 0.01) / 2, rel=0.02)


def test_a_ray_through_glass_obeys_snells_law() -> None:
    """A small hole: its ray from a point far beside the axis, found by bisection of n sin = const through both faces."""
    camera = {**CAMERA, "aperture_diameter_m": 4e-4, "resolution_hw": [60, 4000], "glass": {"thickness_m": 0.05, "index": 1.8}}
    image = seen(camera, [0, 0.02, 0], 1e10)
    low, high = 0.0, 0.5
    for _ in range(60):
        angle = (low + high) / 2
        inside = math.asin(math.sin(angle) / 1.8)
        low, high = (angle, high) if (DISTANCE - 0.05) * math.tan(angle) + 0.05 * math.tan(inside) < 0.02 else (low, angle)
    assert centre_of(image)[1] == pytest.approx(2000 - CAMERA["focal_length_m"] * 1.1 * math.tan(angle) / 2.4e-6, abs=2 * CENTROID)


def test_distortion_moves_images_as_stated() -> None:
    y, z = 3e-3, 2e-3
    x, v = -y / DISTANCE, z / DISTANCE  # along left and up
    r2 = x * x + v * v
    keys = Distortion(k1=60.0, k2=-2e4, p1=0.3, p2=-0.2, k3=1e6)
    radial = 1 + keys.k1 * r2 + keys.k2 * r2**2 + keys.k3 * r2**3
    bent = [v * radial + 0.3 * (r2 + 2 * v * v) - 0.4 * x * v, x * radial + 0.6 * x * v - 0.2 * (r2 + 2 * x * x)]
    camera = {**layout_of(SimulateShots(distortion=keys))["cameras"][0], "resolution_hw": [400, 400]}
    straight, moved = (centre_of(seen(c, [0, y, z], 3e7)) for c in (CAMERA, camera))
    assert np.abs(moved - straight).min() > 0.3
    assert straight == pytest.approx(200 + SCALE * DISTANCE * np.array([v, x]), abs=CENTROID)
    assert moved == pytest.approx(200 + SCALE * DISTANCE * np.array(bent), abs=CENTROID)


def test_twelve_lines_of_sight_are_well_apart_and_five_see_waves_along_y() -> None:
    looks = np.array([camera["look"] for camera in twelve_cameras()["cameras"]])
    apart = [math.degrees(math.acos(abs(a @ b))) for a, b in itertools.combinations(looks, 2)]
    assert min(apart) > 35.9
    assert (np.abs(looks[:, 1]) < 1e-12).sum() == 5
    assert np.abs(looks[:, 1]).max() < 0.7  # the laser's way stays free


@pytest.mark.parametrize(("layout", "views"), [("ring6", 6), ("ring12", 12), ("dome", 18)])
@pytest.mark.parametrize("more", [{}, {"glass": {}, "distortion": {"k1": 0.1}}])
def test_every_layout_can_be_read_with_the_middle_in_its_views(tmp_path: Path, layout: str, views: int, more: dict[str, Any]) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(layout_of(SimulateShots.model_validate({"layout": layout, **more}))))
    cameras = read_cameras(path)
    assert len(cameras) == views
    assert all((camera.glass is not None) == bool(more) for camera in cameras)


def test_a_camera_with_an_unknown_key_is_still_refused(tmp_path: Path) -> None:
    layout = dome_of_mirrors()
    layout["cameras"][0]["mirrors"][3]["radius"] = 1.0
    (tmp_path / "cameras.json").write_text(json.dumps(layout))
    with pytest.raises(InputError, match="mirror 0-3: unknown key 'radius'"):
        read_cameras(tmp_path / "cameras.json")
