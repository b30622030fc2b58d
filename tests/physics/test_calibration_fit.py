"""Efficiencies come back with pulls of width one, the dead channel is found, and the correction helps where tracks were not fitted."""

import numpy as np
import torch

from fieldfit.experiments.dune.calibration import Calibration, calibrate, dispersion
from fieldfit.fields.visibility import VisibilityField
from fieldfit.simulate.optics import disk_share

CENTRE = np.array([[0.0, -0.25, 0.3], [0.0, 0.25, 0.3], [0.0, -0.25, 0.9], [0.0, 0.25, 0.9], [0.0, -0.25, 1.4], [0.0, 0.25, 1.4]])
LOW, HIGH = np.array([0.0, -0.5, 0.0]), np.array([1.0, 0.5, 1.6])
GLOW = 1e-4
EFFICIENCY = np.array([0.03, 0.025, 0.0, 0.028, 0.02, 0.03])


def simulated(points: np.ndarray) -> np.ndarray:
    """(n, channel): what the field below holds, in NumPy: solid angle and a glow from everywhere."""
    values = []
    for centre in CENTRE:
        away = points - centre
        square = np.square(away).sum(-1)
        share = disk_share(away[:, 0], np.sqrt(np.maximum(square - away[:, 0] ** 2, 0)), 0.1)
        values.append(share + GLOW)
    return np.stack(values, 1)


def base() -> VisibilityField:
    field = VisibilityField(
        CENTRE.tolist(), [[1.0, 0.0, 0.0]] * 6, [0.1] * 6, ((LOW + HIGH) / 2).tolist(), ((HIGH - LOW) / 2).tolist(), 4, 1, members=1
    )
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
        field.networks[0].layers[-1].bias[6:] = float(np.log(GLOW))
    return field


def measure(seed: int, tracks: int = 60, attenuation: float = 0.0, gain: float = 1.0) -> tuple[list[torch.Tensor], np.ndarray, np.ndarray]:
    """(points, photons, track, measured), mean PE and the effective efficiency in the field's gauge, by NumPy alone."""
    generator = np.random.default_rng(seed)
    points, owner = [], []
    for t in range(tracks):
        a, b = (LOW + generator.random((2, 3)) * (HIGH - LOW)) * 1.0
        n = max(10, int(np.linalg.norm(b - a) / 0.02))
        points.append(a + np.linspace(0, 1, n)[:, None] * (b - a))
        owner.append(np.full(n, t))
    x, track = np.concatenate(points), np.concatenate(owner)
    photons = 1e5 * generator.gamma(8, 1 / 8, len(x))
    distance = np.linalg.norm(x[:, None] - CENTRE, axis=2)
    light = photons[:, None] * simulated(x)
    mean = np.stack([np.bincount(track, light[:, c] * np.exp(-attenuation * distance[:, c]), tracks) for c in range(6)], 1) * EFFICIENCY
    fitted = (track < tracks * 5 // 7)[:, None]
    gauge = EFFICIENCY * np.exp(-attenuation * (light * fitted * distance).sum(0) / (light * fitted).sum(0))
    measured = generator.poisson(mean / gain) * gain
    return [torch.from_numpy(a) for a in (x, photons, track, measured.astype(float))], mean, gauge


def run(seed: int, **keys: float) -> tuple[Calibration, np.ndarray, np.ndarray]:
    data, mean, gauge = measure(seed, **keys)  # type: ignore[arg-type]
    return calibrate(base(), *data, used=len(mean) * 5 // 7, degree=2), mean, gauge


def test_efficiencies_have_pulls_of_width_one() -> None:
    pulls = []
    for seed in range(16):
        result, _, gauge = run(seed)
        pulls.append(((result.efficiency.numpy() - gauge) / result.efficiency_std.numpy().clip(1e-12))[EFFICIENCY > 0])
    assert abs(np.mean(pulls)) < 0.35
    assert 0.75 < np.std(pulls) < 1.3


def test_pulls_hold_with_noise_beyond_poisson() -> None:
    pulls = []
    for seed in range(12):
        result, _, gauge = run(seed, gain=3.0)
        pulls.append(((result.efficiency.numpy() - gauge) / result.efficiency_std.numpy().clip(1e-12))[EFFICIENCY > 0])
    assert 0.75 < np.std(pulls) < 1.35


def test_the_dead_channel_and_no_other_is_found() -> None:
    result, _, _ = run(1)
    assert result.dead.tolist() == [False, False, True, False, False, False]
    assert result.efficiency[2] == 0 and result.efficiency_std[2] == 0
    assert (result.field(torch.rand(5, 3))[:, 2] == 0).all()


def test_extra_attenuation_is_learnt_and_helps_on_tracks_that_were_not_fitted() -> None:
    result, mean, _ = run(2, tracks=150, attenuation=0.5)
    held, alive = slice(150 * 5 // 7, None), EFFICIENCY > 0
    error = np.abs(result.predicted.numpy()[held] / mean[held].clip(1e-9) - 1)[:, alive]
    assert np.median(error) < 0.02
    points = LOW + np.random.default_rng(3).random((300, 3)) * (HIGH - LOW)
    true = EFFICIENCY * simulated(points) * np.exp(-0.5 * np.linalg.norm(points[:, None] - CENTRE, axis=2))
    found = result.field(torch.tensor(points, dtype=torch.float32)).detach().numpy()
    assert np.median(np.abs(found / true.clip(1e-30) - 1)[:, alive]) < 0.04


def test_prediction_is_what_the_field_says() -> None:
    data, mean, _ = measure(4)
    result = calibrate(base(), *data, used=40, degree=2)
    values = result.field(data[0].float()).detach().double()
    summed = torch.zeros(len(mean), 6, dtype=torch.float64).index_add(0, data[2], data[1][:, None] * values)
    assert torch.allclose(summed, result.predicted, rtol=1e-4)


def test_the_noise_law_is_recovered() -> None:
    generator = np.random.default_rng(0)
    mean = np.exp(generator.uniform(1, 8, (4000, 3)))
    measured = mean + generator.normal(size=mean.shape) * np.sqrt(2 * mean + (0.05 * mean) ** 2)
    s, tau = dispersion(torch.tensor(mean), torch.tensor(measured))
    assert abs(s - 2) < 0.3 and abs(tau - 0.05) < 0.01
