"""The set-up as its camera file describes it: where each view looks from, what it holds of the volume, and which fringes it can see."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.start import views_of
from fieldfit.experiments.magis.waves_seen import Cloud, waves_seen
from fieldfit.geometry.blur import blur_of
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.lens import aperture, pixel_position
from fieldfit.geometry.modulation import sight_of
from fieldfit.metrics.coverage import fourier_coverage, fsc_limit
from fieldfit.units import MM, UM

PLACES = 24  # along each edge of the cube, where views are counted
OUTLINE = 48
SIGMAS = 2.0  # of the cloud, that its outline is drawn at
HALF_LIT = 0.5  # of the origin's light, below which a mirror's edge hides a place
POLAR, AZIMUTH = 45, 120  # directions of the wave vector over half a sphere: 2 and 3 degrees
WIDTHS_M = (0.5e-3, 1e-3, 2e-3)  # of objects, whose Fourier coverage is told
FREQUENCIES = np.arange(1, 76) / 3 * 1e3  # 3 mm to 40 um


def set_up(cameras: Sequence[Camera], sizes: Sequence[tuple[int, int]], entry: Imaging) -> tuple[dict[str, Any], dict[str, Any]]:
    """(values, coordinates) of the product `setup`. sizes: (rows, columns) of each view's own region."""
    periods = np.array(entry.setup.periods_um) * UM
    polar = (np.arange(POLAR) + 0.5) * np.pi / 2 / POLAR
    azimuth = (np.arange(AZIMUTH) + 0.5) * 2 * np.pi / AZIMUTH
    along = ((np.arange(PLACES) + 0.5) / PLACES * 2 - 1) * entry.grid.half_width_m
    views = _described(cameras, sizes, entry)
    values = views | _footprints(cameras, sizes, entry, along) | _fringes(cameras, entry, periods, polar, azimuth) | _coverage(views["sight"])
    coordinates = {
        "axis": ["x", "y", "z"],
        "image_axis": ["row", "column"],
        "x": along,
        "y": along,
        "z": along,
        "period": periods,
        "polar": polar,
        "azimuth": azimuth,
        "object_width": np.array(WIDTHS_M),
        "spatial_frequency": FREQUENCIES,
    }
    return values, coordinates


def _described(cameras: Sequence[Camera], sizes: Sequence[tuple[int, int]], entry: Imaging) -> dict[str, Any]:
    origin = torch.zeros(1, 3, dtype=torch.float64)
    opened = [aperture(camera, origin) for camera in cameras]
    semi = np.array([2 * float(part.variance.mean().sqrt()) for part in opened])
    depth = np.array([float(pixel_position(camera, origin)[2][0]) for camera in cameras])
    pixel = np.array([view.pixel for view in views_of(cameras)])
    focus = np.array([camera.focus for camera in cameras])
    share = np.array([float(part.share[0]) for part in opened])
    sights = np.array([sight_of(camera).direction.numpy() for camera in cameras])
    middle = [np.array(camera.lens) + part.mean[0].numpy() @ np.array([camera.up, camera.left]) for camera, part in zip(cameras, opened, strict=True)]
    blurs = [blur_of(camera, entry.optics, entry.grid.half_width_m, entry.setup.shortest) for camera in cameras]
    missing = (np.nan, np.nan, np.nan)
    return {
        "view_name": [camera.name for camera in cameras],
        "lens_position": np.array([camera.lens for camera in cameras]),
        "look": np.array([camera.look for camera in cameras]),
        "up": np.array([camera.up for camera in cameras]),
        "left": np.array([camera.left for camera in cameras]),
        "sight": sights,
        "mirror_position": np.array([camera.mirror.centre if camera.mirror else missing for camera in cameras]),
        "mirror_normal": np.array([camera.mirror.normal if camera.mirror else missing for camera in cameras]),
        "mirror_radius": np.array([camera.mirror.radius if camera.mirror else np.nan for camera in cameras]),
        "distance": np.linalg.norm(middle, axis=1),
        "pixel_at_object": pixel,
        "rows": np.array([rows for rows, _ in sizes]),
        "columns": np.array([columns for _, columns in sizes]),
        "depth_of_field": pixel * focus / semi,
        "out_of_focus": depth - focus,
        "defocus_blur": np.array([blur.defocus for blur in blurs]),
        "diffraction_blur": np.array([blur.airy for blur in blurs]),
        "defocus_held": np.array([blur.holds_defocus for blur in blurs], int),
        "diffraction_held": np.array([blur.holds_airy for blur in blurs], int),
        "light_share": share,
        "electrons_per_photon": share * np.array([camera.efficiency for camera in cameras]),
    }


