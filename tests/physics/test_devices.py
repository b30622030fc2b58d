"""Densities are fitted on whatever device they are sent to, and are the same there."""

import numpy as np
import pytest
import torch

from camera_files import cameras_of
from elsewhere import THERE, Elsewhere
from fieldfit.config.magis import Imaging, SimulateShots
from fieldfit.experiments.magis import densities as module
from fieldfit.experiments.magis.densities import Densities, densities
from fieldfit.geometry.cameras import Camera
from fieldfit.simulate.layouts import layout_of
from fieldfit.simulate.shots import shot_of, shown_of

METHODS = ("field", "fourier", "siren", "hash", "mlem", "sirt", "gaussian")
Shots = tuple[list[Camera], np.ndarray]


@pytest.fixture(scope="module")
def shots() -> Shots:
    """(cameras, electrons) of a fringed cloud and a donut."""
    made = [SimulateShots(shots=1, dark="none", photons=2e8), SimulateShots(shots=1, dark="none", photons=2e8, object="donut")]
    layout = layout_of(made[0])
    frames = [shot_of(layout, shown_of(one, 200.0, 3)[0].source, 200.0, np.random.default_rng(3)) for one in made]
    return cameras_of(layout), np.stack(frames) - 2.31


def fitted(shots: Shots, method: str, device: str = "cpu") -> Densities:
    keys = {"format": "tiff", "raw": "raw", "cameras": "cameras.json", "photons_per_atom": 200.0, "device": device}
    entry = Imaging.model_validate(keys | {"grid": {"voxels": 24}, "fit": {"method": method, "steps": 1 if method in METHODS[1:4] else 2}})
    cameras, electrons = shots
    return densities(cameras, electrons, np.zeros(electrons.shape[1:], bool), [0, 1], entry)


def alike(one: Densities, other: Densities, tolerance: float) -> None:
    for name, value in one.values.items():
        scale = np.abs(np.nan_to_num(value)).max()
        np.testing.assert_allclose(other.values[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_no_tensor_of_one_device_meets_one_of_another(shots: Shots, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "device_of", lambda name: THERE)
    with Elsewhere() as seen:
        there = fitted(shots, method)
    assert seen.made > 100
    monkeypatch.undo()
    alike(fitted(shots, method), there, 1e-6)
    assert (there.values["kept_step"][1] > 0) == (method != "gaussian")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_finds_what_the_cpu_finds(shots: Shots, method: str) -> None:
    alike(fitted(shots, method), fitted(shots, method, "cuda"), 0.02)
