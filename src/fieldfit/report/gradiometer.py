"""Pictures of a gradiometer product: the series, its spectrum and Allan deviation, the amplitude of sines, and the systematics budget."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fieldfit.contract.magis import BudgetStatus
from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture

MRAD = 1e3
DOTS = 5000  # shots that are drawn of a pair, frequencies that are told apart: more than a picture has columns
TOGETHER = 1 << 18  # frequencies in memory
COLOURS = {BudgetStatus.passed: "#2f7d4f", BudgetStatus.failed: "#b3392f", BudgetStatus.not_measured: "#777777"}


def pictures(path: Path) -> list[Picture]:
    """Four pictures of one run."""
    return drawn(open_product(path, "gradiometer", chunks={}))  # a night is large: read pair by pair


def drawn(data: xr.Dataset) -> list[Picture]:
    """The same of an open product."""
    return [_series(data), _noise(data), _sines(data), _budget(data)]


def _names(data: xr.Dataset) -> list[str]:
    return [f"{a}-{b}" for a, b in zip(data.interferometer_a.values, data.interferometer_b.values, strict=True)]


def _series(data: xr.Dataset) -> Picture:
    figure = Figure((8, 2.1 * data.sizes["pair"]), layout="constrained")
    axes = figure.subplots(data.sizes["pair"], 1, sharex=True, squeeze=False)[:, 0]
    every = -(-data.sizes["shot"] // DOTS)
    for k, (axis, name) in enumerate(zip(axes, _names(data), strict=True)):
        y = (data.differential_phase_corrected[k, ::every] - data.offset[k]).values * MRAD
        error = data.differential_phase_std[k, ::every].values * MRAD
        typical = np.nanmedian(error)
        axis.scatter(data.time[::every], y, s=3, c=error, cmap="Blues_r", vmin=0, vmax=6 * typical)
        axis.set_ylim(*np.array([-1, 1]) * 1.1 * np.nanquantile(np.abs(y[error < 5 * typical]), 0.99))
        axis.set_ylabel(f"pair {name} [mrad]")
    axes[-1].set_xlabel("time [s]")
    status = data.status.values
    offsets = tuple(
        (f"offset {name}", f"{o:.5f} ± {s:.5f} rad") for name, o, s in zip(_names(data), data.offset.values, data.offset_std.values, strict=True)
    )
    return Picture(
        "Differential phase, shot by shot",
        "Each dot is phi_b - phi_a of one shot alone, less its couplings and the pair's offset; pale dots are shots near a turning point of a "
        "fringe, which tell little. Gaps and flagged shots are empty." + (f" One shot of {every} is drawn." if every > 1 else ""),
        figure,
        (("usable shots", f"{int((status == 0).sum())} of {len(status)}"), *offsets),
    )


def _noise(data: xr.Dataset) -> Picture:
    figure = Figure((9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(_names(data)):
        left.semilogy(data.spectrum_frequency, data.spectrum[k] * MRAD, drawstyle="steps-mid", label=name, lw=1)
        right.errorbar(data.averaging_time, data.allan_deviation[k] * MRAD, data.allan_deviation_std[k] * MRAD, fmt="o-", ms=3, lw=1, label=name)
    target = float(data.budget_target.sel(budget="phase resolution")) * MRAD
    left.axhline(target, color="k", ls=":", lw=1)
    left.text(0.01, target, " target", va="bottom", transform=left.get_yaxis_transform())
    weights = (1 / data.differential_phase_std[k].values ** 2 for k in range(data.sizes["pair"]))
    white = min(np.sqrt(np.isfinite(weight).sum() / np.nansum(weight)) for weight in weights) * MRAD
    right.plot(data.averaging_time, white / np.sqrt(data.averaging_time / data.averaging_time[0]), "k:", lw=1, label="counting alone")
    left.set(xlabel="frequency [Hz]", ylabel="amplitude density [mrad/√Hz]")
    right.set(xlabel="averaging time [s]", ylabel="Allan deviation [mrad]", xscale="log", yscale="log")
    left.legend(title="pair")
    right.legend()
    value, std = (float(data[f"budget_{v}"].sel(budget="phase resolution")) * MRAD for v in ("value", "std"))
    return Picture(
        "Noise of the differential phase",
        "Left: one-sided amplitude density; a line stands in its own bin. Right: Allan deviation, falling as the dotted line where only counting "
        "of atoms scatters.",
        figure,
        (("phase resolution", f"{value:.2f} ± {std:.2f} mrad/√Hz, target {target:g}"),),
    )


def _sines(data: xr.Dataset) -> Picture:
    figure = Figure((8, 3.4), layout="constrained")
    axis = figure.subplots()
    count, rows = data.sizes["frequency"], []
    edges = np.linspace(0, count, min(DOTS, count), endpoint=False).astype(int)
    at = data.signal_frequency.values[edges]
    for k, name in enumerate(_names(data)):
        largest, best = _largest(data, k, edges)
        axis.plot(at, largest, lw=0.6, label=name)
        amplitude, std, frequency = (
            float(part) for part in (data.signal_amplitude[k, best], data.signal_amplitude_std[k, best], data.signal_frequency[best])
        )
        rows.append((f"strongest in pair {name}", f"{amplitude * MRAD:.3f} ± {std * MRAD:.3f} mrad at {frequency:.5f} Hz"))
    axis.set(xlabel="frequency [Hz]", ylabel="amplitude / standard deviation", ylim=(0, None))
    axis.legend(title="pair")
    return Picture(
        "Sines in the differential phase",
        "Weighted least-squares amplitude at each frequency, over its standard deviation; the grid is twelve times finer than 1/duration."
        + (" The largest of neighbours is drawn." if len(edges) < count else ""),
        figure,
        tuple(rows),
    )


def _largest(data: xr.Dataset, pair: int, edges: np.ndarray) -> tuple[np.ndarray, int]:
    """(largest amplitude over its standard deviation from each edge to the next, place of the largest of all), read some edges at a time."""
    parts, best, height = [], 0, -np.inf
    for some in np.array_split(edges, -(-data.sizes["frequency"] // TOGETHER)):
        last = edges[np.searchsorted(edges, some[-1]) + 1] if some[-1] < edges[-1] else data.sizes["frequency"]
        ratio = data.signal_amplitude[pair, some[0] : last].values / data.signal_amplitude_std[pair, some[0] : last].values
        parts.append(np.fmax.reduceat(ratio, some - some[0]))
        here = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else 0
        if ratio[here] > height:
            best, height = int(some[0]) + here, ratio[here]
    return np.concatenate(parts), best


def _budget(data: xr.Dataset) -> Picture:
    rows = [
        (str(name), float(value), float(std), float(target), str(units), BudgetStatus(int(status)))
        for name, value, std, target, units, status in zip(
            data.budget.values,
            data.budget_value.values,
            data.budget_std.values,
            data.budget_target.values,
            data.budget_units.values,
            data.budget_status.values,
            strict=True,
        )
    ]
    figure = Figure((8, 0.36 * len(rows) + 0.9), layout="constrained")
    axis = figure.subplots()
    for k, (_, value, std, target, _, status) in enumerate(rows):
        if status != BudgetStatus.not_measured:
            axis.barh(k, value / target, xerr=std / target, color=COLOURS[status], height=0.6)
        else:
            axis.text(1.1, k, "not measured by this run", va="center", color=COLOURS[status], fontsize=8)
    axis.axvline(1, color="k", lw=1)
    axis.set(xscale="log", xlabel="measured / target", xlim=(0.1, 100))
    axis.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    told = tuple(
        (name, "not measured" if status == BudgetStatus.not_measured else f"{value:.4g} ± {std:.2g} {units}, target {target:g}: {status.name}")
        for name, value, std, target, units, status in rows
    )
    return Picture(
        "Systematics budget", "Measured value over target for each row of the budget. " + str(data.attrs.get("budget_notes", "")), figure, told
    )
