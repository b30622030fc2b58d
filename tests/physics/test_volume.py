"""The turned lattice draws a wave without ghosts, where a lattice along the axes of the same spacing does not."""

import math

import numpy as np
import pytest
import torch

from fieldfit.config.magis import Grid
from fieldfit.experiments.magis.start import Moments, Wave, views_of
from fieldfit.experiments.magis.volume import GHOSTS, TENT, _ghosts, _seen_from, _turned, in_box, on_grid, on_reported, volume_of
from fieldfit.fields.fringed import density
from fieldfit.forward.imaging import build_projector, light
from fieldfit.geometry.cameras import Camera
from fieldfit.simulate.layouts import ring_of_cameras

CAMERAS = [
    Camera(
        str(c["id"]),
        *(tuple(c[key]) for key in ("lens_position_m", "look", "left", "up")),
        *(c["focal_length_m"], c["aperture_diameter_m"] / 2, c["magnification"], c["pixel_pitch_m"]),
        *c["resolution_hw"],
        *(c["quantum_efficiency"], c["pedestal_poisson_mean"]),
    )
    for c in ring_of_cameras()["cameras"][:3]
]
SIZE, HALF = 3e-4, 1.5e-3
K = 2 * math.pi / 300e-6
START = Moments(2e5, np.zeros(3), np.eye(3) * SIZE**2)
WAVE = Wave(np.array([0.0, K, 0.0]), 100.0, np.ones(3))


def image(samples: np.ndarray, step: float, volume: float | None = None, tent: bool = False) -> np.ndarray:
    """Electrons of a fringed cloud drawn on these samples as cubes of edge `step`."""
    shape = torch.tensor([[math.log(2e5), 0.0, 0.0, 0.0, *[math.log(HALF / SIZE)] * 3, 0.0, 0.0, 0.0]])
    wave = torch.tensor([[0.0, K * HALF, 0.0, 0.9, 0.0]])
    at = torch.from_numpy(samples)
    x = (at / HALF).to(torch.float32)
    drawn = density(shape, wave, x, torch.ones(1, len(x)), step / HALF, undo=True) / HALF**3
    projector = build_projector(CAMERAS, at.to(torch.float32), step, 1000.0, 2, volume=volume, tent=tent)
    whole = torch.zeros(math.prod(projector.shape))
    whole[projector.pixel] = light(projector, drawn.T.contiguous())[:, 0]
    return whole.numpy()


def test_a_coarse_turned_lattice_agrees_with_a_fine_one() -> None:
    samples, _, step = _turned(CAMERAS, [START], [WAVE], 50e-6, 2)
    assert step > 45e-6
    along = np.arange(-60, 61) * 20e-6
    fine = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
    exact = image(fine[np.linalg.norm(fine, axis=1) < 4 * SIZE], 20e-6)
    coarse = np.arange(-26, 27) * step
    straight = np.stack(np.meshgrid(coarse, coarse, coarse, indexing="ij"), -1).reshape(-1, 3)

    def loss(other: np.ndarray) -> float:
        return float(((other - exact) ** 2 / (exact + 9)).sum())

    turned = loss(image(samples, step))
    assert turned < 0.3 * loss(image(straight[np.linalg.norm(straight, axis=1) < 4 * SIZE], step))
    assert turned < 10  # of some 1e5 electrons: far below their noise


def test_a_wave_that_one_view_sees_has_fainter_ghosts() -> None:
    """The others' marks, however faint, tell its direction: no ghost may pass for them."""
    large, vector = Moments(2e5, np.zeros(3), np.eye(3) * 7e-4**2), np.array([0.0, 2 * math.pi / 377e-6, 0.0])
    alone, shared = Wave(vector, 1e4, np.array([9999.0, 0.5, 0.5])), Wave(vector, 1e4, np.ones(3))
    assert _turned(CAMERAS, [large], [alone], 20e-6, 2)[2] < 0.9 * _turned(CAMERAS, [large], [shared], 20e-6, 2)[2]


def test_tents_hide_a_lattice_twenty_times_better_than_cubes_of_the_same_variance() -> None:
    """Images of two lattices half a step apart, along lines of sight, where a lattice shows most."""
    along = np.arange(-16, 17) * 75e-6
    lattice = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
    edge = float(np.linalg.norm(TENT)) * 75e-6

    def trace(tent: bool) -> float:
        one, other = (image(lattice + shift, edge, 75e-6**3, tent) for shift in (0.0, 37.5e-6))
        return float(((one - other) ** 2 / (one + 9)).sum())

    assert trace(tent=True) < trace(tent=False) / 20


def test_ghosts_of_a_lattice_along_a_line_of_sight_are_seen() -> None:
    seen = _seen_from(views_of(CAMERAS), 2)
    assert _ghosts(*seen, np.eye(3), 50e-6, WAVE.vector, SIZE) > GHOSTS


@pytest.mark.parametrize("waves", [[WAVE], [None]])
def test_the_lattice_follows_cloud_and_wave(waves: list[Wave | None]) -> None:
    blank = np.zeros((1, 3, 200, 200))
    volume = volume_of(CAMERAS, blank, np.zeros((3, 200, 200), bool), [START], waves, Grid(half_width_m=1.2e-3, voxels=24), 1000.0)
    assert volume.turned.projector.pitch <= SIZE / 5 + 1e-9
    assert int((volume.reported >= 0).sum()) == len(set(volume.reported[volume.reported >= 0].tolist()))


@pytest.mark.parametrize("period", [900e-6, 300e-6])
def test_the_reported_voxels_hold_the_atoms_that_the_projector_draws(period: float) -> None:
    """Whether the lattice is interlaced (the shorter wave) or not."""
    wave = Wave(np.array([0.0, 2 * math.pi / period, 0.0]), 100.0, np.ones(3))
    grid = Grid(half_width_m=1.5e-3, voxels=30)
    volume = volume_of(CAMERAS, np.zeros((1, 3, 200, 200)), np.zeros((3, 200, 200), bool), [START], [wave], grid, 1000.0)
    projector, reported = volume.fine.projector, volume.reported
    assert (projector.volume < projector.pitch**3 * 0.9) == (period < 500e-6)
    values = torch.from_numpy(np.random.default_rng(0).random((len(reported), 2)))
    found = on_grid(volume, values, 30)
    assert torch.allclose(found.sum((1, 2, 3)) * projector.pitch**3, values.sum(0) * projector.volume, rtol=1e-5)
    x, y, z = projector.centres.double().T
    middle = (0, 15, 15, 15)  # all its neighbours are drawn
    slope = 1.0 + 100 * x - 200 * y + 50 * z
    assert float(on_grid(volume, slope[:, None], 30)[middle]) == pytest.approx(1 + 50e-6 * (100 - 200 + 50), rel=1e-4)
    # x^2 as cubes draw it, their spread left out; its mean over a voxel has that spread again.
    spread = projector.pitch**2 / 12
    assert float(on_grid(volume, (x.square() - spread)[:, None], 30)[middle]) == pytest.approx(50e-6**2 + spread, rel=1e-4)
    boxed = in_box(volume, values)  # the same means, of the voxels that are boxed
    inside = reported[: len(boxed)] >= 0
    assert torch.allclose(boxed[inside], found.flatten(1)[:, reported[: len(boxed)][inside]].T)
    assert torch.equal(on_reported(volume, values), boxed[inside])
