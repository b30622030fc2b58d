"""Figures, alarms and page of a night."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fieldfit.config.operation import Alarms
from fieldfit.io.products import product, write_product
from fieldfit.metrics.trend import trend
from fieldfit.report import gradiometer
from fieldfit.report.alarms import raised, usual
from fieldfit.report.quantities import Quantity, counted, measured
from fieldfit.sizes import seconds_by_step
from fieldfit.steps.report_night import report_night
from fieldfit.types import Status

SHOTS = 400


def phase_product(atoms: float = 1e6) -> xr.Dataset:
    """A night at a shot a second: shots 40 to 59 weak, one number absent."""
    generator = np.random.default_rng(3)
    shots = np.delete(np.arange(SHOTS + 1), 7)
    status = np.where((shots >= 40) & (shots < 60), Status.weak, Status.good)
    bad = status != Status.good

    def series(middle: float, width: float, *more: int) -> np.ndarray:
        values = generator.normal(middle, width, (SHOTS, *more))
        values[bad] = np.nan
        return values

    values = {"time": shots.astype(float), "status": status}
    for name, middle, width in (("phase", 0.3, 0.01), ("contrast", 0.8, 0.01), ("fringe_period", 377e-6, 1e-7), ("atom_number", atoms, 1e4)):
        values |= {name: series(middle, width), f"{name}_std": series(width, 1e-3 * width)}
    for name in ("position", "size", "wavefront"):
        values |= {name: series(0.0, 2e-6, 3), f"{name}_std": series(2e-6, 1e-9, 3)}
    values |= {"chi2_reduced": series(1.0, 0.02), "resolution": series(60e-6, 1e-6)}
    return product("phase", values, {"shot": shots, "axis": ["x", "y", "z"], "coefficient": ["a", "b", "c"]}, flagged="none")


def write_night(folder: Path, night: str, atoms: float = 1e6, limits: Alarms | None = None) -> dict:
    """Products, catalogue, page of one run's night; its alarms.json."""
    home = folder / "results/magis" / f"clouds-{night}"
    found = phase_product(atoms)
    shots = found.shot.values
    listed = product(
        "catalogue",
        {
            "path": np.array([f"shot{shot}" for shot in shots], object),
            "row": -np.ones(SHOTS),
            "bytes": np.ones(SHOTS),
            "time": found.time.values,
            "status": found.status.values,
        },
        {"shot": shots},
        state="s",
        unreadable="none",
    )
    for name, dataset in (("phase", found), ("catalogue", listed)):
        write_product(dataset, home / f"{name}.nc", [], {}, name, "a test")
    page = folder / "results/report" / night / "night.html"
    report_night(night, [home / "phase.nc"], [home / "catalogue.nc"], page, limits or Alarms(), logs=folder / "logs")
    return json.loads(page.with_name("alarms.json").read_text())


def test_figures_count_every_shot_and_take_medians_of_the_good_ones(tmp_path: Path) -> None:
    told = write_night(tmp_path, "2026-11-25")
    figures = {name: figure["value"] for name, figure in told["runs"]["clouds-2026-11-25"]["figures"].items()}
    assert (figures["shots received"], figures["shots good"]) == (400, 380)
    assert figures["share flagged"] == pytest.approx(0.05)
    assert figures["share of numbers absent"] == pytest.approx(1 / 401)
    assert told["runs"]["clouds-2026-11-25"]["flagged"] == {"weak": 20}
    assert figures["resolution"] == pytest.approx(60, abs=1)
    assert figures["scatter of position x"] == pytest.approx(2, rel=0.2)
    assert figures["seconds a shot"] is None  # no logs: not measured
    assert told["alarms"] == []
    assert told["finished"]


def test_limits_raise_alarms_by_name(tmp_path: Path) -> None:
    limits = Alarms(flagged_share=0.04, contrast=0.9, resolution_um=50, phase_std_mrad=20, missing_share=None)
    alarms = {alarm["figure"]: alarm for alarm in write_night(tmp_path, "2026-11-25", limits=limits)["alarms"]}
    assert set(alarms) == {"share flagged", "contrast", "resolution"}
    assert alarms["share flagged"]["limit"] == 0.04
    assert alarms["resolution"]["text"].startswith("clouds-2026-11-25: resolution is ")


