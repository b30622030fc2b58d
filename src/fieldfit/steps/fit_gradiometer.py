"""Differential phases of a port run: read, fit, write.

Series (pair, shot) and sines (pair, frequency) are made block by block while they are written.
"""

from functools import lru_cache, partial
from pathlib import Path

import dask
import dask.array as da
import numpy as np

from fieldfit.config.magis import Ports
from fieldfit.experiments.magis.budget import budget, phase_density, scatter_density
from fieldfit.experiments.magis.gradiometer import Gradiometer, fit_run
from fieldfit.experiments.magis.port_model import blocks
from fieldfit.experiments.magis.port_series import PortSeries
from fieldfit.fitting.fit import device_of
from fieldfit.io.ports import Run, read_ports
from fieldfit.io.products import in_blocks, product, write_product
from fieldfit.metrics.allan import allan_deviation
from fieldfit.metrics.periodogram import amplitude_density, frequency_grid, one_band, shot_rate
from fieldfit.types import InputError, Status

COUPLINGS = ("position_squared", "position_x", "position_y", "intensity")
FEWEST = 20  # usable shots below which offsets and contrasts of a run cannot be told
ROUNDING = 1e-12  # of a value
UM, PERCENT = 1e6, 100.0
BLOCK = 16384  # shots written together
SINES = 1 << 18  # frequencies written together


def fit_gradiometer(raw: Path, output: Path, entry: Ports) -> None:
    """Fit the good shots of the run; flagged ones are passed on with NaN.

    Raises InputError when fewer than FEWEST shots are usable.
    """
    run = read_ports(Path(raw), entry.weak_share)
    good = run.status == Status.good
    if good.sum() < FEWEST:
        raise InputError(f"{raw}: {int(good.sum())} usable shots of {len(good)}, expected at least {FEWEST}")
    names, auxiliary = _auxiliary(run, good)
    counts, time, status, shots, height = run.counts[good], run.time, run.status, run.shots, run.height
    clouds = _clouds(run, good)
    del run  # what the file holds of the usable shots is in memory once
    found = fit_run(counts, time[good], np.flatnonzero(good) / (len(good) - 1), auxiliary, device_of(entry.device))
    series, longest = PortSeries(found, time, good, auxiliary), _longest(found, height)
    values: dict[str, np.ndarray | da.Array] = {"status": status, "time": time, **clouds}
    values |= _static(found, names) | _series(series) | _sines(series) | _noise(series)
    rows = budget(_measured(series, longest, names))
    values |= {f"budget_{key}": np.array([getattr(row, key) for row in rows]) for key in ("value", "std", "target", "status")}
    values["budget_units"] = np.array([row.units for row in rows], dtype=object)
    dataset = product(
        "gradiometer",
        values,
        {"shot": shots, "axis": ["x", "y"], "coupling": list(COUPLINGS), "budget": [row.name for row in rows]},
        sign="the pair with the largest separation lies in (0, pi); two ports do not tell the overall sign",
        signals=_signals(found),
        contrast_knots=str(found.knots),
        uncommon_phase_noise_rad=f"{found.jitter:.3g}",
        detection_noise_of_share=f"{found.detection:.3g}",
        shared_chi2_reduced=f"{found.chi2_reduced:.3f}",
        budget_notes=_notes(found, longest),
    )
    with dask.config.set(scheduler="synchronous"):  # one block after the other: two would be in memory together
        write_product(
            dataset, Path(output), [Path(raw)], entry.model_dump(mode="json"), "Differential phases of a port run", "fit_gradiometer", entry.seed
        )


def _clouds(run: Run, good: np.ndarray) -> dict[str, np.ndarray]:
    """Atoms and place of the usable shots' clouds, which tell how the source did."""
    atoms = np.full(len(good), np.nan, np.float32)
    atoms[good] = run.counts[good].sum((1, 2), dtype=np.float32) / run.counts.shape[1]
    found = {"atom_number": atoms}
    if run.position is not None:
        found["position"] = np.where(good[:, None], run.position, np.nan).astype(np.float32)
    return found


