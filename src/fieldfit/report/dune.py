"""Pictures of one optical detector, from its products alone."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture

DECADE = r"$10^{%d}$"


def pictures(visibility: Path, calibration: Path | None = None) -> list[Picture]:
    """A slice of the field beside the table, its errors beside the baselines, and what the tracks say."""
    dataset = open_product(visibility, "visibility")
    drawn = [_slice(dataset), _errors(dataset)]
    if calibration is not None:
        measured = open_product(calibration, "calibration")
        drawn += [_tracks(measured), _efficiencies(measured)]
    return drawn


def _slice(dataset: xr.Dataset) -> Picture:
    """Channel with the most light, in the plane across its brightest voxel."""
    channel = int(np.argmax(dataset.visibility.values.sum((1, 2, 3))))
    table, field = dataset.library_visibility[channel], dataset.visibility[channel]
    row = int(np.unravel_index(int(np.argmax(field.values)), field.shape)[1])
    panels = [("library", table[:, row]), ("field", field[:, row]), ("uncertainty / field", dataset.visibility_std[channel][:, row] / field[:, row])]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    positive = table.values[:, row][table.values[:, row] > 0]
    norm = LogNorm(positive.min() if positive.size else 1e-6, max(float(field.max()), 1e-5))
    for axes, (name, values) in zip(figure.subplots(1, 3), panels, strict=True):
        scale = {"norm": norm} if name != "uncertainty / field" else {"vmin": 0.0}
        image = axes.pcolormesh(dataset.z, dataset.x, values.values, shading="nearest", **scale)
        figure.colorbar(image, ax=axes, shrink=0.9)
        axes.set(title=name, xlabel="z [m]", ylabel="x [m]", aspect="equal")
    figures = (
        ("channels, voxels", f"{dataset.sizes['channel']}, {dataset.sizes['x']} x {dataset.sizes['y']} x {dataset.sizes['z']}"),
        ("light", str(dataset.attrs["component"])),
        ("findings", str(dataset.attrs["findings"]).replace("\n", "; ")),
        ("counting", str(dataset.attrs["counting"])),
        ("uncertainty", str(dataset.attrs["uncertainty"])),
    )
    caption = (
        f"Visibility of channel {channel} at y = {float(dataset.y[row]):.3g} m: the field keeps the shape of the table and loses its counting noise."
    )
    return Picture("The library as a field", caption, figure, figures)


def _errors(dataset: xr.Dataset) -> Picture:
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    decades = dataset.decade.values
    for k, method in enumerate(dataset.method.values):
        style = {"ls": "--", "c": "0.5"} if "noise" in str(method) else {"marker": "o"}
        left.plot(decades, 100 * dataset.relative_error.values[k], label=str(method), **style)
        right.plot(decades, 100 * dataset.bias.values[k], label=str(method), **style)
    left.set(ylabel="mean relative error [%]", yscale="log")
    right.set(ylabel="bias [%]", yscale="symlog")
    right.axhline(0, c="0.8", lw=1)
    for axes in (left, right):
        axes.set(xlabel="visibility from", xticks=decades, xticklabels=[DECADE % d for d in decades])
    left.legend(fontsize=8)
    figures = (
        ("held-out voxels", str(dataset.attrs["held_out_voxels"])),
        ("chi-square, held out", str(dataset.attrs["held_out_chi2"])),
        ("mirror images", str(dataset.attrs["symmetry"])),
        ("relative error", str(dataset.attrs["held_out_relative_error"])),
    )
    caption = (
        "Errors on voxels that were not fitted, their counting noise included: nothing can lie below the dashed line. "
        "Trilinear is taken across twice the voxel spacing here, which is harder than points between voxels."
    )
    return Picture("Error by decade of visibility", caption, figure, figures)


def _tracks(dataset: xr.Dataset) -> Picture:
    alive = dataset.dead.values == 0
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for used, name, colour in ((1, "fitted", "0.6"), (0, "held out", "C0")):
        rows = dataset.track_used.values == used
        if not rows.any():
            continue
        predicted, measured = (dataset[f"track_pe_{k}"].values[rows][:, alive].ravel() for k in ("predicted", "measured"))
        left.plot(predicted, measured, ".", ms=2, c=colour, label=name)
        bright = predicted > 5
        pull = (measured[bright] - predicted[bright]) / np.sqrt(predicted[bright])
        right.hist(
            pull, np.linspace(-5, 5, 61), density=True, histtype="step", color=colour, label=f"{name}: width {pull.std():.2f}" if pull.size else name
        )
    line = np.linspace(-5, 5, 200)
    right.plot(line, np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi), "k--", lw=1)
    most = max(float(dataset.track_pe_measured.max()), 10.0)
    left.plot([1, most], [1, most], "k--", lw=1)
    left.set(xlabel="predicted [pe]", ylabel="measured [pe]", xscale="log", yscale="log", xlim=(1, None), ylim=(1, None))
    right.set(xlabel="(measured - predicted) / sqrt(predicted)", ylabel="density")
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    figures = tuple((name.replace("_", " "), str(dataset.attrs[name])) for name in ("pe_error_median", "chi2_held_out", "noise", "prior_strength"))
    return Picture("Tracks", "Photo-electrons of each track and live channel; held-out tracks were not seen by the fit.", figure, figures)


def _efficiencies(dataset: xr.Dataset) -> Picture:
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    alive = dataset.dead.values == 0
    axes.errorbar(dataset.channel[alive], 100 * dataset.efficiency[alive], 100 * dataset.efficiency_std[alive], fmt="o", capsize=3, label="live")
    if (~alive).any():
        axes.plot(dataset.channel[~alive], np.zeros((~alive).sum()), "rx", ms=9, label="dead")
    axes.set(xlabel="channel", ylabel="efficiency [%]", ylim=(0, None))
    axes.legend(fontsize=8)
    caption = "Detected photo-electrons per simulated photon that reaches the channel, averaged over the light of the fitted tracks."
    return Picture("Efficiencies", caption, figure, (("dead", str(dataset.attrs["dead_test"])), ("gauge", str(dataset.attrs["gauge"]))))
