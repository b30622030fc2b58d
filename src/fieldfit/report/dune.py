"""Pictures of one optical detector, from its products alone."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture
from fieldfit.types import FlashStatus, VoxelQuality

DECADE = r"$10^{%d}$"
SHOWN = 20_000  # values of the table that a picture draws at most
CHANNELS = 6  # of which the visibility is drawn against the distance
PLANES = (("z", "x", "y"), ("z", "y", "x"), ("y", "x", "z"))  # across, up, cut


def pictures(visibility: Path, calibration: Path | None = None, flashes: Path | None = None) -> list[Picture]:
    """The field beside the table, what was found in the table, errors beside the baselines, and what tracks and flashes say."""
    drawn = visibility_pictures(visibility)
    drawn += calibration_pictures(calibration) if calibration is not None else []
    return drawn + (flash_pictures(flashes) if flashes is not None else [])


def visibility_pictures(path: Path) -> list[Picture]:
    """The field beside the table, what was found in the table, errors beside the baselines, and arrival times where they are fitted."""
    dataset = open_product(path, "visibility", chunks={})
    drawn = [_planes(dataset), _distance(dataset), _errors(dataset), _quality(dataset)]
    return drawn + ([_arrivals(dataset)] if "arrival" in dataset else [])


def calibration_pictures(path: Path) -> list[Picture]:
    """Tracks and efficiencies."""
    measured = open_product(path, "calibration", chunks={})
    return [_tracks(measured), _efficiencies(measured)]


def flash_pictures(path: Path) -> list[Picture]:
    """Positions and charges of flashes."""
    return [_flashes(open_product(path, "flashes"))]


def _thinned(dataset: xr.Dataset) -> xr.Dataset:
    """Every n-th voxel along each axis, so that no more than SHOWN are left of a channel."""
    every = max(1, int(np.ceil((dataset.sizes["x"] * dataset.sizes["y"] * dataset.sizes["z"] / SHOWN) ** (1 / 3))))
    return dataset.isel(x=slice(every // 2, None, every), y=slice(every // 2, None, every), z=slice(every // 2, None, every))


def _planes(dataset: xr.Dataset) -> Picture:
    """Channel with the most light, in three planes across its brightest voxel: table, field, their ratio."""
    thin = _thinned(dataset)
    channel = int(np.argmax(thin.visibility.sum(("x", "y", "z")).values))
    place = {k: v.item() for k, v in thin.visibility[channel].compute().argmax(("x", "y", "z")).items()}
    at = {str(k): float(thin[str(k)][v]) for k, v in place.items()}
    cut = {axis: dataset[axis].sel({axis: value}, method="nearest").item() for axis, value in at.items()}
    one = dataset[["library_visibility", "visibility"]].sel(channel=channel)
    low, high = 1e-7, 1e-5
    slices = []
    for across, up, through in PLANES:
        plane = one.sel({through: cut[through]}).transpose(up, across).compute()
        table, field = plane.library_visibility.values, plane.visibility.values
        high = max(high, float(np.nanmax(field)))
        slices.append((across, up, through, plane, table, field))
    lit = np.concatenate([field[field > 0].ravel() for *_, field in slices])
    norm = LogNorm(max(low, float(lit.min()) if lit.size else low), high)
    figure = Figure(figsize=(11, 8), layout="constrained")
    grid = figure.subplots(3, 3)
    for row, (across, up, through, plane, table, field) in zip(grid, slices, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(table > 0, field / table, np.nan)
        logarithmic: dict[str, Any] = {"norm": norm}
        around_one: dict[str, Any] = {"vmin": 0.8, "vmax": 1.2, "cmap": "RdBu_r"}
        drawn = (("table", table, logarithmic), ("field", field, logarithmic), ("field / table", ratio, around_one))
        for axes, (name, values, scale) in zip(row, drawn, strict=True):
            image = axes.pcolormesh(plane[across], plane[up], values, shading="nearest", **scale)
            axes.set(title=f"{name}, {through} = {cut[through]:.3g} m", xlabel=f"{across} [m]", ylabel=f"{up} [m]", aspect="equal")
            figure.colorbar(image, ax=axes, shrink=0.8)
    sizes = dataset.sizes
    figures = (
        ("channels, voxels", f"{sizes['channel']}, {sizes['x']} x {sizes['y']} x {sizes['z']}"),
        ("numbers in the table and in the field", f"{sizes['channel'] * sizes['x'] * sizes['y'] * sizes['z']:,} and {sizes['weight']:,}"),
        ("light", str(dataset.attrs["component"])),
        ("mirror images", str(dataset.attrs["symmetry"])),
        ("uncertainty", str(dataset.attrs["uncertainty"])),
    )
    caption = (
        f"Visibility of channel {channel}, the brightest: the field keeps the shape of the table and loses its counting noise, which the ratio shows."
    )
    return Picture("The library as a field", caption, figure, figures)


def _distance(dataset: xr.Dataset) -> Picture:
    """Table and field against the distance from the sensor, for channels spread over the detector."""
    thin = _thinned(dataset).compute()
    channels = np.unique(np.linspace(0, dataset.sizes["channel"] - 1, min(CHANNELS, dataset.sizes["channel"])).round().astype(int))
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = np.atleast_1d(figure.subplots(2, 3, sharex=True, sharey=True)).ravel()
    points = np.stack(np.meshgrid(thin.x, thin.y, thin.z, indexing="ij"), -1)
    for axes, channel in zip(grid, channels, strict=False):
        one = thin.sel(channel=channel)
        distance = np.linalg.norm(points - one.channel_position.values, axis=-1).ravel()
        table, field = one.library_visibility.values.ravel(), one.visibility.values.ravel()
        axes.plot(distance[table > 0], table[table > 0], ",", c="0.6", label="table", rasterized=True)
        axes.plot(distance, field, ",", c="C0", label="field", rasterized=True)
        edges = np.linspace(distance.min(), distance.max(), 25)
        bins = np.digitize(distance, edges)
        full = [b for b in range(1, 25) if (bins == b).sum() > 5]
        axes.plot(
            [edges[b - 1 : b + 1].mean() for b in full], [np.median(field[bins == b]) for b in full], "C1-", lw=1.5, label="median of the field"
        )
        axes.set(title=f"channel {channel}", yscale="log")
        axes.grid(alpha=0.3)
    for axes in grid[len(channels) :]:
        axes.set_axis_off()
    for axes in grid.reshape(2, 3)[:, 0]:
        axes.set_ylabel("visibility")
    for axes in grid.reshape(2, 3)[1]:
        axes.set_xlabel("distance from the sensor [m]")
    grid[0].legend(fontsize=8, markerscale=20)
    caption = (
        "Each dot is a voxel. At one distance the visibility still spreads by the angle at which the sensor is seen, by walls and by reflections."
    )
    return Picture("Visibility against distance", caption, figure)


def _arrivals(dataset: xr.Dataset) -> Picture:
    """Arrival times against the distance from the sensor, one column of times a panel."""
    thin = _thinned(dataset)[["arrival", "arrival_std", "channel_position"]].compute()
    columns = thin.sizes["timing"]
    figure = Figure(figsize=(min(11.0, 3.7 * columns + 0.5), 3.4), layout="constrained")
    points = np.stack(np.meshgrid(thin.x, thin.y, thin.z, indexing="ij"), -1)
    channels = np.unique(np.linspace(0, thin.sizes["channel"] - 1, min(CHANNELS, thin.sizes["channel"])).round().astype(int))
    for axes, k in zip(np.atleast_1d(figure.subplots(1, columns)), range(columns), strict=True):
        for channel in channels:
            distance = np.linalg.norm(points - thin.channel_position.values[channel], axis=-1).ravel()
            axes.plot(distance, thin.arrival.values[k, channel].ravel(), ",", rasterized=True, label=f"channel {channel}")
        axes.set(title=str(thin.timing.values[k]), xlabel="distance from the sensor [m]")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("fitted time [ns]")
    figure.axes[0].legend(fontsize=7, markerscale=20)
    caption = "Each dot is a voxel. Direct light comes by the straight way; what lies above the lowest line at a distance came by way of the walls."
    return Picture("Arrival times", caption, figure, (("error", str(dataset.attrs["arrival_error"])),))


def _errors(dataset: xr.Dataset) -> Picture:
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    decades = dataset.decade.values
    for k, method in enumerate(dataset.method.values):
        style: dict[str, Any] = {"ls": "--", "c": "0.5"} if "noise" in str(method) else {"marker": "o"}
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
        ("relative error", str(dataset.attrs["held_out_relative_error"])),
    )
    caption = (
        "Errors on voxels that were not fitted, their counting noise included: nothing can lie below the dashed line. "
        "Trilinear is taken across twice the voxel spacing here, which is harder than points between voxels."
    )
    return Picture("Error by decade of visibility", caption, figure, figures)


def _quality(dataset: xr.Dataset) -> Picture:
    """Where values are masked or absent, by channel and by place."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    masked, absent = (dataset.quality_mask == flag for flag in (VoxelQuality.masked, VoxelQuality.absent))
    channel = np.arange(dataset.sizes["channel"])
    shares = [100 * part.mean(("x", "y", "z")).values for part in (masked, absent)]
    left.bar(channel, shares[0], color="C3", label="masked")
    left.bar(channel, shares[1], bottom=shares[0], color="0.7", label="no row: zero")
    left.set(xlabel="channel", ylabel="values [%]", ylim=(0, max(1.0, 1.1 * float((shares[0] + shares[1]).max()))))
    left.legend(fontsize=8)
    place = 100 * masked.mean(("channel", "y")).values
    image = right.pcolormesh(dataset.z, dataset.x, place, shading="nearest", vmin=0, vmax=max(1.0, float(place.max())), cmap="Reds")
    right.plot(dataset.channel_position[:, 2], dataset.channel_position[:, 0], "k+", ms=8, label="sensors")
    right.set(xlabel="z [m]", ylabel="x [m]", title="masked, over all channels and y [%]", aspect="equal")
    right.legend(fontsize=8)
    figure.colorbar(image, ax=right, shrink=0.8)
    findings = [line for line in str(dataset.attrs["findings"]).splitlines() if line != "none"]
    figures = (
        *((f"finding {k}", line) for k, line in enumerate(findings or ["none"], 1)),
        ("format", f"{dataset.attrs.get('format', 'larsoft')}: {dataset.attrs.get('convention', 'not recorded')}"),
        ("quantum efficiency", str(dataset.attrs.get("quantum_efficiency", "not recorded"))),
        ("counting", str(dataset.attrs["counting"])),
    )
    caption = "What the checks found in the library as read, and what was masked: such values are not fitted, and the field fills them."
    return Picture("Quality of the library", caption, figure, figures)


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


