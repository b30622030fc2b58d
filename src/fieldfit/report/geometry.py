"""Pictures of a refined geometry, from its product alone."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture

SHOWN = 12  # views
RANGE = 5.0  # standard deviations of the residual maps


def pictures(path: Path) -> list[Picture]:
    """Residual maps before and after where there are any, and how far each view's image moved."""
    found = open_product(path, "geometry")
    return ([_residuals(found)] if "residual_before" in found else []) + [_shifts(found)]


def _residuals(found: xr.Dataset) -> Picture:
    views = min(found.sizes["view"], SHOWN)
    names = str(found.attrs["views"]).split("\n")
    columns = min(views, 6)
    rows = -(-views // columns)
    figure = Figure(figsize=(1.6 * columns + 1, 3.4 * rows), layout="constrained")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for one in axes.flat:
        one.set_axis_off()
    for view in range(views):
        row, column = divmod(view, columns)
        for below, name in enumerate(("before", "after")):
            one = axes[2 * row + below, column]
            image = one.imshow(found[f"residual_{name}"].values[view], cmap="RdBu_r", vmin=-RANGE, vmax=RANGE, interpolation="nearest")
            one.set_title(f"{names[view]}, {name}: {float(found[f'chi2_{name}'][view]):.2f}", fontsize=8)
    figure.colorbar(image, ax=axes, label="residual [standard deviations]", shrink=0.6)
    caption = (
        f"Residuals of all used shots together with the camera file (above) and the refined views (below), {found.attrs['binning']} x "
        f"{found.attrs['binning']} camera pixels a pixel; with each view's chi-square a pixel."
    )
    return Picture("Residual maps by view", caption, figure, ())


def _shifts(found: xr.Dataset) -> Picture:
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = str(found.attrs["views"]).split("\n")
    for view, (row, column) in enumerate(found.image_shift.values):
        left.annotate("", (column, row), (0, 0), arrowprops={"arrowstyle": "->", "color": f"C{view % 10}"})
        left.annotate(names[view], (column, row), color=f"C{view % 10}", fontsize=8)
    reach = 1.2 * float(np.abs(found.image_shift.values).max()) + 1e-3
    left.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal", xlabel="columns [camera pixels]", ylabel="rows [camera pixels]")
    left.set_title("the refined views' images of the world's origin", fontsize=9)
    places = np.arange(len(names))
    right.semilogy(places, found.reprojection_before, "o", fillstyle="none", label="camera file")
    right.semilogy(places, found.reprojection_after, "o", label="refined")
    right.set(xlabel="view", ylabel="rms shift that is left [camera pixels]", xticks=places[:: max(1, len(names) // 12)])
    right.legend(frameon=False)
    figures = [("refined from", str(found.attrs["refined_from"])), ("gauge", str(found.attrs["gauge"])), ("converged", str(found.attrs["converged"]))]
    figures += [("flagged", line) for line in str(found.attrs["flagged"]).split("\n")[:8]]
    caption = "How far each view's image moved from where the camera file puts it, and the shifts that single shots (or sightings) still ask for."
    return Picture("Refined views", caption, figure, tuple(figures))
