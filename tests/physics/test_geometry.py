"""Misplaced views are found from traced shots and from a target; a view that moved in one shot is named."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from camera_files import cameras_of
from fieldfit.config.magis import Imaging, Refine, SimulateShots
from fieldfit.experiments.magis.alignment import LIMIT_PIXELS, beyond_limits, moved_views, setup_told, view_shifts
from fieldfit.experiments.magis.geometry import Refined, refine_geometry
from fieldfit.experiments.magis.target import fit_view
from fieldfit.forward.imaging import build_projector, light
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.corrections import corrected, place_slopes, places
from fieldfit.geometry.gauge import gauge_free, motion_slopes
from fieldfit.io.target import COLUMNS, read_target
from fieldfit.simulate.clouds import Cloud
from fieldfit.simulate.layouts import faulty, misplaced, ring_of_cameras
from fieldfit.simulate.rays import traced
from fieldfit.simulate.shots import shot_of
from fieldfit.types import InputError
from fieldfit.units import TAU

OFF = SimulateShots(misplaced_um=50, misturned_mrad=0.2)
ENTRY = Imaging.model_validate({"format": "tiff", "raw": Path("raw"), "cameras": Path("cameras"), "grid": {"voxels": 32}})
POINTS = torch.from_numpy(np.random.default_rng(0).normal(0, 5e-4, (200, 3)))
ORIGIN = torch.zeros(1, 3, dtype=torch.float64)


def shots_of(layout: dict[str, Any], number: int, photons: float, seed: int, moved: int | None = None) -> np.ndarray:
    """(shot, view, row, column) electrons above the pedestal of clouds with fringes; in shot `moved` view 1 has moved."""
    random = np.random.default_rng([seed, 1])
    shots = []
    for shot in range(number):
        centre = tuple((20e-6 * random.standard_normal(3)).tolist())
        cloud = Cloud(centre, (5e-4,) * 3, TAU / 377e-6, 0.8, float(random.uniform(-3, 3)), int(random.poisson(photons / 1000)))
        shots.append(shot_of(faulty(layout, "moved") if shot == moved else layout, cloud, 1000.0, random))
    return np.stack(shots) - 2.31


def refined(told: list[Camera], electrons: np.ndarray) -> Refined:
    return refine_geometry(told, electrons, np.zeros(electrons.shape[1:], bool), list(range(len(electrons))), ENTRY, Refine())


def applied(told: list[Camera], found: Refined) -> list[Camera]:
    return [corrected(camera, values.tolist()) for camera, values in zip(told, found.corrections, strict=True)]


def rms(off: torch.Tensor) -> float:
    return float(off.square().sum(2).mean().sqrt())


def gauge_free_chi2(told: list[Camera], found: Refined, real: list[Camera]) -> tuple[float, int]:
    """(chi-square, degrees of freedom) of where the views put the world's origin, shifts of the world left out."""
    after = applied(told, found)
    slopes = torch.block_diag(*[place_slopes(c, v.tolist(), ORIGIN)[0] for c, v in zip(told, found.corrections, strict=True)])
    covariance = slopes @ torch.from_numpy(found.covariance) @ slopes.T
    off = torch.stack([(places(a, ORIGIN) - places(b, ORIGIN))[0] for a, b in zip(after, real, strict=True)]).reshape(-1)
    free = torch.linalg.svd(motion_slopes(after, ORIGIN + 1e-9).reshape(-1, 7)[:, :3]).U[:, 3:]
    return float((free.T @ off) @ torch.linalg.solve(free.T @ covariance @ free, free.T @ off)), free.shape[1]


