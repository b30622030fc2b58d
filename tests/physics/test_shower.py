"""Showers keep their energy, follow the closed form in uniform matter, and their score gradient is the gradient of the mean."""

from itertools import pairwise

import numpy as np
import pytest

from fieldfit.config.design import Annulus, EllipticAnnulus, Study
from fieldfit.forward.shower import FLOOR, cell_centres, draw, energies, in_region, learn, no_baseline, score_gradient, simulate
from fieldfit.simulate.showers import deposits
from fieldfit.types import InputError

SMALL = Study(radius=2.0, mean_free_path=0.5, cutoff=3.0, source=(0.3, -0.2), region=Annulus(shape="annulus", inner=0.8, outer=1.6))
RING = Study(region=Annulus(shape="annulus", inner=2.0, outer=3.5))
ELLIPSE = Study(
    source=(-0.9, 0.4), region=EllipticAnnulus(shape="elliptic_annulus", centre=(0.3, 0.1), inner=(2.6, 1.4), outer=(3.2, 2.5), angle_deg=25.0)
)


def random_density(cells: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.9, (cells, cells))


def test_deposited_and_escaped_energy_is_the_energy_of_the_primary():
    showers = simulate(ELLIPSE, random_density(32), draw(ELLIPSE, 300, np.random.default_rng(1)))
    assert np.allclose(showers.deposited + showers.escaped, ELLIPSE.energy)
    assert 0 < showers.escaped.mean() < ELLIPSE.energy
    assert (showers.reward <= showers.deposited / ELLIPSE.energy + 1e-12).all()


def test_flights_in_uniform_matter_are_exponential():
    study = SMALL.model_copy(update={"source": (0.0, 0.0)})
    draws = draw(study, 4000, np.random.default_rng(2))
    first = simulate(study, np.full((16, 16), 0.5), draws).flights[0]
    length = draws.depth[0] * study.mean_free_path / 0.5
    assert np.array_equal(first.hit, length < study.radius)
    assert np.allclose(np.hypot(first.x, first.y), np.minimum(length, study.radius))
    assert abs(first.hit.mean() - (1 - np.exp(-2.0))) < 4 * np.sqrt(np.exp(-2.0) / 4000)


def test_recorded_segments_add_up_to_the_optical_depth():
    density = random_density(16)
    draws = draw(SMALL, 200, np.random.default_rng(3))
    for g, flown in enumerate(simulate(SMALL, density, draws, record=True).flights):
        depth = np.bincount(flown.segment_flight, flown.segment_length * density.ravel()[flown.segment_cell], flown.hit.size) / SMALL.mean_free_path
        assert np.allclose(depth[flown.hit], draws.depth[g][flown.index[flown.hit]])
        assert (depth[~flown.hit] < draws.depth[g][flown.index[~flown.hit]]).all()


@pytest.mark.parametrize("study", [SMALL, ELLIPSE])
def test_an_independent_simulation_gives_the_same_deposits(study: Study):
    density = random_density(24, seed=4)
    mine = simulate(study, density, draw(study, 6000, np.random.default_rng(5))).reward
    other = deposits(study, density, 6000, np.random.default_rng(6))
    error = np.sqrt((mine.var() + other.var()) / 6000)
    assert abs(mine.mean() - other.mean()) < 4 * error
    assert abs(mine.std() / other.std() - 1) < 0.1


def test_score_gradient_is_the_finite_difference_of_the_mean():
    cells, batches, change = 8, 60, 0.05
    density = random_density(cells, seed=7)
    rows = np.arange(cells * cells).reshape(cells, cells)
    directions = [(rows % 3 == k).astype(float) for k in range(3)] + [np.ones((cells, cells))]
    pulls = []
    baseline = no_baseline(SMALL, cells, merge=1)
    slopes, differences = [], []
    for batch in range(batches):
        draws = draw(SMALL, 1500, np.random.default_rng([8, batch]))
        showers = simulate(SMALL, density, draws, record=True)
        gradient = score_gradient(SMALL, density, showers, baseline)
        baseline = learn(baseline, showers)
        slopes.append([(gradient * v).sum() for v in directions])
        differences.append(
            [
                (simulate(SMALL, density + change * v, draws).reward - simulate(SMALL, density - change * v, draws).reward).mean() / (2 * change)
                for v in directions
            ]
        )
    gap = np.array(slopes) - np.array(differences)
    pulls = gap.mean(0) / (gap.std(0, ddof=1) / np.sqrt(batches))
    assert (np.abs(pulls) < 3.5).all(), pulls
    assert (np.abs(np.mean(slopes, 0)) > 5 * gap.std(0) / np.sqrt(batches)).any()


