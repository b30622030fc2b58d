"""When calibrations hold: each from one time of the run to another, and of several that cover a time the one that began last."""

from collections.abc import Mapping

Interval = tuple[float, float]  # [s] of the run's clock: from the first, until before the second


def valid_at(intervals: Mapping[str, Interval], time: float) -> str | None:
    """Name of the calibration that is valid at `time`, None where none covers it."""
    covering = [name for name, (start, end) in intervals.items() if start <= time < end]
    return max(covering, key=lambda name: intervals[name][0]) if covering else None


def valid_within(intervals: Mapping[str, Interval], first: float, last: float) -> tuple[str, ...]:
    """Names of those that are valid at some time from `first` to `last`; where there is none, the nearest one, so that it can be told."""
    turns = [first, *(turn for interval in intervals.values() for turn in interval if first < turn <= last)]
    valid = {valid_at(intervals, turn) for turn in turns}
    found = tuple(name for name in intervals if name in valid)
    return found or tuple(sorted(intervals, key=lambda name: max(intervals[name][0] - last, first - intervals[name][1]))[:1])
