"""Pictures of an imaging run, from its products alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture
from fieldfit.types import Status

MM, UM, MRAD = 1e3, 1e6, 1e3


def pictures(densities: Sequence[Path], phase: Path) -> list[Picture]:
    """The first good shot's density and profile, and the run's phase and cloud, shot by shot."""
    return density_pictures(densities) + phase_pictures(phase)


def density_pictures(densities: Sequence[Path]) -> list[Picture]:
    """Of the first good shot in several blocks; none where no shot is good."""
    for path in densities:
        block = open_product(path, "density", chunks={"shot": 1})
        good = np.flatnonzero(block.status.values == Status.good)
        if good.size:
            one = block.isel(shot=int(good[0])).load()
            return [_slices(one), _profile(one), *_halves(one)]
    return []


def phase_pictures(phase: Path) -> list[Picture]:
    """Of a run, shot by shot."""
    run = open_product(phase, "phase")
    return [_series(run), _clouds(run)]


def _slices(shot: xr.Dataset) -> Picture:
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    x, y, z = (shot[name].values * MM for name in "xyz")
    density = shot.density.values
    middle = [int(np.argmin(np.abs(axis - 0))) for axis in (x, y, z)]
    views = (
        ("x", "y", x, y, density[:, :, middle[2]].T),
        ("z", "y", z, y, density[middle[0]]),
        ("x", "z", x, z, density[:, int(np.argmax(density.sum((0, 2)))), :].T),
    )
    for place, (across, up, horizontal, vertical, values) in enumerate(views):
        axes = figure.add_subplot(1, 3, place + 1)
        extent = (horizontal[0], horizontal[-1], vertical[0], vertical[-1])
        image = axes.imshow(values, origin="lower", extent=extent, cmap="magma", vmin=0, vmax=density.max(), aspect="equal")
        axes.set(xlabel=f"{across} [mm]", ylabel=f"{up} [mm]")
    figure.colorbar(image, ax=figure.axes, label="density [m$^{-3}$]", shrink=0.9)
    figures = (
        ("atoms", f"{float(shot.atom_number):.4g} +- {float(shot.atom_number_std):.2g}"),
        ("chi-square a degree of freedom", f"{float(shot.chi2_reduced):.3f}"),
        ("split-half resolution (FSC 0.143)", f"{float(shot.resolution_split_half) * UM:.0f} um"),
        ("optimiser step kept by the held-out photons", f"{float(shot.kept_step):.0f}"),
    )
    caption = "Three slices through the fitted density: across the fringes twice, and along the brightest fringe."
    return Picture(f"Density of shot {int(shot.shot)}", caption, figure, figures)


def _profile(shot: xr.Dataset) -> Picture:
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    names = ("x", "y", "z")
    across = int(np.argmax(np.abs(np.nan_to_num(shot.fringe_wave_vector.values)))) if "fringe_wave_vector" in shot else 1
    along = [name for name in names if name != names[across]]
    line = shot.sel({name: 0.0 for name in along}, method="nearest")
    position = shot[names[across]].values * MM
    axes.plot(position, line.density, color="C0", label="density")
    low, high = line.density - line.density_std, line.density + line.density_std
    axes.fill_between(position, low, high, color="C0", alpha=0.3, label="one standard deviation")
    axes.set(xlabel=f"{names[across]} [mm]", ylabel="density [m$^{-3}$]", xlim=(position[0], position[-1]))
    axes.legend(frameon=False)
    figures = tuple(
        (title, f"{float(shot[name]) * factor:.4g} +- {float(shot[f'{name}_std']) * factor:.2g} {unit}".strip())
        for title, name, factor, unit in (("phase", "phase", 1, "rad"), ("contrast", "contrast", 1, ""), ("fringe period", "fringe_period", UM, "um"))
        if name in shot and np.isfinite(shot[name])
    )
    return Picture(
        f"Fringe of shot {int(shot.shot)}", f"The density along {names[across]} through the middle of the cloud, voxel means.", figure, figures
    )


def _halves(shot: xr.Dataset) -> list[Picture]:
    """Where two halves of the photons agree."""
    if "split_half_correlation" not in shot:
        return []
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes, other = figure.subplots(1, 2)
    frequency, curve, std = (shot[name].values for name in ("spatial_frequency", "split_half_correlation", "split_half_correlation_std"))
    plateau = float(shot.split_half_plateau)
    axes.plot(frequency / MM, curve, color="C0", label="two halves of the photons")
    axes.fill_between(frequency / MM, curve - std, curve + std, color="C0", alpha=0.3)
    axes.plot(frequency / MM, shot.half_bit, color="0.5", linestyle=":", label="half a bit")
    axes.axhline(0.143, color="0.5", linestyle="--", linewidth=1, label="0.143")
    axes.axhline(plateau, color="C1", linewidth=1, label="plateau: the atoms in common")
    axes.set(xlabel="waves a mm", ylabel="Fourier shell correlation", ylim=(-0.1, 1.05))
    figure.legend(loc="outside lower center", ncol=4, frameon=False)
    other.semilogy(frequency / MM, shot.split_half_power, color="C0")
    other.set(xlabel="waves a mm", ylabel="power of one half [m$^{-6}$]")
    figures = (
        ("first crossing of 0.143", f"{float(shot.resolution_split_half) * UM:.0f} um"),
        ("first crossing of the same above the plateau", f"{float(shot.resolution_above_plateau) * UM:.0f} um"),
    )
    caption = "A smooth cloud with a fringe has little power between the two: there a first crossing says nothing, and the right panel shows it."
    return [Picture(f"Resolution of shot {int(shot.shot)}", caption, figure, figures)]


def _series(run: xr.Dataset) -> Picture:
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.errorbar(run.shot, run.phase, run.phase_std, fmt="o", markersize=3, capsize=2)
    lower.errorbar(run.shot, run.contrast, run.contrast_std, fmt="o", markersize=3, capsize=2, color="C1")
    for shot in run.shot.values[run.status.values != Status.good]:
        for axes in (upper, lower):
            axes.axvline(shot, color="0.8", linewidth=3, zorder=0)
    upper.set(ylabel="phase [rad]")
    lower.set(ylabel="contrast", xlabel="shot")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    counted = {Status(int(flag)).name: int((run.status.values == flag).sum()) for flag in np.unique(run.status.values)}
    figures = [("shots", ", ".join(f"{number} {name}" for name, number in counted.items()))]
    if np.isfinite(run.phase_std).any():
        figures.append(("median standard deviation of the phase", f"{float(np.nanmedian(run.phase_std)) * MRAD:.1f} mrad"))
    figures += [("flagged", line) for line in str(run.attrs.get("flagged", "none")).split("\n")[:8]]
    return Picture(
        "Phase and contrast, shot by shot", "Fringe phase at the world's origin and contrast; grey bars are flagged shots.", figure, tuple(figures)
    )


def _clouds(run: xr.Dataset) -> Picture:
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for place, name in enumerate(run.axis.values):
        shift = 0.08 * (place - 1)
        upper.errorbar(
            run.shot + shift, run.position[:, place] * UM, run.position_std[:, place] * UM, fmt="o", markersize=3, capsize=2, label=str(name)
        )
        lower.errorbar(run.shot + shift, run["size"][:, place] * UM, run.size_std[:, place] * UM, fmt="o", markersize=3, capsize=2)
    upper.set(ylabel="centre [um]")
    lower.set(ylabel="rms size [um]", xlabel="shot")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    upper.legend(frameon=False, ncol=3)
    figures: tuple[tuple[str, str], ...] = ()
    if np.isfinite(run.position_std).any():
        figures = (("median standard deviation of the centre", f"{float(np.nanmedian(run.position_std)) * UM:.2f} um"),)
    return Picture("Position and size, shot by shot", "Centre and rms size of the cloud's envelope along each axis.", figure, figures)