def test_pathwise_gradient_is_exactly_zero_where_the_true_one_is_not():
    density = random_density(8, seed=9)
    draws = draw(SMALL, 2000, np.random.default_rng(10))
    change = 1e-9
    up, down = (simulate(SMALL, density + sign * change, draws).reward for sign in (1, -1))
    assert np.array_equal(up, down)
    slope = [
        score_gradient(SMALL, density, simulate(SMALL, density, draw(SMALL, 2000, np.random.default_rng([11, k])), True)).sum() for k in range(8)
    ]
    assert abs(np.mean(slope)) > 5 * np.std(slope) / np.sqrt(8)


def test_baseline_keeps_the_mean_and_cuts_the_variance():
    cells = 32
    centres = cell_centres(RING.radius, cells)
    density = np.where(in_region(RING, *np.meshgrid(centres, centres)), 0.95, 0.05)  # near the optimum, where a fit spends its time
    baseline = no_baseline(RING, cells)
    for k in range(20):
        baseline = learn(baseline, simulate(RING, density, draw(RING, 300, np.random.default_rng([13, k])), True))
    both = []
    for k in range(60):
        showers = simulate(RING, density, draw(RING, 200, np.random.default_rng([14, k])), True)
        both.append([score_gradient(RING, density, showers, which) for which in (None, baseline)])
    plain, reduced = np.moveaxis(np.array(both), 1, 0)
    gap = (plain - reduced).sum((1, 2))
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(gap.size)
    assert plain.var(0).sum() > 20 * reduced.var(0).sum()


def test_stratified_primaries_do_not_change_the_mean_reward():
    density = random_density(16, seed=15)
    means = [
        [simulate(SMALL, density, draw(SMALL, 200, np.random.default_rng([16, k, s]), bool(s))).reward.mean() for k in range(60)] for s in (0, 1)
    ]
    free, spread = np.array(means)
    assert abs(free.mean() - spread.mean()) < 4 * np.sqrt((free.var() + spread.var()) / 60)


def test_elliptic_region_is_turned_and_shifted():
    region = EllipticAnnulus(shape="elliptic_annulus", centre=(1.0, 0.0), inner=(0.5, 0.2), outer=(2.0, 1.0), angle_deg=90.0)
    study = Study(region=region)
    x, y = np.array([1.0, 1.0, 1.9, 2.1, 1.0]), np.array([0.0, 1.9, 0.0, 0.0, 0.4])
    assert in_region(study, x, y).tolist() == [False, True, True, False, False]


def test_energy_ladder_ends_with_the_first_below_the_cutoff():
    ladder = energies(Study(region=SMALL.region))
    assert ladder == pytest.approx((10, 4.5, 2.025, 0.91125, 0.4100625))
    assert energies(Study(energy=0.3, region=SMALL.region)) == (0.3,)
    assert all(later < earlier for earlier, later in pairwise(ladder))


def test_showers_too_large_for_memory_are_refused_by_their_size():
    with pytest.raises(InputError, match=r"cutoff 1e-06 make showers of .* flights, expected at most"):
        energies(Study(cutoff=1e-6, region=SMALL.region))


def test_empty_matter_keeps_the_floor_and_lets_nearly_everything_out():
    showers = simulate(SMALL, np.full((8, 8), FLOOR), draw(SMALL, 500, np.random.default_rng(17)))
    assert showers.escaped.mean() > 0.95 * SMALL.energy
