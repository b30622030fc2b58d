"""`fieldfit show`: what is in a product, in a terminal of any width, as CSV and as PNG."""

import csv
import struct
from pathlib import Path

import numpy as np
import pytest

from fieldfit.command import statistics
from fieldfit.command.characters import beside, curve, shaded, sparkline
from fieldfit.command.main import main
from fieldfit.command.overview import overview
from fieldfit.command.show import read_product, view


@pytest.fixture
def phase(write) -> Path:
    """40 shots: a sine in the phase, one of them empty and NaN."""
    shots = np.arange(40)
    values = {"phase": np.where(shots == 7, np.nan, np.sin(shots / 5)), "phase_std": np.full(40, 0.01), "status": np.where(shots == 7, 3, 0)}
    return write("phase", "results/magis/night/phase.nc", {"shot": 40}, values=values, flagged="shot 7 is empty: no light")


def shown(capsys, *words: str) -> str:
    assert main(["show", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_the_overview_tells_every_variable(phase, capsys):
    told = shown(capsys, phase)
    assert "results/magis/night/phase.nc: A phase (phase)" in told
    assert "dimensions: shot 40" in told
    rows = {line.split()[0]: line.split() for line in told.splitlines() if line.strip()}
    assert rows["phase"][:7] == ["phase", "shot", "rad", "-0.9962", "0.1987", "0.9996", "2.5%"]
    assert rows["status"][:7] == ["status", "shot", "flag", "39", "good,", "1", "empty"]
    assert "shot 7 is empty: no light" in told
    assert list(rows)[2:5] == ["variable", "phase", "phase_std"]  # in the contract's order


def test_a_wide_terminal_has_room_for_meanings(phase):
    assert "standard deviation of phase" in "\n".join(overview(read_product(phase), phase, 160))


@pytest.mark.parametrize("width", [36, 60, 100])
@pytest.mark.parametrize("variable", [None, "phase", "status", "position", "time"])
def test_no_line_goes_beyond_the_terminals_edge(phase, width, variable):
    dataset = read_product(phase)
    lines = view(dataset, variable, width) if variable else overview(dataset, phase, width)
    assert max(map(len, lines)) <= width


def test_a_variable_is_a_curve_and_values_with_their_errors(phase, capsys):
    told = shown(capsys, phase, "phase")
    assert "phase: fringe phase" in told
    assert "min -0.9962, median 0.1987, max 0.9996, 2.5% NaN" in told
    assert sum(any("⠀" < letter <= "⣿" for letter in line) for line in told.splitlines()) == 8
    assert "0.1986693 ± 0.01" in told
    assert "24 more (--table)" in told


def test_all_values_as_table_and_as_csv(phase, capsys):
    assert len(shown(capsys, phase, "phase", "--table").splitlines()) == 41
    rows = list(csv.reader(shown(capsys, phase, "position", "--csv").splitlines()))
    assert rows[0] == ["shot", "axis", "position"]
    assert rows[5] == ["1", "y", "4.0"]
    assert len(rows) == 121
    rows = {row[0]: row for row in csv.reader(shown(capsys, phase, "--csv").splitlines())}
    assert rows["status"][8] == "39 good; 1 empty"
    assert float(rows["phase"][7]) == pytest.approx(1 / 40)


def test_a_volume_is_three_slices_of_the_first_good_shot(write):
    cloud = np.zeros((2, 8, 8, 8))
    cloud[1, 3:5, 3:5, 3:5] = 1
    path = write("density", "results/magis/night/density/0000.nc", {"x": 8, "y": 8, "z": 8}, values={"density": cloud, "status": np.array([3, 0])})
    lines = view(read_product(path), "density", 100)
    assert "at shot 1:" in lines
    titles = next(line for line in lines if "across" in line)
    assert [title in titles for title in ("x across, y up, z = 4", "z across, y up, x = 4", "z across, x up, y = 4")] == [True] * 3
    assert "█" in "\n".join(lines)
    assert max(map(len, lines)) <= 100


def test_a_variable_at_one_shot_and_place(phase, capsys):
    assert "0.5646425" in shown(capsys, phase, "phase", "--at", "shot=3")
    told = shown(capsys, phase, "position", "--at", "shot=3", "--at", "axis=y")
    assert "one value" in told
    assert len(shown(capsys, phase, "position", "--at", "axis=y", "--csv").splitlines()) == 41


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["phase", "--at", "shots=3"], "no dimension 'shots'; did you mean 'shot'?"),
        (["phase", "--at", "shot=40"], "no such shot, expected a whole number, 0 to 39, that is there"),
        (["phase", "--at", "shot=first"], "no such shot"),
        (["position", "--at", "axis=w"], "no such axis, expected x, y, z"),
        (["phase", "--at", "axis=x"], "phase has no dimension axis (its dimensions: shot)"),
        (["--at", "shot=3"], "without a variable"),
    ],
)
def test_a_place_that_is_not_there_is_told(phase, capsys, words, told):
    assert main(["show", str(phase), *words]) == 1
    assert told in capsys.readouterr().err


