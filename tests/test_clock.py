"""Time stamps: dates are seconds since 1970, and the fewest stamps that contradict the order of the shots are found."""

from itertools import combinations

import numpy as np
import pytest

from fieldfit.io.clock import contradicted, mistimed, seconds_of


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-02", 86400.0),
        ("2026-01-02T03:04:05.678", 1767323045.678),
        ("2026-01-02T05:04:05.678+02:00", 1767323045.678),
        (" 2000-02-29T12:00:00 ", 951825600.0),
    ],
)
def test_dates_are_seconds_since_1970(date: str, seconds: float) -> None:
    assert seconds_of(date) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("date", ["", "yesterday", "2026-02-31", "2026:01:02 03:04:05"])
def test_what_is_no_date_is_refused(date: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|day is out of range"):
        seconds_of(date)


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ([0, 1, 2, 3], {}),
        ([0, 1, 1, 1], {}),
        ([0, 1, 2, 0.5, 4, 5], {3: 2}),
        ([0, 1, 1000, 3, 4, 5], {2: 3}),
        ([9, 1, 2, 3], {0: 1}),
        ([0, 1, 2, 1.5, 4], {3: 2}),
        ([0, 1, 2, -1], {3: 2}),
        ([], {}),
    ],
)
def test_a_wrong_stamp_flags_itself_and_names_another(times: list[float], found: dict[int, int]) -> None:
    assert mistimed(times) == found


def test_the_reason_names_the_other_shot_and_both_times() -> None:
    assert contradicted([10, 11, 12], [0.0, 5.5, 3.0]) == {2: "its time 3.0 s lies before that of the earlier shot 11 (5.5 s)"}
    assert contradicted([10, 11, 12, 13], [0.0, 9.0, 3.0, 4.0]) == {1: "its time 9.0 s lies after that of the later shot 12 (3.0 s)"}


@pytest.mark.parametrize("seed", range(30))
def test_no_fewer_removals_would_do(seed: int) -> None:
    """Against trying all of them."""
    times = np.random.default_rng(seed).integers(0, 8, 9).tolist()
    found = mistimed(times)
    kept = [time for place, time in enumerate(times) if place not in found]
    assert kept == sorted(kept)
    longest = max(n for n in range(1, 10) for part in combinations(times, n) if list(part) == sorted(part))
    assert len(kept) == longest
    for place, other in found.items():
        assert other not in found
        assert (times[other] > times[place]) == (other < place)
