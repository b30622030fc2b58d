"""Phases of single pictures: truth recovered with honest errors, from pictures made without the forward model; bad pictures flagged."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fieldfit.config.magis import Pictures, SimulatePictures
from fieldfit.experiments.magis.pictures import Fringes, fit_fringes
from fieldfit.io.products import open_product
from fieldfit.metrics.pulls import pulls
from fieldfit.simulate.pictures import Fringe, draw_fringe, photograph
from fieldfit.steps.fit_pictures import fit_pictures
from fieldfit.steps.simulate_pictures import simulate_pictures
from fieldfit.types import Status


def fitted(frames: np.ndarray, pitch: float, integrated: bool = False, pedestal: float = 2.31) -> Fringes:
    return fit_fringes(torch.from_numpy(frames.astype(float)), torch.zeros(len(frames), dtype=torch.long), pitch, pedestal, integrated)


def sampled(fringe: Fringe, side: int, pitch: float, g: np.random.Generator) -> np.ndarray:
    """A picture sampled at pixel centres, as the reference data are."""
    at = (np.arange(side) - (side - 1) / 2) * pitch
    y, x = np.meshgrid(at, at, indexing="ij")
    k, tilt = 2 * np.pi / fringe.period_m, fringe.tilt_rad
    envelope = np.exp(-((x - fringe.centre_m[0]) ** 2 + (y - fringe.centre_m[1]) ** 2) / (2 * fringe.sigma_m**2))
    wave = 1 + fringe.contrast * np.cos(k * (np.cos(tilt) * y + np.sin(tilt) * x) + fringe.phase_rad)
    return g.poisson(fringe.electrons * envelope / envelope.sum() * wave + 2.31)


@pytest.mark.parametrize(("side", "pitch", "electrons"), [(120, 32e-6, 5e4), (96, 40e-6, 3e4)])
def test_pictures_of_many_periods_tilts_and_contrasts_have_honest_errors(side: int, pitch: float, electrons: float):
    g = np.random.default_rng(1)
    fringes = [
        Fringe(*(float(g.uniform(*r)) for r in ((0, 6.28), (0.2, 1), (1.1e-4, 6e-4), (-0.4, 0.4), (3e-4, 6e-4))), (3e-5, -6e-5), electrons)
        for _ in range(24)
    ]
    found = fitted(np.stack([sampled(f, side, pitch, g) for f in fringes]), pitch)
    assert (found.status == Status.good).all()
    for quantity, name, period in (
        ("phase", "phase_rad", 2 * np.pi),
        ("contrast", "contrast", None),
        ("period", "period_m", None),
        ("tilt", "tilt_rad", None),
    ):
        value, std = (v.numpy() for v in found.of(quantity))
        result = pulls(value, np.array([getattr(f, name) for f in fringes]), std, period)
        assert abs(result.mean) < 4 * result.mean_std, quantity
        assert abs(result.width - 1) < 4 * result.width_std, quantity
    assert abs(found.chi2_reduced.mean().item() - 1) < 0.02


def test_pictures_of_single_photons_need_integrating_pixels():
    g = np.random.default_rng(2)
    fringes = [draw_fringe(g, 1e5) for _ in range(20)]
    frames = np.stack([photograph(f, g, side=96, pixel=40e-6) for f in fringes])
    truth = np.array([f.contrast for f in fringes])
    right, wrong = fitted(frames, 40e-6, integrated=True), fitted(frames, 40e-6)
    assert (right.status == Status.good).all()
    phase = pulls(right.of("phase")[0].numpy(), np.array([f.phase_rad for f in fringes]), right.of("phase")[1].numpy(), 2 * np.pi)
    assert abs(phase.mean) < 4 * phase.mean_std
    assert abs(phase.width - 1) < 4 * phase.width_std
    contrast = pulls(right.of("contrast")[0].numpy(), truth, right.of("contrast")[1].numpy())
    assert abs(contrast.mean) < 4 * contrast.mean_std
    assert (wrong.of("contrast")[0].numpy() < truth).mean() > 0.8  # a pixel's average dims the fringe


def test_dark_plain_and_bad_pictures_are_flagged():
    g = np.random.default_rng(3)
    fringe = Fringe(1.0, 0.8, 3e-4, 0.1, 4e-4, (0.0, 0.0), 1e5)
    plain = Fringe(1.0, 0.0, 3e-4, 0.1, 4e-4, (0.0, 0.0), 1e5)
    frames = np.stack([sampled(fringe, 96, 40e-6, g), g.poisson(2.31, (96, 96)), sampled(plain, 96, 40e-6, g), np.zeros((96, 96))])
    status = torch.tensor([Status.good, Status.good, Status.good, Status.corrupt])
    found = fit_fringes(torch.from_numpy(frames.astype(float)), status, 40e-6, 2.31)
    assert found.status.tolist() == [Status.good, Status.empty, Status.weak, Status.corrupt]
    assert found.values[1:].isnan().all()
    assert found.values[0].isfinite().all()


def test_step_writes_what_a_picture_gives_and_nan_for_the_rest(tmp_path: Path):
    entry = Pictures(format="pictures", raw=tmp_path / "p.npz", pixel_integrated=True, simulate=SimulatePictures(pictures=3, electrons=5e4))
    simulate_pictures(tmp_path / "p.npz", tmp_path / "truth.json", entry)
    fit_pictures(tmp_path / "p.npz", tmp_path / "phase.nc", entry)
    data = open_product(tmp_path / "phase.nc", "phase")
    truth = json.loads((tmp_path / "truth.json").read_text())["fringes"]
    assert np.abs((data.phase - [f["phase_rad"] for f in truth] + np.pi) % (2 * np.pi) - np.pi).max() < 0.2
    assert np.abs(data.position.sel(axis="x") - [f["centre_m"][0] for f in truth]).max() < 3e-5
    assert np.abs(data.position.sel(axis="y") - [f["centre_m"][1] for f in truth]).max() < 3e-5
    assert data.position.sel(axis="z").isnull().all()
    assert data.atom_number.isnull().all()
    assert data.wavefront.isnull().all()
    assert "atom_number" in data.attrs["not_given"]


def test_reference_pictures_reach_their_bound(reference: Path, tmp_path: Path):
    raw = reference / "gradiometer" / "fringes.npz"
    with np.load(raw) as found:
        np.savez(tmp_path / "some.npz", frames=found["frames"][:20], pixel_object_m=found["pixel_object_m"])
    fit_pictures(tmp_path / "some.npz", tmp_path / "phase.nc", Pictures(format="pictures", raw=raw))
    truth = json.loads((reference / "gradiometer" / "truth.json").read_text())["fringes"][:20]
    data = open_product(tmp_path / "phase.nc", "phase")
    assert (data.status == Status.good).all()
    result = pulls(data.phase.values, np.array([f["phase_rad"] for f in truth]), data.phase_std.values, 2 * np.pi)
    assert abs(result.mean) < 4 * result.mean_std
    assert abs(result.width - 1) < 4 * result.width_std
