"""The share of Fourier space that views measure: a closed form for one view, and the reference set-up's numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from fieldfit.geometry.modulation import sight_of
from fieldfit.io.cameras import read_cameras
from fieldfit.metrics.coverage import fourier_coverage, fsc_limit, half_sphere
from fieldfit.simulate.layouts import ring_of_cameras


def test_one_view_measures_a_belt_of_the_sphere() -> None:
    for sight in (np.array([[1.0, 0, 0]]), np.array([[0.0, 1, 0]]), np.array([[0.48, 0.6, 0.64]])):
        assert fourier_coverage(sight, np.array([100.0, 2e3, 1e4]), 1e-3) == pytest.approx([1.0, 0.25, 0.05], abs=0.003)


def test_the_same_view_twice_measures_nothing_new() -> None:
    one = np.array([[1.0, 0, 0]])
    assert fourier_coverage(np.concatenate([one, -one]), np.array([1e4]), 1e-3) == fourier_coverage(one, np.array([1e4]), 1e-3)


def test_six_cameras_measure_a_sixth_of_the_60_um_shell(tmp_path: Path) -> None:
    """17 % of an object of 1 mm, FSC 0.41 at most; of 0.5 mm, 0.57."""
    (tmp_path / "cameras.json").write_text(json.dumps(ring_of_cameras()))
    sights = np.array([sight_of(camera).direction.numpy() for camera in read_cameras(tmp_path / "cameras.json")])
    share = fourier_coverage(sights, np.array([1 / 60e-6]), 1e-3)
    assert share[0] == pytest.approx(0.17, abs=0.005)
    assert fsc_limit(share)[0] == pytest.approx(0.41, abs=0.005)
    assert fsc_limit(fourier_coverage(sights, np.array([1 / 60e-6]), 0.5e-3))[0] == pytest.approx(0.57, abs=0.005)


def test_directions_are_spread_evenly() -> None:
    points = half_sphere(5000)
    assert np.allclose(np.linalg.norm(points, axis=1), 1)
    assert np.allclose(points.T @ points / len(points), np.eye(3) / 3, atol=1e-3)
