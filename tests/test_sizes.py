"""What a job asks for follows from what earlier jobs took, and grows with each try."""

from pathlib import Path

import pytest

from fieldfit.sizes import measured, memory_mb, minutes


def write(path: Path, seconds: str, mib: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\tmax_vms\n{seconds}\t0:00:04\t{mib}\t100\n")


def test_the_largest_of_the_jobs_so_far_counts(tmp_path: Path) -> None:
    write(tmp_path / "0000.tsv", "60", "1000")
    write(tmp_path / "0001.tsv", "600", "800")
    assert measured(tmp_path) == (1000, 600)
    assert memory_mb(tmp_path, 9999, 1) == pytest.approx(1.3 * 1048.576, abs=1)
    assert minutes(tmp_path, 9999, 1) == 18


def test_without_earlier_jobs_the_estimate_counts(tmp_path: Path) -> None:
    assert memory_mb(tmp_path / "nowhere", 3000, 1) == 3000
    assert minutes(tmp_path / "nowhere", 60, 1) == 60


def test_each_try_asks_for_half_as_much_again(tmp_path: Path) -> None:
    assert [memory_mb(tmp_path / "nowhere", 1000, attempt) for attempt in (1, 2, 3)] == [1000, 1500, 2250]
    write(tmp_path / "one.tsv", "6", "10")
    assert memory_mb(tmp_path / "one.tsv", 1000, 1) == 500  # no job is smaller


@pytest.mark.parametrize("text", ["", "s\tmax_rss\n", "s\tmax_rss\n-\t-\n", "s\tmax_rss\nNA", "not a table"])
def test_a_file_that_tells_nothing_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.tsv").write_text(text)
    assert memory_mb(tmp_path, 3000, 1) == 3000
