"""Efficiencies and map come back with pulls of width one, and the correction helps where tracks were not fitted."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.experiments.dune.calibration_noise import noise_of
from fieldfit.experiments.dune.calibration_result import Calibration
from measured import ALIVE, EFFICIENCY, HIGH, LOW, Detector, Tracks, drawn, inputs, logarithms, muons, simulated_field

Draw = Callable[[np.random.Generator], Detector]
NOTHING = Detector()  # differs from the simulation only in its efficiencies


def run(seed: int, tracks: int = 60, detector: Detector | Draw = NOTHING, gain: float = 1.0, **keys: float) -> tuple[Calibration, Tracks, Detector]:
    generator = np.random.default_rng(seed)
    real = detector if isinstance(detector, Detector) else detector(generator)
    made = muons(generator, tracks, real, **keys)  # type: ignore[arg-type]
    measured = generator.poisson(made.mean / gain) * gain
    return calibrate(simulated_field(), *inputs(made, measured), used=max(1, tracks * 5 // 7), degree=2), made, real


def map_pulls(result: Calibration, real: Detector, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(pulls, relative errors) (point, live channel) at points anywhere in the box."""
    x = LOW + np.random.default_rng(seed).random((300, 3)) * (HIGH - LOW)
    found = result.field(torch.tensor(x, dtype=torch.float32)).detach().numpy()[:, ALIVE]
    away = np.log(found / (real.efficiency * real.visibility(x))[:, ALIVE])
    return away / result.relative_std(torch.tensor(x)).numpy()[:, ALIVE], away


@pytest.mark.parametrize(
    ("detector", "tracks"),
    [
        (NOTHING, 60),
        (NOTHING, 280),
        (lambda g: drawn(g, 0.1, 0.03), 280),  # in the prior's family
        (Detector(attenuation=0.5), 280),  # another absorption
        (Detector(attenuation=0.3, glow=1.5), 280),  # and another reflectivity: in no family of polynomials
    ],
)
def test_efficiencies_and_map_have_pulls_of_width_one(detector: Detector | Draw, tracks: int) -> None:
    of_map, of_efficiency = [], []
    for seed in range(12):
        result, _, real = run(seed, tracks, detector)
        of_map.append(map_pulls(result, real, seed)[0])
        of_efficiency.append(logarithms(result.efficiency.numpy(), real.efficiency, result.efficiency_std.numpy()))
    assert abs(np.mean(of_efficiency)) < 0.35
    assert 0.75 < np.std(of_efficiency) < 1.25
    assert abs(np.mean(of_map)) < 0.3 and 0.8 < np.std(of_map) < 1.2


def test_pulls_hold_with_noise_beyond_poisson() -> None:
    pulls = []
    for seed in range(12):
        result, _, real = run(seed, gain=3.0)
        pulls.append(logarithms(result.efficiency.numpy(), real.efficiency, result.efficiency_std.numpy()))
    assert 0.75 < np.std(pulls) < 1.3


def test_few_tracks_leave_the_simulation_and_many_improve_on_it() -> None:
    errors = []
    for tracks in (8, 30, 300):
        errors.append(
            np.median([np.abs(map_pulls(*[run(seed, tracks, Detector(attenuation=0.5))[k] for k in (0, 2)], seed)[1]) for seed in range(3)])
        )
    assert errors[0] < 0.1 and errors[1] < 0.6 * errors[0] and errors[2] < 0.6 * errors[1]


def test_other_absorption_and_reflectivity_are_learnt_and_help_on_tracks_that_were_not_fitted() -> None:
    result, tracks, real = run(2, 150, Detector(attenuation=0.5, glow=1.5))
    held = slice(150 * 5 // 7, None)
    error = np.abs(result.predicted.numpy()[held] / tracks.mean[held].clip(1e-9) - 1)[:, ALIVE]
    assert np.median(error) < 0.02
    assert np.median(np.abs(map_pulls(result, real, 3)[1])) < 0.02


def test_single_points_are_tracks() -> None:
    result, _, real = run(5, 200, Detector(attenuation=0.5), single=True)
    pulls, away = map_pulls(result, real, 5)
    assert np.median(np.abs(away)) < 0.02 and 0.5 < np.std(pulls) < 1.5


def test_one_track_is_enough_to_scale() -> None:
    result, tracks, _ = run(0, 1)
    assert np.allclose(result.predicted.numpy()[:, ALIVE], tracks.mean[:, ALIVE], rtol=0.5)


def test_prediction_is_what_the_field_says() -> None:
    result, tracks, _ = run(4)
    data = inputs(tracks, tracks.mean)
    values = result.field(data[0].float()).detach().double()
    summed = torch.zeros(len(tracks.mean), 6, dtype=torch.float64).index_add(0, data[2], data[1][:, None] * values)
    assert torch.allclose(summed, result.predicted, rtol=1e-4)


def test_the_noise_law_is_recovered() -> None:
    generator = np.random.default_rng(0)
    mean = np.exp(generator.uniform(1, 8, (4000, 3)))
    measured = mean + generator.normal(size=mean.shape) * np.sqrt(2 * mean + (0.05 * mean) ** 2)
    noise = noise_of(torch.tensor(mean), torch.tensor(measured))
    assert abs(noise.poisson - 2) < 0.3 and abs(noise.relative - 0.05) < 0.01


def test_dead_channels_give_nothing() -> None:
    result, _, _ = run(1)
    assert result.dead.tolist() == (EFFICIENCY == 0).tolist()
    assert result.efficiency[2] == 0 and result.efficiency_std[2] == 0 and result.relative_std(torch.rand(5, 3))[:, 2].max() == 0
    assert (result.field(torch.rand(5, 3))[:, 2] == 0).all()
