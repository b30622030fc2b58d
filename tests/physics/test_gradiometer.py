"""Gradiometer: the model's identities, and truth recovered with honest errors from an independent simulation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.interpolate import BSpline

from fieldfit.config.magis import Ports, SimulateRun
from fieldfit.contract.magis import BudgetStatus
from fieldfit.experiments.magis.budget import TARGETS, budget
from fieldfit.experiments.magis.gradiometer import Gradiometer, differences, fit_run, pairs_of
from fieldfit.experiments.magis.port_model import blocks, spline
from fieldfit.forward.ports import counting_variance, share, slope
from fieldfit.io.products import open_product
from fieldfit.metrics.pulls import pulls
from fieldfit.report.gradiometer import pictures
from fieldfit.simulate.ports import PortRun, Truth, simulate_run, write_run
from fieldfit.steps.fit_gradiometer import fit_gradiometer
from fieldfit.steps.simulate_ports import simulate_ports
from fieldfit.types import InputError, Status

NONE = torch.zeros((), dtype=torch.float64)


def usable(run: PortRun) -> np.ndarray:
    atoms = run.counts.sum(2)
    return (run.daq_status == 0) & (atoms > 0.2 * np.median(atoms)).all(1)


def fitted(run: PortRun) -> Gradiometer:
    good = usable(run)
    at = run.position[good]
    auxiliary = np.stack([(at**2).sum(1), at[:, 0], at[:, 1], run.intensity[good]])
    return fit_run(run.counts[good].astype(float), run.time[good], np.flatnonzero(good) / (len(good) - 1), auxiliary)


def modulation(run: PortRun, truth: Truth) -> np.ndarray:
    """What moves the highest interferometer, from the true parameters and the measured auxiliaries."""
    at = run.position[usable(run)]
    signal = truth.amplitude_rad * np.sin(2 * np.pi * truth.frequency_hz * run.time[usable(run)] + truth.phase_rad)
    return signal + truth.curv * (at**2).sum(1) + truth.lin * at[:, 0] + truth.stark * run.intensity[usable(run)]


def test_slope_is_the_gradient_of_the_share():
    phase = torch.linspace(-3, 3, 11, dtype=torch.float64, requires_grad=True)
    contrast = torch.tensor(0.7, dtype=torch.float64)
    share(phase, contrast, NONE).sum().backward()
    assert phase.grad is not None
    assert torch.allclose(phase.grad, slope(phase.detach(), contrast))


def test_mid_fringe_is_quantum_projection_noise():
    contrast, atoms = torch.tensor(0.75, dtype=torch.float64), torch.tensor(1e6, dtype=torch.float64)
    phase = torch.tensor([math.pi / 2, 0.9], dtype=torch.float64)
    variance = counting_variance(phase, contrast, NONE, atoms)
    middle, beside = (slope(phase, contrast).square() / variance).tolist()
    assert middle == pytest.approx(0.75**2 * 1e6)
    c, s = 0.75 * math.cos(0.9), 0.75 * math.sin(0.9)
    assert beside == pytest.approx(1e6 * s**2 / (1 - c**2))
    assert variance[1].item() == pytest.approx((1 - c**2) / 4e6)


@pytest.mark.parametrize(
    "truth",
    [
        Truth(offsets=(0.0, 1.7)),
        Truth(offsets=(0.0, -0.8, 1.9), contrast=(0.5, 0.65)),
        Truth(offsets=(0.0, 1.0, 2.6, 4.5), contrast=(0.8, 0.6)),
        Truth(offsets=(0.0, 1.2, 2.3), amplitude_rad=0.15, frequency_hz=0.0313),
    ],
    ids=["two", "negative", "four", "strong"],
)
def test_phases_of_every_pair_reach_the_bound_without_bias_or_smoothing(truth: Truth):
    run = simulate_run(truth, 700, 1e6, np.random.default_rng(3))
    found, moved = fitted(run), modulation(run, truth)
    top = len(truth.offsets) - 1
    separation = [(truth.offsets[b] - truth.offsets[a] + np.pi) % (2 * np.pi) - np.pi for a, b in pairs_of(top + 1)]
    sign = np.sign(separation[int(np.argmax(np.abs(separation)))])
    for (a, b), phase, std in zip(found.pairs, *differences(found.shots, found.model), strict=True):
        expected = sign * (truth.offsets[b] - truth.offsets[a] + (b - a) / top * moved)
        result = pulls(phase, expected, std, period=2 * np.pi)
        residual = ((phase - expected + np.pi) % (2 * np.pi) - np.pi) / std
        weight = 1 / std**2
        assert abs(result.width - 1) < 0.13
        assert abs((weight * residual * std).sum() / np.sqrt(weight.sum())) < 4
        assert abs(np.corrcoef(residual[1:], residual[:-1])[0, 1]) < 0.15


def test_widest_pair_lies_in_zero_to_pi():
    found = fitted(simulate_run(Truth(offsets=(0.0, -1.1, -2.1)), 300, 1e6, np.random.default_rng(4)))
    offsets = np.array([r.offset for r in found.regressions])
    assert 0 < offsets[np.argmax(np.abs(offsets))] < np.pi


def test_flexible_contrast_is_taken_where_it_drifts_and_not_elsewhere():
    steady = fitted(simulate_run(Truth(contrast=(0.7, 0.7)), 400, 1e6, np.random.default_rng(5)))
    drifting = fitted(simulate_run(Truth(contrast=(0.85, 0.6)), 400, 1e6, np.random.default_rng(5)))
    assert steady.knots == 1
    assert drifting.knots >= 2
    assert drifting.chi2_reduced < 1.2


def test_uncommon_phase_noise_is_found_and_widens_the_regression():
    truth = Truth(noise_rad=0.01, amplitude_rad=0.0)
    found = fitted(simulate_run(truth, 500, 1e6, np.random.default_rng(6)))
    assert found.jitter == pytest.approx(0.01, rel=0.15)
    assert all(r.excess == pytest.approx(0.01 * np.sqrt(2), rel=0.15) for r in found.regressions)


def test_detection_noise_is_found_and_enters_the_errors_of_the_shots():
    truth, g = Truth(amplitude_rad=0.0, curv=0.0, lin=0.0, stark=0.0), np.random.default_rng(9)
    run = simulate_run(truth, 500, 1e6, g, missing=0, weak=0)
    moved = np.rint(1e-3 * run.counts.sum(2) * g.normal(size=run.counts.shape[:2])).astype(int)
    counts = (run.counts + np.stack([moved, -moved], -1)).astype(float)
    found = fit_run(counts, run.time, np.arange(500) / 499, np.zeros((0, 500)))
    assert found.detection == pytest.approx(1e-3, rel=0.15)
    for (a, b), phase, std in zip(found.pairs, *differences(found.shots, found.model), strict=True):
        assert abs(pulls(phase, np.full(500, truth.offsets[b] - truth.offsets[a]), std).width - 1) < 0.13


@pytest.mark.parametrize("knots", [1, 2, 3, 4, 9, 32])
def test_spline_is_that_of_scipy(knots: int):
    place, degree = torch.linspace(0, 1, 57, dtype=torch.float64), min(3, knots - 1)
    first, weight = spline(place, knots)
    edges = np.concatenate([np.zeros(degree), np.linspace(0, 1, knots - degree + 1), np.ones(degree)])
    dense = torch.zeros(57, knots, dtype=torch.float64).scatter_(1, first[:, None] + torch.arange(degree + 1), weight)
    assert np.allclose(dense, BSpline.design_matrix(place.numpy(), edges, degree).toarray(), atol=1e-13)


def test_product_and_what_its_report_tells_are_the_same_whatever_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entry = Ports(format="ports", raw=tmp_path / "run.h5", simulate=SimulateRun(shots=300))
    simulate_ports(tmp_path / "run.h5", tmp_path / "truth.json", entry)
    fit_gradiometer(tmp_path / "run.h5", tmp_path / "one.nc", entry)
    monkeypatch.setattr(blocks, "__defaults__", (64,))
    for place, value in (
        ("steps.fit_gradiometer.BLOCK", 50),
        ("steps.fit_gradiometer.SINES", 333),
        ("metrics.periodogram.BLOCK", 70),
        ("metrics.periodogram.BAND", 240),
        ("metrics.allan.BLOCK", 40),
        ("io.ports.BLOCK", 90),
        ("io.products.LONG", 100),
    ):
        monkeypatch.setattr(f"fieldfit.{place}", value)
    fit_gradiometer(tmp_path / "run.h5", tmp_path / "many.nc", entry)
    one, many = (open_product(tmp_path / name, "gradiometer") for name in ("one.nc", "many.nc"))
    xr.testing.assert_allclose(one, many, rtol=1e-8)
    drawn = pictures(tmp_path / "one.nc")
    monkeypatch.setattr("fieldfit.report.gradiometer.DOTS", 40)
    thinned = pictures(tmp_path / "one.nc")
    assert [picture.figures for picture in thinned] == [picture.figures for picture in drawn]
    assert len(thinned[2].figure.axes[0].lines[0].get_xdata()) == 40
    assert "One shot of 8 is drawn" in thinned[0].caption


@pytest.mark.slow
def test_offsets_couplings_and_amplitudes_have_honest_errors():
    truth = Truth(offsets=(0.0, 1.1, 2.1))
    offset, coupling, amplitude = [], [], []
    for seed in range(40):
        run = simulate_run(truth, 400, 1e6, np.random.default_rng(100 + seed))
        at, intensity = run.position[usable(run)], run.intensity[usable(run)]
        radius = (at**2).sum(1)
        for (a, b), fit in zip(pairs_of(3), fitted(run).regressions, strict=True):
            lever = (b - a) / 2
            mean = truth.curv * radius.mean() + truth.lin * at[:, 0].mean() + truth.stark * intensity.mean()
            offset.append((fit.offset - truth.offsets[b] + truth.offsets[a] - lever * mean) / fit.offset_std)
            true = lever * np.array([truth.curv * radius.std(), truth.lin * at[:, 0].std(), 0.0, truth.stark * intensity.std()])
            coupling.append((fit.value - true) / fit.value_std)
            amplitude.append((np.hypot(*fit.lines[0, 1:3]) - lever * truth.amplitude_rad) / fit.lines[0, 3])
    for pull in (offset, *np.array(coupling).T, amplitude):
        assert abs(np.mean(pull)) < 0.35
        assert abs(np.std(pull) - 1) < 0.2


def test_budget_tells_passed_failed_and_not_measured():
    rows = {row.name: row for row in budget({"phase resolution": (3.9e-3, 1e-4), "laser intensity": (0.05, 0.001)})}
    assert rows["phase resolution"].status == BudgetStatus.failed
    assert rows["laser intensity"].status == BudgetStatus.passed
    assert rows["laser pointing"].status == BudgetStatus.not_measured
    assert math.isnan(rows["laser pointing"].value)
    assert list(rows) == list(TARGETS)
    with pytest.raises(KeyError, match="phase noise"):
        budget({"phase noise": (1.0, 1.0)})


def test_step_keeps_every_shot_and_flags_the_bad_ones(tmp_path: Path):
    entry = Ports(format="ports", raw=tmp_path / "run.h5", simulate=SimulateRun(shots=120))
    simulate_ports(tmp_path / "run.h5", tmp_path / "truth.json", entry)
    fit_gradiometer(tmp_path / "run.h5", tmp_path / "gradiometer.nc", entry)
    data = open_product(tmp_path / "gradiometer.nc", "gradiometer")
    assert data.sizes["shot"] == 120
    assert (np.isfinite(data.differential_phase).all("pair") == (data.status == Status.good)).all()
    assert json.loads((tmp_path / "truth.json").read_text())["run"]["offsets"] == [0.0, 1.1, 2.1]
    assert np.abs(data.offset.values - [1.1, 2.1, 1.0]).max() < 0.005


def test_run_without_auxiliary_channels_says_that_couplings_are_not_measured(tmp_path: Path):
    import h5py

    truth = Truth(curv=0.0, lin=0.0, stark=0.0)
    write_run(simulate_run(truth, 100, 1e6, np.random.default_rng(7)), truth, tmp_path / "run.h5", tmp_path / "truth.json")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["cloud_position_m"], file["relative_intensity"]
    fit_gradiometer(tmp_path / "run.h5", tmp_path / "g.nc", Ports(format="ports", raw=tmp_path / "run.h5"))
    data = open_product(tmp_path / "g.nc", "gradiometer")
    assert np.isnan(data.coupling_value).all()
    assert int(data.budget_status.sel(budget="position a shot")) == BudgetStatus.not_measured
    good = data.status == Status.good
    assert np.allclose(data.differential_phase.values[:, good], data.differential_phase_corrected.values[:, good])


def test_too_few_usable_shots_are_refused(tmp_path: Path):
    run = simulate_run(Truth(), 25, 1e6, np.random.default_rng(8), missing=10)
    write_run(run, Truth(), tmp_path / "run.h5", tmp_path / "truth.json")
    with pytest.raises(InputError, match=r"run.h5: 11 usable shots of 25, expected at least 20"):
        fit_gradiometer(tmp_path / "run.h5", tmp_path / "g.nc", Ports(format="ports", raw=tmp_path / "run.h5"))
    assert not (tmp_path / "g.nc").exists()


def test_reference_run_reaches_its_bound(reference: Path, tmp_path: Path):
    raw = reference / "gradiometer" / "run_gradiometer.h5"
    fit_gradiometer(raw, tmp_path / "g.nc", Ports(format="ports", raw=raw))
    truth = json.loads((reference / "gradiometer" / "truth.json").read_text())["run"]
    data = open_product(tmp_path / "g.nc", "gradiometer")
    k = int(np.argmin(np.abs(data.signal_frequency.values - truth["frequency_hz"])))
    pair = int(np.argmax(data.offset.values))
    assert data.signal_amplitude[pair, k] == pytest.approx(truth["amplitude_rad"], abs=4 * float(data.signal_amplitude_std[pair, k]))
    assert float(data.chi2_reduced[pair]) == pytest.approx(1, abs=0.15)
    assert int(data.budget_status.sel(budget="phase resolution")) == BudgetStatus.failed