def _footprints(cameras: Sequence[Camera], sizes: Sequence[tuple[int, int]], entry: Imaging, along: np.ndarray) -> dict[str, Any]:
    half, sigma = entry.grid.half_width_m, entry.setup.size_mm * MM
    corners = half * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    places = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
    weight = np.exp(-0.5 * (places**2).sum(1) / sigma**2)
    found: dict[str, list[Any]] = {"origin": [], "cube_footprint": [], "cloud_footprint": [], "cube_share": [], "cloud_share": []}
    found |= {"cube_inside": [], "sphere_inside": []}
    seeing = np.zeros(len(places), int)
    for camera, size in zip(cameras, sizes, strict=True):
        sight = sight_of(camera).direction.numpy()
        origin, cube = _image(camera, np.zeros((1, 3)))[0], _image(camera, corners)
        inside = _on(_image(camera, places), size)
        sphere = _on(_image(camera, half * _limb(sight)), size)
        found["origin"].append(origin)
        found["cube_footprint"].append(cube)
        found["cloud_footprint"].append(_image(camera, SIGMAS * sigma * _limb(sight)))
        found["cube_share"].append(inside.mean())
        found["cloud_share"].append(weight @ inside / weight.sum())
        found["cube_inside"].append(_on(cube, size).all())
        found["sphere_inside"].append(sphere.all())
        light = aperture(camera, torch.from_numpy(np.concatenate([np.zeros((1, 3)), places]))).share.numpy()
        seeing += inside & (light[1:] >= HALF_LIT * light[0])
    return {**found, "views_of_place": seeing.reshape((PLACES,) * 3)}


def _image(camera: Camera, points: np.ndarray) -> np.ndarray:
    """(n, 2) row and column of the images of points (n, 3) [m]."""
    row, column, _ = pixel_position(camera, torch.from_numpy(points))
    return torch.stack([row, column], 1).numpy()


def _on(at: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    inside: np.ndarray = np.all((at >= 0) & (at <= np.array(size)), axis=1)
    return inside


def _limb(sight: np.ndarray) -> np.ndarray:
    """Points (n, 3) around the unit circle across a line of sight: the outline of a sphere from far away."""
    one = np.cross(sight, np.eye(3)[np.argmin(np.abs(sight))])
    one /= np.linalg.norm(one)
    turn = 2 * np.pi * np.arange(OUTLINE) / OUTLINE
    return np.cos(turn)[:, None] * one + np.sin(turn)[:, None] * np.cross(sight, one)


def _fringes(cameras: Sequence[Camera], entry: Imaging, periods: np.ndarray, polar: np.ndarray, azimuth: np.ndarray) -> dict[str, Any]:
    cloud = Cloud(entry.setup.size_mm * MM, entry.setup.contrast, entry.setup.photons, entry.setup.photons / entry.photons_per_atom)
    t, a = np.meshgrid(polar, azimuth, indexing="ij")
    directions = np.stack([np.sin(t) * np.cos(a), np.cos(t), np.sin(t) * np.sin(a)], -1).reshape(-1, 3)
    area = np.sin(t).ravel() / np.sin(t).sum()
    shape = (len(periods), len(polar), len(azimuth))
    each = [waves_seen(cameras, torch.from_numpy(2 * np.pi / period * directions), cloud) for period in periods]
    seen = np.stack([one.seen.sum(1).numpy() for one in each])
    return {
        "contrast_seen": np.stack([one.contrast.amax(1).numpy() for one in each]).reshape(shape),
        "phase_std": np.stack([one.phase_std.numpy() for one in each]).reshape(shape),
        "views_that_see": seen.reshape(shape),
        "directions_seen": ((seen > 0) @ area).clip(max=1),
    }


def _coverage(sights: np.ndarray) -> dict[str, Any]:
    share = np.stack([fourier_coverage(sights, FREQUENCIES, width) for width in WIDTHS_M])
    return {"fourier_coverage": share, "fsc_limit": fsc_limit(share)}
