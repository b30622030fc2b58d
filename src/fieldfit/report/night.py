"""The page of a night: shots by fate, trends, noise, systematics, a comparison with the last nights, alarms."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fieldfit.metrics.allan import allan_deviation
from fieldfit.metrics.trend import trend
from fieldfit.report import gradiometer
from fieldfit.report.alarms import Alarm, usual
from fieldfit.report.page import Section, Verdict, page
from fieldfit.report.picture import Picture, Table
from fieldfit.report.quantities import AXES, MRAD, UM, Quantity
from fieldfit.types import Status

LONGEST = 3000  # dots of a picture
SMALL = (4.6, 2.5)  # inches: readable beside another one, and on a phone
# (title, variable, factor, label) of the quantities whose course is drawn
TRENDS = (
    ("Contrast", "contrast", 1.0, "contrast"),
    ("Atom number", "atom_number", 1.0, "atoms"),
    ("Chi-square", "chi2_reduced", 1.0, "chi2 a degree of freedom"),
    ("Resolution", "resolution", UM, "split-half resolution [um]"),
    ("Background", "background_rms", 1.0, "rms optical density"),
)
RANDOM = 0.5  # mean resultant length below which phases are taken for a random laser phase


@dataclass(frozen=True)
class RunOfNight:
    """One run of a night. product: its last product, None where it could not be made; reasons: flagged shots by reason; seconds: by step.

    lines: (path, provenance) of its products; waiting: what is not done, a line each.
    """

    name: str
    product: xr.Dataset | None
    figures: Mapping[str, Quantity]
    reasons: Mapping[str, int]
    seconds: Mapping[str, float]
    lines: Sequence[tuple[str, str]]
    waiting: Sequence[str] = ()


def night_page(night: str, runs: Sequence[RunOfNight], alarms: Sequence[Alarm], last: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """The page as HTML text. last: figures of earlier nights by run, the latest last."""
    unfinished = [line for run in runs for line in run.waiting]
    word = "not finished" if unfinished else f"{len(alarms)} alarm{'s' if len(alarms) > 1 else ''}" if alarms else "a good night"
    verdict = Verdict(not alarms and not unfinished, word, [*(alarm.text for alarm in alarms), *unfinished])
    intro = "What was received, what became of it, and how it compares. Every number comes from the NetCDF products listed below each run."
    return page(f"Night {night}", intro, [_section(run, last.get(run.name, ())) for run in runs], verdict)


def _section(run: RunOfNight, last: Sequence[Mapping[str, float]]) -> Section:
    tables = [_shots(run), _compared(run, last)]
    if run.product is None:
        return Section(run.name, run.name, [], run.lines, [tables])
    gradio = "pair" in run.product.dims
    small = _trends(run.product) + ([] if gradio else _noise(run.product))
    return Section(run.name, run.name, gradiometer.drawn(run.product) if gradio else [], run.lines, [tables, small])


def _shots(run: RunOfNight) -> Table:
    figures = [(name, _number(run.figures[name])) for name in ("shots received", "shots good") if name in run.figures]
    figures += [(f"flagged {reason}", str(count)) for reason, count in run.reasons.items()]
    share = run.figures.get("share of numbers absent", Quantity(math.nan, "1")).value
    if share > 0:
        figures.append(("numbers absent between the first and the last", f"{share:.2%}"))
    figures += [(f"seconds of {step}", f"{seconds:.0f}") for step, seconds in run.seconds.items()]
    return Table("Shots", "Received, used, and flagged by reason; computing time by step.", tuple(figures))


def _compared(run: RunOfNight, last: Sequence[Mapping[str, float]]) -> Table:
    rows = []
    for name, figure in run.figures.items():
        before = usual(name, last)
        change = f" ({figure.value / before - 1:+.1%})" if math.isfinite(before) and before else ""
        rows.append((name, f"{_number(figure)}{change}" if math.isfinite(figure.value) else "not measured"))
    told = f"In brackets the change from the median of the last {len(last)} nights." if last else "There are no earlier nights to compare them with."
    return Table("Figures of the night", f"Medians over the good shots. {told}", tuple(rows))


def _number(figure: Quantity) -> str:
    unit = "" if figure.units == "1" else f" {figure.units}"
    whole = float(figure.value).is_integer() and abs(figure.value) < 1e7
    return f"{figure.value:,.0f}{unit}" if whole else f"{figure.value:.4g}{unit}"


def _trends(product: xr.Dataset) -> list[Picture]:
    hours, unit = _clock(product)
    found = [_fates(hours, product.status.values, unit)]
    if "phase" in product and np.isfinite(product.phase).any():
        found.append(_dots("Phase", hours, product.phase.values, "phase [rad]", unit))
    for title, variable, factor, label in TRENDS:
        if variable in product and product[variable].dims[:1] == ("shot",) and np.isfinite(product[variable]).any():
            values = product[variable].values * factor
            series = values if values.ndim == 2 else values[:, None]
            found.append(_trend(title, hours, series, label, unit, [f"{k}" for k in range(series.shape[1])] if values.ndim == 2 else [""]))
    if "position" in product and np.isfinite(product.position).any():
        values = product.position.values * UM
        found.append(_trend("Position", hours, values - np.nanmedian(values, 0), "centre less its median [um]", unit, AXES[: values.shape[1]]))
    return found


def _trend(title: str, hours: np.ndarray, series: np.ndarray, label: str, unit: str, names: Sequence[str]) -> Picture:
    figure = Figure(SMALL, layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(names):
        course = trend(hours, series[:, k])
        axes.plot(course.time, course.median, lw=1.2, label=name, marker="." if len(course.time) < 30 else None)
        axes.fill_between(course.time, course.low, course.high, alpha=0.25)
    axes.set(xlabel=f"{unit} into the night", ylabel=label)
    if len(names) > 1:
        axes.legend(frameon=False, ncol=len(names), fontsize=8)
    return Picture(title, "Median of each span of time; the band holds two thirds of its shots.", figure)


def _dots(title: str, hours: np.ndarray, values: np.ndarray, label: str, unit: str) -> Picture:
    """Shot by shot: a median of phases around a circle says nothing."""
    figure = Figure(SMALL, layout="constrained")
    axes = figure.subplots()
    every = -(-len(hours) // LONGEST)
    axes.plot(hours[::every], values[::every], ".", ms=2 if len(hours) > 300 else 5)
    axes.set(xlabel=f"{unit} into the night", ylabel=label)
    return Picture(title, "Shot by shot" + (f", one in {every}." if every > 1 else "."), figure)


def _fates(hours: np.ndarray, status: np.ndarray, unit: str) -> Picture:
    """Share of the shots that were flagged, by reason, over the night."""
    figure = Figure(SMALL, layout="constrained")
    axes = figure.subplots()
    known = np.isfinite(hours)
    edges = np.linspace(0, max(float(hours[known].max(initial=0.0)), 1e-6), 61)
    whole = np.histogram(hours[known], edges)[0]
    bottom = np.zeros(len(whole))
    for flag in np.unique(status[status != Status.good]):
        share = np.histogram(hours[known & (status == flag)], edges)[0] / np.maximum(whole, 1)
        axes.bar(edges[:-1], share, np.diff(edges), bottom=bottom, align="edge", label=Status(int(flag)).name)
        bottom = bottom + share
    axes.set(xlabel=f"{unit} into the night", ylabel="share flagged", ylim=(0, max(0.02, 1.2 * bottom.max())))
    if bottom.any():
        axes.legend(frameon=False, fontsize=8, ncol=2)
    return Picture("Flagged shots", "Share of the shots of each span of time that could not be used, by reason.", figure)


def _noise(product: xr.Dataset) -> list[Picture]:
    """Allan deviation of the phase, where it is not the laser's random one, and of the cloud's position."""
    good = (product.status.values == Status.good) & np.isfinite(product.time.values)
    found: list[Picture] = []
    if good.sum() < 8 or not (np.diff(product.time.values[good]) > 0).all():
        return found
    time = product.time.values[good]
    if "phase" in product:
        phase = product.phase.values[good]
        resultant = abs(np.mean(np.exp(1j * phase[np.isfinite(phase)]))) if np.isfinite(phase).any() else 0.0
        if resultant > RANDOM:
            middle = np.angle(np.mean(np.exp(1j * phase[np.isfinite(phase)])))
            near = np.angle(np.exp(1j * (phase - middle)))
            found.append(_allan("Noise of the phase", time, near[:, None] * MRAD, product.phase_std.values[good, None] * MRAD, "mrad", [""]))
    if "position_std" in product:
        values, errors = product.position.values[good] * UM, product.position_std.values[good] * UM
        found.append(_allan("Noise of the position", time, values, errors, "um", AXES[: values.shape[1]]))
    return found


def _allan(title: str, time: np.ndarray, series: np.ndarray, errors: np.ndarray, unit: str, names: Sequence[str]) -> Picture:
    figure = Figure(SMALL, layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(names):
        if (np.isfinite(series[:, k]) & np.isfinite(errors[:, k])).sum() < 8:
            continue
        averaging, deviation, error = allan_deviation(time, series[:, k], errors[:, k])
        axes.errorbar(averaging, deviation, error, fmt="o-", ms=3, lw=1, label=name)
    axes.set(xscale="log", yscale="log", xlabel="averaging time [s]", ylabel=f"Allan deviation [{unit}]")
    if len(names) > 1:
        axes.legend(frameon=False, fontsize=8)
    return Picture(title, "Allan deviation over the good shots; white noise falls as the root of the averaging time.", figure)


def _clock(product: xr.Dataset) -> tuple[np.ndarray, str]:
    """(time since the first shot, its unit)."""
    time = product.time.values
    if not np.isfinite(time).any():
        return np.full(len(time), np.nan), "seconds"
    since = time - np.nanmin(time)
    unit, seconds = next((u, s) for u, s in (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)) if np.nanmax(since) >= 2 * s or s == 1)
    return since / seconds, unit
