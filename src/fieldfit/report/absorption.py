"""Pictures of an absorption run, from its product alone."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from fieldfit.contract.magis import PixelUse
from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture
from fieldfit.types import Status

SHOWN = 6  # shots that are drawn
LISTED = 24  # shots in the table
BLUR = 2.0  # of the drawn pictures [px]: single pixels show photon noise only


def pictures(path: Path) -> list[Picture]:
    """Optical density raw and cleaned, what is left without atoms, and the atoms shot by shot."""
    run = open_product(path, "optical_density", chunks={})
    good = np.flatnonzero(run.status.values == Status.good)
    shown = run.isel(shot=good[np.unique(np.linspace(0, len(good) - 1, min(SHOWN, len(good))).astype(int))]).load()
    numbers = run[[name for name, variable in run.items() if variable.ndim < 3]].load()
    return [_densities(shown), _spectrum(shown), _residuals(numbers), _atoms(numbers)]


def _densities(shown: xr.Dataset) -> Picture:
    count = shown.sizes["shot"]
    figure = Figure(figsize=(max(2.1 * count, 5.0), 4.4), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False)
    floor = 0.75 * float(shown.background_rms_raw.max())
    for place in range(count):
        one = shown.isel(shot=place)
        both = [gaussian_filter(np.nan_to_num(one[name].values), BLUR) for name in ("optical_density_raw", "optical_density")]
        for row, picture in enumerate(both):
            image = axes[row, place].imshow(picture, cmap="viridis", vmin=-floor, vmax=2 * floor)
            axes[row, place].set(xticks=[], yticks=[])
        axes[0, place].set_title(f"shot {int(one.shot)}", fontsize=9)
    axes[0, 0].set_ylabel("own probe")
    axes[1, 0].set_ylabel("eigen-background")
    figure.colorbar(image, ax=axes, label="optical density", shrink=0.8)
    caption = f"Above: against the shot's own probe. Below: against the eigen-background. Blurred by {BLUR:g} px; bright atoms are cut off."
    figures = (("atoms' region", str(shown.attrs["atoms_from"])), ("bands", f"{shown.attrs['bands_px']} px"), ("noise", str(shown.attrs["noise"])))
    return Picture("Optical density, raw and cleaned", caption, figure, figures)


def _spectrum(shown: xr.Dataset) -> Picture:
    free = np.isin(shown.pixel_use.values, (PixelUse.fitted, PixelUse.held_out))
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, floor, colour, told in (
        ("optical_density_raw", "background_floor_raw", "C3", "own probe"),
        ("optical_density", "background_floor", "C0", "eigen-background"),
    ):
        powers = []
        for place in range(shown.sizes["shot"]):
            picture = shown[name].values[place]
            frequency, power = _radial_power(np.where(free, picture - np.nanmean(picture[free]), 0.0), free)
            powers.append(power)
        axes.loglog(frequency, np.mean(powers, 0), color=colour, label=told)
        axes.axhline(float((shown[floor] ** 2).mean()), color=colour, linestyle=":", linewidth=1, label=f"{told}: photon and read noise")
    axes.set(xlabel="spatial frequency [cycles/px]", ylabel="power of optical density [px$^2$]")
    axes.legend(frameon=False, fontsize=8)
    caption = "Power spectrum of the pixels without atoms, mean of the shots above; fringes are what stands above the dotted lines of white noise."
    return Picture("What is left without atoms", caption, figure)


def _residuals(run: xr.Dataset) -> Picture:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for name, floor, colour, told in (
        ("background_rms_raw", None, "C1", "own probe"),
        ("background_rms_scaled", "background_floor_raw", "C3", "own probe, scaled"),
        ("background_rms", "background_floor", "C0", "eigen-background"),
    ):
        left.plot(run.shot, run[name], "o", color=colour, markersize=4, label=told)
        if floor:
            left.plot(run.shot, run[floor], "_", color=colour, markersize=12, label=f"{told}: photon and read noise")
    left.set(xlabel="shot", ylabel="rms optical density, held-out pixels", ylim=(0, None))
    left.legend(frameon=False, fontsize=7)
    right.plot(run.component, run.held_out_chi2, "o-", markersize=4)
    right.set(xlabel="eigen-images", ylabel="held-out residual$^2$ / noise of the image")
    status = run.status.values
    flags = ", ".join(f"{int((status == s).sum())} {s.name}" for s in Status if s and (status == s).any()) or "none"
    figures = [
        ("shots", str(len(status))),
        ("flagged", flags),
        ("eigen-images", f"{float(run.components.max()):.0f}, by {run.attrs['components_from']}"),
        ("median rms, own probe", f"{float(run.background_rms_raw.median()):.4f}"),
        ("median rms, own probe scaled", _against(run, "background_rms_scaled", "background_floor_raw")),
        ("median rms, eigen-background", _against(run, "background_rms", "background_floor")),
    ]
    figures += [("", line) for line in str(run.attrs["flagged"]).split("\n")[:8] if line != "none"]
    return Picture(
        "Fringe removal, shot by shot",
        "Left: scatter of pixels without atoms that no fit has seen. Right: how well 1, 2, ... eigen-images predict them.",
        figure,
        tuple(figures),
    )


def _atoms(run: xr.Dataset) -> Picture:
    known = bool(np.isfinite(run.atom_number).any())
    name, unit = ("atom_number", "atoms") if known else ("optical_density_sum", "sum of optical density [px]")
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.errorbar(run.shot, run[name], run[f"{name}_std"], fmt="o", markersize=4, capsize=2)
    axes.axhline(0, color="0.7", linewidth=1)
    axes.set(xlabel="shot", ylabel=unit)
    listed = run.isel(shot=slice(0, LISTED))
    figures = [("not given", str(run.attrs["not_given"]))] if not known else []
    for place in np.flatnonzero(listed.status.values == Status.good):
        one = listed.isel(shot=int(place))
        line = f"{float(one[name]):.5g} +- {float(one[f'{name}_std']):.2g}"
        if np.isfinite(one.centre).all():
            line += "".join(f"; {n} {_pair(one[n], one[f'{n}_std'])} px" for n in ("centre", "width"))
        figures.append((f"shot {int(one.shot)}", line))
    caption = "Sum over the atoms' region with its standard deviation, fringes that are left included; centre and width as row, column."
    return Picture("Atoms, shot by shot", caption, figure, tuple(figures))


def _pair(values: xr.DataArray, errors: xr.DataArray) -> str:
    return ", ".join(f"{float(value):.2f} +- {float(error):.2f}" for value, error in zip(values, errors, strict=True))


def _against(run: xr.Dataset, name: str, floor: str) -> str:
    return f"{float(run[name].median()):.4f} (photon and read noise alone: {float(run[floor].median()):.4f})"


def _radial_power(picture: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(spatial frequency [cycles/px], mean power in rings); white noise of variance v gives v. picture: 0 where not `free`."""
    power = np.abs(np.fft.fft2(picture)) ** 2 / free.sum()
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(edge) for edge in picture.shape), indexing="ij"))
    edges = np.geomspace(1 / min(picture.shape), 0.5, 40)
    ring = np.digitize(frequency, edges)
    count = np.bincount(ring.ravel(), minlength=41)[1:40]
    total = np.bincount(ring.ravel(), power.ravel(), minlength=41)[1:40]
    filled = count > 0
    return np.sqrt(edges[:-1] * edges[1:])[filled], total[filled] / count[filled]
