"""Time stamps of shots: dates as seconds, and stamps that contradict the order of the shots.

A date is counted in seconds since 1970-01-01T00:00:00Z without leap seconds; one without a zone is taken as UTC.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime


def seconds_of(date: str) -> float:
    """Seconds since 1970 of an ISO 8601 date, `2026-01-02T03:04:05.678Z`. Raises ValueError when it is none."""
    found = datetime.fromisoformat(date.strip())
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def mistimed(times: Sequence[float]) -> dict[int, int]:
    """The fewest places whose removal leaves the rest ascending (equal times may stand), each with a kept place that contradicts it.

    A longest ascending subsequence is kept (Fredman, Discrete Math. 11, 29 (1975)), of several the one with the earliest places:
    one wrong stamp, early or late, flags itself and not the shots after it. times: finite [s], in the order of the shots.
    """
    starts: list[float] = []  # [n]: minus the latest time at which n + 1 ascending entries can start
    lengths = []
    for time in reversed(times):
        n = bisect_right(starts, -time)
        starts[n : n + 1] = [-time]
        lengths.append(n + 1)
    lengths.reverse()
    kept: list[int] = []
    wanted = len(starts)
    for place, time in enumerate(times):
        if lengths[place] == wanted and (not kept or time >= times[kept[-1]]):
            kept.append(place)
            wanted -= 1
    return {place: _opponent(place, times, kept) for place in range(len(times)) if place not in set(kept)}


def contradicted(shots: Sequence[int], times: Sequence[float]) -> dict[int, str]:
    """Places that `mistimed` finds, each with a line naming the other shot. shots: numbers, ascending; times [s]."""
    return {
        place: f"its time {float(times[place])!r} s lies {'before that of the earlier' if other < place else 'after that of the later'} "
        f"shot {shots[other]} ({float(times[other])!r} s)"
        for place, other in mistimed(times).items()
    }


def _opponent(place: int, times: Sequence[float], kept: Sequence[int]) -> int:
    """The kept place nearest before `place` with a later time, or after it with an earlier one."""
    n = bisect_right(kept, place)
    if n and times[kept[n - 1]] > times[place]:
        return kept[n - 1]
    return kept[n]
