"""Sensors: gain, noise, dark, flat field, bad pixels and saturation of simulated ones come back within their errors; bad frames are told."""

from collections.abc import Iterable

import numpy as np
import pytest

from fieldfit.calibration.sensor import Dark, Levels, Transfer, dark_of, flat_of, levels_of, transfer
from fieldfit.config.magis import SimulateSensor
from fieldfit.contract.magis import SensorPixel
from fieldfit.simulate.sensor import Sensor, darks, flats, sensor_of
from fieldfit.types import InputError

SHAPE = (64, 60)
PEDESTAL = 2.31


def sensor(seed: int, **keys: float) -> Sensor:
    return sensor_of(SimulateSensor.model_validate({"hot_share": 0.0, "dead_share": 0.0, **keys}), SHAPE, PEDESTAL, np.random.default_rng(seed))


def dark_frames(own: Sensor, number: int, seed: int) -> list[np.ndarray]:
    return [frame[0] for _, frame in darks([own], number, np.random.default_rng([seed, 1]))]


def flat_pairs(own: Sensor, light: Iterable[float], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    frames = [frame[0] for _, frame in flats([own], list(light), np.random.default_rng([seed, 2]))]
    return list(zip(frames[::2], frames[1::2], strict=True))


def measured(own: Sensor, seed: int, light: Iterable[float], number: int = 12) -> tuple[Dark, Levels, Transfer, list]:
    dark, pairs = dark_of(dark_frames(own, number, seed)), flat_pairs(own, light, seed)
    levels = levels_of(lambda: pairs, dark)
    return dark, levels, transfer(levels, dark), pairs


def test_gain_noise_dark_and_flat_have_the_errors_that_they_state() -> None:
    pulls: dict[str, list[float]] = {"gain": [], "variance": [], "dark": [], "flat": []}
    for seed in range(40):
        own = sensor(seed, gain=1.7, read_noise=3.0, response_spread=0.02)
        dark, levels, found, pairs = measured(own, seed, np.linspace(500, 8000, 6))
        flat, std, _ = flat_of(lambda: pairs, dark, levels, found)  # noqa: B023
        pulls["gain"].append((found.gain - own.gain) / found.gain_std)
        # Rounding to whole DN adds a twelfth.
        pulls["variance"].append((dark.variance - own.gain**2 * (PEDESTAL + 9) - 1 / 12) / dark.variance_std)
        pulls["dark"] += ((dark.level - own.offset - own.gain * own.dark) / dark.level_std).flat[::97].tolist()
        pulls["flat"] += ((flat - own.response) / std).flat[::97].tolist()
    for name, values in pulls.items():
        print(f"{name}: {len(values)} pulls of mean {np.mean(values):.3f} and width {np.std(values):.3f}")
        assert abs(np.mean(values)) < 3.5 / np.sqrt(len(values)), name
        # A dark pixel's own variance, of 12 frames, is never taken below the sensor's: its errors are a little wide.
        assert (0.8 if name == "dark" else 1 - 2.5 / np.sqrt(2 * len(values))) < np.std(values) < 1 + 3 / np.sqrt(2 * len(values)), name


def test_the_gain_does_not_see_the_pattern_of_the_pixels() -> None:
    even, uneven = (measured(sensor(3, response_spread=spread), 3, [6000.0] * 4)[2] for spread in (0.0, 0.15))
    for found in (even, uneven):
        assert abs(found.gain - 2.0) < 4 * found.gain_std
    # The scatter of the pixels of one bright frame would give 0.15^2 * 6000 = 135 times that gain.
    assert uneven.gain_std < 1.5 * even.gain_std


def test_a_lamp_that_drifts_between_two_flats_does_not_matter() -> None:
    own, random = sensor(5), np.random.default_rng(5)
    pairs = [tuple(next(flats([own], [light], random))[1][0] for light in (level, 0.9 * level)) for level in np.linspace(1000, 9000, 8)]
    dark = dark_of(dark_frames(own, 12, 5))
    found = transfer(levels_of(lambda: pairs, dark), dark)
    assert abs(found.gain - own.gain) < 4 * found.gain_std
    assert found.gain_std < 0.02 * own.gain


@pytest.mark.parametrize("seed", range(4))
def test_the_full_level_is_where_the_variance_falls_off(seed: int) -> None:
    own = sensor(seed, full_well=9000.0)
    _, levels, found, _ = measured(own, seed, np.linspace(1000, 12000, 12))
    assert abs(found.saturation - own.offset - own.gain * own.full_well) < 4 * found.saturation_std
    assert found.saturation_std < 0.02 * found.saturation
    assert found.used.tolist() == (levels.top < own.offset + own.gain * (own.full_well - 5 * np.sqrt(own.full_well))).tolist()
    assert abs(found.gain - own.gain) < 4 * found.gain_std


def test_without_a_full_flat_the_full_level_is_not_known() -> None:
    found = measured(sensor(1), 1, [500.0, 1000.0])[2]
    assert np.isnan(found.saturation)
    assert found.used.all()


def test_hot_noisy_and_dead_pixels_are_told_apart_and_others_left_alone() -> None:
    own = sensor(7)
    own.dark[10, 20], own.dark[0, 0] = 300.0, 900.0
    own.response[30, 31] = 0.2
    frames = dark_frames(own, 16, 7)
    random = np.random.default_rng(8)
    for frame in frames:  # one pixel jumps between two levels
        frame[40, 5] = int(frame[40, 5]) + 60 * random.integers(2) - 30
    dark, pairs = dark_of(frames), flat_pairs(own, [3000.0, 6000.0], 7)
    levels = levels_of(lambda: pairs, dark)
    _, _, quality = flat_of(lambda: pairs, dark, levels, transfer(levels, dark))
    assert {kind: np.argwhere(quality == kind).tolist() for kind in SensorPixel if kind not in (SensorPixel.good, SensorPixel.absent)} == {
        SensorPixel.hot: [[0, 0], [10, 20]],
        SensorPixel.noisy: [[40, 5]],
        SensorPixel.dead: [[30, 31]],
    }


def test_a_cosmic_ray_in_one_frame_changes_nothing() -> None:
    own = sensor(9)
    frames, pairs = dark_frames(own, 8, 9), flat_pairs(own, [2000.0, 5000.0], 9)
    levels = levels_of(lambda: pairs, dark_of(frames))
    frames[3][11, 12:16] += 2500
    pairs[1][0][20, 21] += 9000
    dark = dark_of(frames)
    assert np.abs(dark.level[11, 12:16] - own.offset - own.gain * own.dark[11, 12:16]).max() < 5 * dark.level_std.max()
    assert (dark.quality == SensorPixel.good).all()
    struck = levels_of(lambda: pairs, dark)
    assert np.abs(struck.variance / levels.variance - 1).max() < 0.01
    flat = flat_of(lambda: pairs, dark, struck, transfer(struck, dark))[0]
    assert abs(flat[20, 21] - own.response[20, 21]) < 0.08


def test_flats_too_faint_for_a_gain_are_refused() -> None:
    with pytest.raises(InputError, match=r"gain .* DN an electron from flats of up to .* DN above the dark: expected brighter flats"):
        measured(sensor(2, read_noise=30.0), 2, [3.0])


def test_two_flats_of_different_light_are_no_pair() -> None:
    own = sensor(2)
    one, other = flat_pairs(own, [3000.0], 2)[0][0], flat_pairs(own, [1000.0], 2)[0][0]
    with pytest.raises(InputError, match=r"pair 0 of the flats has 60\d\d and (1|2)\d\d\d DN above the dark, expected the same light in both"):
        levels_of(lambda: [(one, other)], dark_of(dark_frames(own, 8, 2)))
