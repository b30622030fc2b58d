"""Fourier shell correlation: one for equal volumes, none for independent ones, and the known value for known noise."""

import numpy as np
import pytest

from fieldfit.metrics.fsc import ShellCorrelation, resolution, shell_correlation


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((32, 32, 32))


def test_equal_volumes_correlate_fully() -> None:
    assert np.allclose(shell_correlation(noise(0), 3 * noise(0), 1e-4).correlation, 1)


def test_independent_noise_does_not_correlate() -> None:
    curve = shell_correlation(noise(0), noise(1), 1e-4)
    assert np.abs(curve.correlation[4:] / curve.std[4:]).max() < 5


def test_common_signal_in_equal_noise_correlates_by_its_share() -> None:
    common = noise(0)
    curve = shell_correlation(common + noise(1), common + noise(2), 1e-4)
    assert np.mean(curve.correlation[6:]) == pytest.approx(0.5, abs=0.02)


def test_resolution_is_the_first_crossing_between_shells() -> None:
    curve = ShellCorrelation(np.arange(5.0), np.array([1.0, 0.9, 0.5, 0.1, 0.6]), np.zeros(5), np.ones(5), np.zeros(5))
    assert resolution(curve, 0.3) == pytest.approx(1 / 2.5)
    assert resolution(curve, 0.05) == pytest.approx(1 / 4)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two equal cubes"):
        shell_correlation(np.zeros((4, 4, 5)), np.zeros((4, 4, 5)), 1.0)