def _auxiliary(run: Run, good: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names and rows of the auxiliary quantities that the file has, less their means.

    So they are as good as float64 in float32, and of a long night they are much of what is in memory.
    """
    rows: dict[str, np.ndarray] = {}
    if run.position is not None:
        at = run.position[good].astype(float)
        rows |= {"position_squared": _centred((at**2).sum(1)), "position_x": _centred(at[:, 0]), "position_y": _centred(at[:, 1])}
    if run.intensity is not None:
        rows["intensity"] = _centred(run.intensity[good].astype(float))
    return list(rows), np.array(list(rows.values()), np.float32).reshape(len(rows), int(good.sum()))


def _centred(row: np.ndarray) -> np.ndarray:
    mean = row.mean()
    off = row - mean
    off[np.abs(off) <= ROUNDING * abs(mean)] = 0  # what does not vary has no coupling
    return off.astype(np.float32)


def _static(found: Gradiometer, names: list[str]) -> dict[str, np.ndarray]:
    """What a pair has one of."""
    fits = found.regressions
    coupling, coupling_std = np.full((len(fits), len(COUPLINGS)), np.nan), np.full((len(fits), len(COUPLINGS)), np.nan)
    columns = [COUPLINGS.index(name) for name in names]
    coupling[:, columns], coupling_std[:, columns] = [f.value for f in fits], [f.value_std for f in fits]
    return {
        "interferometer_a": found.pairs[:, 0],
        "interferometer_b": found.pairs[:, 1],
        "offset": np.array([f.offset for f in fits]),
        "offset_std": np.maximum([f.offset_std for f in fits], found.shared_std),
        "coupling_value": coupling,
        "coupling_std": coupling_std,
        "chi2_reduced": np.array([f.chi2_reduced for f in fits]),
    }


def _series(series: PortSeries) -> dict[str, da.Array]:
    parts, model = list(blocks(len(series.time), BLOCK)), series.found.model
    phase, std, corrected = in_blocks(series.phases, parts, (3, len(series.found.pairs)))
    return {
        "differential_phase": phase,
        "differential_phase_std": std,
        "differential_phase_corrected": corrected,
        "contrast": in_blocks(series.contrast, parts, (len(model.offset),)).T,
    }


def _sines(series: PortSeries) -> dict[str, da.Array]:
    """The periodogram of every pair, band by band."""
    step, count = frequency_grid(series.time)
    corrected = lru_cache(maxsize=1)(series.corrected)  # the bands of a pair are made one after the other

    def band(pair: int, part: slice) -> np.ndarray:
        found = one_band(series.time, *corrected(pair), step, part.start, part.stop - part.start)
        return np.stack([found.amplitude, found.std])

    parts = [slice(first, min(first + SINES, count + 1)) for first in range(1, count + 1, SINES)]
    found = da.stack([in_blocks(partial(band, pair), parts, (2,)) for pair in range(len(series.found.pairs))], axis=1)
    frequency = in_blocks(lambda part: step * np.arange(part.start, part.stop), parts, ())
    return {"signal_frequency": frequency, "signal_amplitude": found[0], "signal_amplitude_std": found[1]}


def _noise(series: PortSeries) -> dict[str, np.ndarray]:
    """Spectrum and Allan deviation of every pair."""
    densities, allans = [], []
    for pair, fit in enumerate(series.found.regressions):
        value, scatter = series.corrected(pair)
        allans.append(allan_deviation(series.time, value, scatter))
        lines = np.stack([fit.lines[:, 0], np.hypot(fit.lines[:, 1], fit.lines[:, 2])], 1)
        densities.append(amplitude_density(series.time, series.residual(pair, value), scatter, lines))
    return {
        "spectrum_frequency": densities[0][0],
        "spectrum": np.array([d for _, d in densities]),
        "averaging_time": allans[0][0],
        "allan_deviation": np.array([a[1] for a in allans]),
        "allan_deviation_std": np.array([a[2] for a in allans]),
    }


def _longest(found: Gradiometer, height: np.ndarray) -> int:
    """The pair with the longest baseline: the one that a signal is largest in."""
    return int(np.argmax(np.abs(height[found.pairs[:, 1]] - height[found.pairs[:, 0]])))


def _measured(series: PortSeries, pair: int, names: list[str]) -> dict[str, tuple[float, float]]:
    rate, channel = shot_rate(series.time), dict(zip(names, series.auxiliary, strict=True))
    value, scatter = series.corrected(pair)
    rows = {"phase resolution": phase_density(series.residual(pair, value)[series.good], scatter[series.good], rate)}
    if "position_x" in channel:
        rows["position a shot"] = max(scatter_density(channel[name].astype(float) * UM, rate) for name in ("position_x", "position_y"))
    if "intensity" in channel:
        rows["laser intensity"] = scatter_density(channel["intensity"].astype(float) * PERCENT, rate)
    return rows


def _notes(found: Gradiometer, pair: int) -> str:
    a, b = found.pairs[pair]
    return (
        f"phase resolution: scatter of pair {a}-{b} (longest baseline) less couplings and lines, white; position a shot: scatter of the measured "
        "cloud position along its noisier axis, its measurement noise included; laser intensity: scatter of relative_intensity, likewise"
    )


def _signals(found: Gradiometer) -> str:
    told = []
    for (a, b), fit in zip(found.pairs, found.regressions, strict=True):
        told += [f"pair {a}-{b}: {f:.6f} Hz, {np.hypot(c, s) * 1e3:.3f} +- {e * 1e3:.3f} mrad" for f, c, s, e in fit.lines]
    return "; ".join(told) or "none"
