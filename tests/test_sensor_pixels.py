"""Cosmic rays and bad pixels are told from what a lens can draw; faults of shots are judged by what a view usually sees."""

import numpy as np
import pytest

from fieldfit.calibration.cosmic import healed, hits, usual_brightest
from fieldfit.calibration.faults import usual_shares
from fieldfit.calibration.frames import bad_pixels

SHAPE = (2, 60, 60)


def fringed(phase: float) -> np.ndarray:
    """(view, row, column) counts of a cloud with a fringe of 6.25 pixels, the finest that is fitted, on a pedestal."""
    y, x = np.arange(60)[:, None] - 30, np.arange(60) - 30
    image = 60 * np.exp(-(y**2 + x**2) / 200) * (1 + 0.9 * np.cos(2 * np.pi * y / 6.25 + phase)) + 2.31
    return np.broadcast_to(image, SHAPE)


def counts(seed: int, mean: np.ndarray) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean).astype(np.float32)


NONE = np.zeros(SHAPE, bool)
# What is struck, and where: steps from row 12, column 20.
TRACKS = {
    "a pixel": [(0, 0)],
    "a line": [(0, k) for k in range(9)],
    "a steep line": [(k, k // 2) for k in range(12)],
    "a diagonal": [(k, k) for k in range(9)],
    "two pixels wide": [(r, k) for r in (0, 1) for k in range(8)],
    "a square of two": [(0, 0), (0, 1), (1, 0), (1, 1)],
}


@pytest.mark.parametrize("name", TRACKS)
@pytest.mark.parametrize("others", [8, 0])
def test_tracks_are_found_whole_with_other_shots_and_without(name: str, others: int) -> None:
    shot = counts(1, fringed(0.4))
    struck = NONE.copy()
    for row, column in TRACKS[name]:
        shot[1, 12 + row, 20 + column] += 400
        struck[1, 12 + row, 20 + column] = True
    usual = usual_brightest(np.stack([shot, *(counts(10 + n, fringed(0.7 * n)) for n in range(others))])) if others else None
    found = hits(shot, NONE, usual)
    assert found[struck].all()
    assert (found & ~struck).sum() <= 1  # pixels beside a hit are judged less strictly


def test_fringes_that_move_and_noise_are_no_hits() -> None:
    shots = np.stack([counts(n, fringed(1.1 * n)) for n in range(40)])
    usual = usual_brightest(shots)
    for shot in shots:
        assert not hits(shot, NONE, usual).any()
        assert not hits(shot, NONE, None).any()


def test_what_is_three_pixels_wide_is_left_to_the_other_checks() -> None:
    shot = counts(1, fringed(0.4))
    shot[0, 10:14, 10:14] += 4000
    assert not hits(shot, NONE, usual_brightest(np.stack([counts(n, fringed(0.0)) for n in range(5)]))).any()


def test_a_line_that_holds_most_of_a_lone_views_light_is_the_object() -> None:
    """Printed text seen edge-on. Other shots that do not show it tell a track."""
    shot = counts(1, np.full(SHAPE, 2.31))
    shot[1, 30, 10:50] += 300
    assert not hits(shot, NONE, None).any()
    usual = usual_brightest(np.stack([shot, *(counts(n, np.full(SHAPE, 2.31)) for n in range(2, 6))]))
    assert hits(shot, NONE, usual)[1, 30, 10:50].all()


def test_lines_in_most_views_of_a_lone_shot_are_the_object_and_a_track_in_one_view_is_not() -> None:
    views = np.stack([counts(n, fringed(0.4))[0] for n in range(5)])
    none = np.zeros(views.shape, bool)
    views[1, 10, 10:20] += 400
    assert hits(views, none, None)[1, 10, 10:20].all()
    views[[0, 3], 12, 10:20] += 400
    assert not hits(views, none, None).any()


def test_bad_pixels_are_not_hit_and_a_healed_pixel_is_like_its_surroundings() -> None:
    shot, bad = counts(1, fringed(0.4)), NONE.copy()
    shot[0, 5, 5] = shot[1, 0, 0] = 900
    bad[0, 5, 5] = True
    hit = hits(shot, bad, None)
    assert np.argwhere(hit).tolist() == [[1, 0, 0]]
    whole = healed(shot, hit, bad)
    assert whole[1, 0, 0] < 12
    assert np.array_equal(whole[~hit], shot[~hit])


def test_two_hot_pixels_side_by_side_are_bad_and_a_bright_line_is_not() -> None:
    total = 20 * np.full((1, 50, 60), 30.0)
    total[0, 20, 30:32] = 20 * 400
    total[0, 35, 5:50] = 20 * 200
    total[0, 10, 10] = 20 * 3
    found = np.argwhere(bad_pixels(np.random.default_rng(1).poisson(total).astype(float), 20)).tolist()
    assert [place for place in found if place[1:] not in ([35, 5], [35, 49])] == [[0, 10, 10], [0, 20, 30], [0, 20, 31]]


def test_usual_shares_are_medians_once_there_are_enough_lit_shots() -> None:
    light = np.array([[4.0, 2.0, 2.0]] * 8 + [[4.0, 0.0, 2.0]])
    stated = np.full(3, 1 / 3)
    expected, least = usual_shares(light, stated)
    assert expected.tolist() == [0.5, 0.25, 0.25]
    assert (least == 0.5).all()
    assert usual_shares(light[:7], stated)[0].tolist() == stated.tolist()
    never = usual_shares(np.array([[1.0, 1.0, 0.01]] * 20), stated)
    assert never[0][2] == stated[2]
    assert never[1].tolist() == [0.5, 0.5, 0.2]