def test_misplaced_cameras_are_found_from_the_shots_and_a_moved_one_is_left_out() -> None:
    """From 50 um and 0.2 mrad to a tenth of a pixel and a few micrometres at the object, by traced photons; shot 1 has a moved camera."""
    layout = misplaced(ring_of_cameras(), OFF, np.random.default_rng(5))
    told, real = cameras_of(ring_of_cameras()), cameras_of(layout)
    found = refined(told, shots_of(layout, 4, 1e9, 5, moved=1))
    assert found.converged
    assert found.used.tolist() == [True, False, True, True]
    assert rms(gauge_free(told, real, POINTS)) > 1
    assert rms(gauge_free(applied(told, found), real, POINTS)) < 0.1
    chi2, degrees = gauge_free_chi2(told, found, real)
    assert chi2 < degrees + 4 * np.sqrt(2 * degrees)
    assert np.abs(found.after.chi2 - 1).max() < 0.05
    assert found.before.chi2.max() > 1.1
    used = found.used
    assert not beyond_limits(found.after.shift[used], found.after.shift_std[used]).any()
    assert moved_views(found.after.shift, found.after.shift_std)[1] == 1


@pytest.mark.slow
def test_stated_errors_of_the_geometry_are_true() -> None:
    """Over 12 set-ups the gauge-free places of the images have the stated covariance, and every one is below a tenth of a pixel."""
    total, degrees = 0.0, 0
    for seed in range(12):
        layout = misplaced(ring_of_cameras(), OFF, np.random.default_rng([seed, 7]))
        told, real = cameras_of(ring_of_cameras()), cameras_of(layout)
        found = refined(told, shots_of(layout, 4, 1e9, seed))
        chi2, free = gauge_free_chi2(told, found, real)
        total, degrees = total + chi2, degrees + free
        assert rms(gauge_free(applied(told, found), real, POINTS)) < 0.1
    assert 0.75 < total / degrees < 1.3


def test_a_shifted_view_is_measured_and_its_shift_is_the_one_reported() -> None:
    """A noiseless image moved by 0.4 and -0.3 pixels in view 2 of a cloud whose place is free: told in view 2 most clearly."""
    layout = ring_of_cameras()
    cameras = [
        Camera(
            str(c["id"]), *(tuple(c[key]) for key in ("lens_position_m", "look", "left", "up")), c["focal_length_m"], c["aperture_diameter_m"] / 2,
            c["magnification"], c["pixel_pitch_m"], 200, 200, 0.72, 2.31,
        )
        for c in layout["cameras"]
    ]  # fmt: skip
    shifted = [replace(c, axis=(100.4, 99.7)) if view == 2 else c for view, c in enumerate(cameras)]
    axis = torch.linspace(-1.8e-3, 1.8e-3, 49)
    at = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    both = [build_projector(some, at, 75e-6, 1000.0, 4) for some in (cameras, shifted)]
    density = 1e6 / (TAU**1.5 * 5e-4**3) * torch.exp(-0.5 * (at / 5e-4).square().sum(1))
    columns = torch.cat([density[:, None], density[:, None] * at / 5e-4**2, density[:, None] * ((at / 5e-4).square() - 1)], 1)
    seen = light(both[0], columns)
    mean = seen[:, 0] + both[0].pedestal
    counts = torch.zeros(6 * 50 * 50).index_copy(0, both[1].pixel, light(both[1], density[:, None])[:, 0] + both[1].pedestal)[both[0].pixel]
    jacobian = (seen / mean.sqrt()[:, None]).double()
    inverse = torch.linalg.inv(jacobian.T @ jacobian)
    shift, std = view_shifts(both[0], counts, mean, jacobian, inverse, density)
    assert torch.allclose(shift[2], torch.tensor([0.4, -0.3]).double(), atol=0.02), shift
    assert int(((shift / std) ** 2).sum(1).argmax()) == 2


def test_one_shot_against_the_others_is_a_moved_view_and_all_of_them_a_set_up() -> None:
    std = np.full((5, 3, 2), 0.1)
    shift = np.zeros((5, 3, 2))
    shift[3, 1] = [0.0, 4 * LIMIT_PIXELS]
    assert moved_views(shift, std) == [None, None, None, 1, None]
    assert setup_told(["a", "b", "c"], shift, std) == []
    shift[:, 2, 0] = 3 * LIMIT_PIXELS
    assert moved_views(shift, std) == [None, None, None, 1, None]
    assert "views c of 3" in setup_told(["a", "b", "c"], shift, std)[0]
    assert moved_views(shift[:1], std[:1]) == [2]