def test_statistics_of_a_large_variable_are_those_of_the_whole(write, monkeypatch):
    values = np.random.default_rng(1).normal(size=(3, 16, 16, 16))
    values[0, :2] = np.nan
    path = write("density", "results/magis/night/density/0000.nc", {"shot": 3, "x": 16, "y": 16, "z": 16}, values={"density": values})
    whole = statistics.statistics(read_product(path).density)
    monkeypatch.setattr(statistics, "SLAB", 1000)
    monkeypatch.setattr(statistics, "SAMPLE", 3000)
    assert max(part.size for part in statistics.slabs(read_product(path).density, 1000)) <= 1000
    parts = statistics.statistics(read_product(path).density)
    assert (parts.low, parts.high, parts.absent) == (whole.low, whole.high, whole.absent)
    assert parts.sampled and not whole.sampled
    assert parts.median == pytest.approx(whole.median, abs=0.05)
    assert whole.low == np.nanmin(values.astype(np.float32))


def test_a_misspelt_variable_names_the_nearest(phase, capsys):
    assert main(["show", str(phase), "fase"]) == 1
    assert "no variable 'fase'; did you mean 'phase'? (known: " in capsys.readouterr().err


def test_a_misspelt_product_names_the_nearest(phase, capsys):
    assert main(["show", "results/magis/night/phases.nc"]) == 1
    assert "did you mean 'results/magis/night/phase.nc'?" in capsys.readouterr().err


def png_size(path: Path) -> tuple[int, int]:
    start = path.read_bytes()[:24]
    assert start.startswith(b"\x89PNG")
    return struct.unpack(">II", start[16:])


@pytest.mark.parametrize(("variable", "files"), [(None, 2), ("phase", 1), ("position", 1)])
def test_pictures_are_written_beside_each_other(phase, capsys, variable, files):
    told = shown(capsys, phase, *([variable] if variable else []), "--png", "out.png")
    found = sorted(path.name for path in Path().glob("out*.png"))
    assert found == ["out-2.png", "out.png"][-files:]
    assert len(told.splitlines()) == files
    for name in found:
        assert min(png_size(Path(name))) > 300


def test_a_kind_without_pictures_of_its_own_gets_plots(night, capsys):
    shown(capsys, "results/magis/night/electrons/0000.nc", "--png", "out.png")
    assert png_size(Path("out.png"))
    shown(capsys, night, "density", "--png", "volume.png")
    assert png_size(Path("volume.png"))


@pytest.mark.parametrize(("file", "told"), [("out.pdf", "expected a name that ends in .png"), ("none/out.png", "none: no such folder")])
def test_a_picture_that_cannot_be_written_is_told(phase, capsys, file, told):
    assert main(["show", str(phase), "--png", file]) == 1
    assert told in capsys.readouterr().err


def test_a_curve_keeps_its_ends_and_its_order():
    lines = curve(np.arange(10.0), np.arange(10.0), 30, 5)
    assert lines[0].lstrip().startswith("9│") and lines[4].lstrip().startswith("0│")
    assert lines[0].rstrip("⠀")[-1] != "│" and lines[4].split("│")[1][0] != "⠀"
    assert lines[5].split("└")[1].split() == ["0", "9"]
    assert curve(np.arange(3.0), np.full(3, np.nan), 30) == ["(no finite value)"]
    assert curve(np.zeros(1), np.zeros(1), 30)


def test_shades_run_from_the_lowest_to_the_highest():
    assert sparkline(np.arange(8.0), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([0.0, np.nan, 1.0]), 3) == "▁ █"
    lines = shaded(np.outer(np.ones(10), np.arange(20.0)), 40, 10)
    assert all(line[0] == " " and line[-1] == "█" for line in lines)
    assert beside([["a", "b"], ["c"]], 10) == ["a   c", "b"]
    assert beside([["a", "b"], ["c"]], 3) == ["a", "b", "", "c"]
