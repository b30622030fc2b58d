"""The toy's events follow a plain loop, its four gradients agree, and its loss has the published optimum."""

import math
import random

import numpy as np
import pytest

from fieldfit.experiments.design.toy import ESTIMATORS, gradients, scan
from fieldfit.forward.toy import simulate_events, split_probability


def one_event(threshold: float, luck: random.Random) -> float:
    """Loss of one event, particle by particle as in the published loop."""
    angle = luck.uniform(-math.pi, math.pi)
    waiting, radii = [(0.0, 0.0, math.cos(angle), math.sin(angle), 25.0)], []
    while waiting:
        x, y, px, py, energy = waiting.pop()
        while True:
            before, x, y = math.hypot(x, y), x + 0.02 * px, y + 0.02 * py
            r = math.hypot(x, y)
            if energy < 0.5 or r > 20:
                radii.append(before)
                break
            parts = (10 * (r - threshold), -10 * (r - threshold - 10), -10 * math.sin(10 * (math.atan2(x, y) + 2 * r)), -10 * math.cos(10 * (r - 2)))
            if luck.random() < 0.5 * math.prod(1 / (1 + math.exp(-z)) for z in parts):
                radii.append(before)
                for sign in (1, -1):
                    qx, qy = px + sign * 0.05, py + sign * 0.05
                    waiting.append((x, y, qx / math.hypot(qx, qy), qy / math.hypot(qx, qy), energy / 2))
                break
    return (sum(radii) / len(radii) - 2) ** 2


def test_events_have_the_loss_of_a_plain_loop():
    luck = random.Random(1)
    plain = np.array([one_event(2.5, luck) for _ in range(60)])
    mine = simulate_events(2.5, 800, np.random.default_rng(1)).loss
    assert abs(plain.mean() - mine.mean()) < 4 * np.sqrt(plain.var() / 60 + mine.var() / 800)


def test_split_probability_has_its_stated_slope():
    x, y = np.random.default_rng(2).uniform(-15, 15, (2, 500))
    h = 1e-6
    difference = (split_probability(x, y, 2.5 + h)[0] - split_probability(x, y, 2.5 - h)[0]) / (2 * h)
    assert np.allclose(split_probability(x, y, 2.5)[1], difference, atol=1e-8)


def test_score_has_mean_zero():
    score = simulate_events(2.5, 1500, np.random.default_rng(3)).score
    assert abs(score.mean()) < 4 * score.std() / np.sqrt(score.size)


def test_gradients_agree_with_each_other_and_with_common_random_numbers():
    estimates = gradients(2.5, 1200, np.random.default_rng(4))
    h = 0.2
    up, down = (simulate_events(2.5 + s * h, 1200, np.random.default_rng(5)).loss for s in (1, -1))
    common = (up - down) / (2 * h)
    truth, error = common.mean(), common.std() / np.sqrt(common.size)
    pulls = (estimates.mean - truth) / np.hypot(estimates.error, error)
    assert (np.abs(pulls) < 4).all(), dict(zip(ESTIMATORS, pulls, strict=True))
    spread = dict(zip(ESTIMATORS, estimates.spread, strict=True))
    assert spread["score_baseline"] < spread["score"] < spread["numeric"]
    assert spread["stochastic_ad"] < spread["score"]


@pytest.mark.slow
def test_published_means_and_spreads_come_back():
    estimates = gradients(2.5, 5000, np.random.default_rng(6))
    published = {"score": (2.56, 12.6), "score_baseline": (2.62, 4.57), "numeric": (2.43, 78.7), "stochastic_ad": (2.48, 7.78)}
    for k, name in enumerate(ESTIMATORS):
        mean, spread = published[name]
        assert abs(estimates.mean[k] - mean) < 3.5 * np.hypot(estimates.error[k], spread / np.sqrt(5000)), name
        assert abs(estimates.spread[k] / spread - 1) < 0.25, name


def test_loss_is_lowest_near_the_published_optimum():
    thresholds = (0.5, 1.0, 1.25, 1.75, 2.5)
    loss, error = scan(thresholds, 300, np.random.default_rng(7))
    assert thresholds[int(np.argmin(loss))] in (1.0, 1.25)
    assert (error > 0).all()


def test_the_same_seed_gives_the_same_events():
    first, second = (simulate_events(2.5, 50, np.random.default_rng(8), alternatives=True) for _ in range(2))
    assert np.array_equal(first.loss, second.loss)
    assert np.array_equal(first.alternative, second.alternative)