# ------------------------------------------------------------- a target of points

GRID = np.stack(np.meshgrid(*[np.linspace(-1e-3, 1e-3, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)


def sightings(layout: dict[str, Any], seed: int) -> list[list[float | str]]:
    """Lines of a target file: 27 balls of 40 um traced one by one through every camera, some 1800 photons an image, its middle and the error of it."""
    random = np.random.default_rng(seed)
    lines: list[list[float | str]] = []
    balls = [point + 40e-6 * random.standard_normal((200, 3)) for point in GRID]
    for camera in layout["cameras"]:
        for ball in balls:
            image = traced(camera, ball, 1e5, random)
            r, c = np.nonzero(image)
            weight = image[r, c]
            row, column = ((weight * (k + 0.5)).sum() / weight.sum() for k in (r, c))
            spread = (weight * ((r + 0.5 - row) ** 2 + (c + 0.5 - column) ** 2)).sum() / weight.sum() / 2
            lines.append([str(camera["id"]), *ball.mean(0).tolist(), row, column, float(np.sqrt(spread / weight.sum()))])
    return lines


def write_target(path: Path, lines: list[list[float | str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *lines])
    return path


def test_a_target_tells_where_the_cameras_stand(tmp_path: Path) -> None:
    """No gauge: the images of points of the cloud's volume come out right in the world itself, with the stated scatter of the sightings."""
    layout = misplaced(ring_of_cameras(), OFF, np.random.default_rng(3))
    told, real = cameras_of(ring_of_cameras()), cameras_of(layout)
    prior = np.array([50e-6] * 3 + [2e-4] * 3 + [1e-3, 1e-4])
    pulls = []
    for camera, true, own in zip(told, real, read_target(write_target(tmp_path / "target.csv", sightings(layout, 4)), told), strict=True):
        fit = fit_view(camera, own.points, own.places, own.std, prior)
        assert fit.converged
        found = corrected(camera, fit.corrections.tolist())
        assert float((places(found, POINTS) - places(true, POINTS)).norm(dim=1).mean()) < 0.05
        assert 0.5 < ((fit.after / own.std[:, None]) ** 2).mean() < 1.6
        slope = place_slopes(camera, fit.corrections.tolist(), ORIGIN)[0].numpy()
        off = (places(found, ORIGIN) - places(true, ORIGIN))[0].numpy()
        pulls += (off / np.sqrt((slope @ fit.covariance @ slope.T).diagonal())).tolist()
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8


def test_bad_targets_are_refused_by_line(tmp_path: Path) -> None:
    told = cameras_of(ring_of_cameras())
    good = [[str(view), *point.tolist(), 100.0, 90.0, 0.1] for view in range(6) for point in GRID[:4]]
    path = tmp_path / "target.csv"
    with pytest.raises(InputError, match=r"target.csv: no such file, expected a CSV file with the columns view, x_m"):
        read_target(path, told)
    for place, value, message in (
        (0, "7", r"line 2: no view '7'.*the camera file has 0, 1, 2, 3, 4, 5"),
        (3, "far", "line 2: column 'z_m' is 'far', expected a number"),
        (4, 250.0, "line 2: column 'row' is 250, expected 0 to 200, the frame of view 0"),
        (6, 0.0, "line 2: column 'std_px' is 0, expected a number above 0"),
    ):
        wrong = [list(line) for line in good]
        wrong[0][place] = value
        with pytest.raises(InputError, match=message):
            read_target(write_target(path, wrong), told)
    with pytest.raises(InputError, match="view 5 has 3 sightings, expected 4 at least in every view"):
        read_target(write_target(path, good[:-1]), told)
    path.write_text("view,x_m,y_m,z_m,rwo,column,std_px\n")
    with pytest.raises(InputError, match="unknown column 'rwo'; did you mean 'row'"):
        read_target(path, told)
    path.write_text("view,x_m,y_m,z_m,row,std_px\n")
    with pytest.raises(InputError, match="column 'column' is there 0 times, expected once"):
        read_target(path, told)