def test_an_atom_number_unlike_the_last_nights_raises_one(tmp_path: Path) -> None:
    for day in range(21, 25):
        assert write_night(tmp_path, f"2026-11-{day}")["alarms"] == []
    (alarm,) = write_night(tmp_path, "2026-11-25", atoms=6e5)["alarms"]
    assert alarm["figure"] == "atom number"
    assert "-40%" in alarm["text"]
    page = (tmp_path / "results/report/2026-11-25/night.html").read_text()
    assert "(-40.0%)" in page
    assert "last 4 nights" in page
    assert "1 alarm<" in page


def test_what_is_not_measured_raises_none() -> None:
    assert raised("a", {"contrast": Quantity(math.nan, "1")}, Alarms(), []) == []
    assert math.isnan(usual("contrast", [{"contrast": 0.5}, {}, {"contrast": math.nan}]))
    assert usual("contrast", [{"contrast": value} for value in (0.5, 0.7, 0.6)]) == 0.6


def test_the_page_stands_alone_and_names_its_products(tmp_path: Path) -> None:
    write_night(tmp_path, "2026-11-25")
    page = (tmp_path / "results/report/2026-11-25/night.html").read_text()
    assert "a good night" in page
    assert 'src="http' not in page
    assert "<script" not in page
    for title in ("Flagged shots", "Phase", "Contrast", "Atom number", "Chi-square", "Resolution", "Position", "Noise of the phase", "Products"):
        assert f"<h3>{title}</h3>" in page
    assert "phase.nc" in page


def test_a_trend_has_the_quantiles_of_each_span() -> None:
    generator = np.random.default_rng(1)
    time = np.arange(20000.0)
    found = trend(time, np.where(time < 10000, 1.0, 3.0) + generator.normal(0, 0.1, len(time)), spans=10)
    assert np.allclose(found.median, [1] * 5 + [3] * 5, atol=0.01)
    assert np.allclose((found.high - found.low) / 2, 0.1, atol=0.01)
    assert np.allclose(np.diff(found.time), 2000, rtol=0.01)
    assert len(trend(np.array([np.nan, 1.0]), np.array([1.0, np.nan])).time) == 0


def test_a_run_without_a_good_shot_has_figures_and_no_values() -> None:
    found = phase_product()
    empty = found.where(found.shot < 0)
    assert math.isnan(measured(empty)["contrast"].value)
    figures, reasons = counted(np.arange(3), np.full(3, int(Status.empty)))
    assert (figures["shots good"].value, reasons) == (0, {"empty": 3})


def test_seconds_are_summed_over_the_jobs_of_a_step(tmp_path: Path) -> None:
    (tmp_path / "fit_density").mkdir()
    for name, seconds in (("fit_density/0000", 3.5), ("fit_density/0001", 4.0), ("estimate_phase", 1.0)):
        (tmp_path / f"{name}.tsv").write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:04\t100\n")
    assert seconds_by_step(tmp_path) == {"estimate_phase": 1.0, "fit_density": 7.5}
    assert seconds_by_step(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("together", [1 << 18, 5000, 997])
def test_the_strongest_sine_is_found_however_many_frequencies_are_read_together(monkeypatch, together: int) -> None:
    monkeypatch.setattr(gradiometer, "TOGETHER", together)
    random = np.random.default_rng(0)
    amplitude, std = random.random((2, 1, 20_001)).astype(np.float32)
    std[0, 17] = np.nan
    data = xr.Dataset({"signal_amplitude": (("pair", "frequency"), amplitude), "signal_amplitude_std": (("pair", "frequency"), std)})
    edges = np.linspace(0, 20_001, 4_000, endpoint=False).astype(int)
    largest, best = gradiometer._largest(data, 0, edges)
    assert (largest == np.fmax.reduceat(amplitude[0] / std[0], edges)).all()
    assert best == np.nanargmax(amplitude / std)
