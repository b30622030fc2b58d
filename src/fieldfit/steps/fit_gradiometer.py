"""Differential phases of a port run: read, fit, write."""

from pathlib import Path

import numpy as np

from fieldfit.config.magis import Ports
from fieldfit.experiments.magis.budget import budget, phase_density, scatter_density
from fieldfit.experiments.magis.gradiometer import Gradiometer, fit_run
from fieldfit.fitting.fit import device_of
from fieldfit.io.ports import Run, read_ports
from fieldfit.io.products import product, write_product
from fieldfit.metrics.allan import allan_deviation
from fieldfit.metrics.periodogram import amplitude_density, periodogram, shot_rate
from fieldfit.types import InputError, Status

COUPLINGS = ("position_squared", "position_x", "position_y", "intensity")
FEWEST = 20  # usable shots below which offsets and contrasts of a run cannot be told
UM, PERCENT = 1e6, 100.0


def fit_gradiometer(raw: Path, output: Path, entry: Ports) -> None:
    """Fit the good shots of the run; flagged ones are passed on with NaN.

    Raises InputError when fewer than FEWEST shots are usable.
    """
    run = read_ports(Path(raw), entry.weak_share)
    good = run.status == Status.good
    if good.sum() < FEWEST:
        raise InputError(f"{raw}: {int(good.sum())} usable shots of {len(good)}, expected at least {FEWEST}")
    time, place = run.time[good], np.arange(len(good))[good] / (len(good) - 1)
    names, auxiliary = _auxiliary(run, good)
    found = fit_run(run.counts[good], time, place, auxiliary, device_of(entry.device))
    values: dict[str, np.ndarray] = {"status": run.status, "time": run.time}
    values |= _series(found, good, names) | _spectra(found, run, good)
    rows = budget(_measured(found, run, good))
    values |= {f"budget_{key}": np.array([getattr(row, key) for row in rows]) for key in ("value", "std", "target", "status")}
    values["budget_units"] = np.array([row.units for row in rows], dtype=object)
    dataset = product(
        "gradiometer",
        values,
        {"shot": run.shots, "coupling": list(COUPLINGS), "budget": [row.name for row in rows]},
        sign="the pair with the largest separation lies in (0, pi); two ports do not tell the overall sign",
        signals=_signals(found),
        contrast_knots=str(found.knots),
        uncommon_phase_noise_rad=f"{found.jitter:.3g}",
        detection_noise_of_share=f"{found.detection:.3g}",
        shared_chi2_reduced=f"{found.chi2_reduced:.3f}",
        budget_notes=_notes(found, run),
    )
    write_product(
        dataset, Path(output), [Path(raw)], entry.model_dump(mode="json"), "Differential phases of a port run", "fit_gradiometer", entry.seed
    )


def _auxiliary(run: Run, good: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names and rows of the auxiliary quantities that the file has."""
    rows: dict[str, np.ndarray] = {}
    if run.position is not None:
        at = run.position[good].astype(float)
        rows |= {"position_squared": (at**2).sum(1), "position_x": at[:, 0], "position_y": at[:, 1]}
    if run.intensity is not None:
        rows["intensity"] = run.intensity[good].astype(float)
    return list(rows), np.array(list(rows.values())).reshape(len(rows), int(good.sum()))


def _whole(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """(..., usable shot) -> (..., shot) with NaN for flagged shots."""
    out = np.full((*values.shape[:-1], len(good)), np.nan)
    out[..., good] = values
    return out


def _series(found: Gradiometer, good: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    fits = found.regressions
    coupling, coupling_std = np.full((len(fits), len(COUPLINGS)), np.nan), np.full((len(fits), len(COUPLINGS)), np.nan)
    columns = [COUPLINGS.index(name) for name in names]
    coupling[:, columns], coupling_std[:, columns] = [f.value for f in fits], [f.value_std for f in fits]
    return {
        "differential_phase": _whole(found.phase, good),
        "differential_phase_std": _whole(found.std, good),
        "differential_phase_corrected": _whole(np.array([f.corrected for f in fits]), good),
        "interferometer_a": found.pairs[:, 0],
        "interferometer_b": found.pairs[:, 1],
        "offset": np.array([f.offset for f in fits]),
        "offset_std": np.maximum([f.offset_std for f in fits], found.shared_std),
        "contrast": _whole(found.contrast.T, good).T,
        "coupling_value": coupling,
        "coupling_std": coupling_std,
        "chi2_reduced": np.array([f.chi2_reduced for f in fits]),
    }


def _spectra(found: Gradiometer, run: Run, good: np.ndarray) -> dict[str, np.ndarray]:
    corrected = _whole(np.array([f.corrected for f in found.regressions]), good)
    scatter = _whole(np.hypot(found.std, np.array([[f.excess] for f in found.regressions])), good)
    grams = [periodogram(run.time, y, s) for y, s in zip(corrected, scatter, strict=True)]
    residual = _whole(np.array([f.residual for f in found.regressions]), good)
    lines = [np.stack([f.lines[:, 0], np.hypot(f.lines[:, 1], f.lines[:, 2])], 1) for f in found.regressions]
    densities = [amplitude_density(run.time, r, s, each) for r, s, each in zip(residual, scatter, lines, strict=True)]
    allans = [allan_deviation(run.time, y, s) for y, s in zip(corrected, scatter, strict=True)]
    return {
        "spectrum_frequency": densities[0][0],
        "spectrum": np.array([d for _, d in densities]),
        "averaging_time": allans[0][0],
        "allan_deviation": np.array([a[1] for a in allans]),
        "allan_deviation_std": np.array([a[2] for a in allans]),
        "signal_frequency": grams[0].frequency,
        "signal_amplitude": np.array([g.amplitude for g in grams]),
        "signal_amplitude_std": np.array([g.std for g in grams]),
    }


def _longest(found: Gradiometer, run: Run) -> int:
    """The pair with the longest baseline: the one that a signal is largest in."""
    return int(np.argmax(np.abs(run.height[found.pairs[:, 1]] - run.height[found.pairs[:, 0]])))


def _measured(found: Gradiometer, run: Run, good: np.ndarray) -> dict[str, tuple[float, float]]:
    pair, rate = _longest(found, run), shot_rate(run.time)
    fit = found.regressions[pair]
    rows = {"phase resolution": phase_density(fit.residual, np.hypot(found.std[pair], fit.excess), rate)}
    if run.position is not None:
        rows["position a shot"] = max(scatter_density(run.position[good, axis] * UM, rate) for axis in (0, 1))
    if run.intensity is not None:
        rows["laser intensity"] = scatter_density(run.intensity[good] * PERCENT, rate)
    return rows


def _notes(found: Gradiometer, run: Run) -> str:
    a, b = found.pairs[_longest(found, run)]
    return (
        f"phase resolution: scatter of pair {a}-{b} (longest baseline) less couplings and lines, white; position a shot: scatter of the measured "
        "cloud position along its noisier axis, its measurement noise included; laser intensity: scatter of relative_intensity, likewise"
    )


def _signals(found: Gradiometer) -> str:
    told = []
    for (a, b), fit in zip(found.pairs, found.regressions, strict=True):
        told += [f"pair {a}-{b}: {f:.6f} Hz, {np.hypot(c, s) * 1e3:.3f} +- {e * 1e3:.3f} mrad" for f, c, s, e in fit.lines]
    return "; ".join(told) or "none"
