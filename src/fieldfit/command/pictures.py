"""Pictures of a product as PNG files: those of the report for its kind, or a plot of one variable where there are none."""

from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fieldfit.command.selection import SLICES, central, over
from fieldfit.io.products import open_product
from fieldfit.report import absorption, design, dune, gallery, geometry, gradiometer, imaging, pictures, sensor, setup, surface
from fieldfit.report.picture import Picture
from fieldfit.types import InputError

DRAWN = 6  # variables of a kind that the report does not draw
CURVES = 12  # of one plot
DPI = 130


def write_pictures(dataset: xr.Dataset, product: Path, variable: str | None, file: Path) -> list[str]:
    """Write FILE, FILE-2, ... and return a line each: name and title. Raises InputError where FILE is no PNG or its folder is absent."""
    if file.suffix.lower() != ".png":
        raise InputError(f"{file}: expected a name that ends in .png")
    if not file.parent.is_dir():
        raise InputError(f"{file.parent}: no such folder, expected one to write {file.name} to")
    drawn = [plot(dataset, variable)] if variable else pictures_of(dataset, product)
    told = []
    for place, picture in enumerate(drawn, 1):
        path = file if place == 1 else file.with_name(f"{file.stem}-{place}{file.suffix}")
        FigureCanvasAgg(picture.figure)
        picture.figure.savefig(path, format="png", dpi=DPI, bbox_inches="tight")
        told.append(f"{path}: {picture.title}. {picture.caption}".rstrip())
    return told


def pictures_of(dataset: xr.Dataset, product: Path) -> list[Picture]:
    """The report's pictures of a product; of a kind that it does not draw, or of a block without a good shot, plots of its first variables."""
    match dataset.attrs["product"]:
        case "density":
            found = imaging.density_pictures([product])
        case "phase":
            found = pictures.pictures(product) if "tilt" in dataset else imaging.phase_pictures(product)
        case "design":
            whole = open_product(product, "design")
            found = [design.layout(whole), design.comparison(whole), design.trace(whole)]
        case "toy":
            whole = open_product(product, "toy")
            found = [design.estimators(whole), design.landscape(whole)]
        case "visibility":
            found = dune.visibility_pictures(product)
        case "calibration":
            found = dune.calibration_pictures(product)
        case "flashes":
            found = dune.flash_pictures(product)
        case "surface":
            found = surface.pictures([product])
        case kind:
            rooms = {
                "setup": setup,
                "sensor": sensor,
                "geometry": geometry,
                "gradiometer": gradiometer,
                "optical_density": absorption,
                "tomogram": gallery,
            }
            found = rooms[kind].pictures(product) if kind in rooms else []
    numbers = [str(name) for name, one in dataset.data_vars.items() if one.dtype.kind in "iuf" and one.size > 1]
    return found or [plot(dataset, name) for name in numbers[:DRAWN]]


def plot(dataset: xr.Dataset, name: str) -> Picture:
    """One variable: a curve, with its standard deviation where there is one; a map; or the central one of its maps.

    Raises InputError for a text, and for a single value.
    """
    variable = dataset[name]
    if variable.dtype.kind not in "iuf" or not variable.ndim:
        raise InputError(f"variable '{name}' is {'one value' if not variable.ndim else 'text'}, expected numbers along a dimension to draw")
    one, where = central(variable, dataset, 3 if tuple(variable.dims[-3:]) == ("x", "y", "z") else 2)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    label = f"{name} [{variable.attrs['units']}]" if "units" in variable.attrs else name
    if one.ndim == 1 or (min(one.shape) <= CURVES and not where and one.ndim == 2):
        _curves(figure.subplots(), one, dataset, label)
    elif one.ndim == 2:
        _map(figure, figure.subplots(), one, label, _limits(one.values))
    else:
        axes = figure.subplots(1, 3)
        cuts = [(one.isel({t: one.sizes[t] // 2}).transpose(u, a).load(), t) for u, a, t in SLICES]
        limits = _limits(np.concatenate([cut.values.reshape(-1) for cut, _ in cuts]))
        for panel, (cut, through) in zip(axes, cuts, strict=True):
            _map(figure, panel, cut, label if panel is axes[-1] else "", limits)
            panel.set_title(f"{through} = {float(cut[through]):.3g} {one[through].attrs.get('units', '')}", fontsize=9)
    meaning = str(variable.attrs.get("long_name", ""))
    return Picture(name, meaning + (f"; at {where}" if where else ""), figure)


def _curves(axes: Axes, one: xr.DataArray, dataset: xr.Dataset, label: str) -> None:
    if one.ndim == 2 and one.shape[0] > one.shape[1]:
        one = one.transpose(one.dims[1], one.dims[0])
    across, std = over(one, dataset), dataset.get(f"{one.name}_std")
    if one.ndim == 1:
        error = std.values if std is not None and std.dims == one.dims else None
        axes.errorbar(across.values, one.values, error, fmt=".", markersize=4, linewidth=0.8)
    else:
        for tick, values in zip(one[one.dims[0]].values, one.values, strict=True):
            axes.plot(across.values, values, ".-", markersize=3, linewidth=0.7, label=f"{one.dims[0]} {tick}")
        axes.legend(fontsize=7)
    axes.set(xlabel=_labelled(across), ylabel=label)


def _map(figure: Figure, axes: Axes, one: xr.DataArray, label: str, limits: tuple[float, float]) -> None:
    up, across = one.dims
    ticks = [np.asarray(one[dim].values, float) if one[dim].dtype.kind in "iuf" else np.arange(one.sizes[dim], dtype=float) for dim in (across, up)]
    (left, right), (low, high) = (_edges(t) for t in ticks)
    spatial = {up, across} <= {"x", "y", "z"}
    extent = (left, right, low, high) if spatial else None
    origin: Literal["lower", "upper"] = "lower" if spatial else "upper"
    image = axes.imshow(one.values, origin=origin, extent=extent, cmap="viridis", interpolation="nearest", vmin=limits[0], vmax=limits[1])
    axes.set_aspect("equal" if spatial or {up, across} == {"row", "column"} else "auto")
    axes.set(xlabel=_labelled(one[across]), ylabel=_labelled(one[up]))
    if label:
        figure.colorbar(image, ax=figure.axes, label=label, shrink=0.8)


def _labelled(ticks: xr.DataArray) -> str:
    units = ticks.attrs.get("units", "1")
    return str(ticks.name) + ("" if units == "1" else f" [{units}]")


def _limits(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _edges(ticks: np.ndarray) -> tuple[float, float]:
    half = (ticks[-1] - ticks[0]) / max(1, len(ticks) - 1) / 2
    return float(ticks[0] - half), float(ticks[-1] + half)
