"""What is wrong with measured tracks is found, told, and does not move the efficiencies: saturation, wrong tracks, dead and dim channels, drifts."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.experiments.dune.calibration_noise import response
from fieldfit.experiments.dune.calibration_result import Calibration
from measured import ALIVE, EFFICIENCY, HIGH, LOW, Detector, Tracks, inputs, logarithms, muons, simulated_field

Fault = Callable[[np.random.Generator, Tracks, np.ndarray], np.ndarray]
CHANNEL = 3
TRACKS = 160


def run(seed: int, fault: Fault, efficiency: np.ndarray = EFFICIENCY, ceiling: torch.Tensor | None = None) -> tuple[Calibration, np.ndarray, Tracks]:
    """(result, pulls of the efficiencies of live channels, tracks) with readings changed by `fault`."""
    generator = np.random.default_rng(seed)
    tracks = muons(generator, TRACKS, Detector(attenuation=0.3, efficiency=efficiency))
    measured = fault(generator, tracks, generator.poisson(tracks.mean).astype(float))
    result = calibrate(simulated_field(), *inputs(tracks, measured), used=TRACKS, degree=2, ceiling=ceiling)
    return result, logarithms(result.efficiency.numpy(), efficiency, result.efficiency_std.numpy()), tracks


def clip(generator: np.random.Generator, tracks: Tracks, measured: np.ndarray) -> np.ndarray:
    """A ceiling that 15 % of the tracks reach in one channel."""
    measured[:, CHANNEL] = np.minimum(measured[:, CHANNEL], np.quantile(tracks.mean[:, CHANNEL], 0.85))
    return measured


def compress(generator: np.random.Generator, tracks: Tracks, measured: np.ndarray) -> np.ndarray:
    """As many pixels as the brightest tenth of tracks has photo-electrons, each of which answers once."""
    pixels = np.quantile(tracks.mean[:, CHANNEL], 0.9)
    measured[:, CHANNEL] = generator.poisson(pixels * (1 - np.exp(-tracks.mean[:, CHANNEL] / pixels)))
    return measured


def tripled(generator: np.random.Generator, tracks: Tracks, measured: np.ndarray) -> np.ndarray:
    measured[: len(measured) // 20] *= 3
    return measured


def exchanged(generator: np.random.Generator, tracks: Tracks, measured: np.ndarray) -> np.ndarray:
    wrong = len(measured) // 20
    measured[:wrong] = np.roll(measured[:wrong], 1, 0)
    return measured


def whole(generator: np.random.Generator, tracks: Tracks, measured: np.ndarray) -> np.ndarray:
    return measured


@pytest.mark.parametrize(("fault", "quantile"), [(clip, 0.85), (compress, 0.9)])
def test_saturation_is_found_and_does_not_move_efficiencies(fault: Fault, quantile: float) -> None:
    pulls = []
    for seed in range(8):
        result, pull, tracks = run(seed, fault)
        pulls.append(pull)
        assert torch.isnan(result.saturation).tolist() == [c != CHANNEL for c in range(6)]
        away = float(result.saturation[CHANNEL]) / np.quantile(tracks.mean[:, CHANNEL], quantile) - 1
        std = float(result.posterior.own_covariance[CHANNEL, 1, 1].sqrt() / result.posterior.own[CHANNEL, 1]) if fault is compress else 0.01
        assert std < 0.03 and abs(away) < 4 * std
        assert result.told["saturated_channels"].startswith(f"{CHANNEL} ")
    assert np.abs(np.mean(pulls, 0)).max() < 1 and np.std(pulls) < 1.25


def test_no_saturation_is_seen_where_there_is_none_and_a_known_ceiling_is_taken() -> None:
    for seed in range(8):
        result, _, _ = run(seed, whole)
        assert torch.isnan(result.saturation).all() and result.told["saturated_channels"] == "none"
    known = torch.full((6,), np.nan)
    known[0] = 300.0
    result, pull, _ = run(0, lambda g, t, m: np.minimum(m, np.where(np.arange(6) == 0, 300.0, np.inf)), ceiling=known)
    assert float(result.saturation[0]) == pytest.approx(300, rel=1e-4) and torch.isnan(result.saturation[1:]).all()
    assert np.abs(pull).max() < 3


@pytest.mark.parametrize("fault", [tripled, exchanged])
def test_wrong_tracks_are_found_and_do_not_move_efficiencies(fault: Fault) -> None:
    for seed in range(4):
        result, pull, _ = run(seed, fault)
        clean, _, _ = run(seed, whole)
        wrong = TRACKS // 20
        assert (result.track_weight[:wrong] < 0.5).sum() >= wrong - 1 and (result.track_weight[wrong:] > 0.5).all()
        moved = (result.efficiency - clean.efficiency).abs()[torch.from_numpy(ALIVE)]
        assert (moved < result.efficiency_std[torch.from_numpy(ALIVE)]).all()
        assert np.abs(pull).max() < 3.5


def test_a_dead_channel_that_fires_is_dead_and_a_dim_one_is_not() -> None:
    def noisy(generator: np.random.Generator, tracks: Tracks, measured: np.ndarray) -> np.ndarray:
        measured[:, 2] = generator.poisson(10.0, len(measured))  # 3 % of what a live channel sees on average
        return measured

    dim = np.where(np.arange(6) == CHANNEL, 0.05 * EFFICIENCY, EFFICIENCY)
    pulls = []
    for seed in range(8):
        result, pull, _ = run(seed, noisy, dim)
        assert result.dead.tolist() == (~ALIVE).tolist()
        pulls.append(pull)
    assert 0.7 < np.std(pulls) < 1.3 and abs(np.mean(pulls, 0)[2]) < 1.2


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_efficiencies_drift_by_run(drift: float) -> None:
    runs, pulls, stds = 6, [], []
    for seed in range(6):
        generator = np.random.default_rng(seed)
        tracks = muons(generator, TRACKS, Detector(attenuation=0.3))
        of = generator.permutation(np.arange(TRACKS) * runs // TRACKS)
        factor = np.exp(drift * generator.normal(size=(runs, 6)))
        measured = generator.poisson(tracks.mean * factor[of])
        result = calibrate(simulated_field(), *inputs(tracks, measured), used=TRACKS, degree=2, run=torch.from_numpy(of))
        found, std = result.efficiency_run.numpy()[:, ALIVE], result.efficiency_run_std.numpy()[:, ALIVE]
        away = np.log(found / (factor * EFFICIENCY)[:, ALIVE])
        pulls.append((away - away.mean()) / (std / found))
        stds.append((std / found).mean())
        mean = (result.light.share.numpy()[:, ALIVE] * np.log(found)).sum(0)  # the product's mean, weighted by light
        assert np.allclose(np.exp(mean), result.efficiency.numpy()[ALIVE], rtol=1e-6)
        x = torch.tensor(LOW + generator.random((20, 3)) * (HIGH - LOW), dtype=torch.float32)
        assert torch.isfinite(result.field(x)).all()
    assert 0.5 < np.std(pulls) < 1.15 and np.mean(stds) < (0.02 if drift else 0.012)
    if drift:
        assert np.std(pulls) > 0.85


def test_the_slopes_of_a_compressed_reading() -> None:
    light = torch.logspace(-3, 4, 50, dtype=torch.float64).requires_grad_()
    bend = torch.full_like(light, 1e-3).requires_grad_()
    reading, by_light, by_bend = response(light, bend)
    found = torch.autograd.grad(reading.sum(), [light, bend])
    assert torch.allclose(found[0], by_light, rtol=1e-4) and torch.allclose(found[1], by_bend, rtol=1e-3)
    assert torch.equal(response(light, torch.zeros_like(bend))[0], light)
