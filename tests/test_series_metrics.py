"""Periodogram, Allan deviation and pulls against closed forms, direct sums and allantools."""

import tracemalloc

import allantools
import numpy as np
import pytest

from fieldfit.metrics.allan import allan_deviation
from fieldfit.metrics.periodogram import (
    FINER,
    amplitude_density,
    combs_of,
    fourier_sums,
    frequency_grid,
    in_bands,
    periodogram,
    shot_rate,
    strongest,
    threshold,
)
from fieldfit.metrics.pulls import pulls

GAPPED = np.concatenate([np.arange(150.0), np.arange(230.0, 400.0)])


def test_fourier_sums_are_the_direct_sums_at_uneven_times():
    g = np.random.default_rng(0)
    time, value = np.sort(g.uniform(0, 300, 200)), g.normal(size=(2, 200))
    for first, count in ((0, 500), (0, 501), (377, 123), (3, 1)):
        direct = value @ np.exp(-2j * np.pi * np.outer(time - time[0], np.arange(first, first + count)) * 2.3e-4)
        for combs in (1, 4, combs_of(time, 2.3e-4)):
            for comb, found in enumerate(fourier_sums(time, lambda part: value[:, part], 2.3e-4, first, count, combs)):
                assert np.allclose(found, direct[:, comb::combs], atol=1e-10)


def test_amplitude_is_weighted_least_squares():
    g = np.random.default_rng(1)
    std = g.uniform(0.5, 4, len(GAPPED))
    value = 2 + 0.8 * np.sin(2 * np.pi * 0.21 * GAPPED) + std * g.normal(size=len(GAPPED))
    found = periodogram(GAPPED, value, std)
    for k in (1, 300, 1800):
        angle = 2 * np.pi * found.frequency[k] * GAPPED
        design = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], 1) / std[:, None]
        _, a, b = np.linalg.lstsq(design, value / std, rcond=None)[0]
        covariance = np.linalg.inv(design.T @ design)[1:, 1:]
        along = np.array([a, b]) / np.hypot(a, b)
        assert found.amplitude[k] == pytest.approx(np.hypot(a, b), rel=1e-8)
        assert found.std[k] == pytest.approx(np.sqrt(along @ covariance @ along), rel=1e-6)


def test_periodogram_in_bands_is_the_one_of_each_frequency_alone(monkeypatch: pytest.MonkeyPatch):
    g = np.random.default_rng(7)
    time = 1.7e9 + np.sort(g.uniform(0, 400, 301))  # seconds since 1970
    std, value = g.uniform(0.5, 4, 301), g.normal(size=301)
    value[[3, 150]], std[77] = np.nan, np.inf
    monkeypatch.setattr("fieldfit.metrics.periodogram.BAND", 20 * FINER)
    monkeypatch.setattr("fieldfit.metrics.periodogram.BLOCK", 64)
    parts = list(in_bands(time, value, std))
    found = periodogram(time, value, std)
    assert len(parts) > 3
    step, count = frequency_grid(time)
    assert np.allclose(found.frequency, step * np.arange(1, count + 1), rtol=1e-12)
    good = np.isfinite(value) & np.isfinite(std)
    for k in g.integers(20, len(found.frequency), 40):
        angle = 2 * np.pi * found.frequency[k] * (time - time[0])[good]
        design = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], 1) / std[good, None]
        (_, a, b), drop = np.linalg.lstsq(design, value[good] / std[good], rcond=None)[:2]
        flat = np.average(value[good], weights=std[good] ** -2)
        assert found.amplitude[k] == pytest.approx(np.hypot(a, b), rel=1e-8)
        assert found.significance[k] ** 2 == pytest.approx((((value - flat) / std)[good] ** 2).sum() - drop[0], rel=1e-6)
    best = int(np.argmax(found.significance))
    assert strongest(time, value, std) == (found.frequency[best], found.significance[best])


def test_memory_of_a_search_grows_with_neither_shots_nor_frequencies(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fieldfit.metrics.periodogram.BAND", 250 * FINER)
    monkeypatch.setattr("fieldfit.metrics.periodogram.BLOCK", 512)

    def peak(shots: int) -> int:
        """Bytes beyond one array of the series' length, by which its rate is found."""
        time, value, std = np.arange(float(shots)), np.random.default_rng(8).normal(size=shots), np.ones(shots)
        tracemalloc.start()
        strongest(time, value, std)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most - 9 * shots

    assert peak(20_000) < 1.1 * peak(2_000)


def test_grid_is_fine_and_stays_inside_half_the_shot_rate():
    step, count = frequency_grid(GAPPED)
    grid = step * np.arange(1, count + 1)
    assert np.diff(grid).max() <= 0.1 / np.ptp(GAPPED)
    assert 0 < grid[0] < grid[-1] < 0.5 * shot_rate(GAPPED)


def test_noise_passes_the_threshold_seldom():
    g = np.random.default_rng(2)
    ones = np.ones(len(GAPPED))
    highest = [periodogram(GAPPED, g.normal(size=len(GAPPED)), ones).significance.max() for _ in range(100)]
    assert (np.array(highest) > threshold(frequency_grid(GAPPED)[1], false_alarm=1e-3)).sum() <= 3


def test_white_noise_has_its_amplitude_density():
    g = np.random.default_rng(3)
    time = 0.5 * np.concatenate([np.arange(3000.0), np.arange(4000.0, 7000.0)])
    _, density = amplitude_density(time, 3e-3 * g.normal(size=6000), np.full(6000, 3e-3))
    assert np.sqrt((density**2).mean()) == pytest.approx(3e-3 * np.sqrt(2 / 2.0), rel=0.03)


def test_a_line_integrates_to_half_its_square():
    time = np.arange(2000.0)
    frequency, density = amplitude_density(time, 1e-9 * np.ones(2000) * np.cos(time), np.ones(2000), np.array([[0.1, 0.02]]), bins=111)
    assert (density**2).sum() * np.diff(frequency).mean() == pytest.approx(0.02**2 / 2, rel=0.05)


def test_allan_deviation_without_gaps_is_that_of_allantools():
    value = np.random.default_rng(4).normal(size=700).cumsum()
    tau, deviation, std = allan_deviation(np.arange(700.0), value, np.full(700, 0.3))
    expected_tau, expected, _, _ = allantools.oadev(value, 1.0, "freq", taus=tau)
    assert np.allclose(tau, expected_tau)
    assert np.allclose(deviation, expected, rtol=1e-9)
    assert (std > 0).all()


def test_white_noise_averages_down_over_gaps_and_unequal_errors():
    g = np.random.default_rng(5)
    time = np.concatenate([np.arange(4000.0), np.arange(4500.0, 9000.0)])
    std = g.uniform(0.5, 5, len(time))
    tau, deviation, error = allan_deviation(time, std * g.normal(size=len(time)), std)
    expected = np.sqrt(len(time) / (1 / std**2).sum() / tau)
    assert (np.abs(deviation - expected) < 4 * error)[:8].all()


def test_pulls_wrap_and_leave_out_what_is_not_finite():
    found = pulls(np.array([0.1, 2 * np.pi - 0.1, np.nan]), np.zeros(3), np.full(3, 0.1), period=2 * np.pi)
    assert found.count == 2
    assert found.mean == pytest.approx(0)
    with pytest.raises(ValueError, match="1 finite pulls"):
        pulls(np.array([1.0, np.nan]), np.zeros(2), np.ones(2))


def test_time_must_ascend():
    with pytest.raises(ValueError, match="does not ascend"):
        shot_rate(np.array([0.0, 2.0, 1.0]))