def _flashes(dataset: xr.Dataset) -> Picture:
    """Where the flashes are, and how well one place explains the light."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    for status, colour in ((FlashStatus.good, "C0"), (FlashStatus.at_face, "C1"), (FlashStatus.unlikely, "C3")):
        rows = dataset.status.values == status
        if rows.any():
            x, std = dataset.position.values[rows], dataset.position_std.values[rows]
            name = f"{status.name.replace('_', ' ')}: {int(rows.sum())}"
            left.errorbar(x[:, 2], x[:, 0], std[:, 0], std[:, 2], fmt=".", c=colour, lw=0.6, label=name)
    left.plot(dataset.channel_position[:, 2], dataset.channel_position[:, 0], "k+", ms=8, label="sensors")
    (x0, _, z0), (x1, _, z1) = ([float(v) for v in str(dataset.attrs[name]).split()] for name in ("box_lower_m", "box_upper_m"))
    left.set(xlabel="z [m]", ylabel="x [m]", aspect="equal", xlim=(z0 - 0.1, z1 + 0.1), ylim=(x0 - 0.1, x1 + 0.1))
    left.legend(fontsize=8)
    predicted, measured = dataset.pe_predicted.values.ravel(), dataset.pe_measured.values.ravel()
    right.plot(predicted, measured, ".", ms=2)
    most = max(10.0, float(np.nanmax(measured)))
    right.plot([1, most], [1, most], "k--", lw=1)
    right.set(xlabel="predicted [pe]", ylabel="measured [pe]", xscale="log", yscale="log", xlim=(1, None), ylim=(1, None))
    good = dataset.status.values != FlashStatus.dark
    between = np.linalg.norm(dataset.position.values - dataset.position_looked_up.values, axis=1)[good]
    figures = (
        ("flashes", ", ".join(f"{f.name.replace('_', ' ')} {int((dataset.status.values == f).sum())}" for f in FlashStatus)),
        ("chi-square a degree of freedom, median", f"{np.median(dataset.chi2_reduced.values[good]):.2f}" if good.any() else "no light"),
        ("from the most likely voxel, median", f"{100 * np.median(between):.1f} cm" if good.any() else "no light"),
        ("visibility", str(dataset.attrs["visibility"])),
    )
    caption = "Position and charge of each flash, fitted by the gradient of the visibility; bars are one standard deviation."
    return Picture("Flashes", caption, figure, figures)
