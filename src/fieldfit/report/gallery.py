"""Pictures of a tomogram: the methods side by side at each number of views, and how well each predicts views that none has seen."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture

NAMES = {"fbp": "filtered back-projection", "sirt": "SIRT", "field": "field"}
UM = 1e6


def pictures(path: Path) -> list[Picture]:
    """The first row's slices, a detail of them, and the scores."""
    found = open_product(path, "tomogram")
    return [_slices(found), _detail(found), _scores(found)]


def _views(found: xr.Dataset, n: int) -> str:
    return f"{int(found.views_used.sel(every=n))} views"


def _axes(found: xr.Dataset) -> tuple[np.ndarray, np.ndarray, str]:
    """(x, y, unit) for the drawing."""
    in_metres = found.attrs["length_unit"] == "m"
    factor = UM if in_metres else 1.0
    return found.x.values * factor, found.y.values * factor, "µm" if in_metres else "pixel"


def _draw(found: xr.Dataset, window: tuple[slice, slice], height: float) -> Figure:
    x, y, unit = _axes(found)
    one = found.isel(row=0)
    brightest = float(np.percentile(one.attenuation.isel(every=0).sel({"method": "field"}), 99.8))
    figure = Figure(figsize=(10, height * found.sizes["every"]), layout="constrained")
    panels = figure.subplots(found.sizes["every"], found.sizes["method"], squeeze=False, sharex=True, sharey=True)
    shown = x[window[1]], y[window[0]]
    extent = (shown[0][0], shown[0][-1], shown[1][0], shown[1][-1])
    for line, n in zip(panels, found.every.values, strict=True):
        for panel, method in zip(line, found.method.values, strict=True):
            values = one.attenuation.sel({"every": n, "method": method}).values[window]
            image = panel.imshow(values, origin="lower", extent=extent, cmap="gray", vmin=-0.05 * brightest, vmax=1.05 * brightest)
            panel.set_title(f"{NAMES[str(method)]}, {_views(found, n)}", fontsize=9)
        line[0].set_ylabel(f"y [{unit}]")
    for panel in panels[-1]:
        panel.set_xlabel(f"x [{unit}]")
    per = "m$^{-1}$" if found.attrs["length_unit"] == "m" else "1/pixel"
    figure.colorbar(image, ax=panels, label=f"attenuation [{per}]", shrink=0.8)
    return figure


def _slices(found: xr.Dataset) -> Picture:
    whole = slice(None), slice(None)
    rows = [
        ("detector rows", ", ".join(str(row) for row in found.row.values)),
        ("rotation axis", f"column {float(found.rotation_axis):.2f}, from {found.attrs['axis_from']}"),
        (
            "seconds of the field",
            ", ".join(f"{float(found.duration.sel({'method': 'field', 'every': n})):.0f} ({_views(found, n)})" for n in found.every.values),
        ),
    ]
    caption = f"Detector row {int(found.row[0])} by every method, from many views and from few. One grey scale for all."
    return Picture("Slices", caption, _draw(found, whole, 3.3), tuple(rows))


def _detail(found: xr.Dataset) -> Picture:
    """The window, a third of the raster wide, where the field of the most views has most edges."""
    image = found.attenuation.isel(every=0, row=0).sel({"method": "field"}).values
    side = len(image)
    width = max(8, side // 3)
    edges = np.hypot(*np.gradient(image)).cumsum(0).cumsum(1)
    edges = np.pad(edges, ((1, 0), (1, 0)))
    total = edges[width:, width:] - edges[:-width, width:] - edges[width:, :-width] + edges[:-width, :-width]
    top, left = np.unravel_index(int(np.argmax(total)), total.shape)
    window = slice(int(top), int(top) + width), slice(int(left), int(left) + width)
    return Picture("Detail", "The third of the slice with the most edges.", _draw(found, window, 3.3))


def _scores(found: xr.Dataset) -> Picture:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panel = figure.subplots()
    place = np.arange(found.sizes["every"])
    width = 0.8 / found.sizes["method"]
    for k, method in enumerate(found.method.values):
        value = found.held_out_chi2_object.sel({"method": method}).mean("row")
        panel.bar(place + (k - 1) * width, value, width, label=NAMES[str(method)])
    panel.axhline(1, color="0.4", lw=0.8, ls="--")
    panel.set(yscale="log", ylabel="chi-square a ray through the object", xticks=place, xticklabels=[_views(found, n) for n in found.every.values])
    panel.legend(frameon=False)
    rows = []
    for n in found.every.values:
        for method in found.method.values:
            one = found.sel({"every": n, "method": method}).mean("row")
            told = f"chi-square {float(one.held_out_chi2):.2f} a ray, {float(one.held_out_chi2_object):.2f} through the object"
            far = f"; {float(one.relative_to_fbp):.3f} from FBP and {float(one.relative_to_sirt):.3f} from SIRT of the most views"
            rows.append((f"{NAMES[str(method)]}, {_views(found, n)}", told + far))
    weights = [f"{np.unique(w).tolist()} ({_views(found, n)})" for n, w in zip(found.every.values, found.variation.values, strict=True)]
    rows.append(("weight of the total variation", ", ".join(weights)))
    if float(found.fringe.max()) != 0:
        rows.append(("propagation fringe", ", ".join(f"{float(f):.3g}" for f in found.fringe.mean("row")) + f" {found.fringe.attrs['units']}"))
    return Picture(
        "Views that no method saw",
        "Mean square of measured less predicted photons, in units of their noise: 1 is perfect (dashed). The distances to reconstructions from "
        "the most views compare with references, not with truth.",
        figure,
        tuple(rows),
    )
