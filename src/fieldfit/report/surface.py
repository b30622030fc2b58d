"""Pictures of printed objects beside their drawing, from the products alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture
from fieldfit.types import Status

MM, UM = 1e3, 1e6
COLOURS = "RdBu_r"
SIDES = ((35, -55), (-35, 125))  # elevation and azimuth of two looks [degrees], one from above and one from below
LIGHT = np.array([0.3, -0.5, 0.8])


def pictures(paths: Sequence[Path]) -> list[Picture]:
    """The first good shot's surface with its distances and sections, and the run's distances, shot by shot."""
    blocks = [open_product(path, "surface") for path in paths]
    for block in blocks:
        good = np.flatnonzero(block.status.values == Status.good)
        if good.size:
            drawn = [_surface(block, int(good[0])), _sections(block, int(good[0]))]
            return drawn + ([_series(blocks)] if sum(block.sizes["shot"] for block in blocks) > 1 else [])
    return []


def _mesh(block: xr.Dataset, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertices, triangles, distance) of one shot."""
    vertices, triangles = block.vertex_count.values, block.triangle_count.values
    first, begin = int(vertices[:place].sum()), int(triangles[:place].sum())
    own, of = slice(first, first + int(vertices[place])), slice(begin, begin + int(triangles[place]))
    return block.vertex_position.values[own], block.triangle_vertex.values[of] - first, block.distance.values[own]


def _surface(block: xr.Dataset, place: int) -> Picture:
    vertices, triangles, distance = _mesh(block, place)
    one = block.isel(shot=place)
    most = max(float(one.distance_95), 1e-9) * UM
    norm = Normalize(-most, most)
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(2.3, 1))
    corners = vertices[triangles] * MM
    for column, (up, around) in enumerate(SIDES):
        axes: Any = figure.add_subplot(grid[0, column], projection="3d")
        colours = colormaps[COLOURS](norm(distance[triangles].mean(1) * UM))
        colours[:, :3] *= _shade(corners, up)[:, None]
        axes.add_collection3d(Poly3DCollection(corners, facecolors=colours, edgecolors=colours, linewidths=0.2))
        low, high = corners.min((0, 1)), corners.max((0, 1))
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]), xlabel="x [mm]", ylabel="y [mm]", zlabel="z [mm]")
        axes.tick_params(labelsize=7)
        axes.set_aspect("equal")
        axes.view_init(up, around)
    figure.colorbar(ScalarMappable(norm, COLOURS), ax=figure.axes, shrink=0.7, extend="both", label="distance to the drawing [um], outside positive")
    _histogram(figure.add_subplot(grid[1, :]), distance * UM, one.drawing_distance.values * UM, most)
    return Picture(
        f"Printed object of shot {int(one.shot)}",
        "Its surface from two sides, coloured with the distance to the drawing after registration; below, the distances of the surface to the "
        "drawing and of the drawing to the surface (the ends hold what lies beyond).",
        figure,
        _numbers(one),
    )


def _shade(corners: np.ndarray, up: float) -> np.ndarray:
    """Brightness (triangle) of faces lit from the side that is looked at."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-30
    light = LIGHT * np.sign([1, 1, up]) * (1 if up > 0 else np.array([-1, -1, 1]))
    return 0.55 + 0.45 * np.clip(normal @ light / np.linalg.norm(light), -0.6, 1)


def _histogram(axes: Any, forth: np.ndarray, back: np.ndarray, most: float) -> None:
    bins = np.linspace(-2.5 * most, 2.5 * most, 81)
    for values, label, colour in ((forth, "surface to drawing", "C0"), (back, "drawing to surface", "C1")):
        axes.hist(values.clip(bins[0], bins[-1]), bins, density=True, histtype="step", color=colour, label=label)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="signed distance [um]", ylabel="share a um", xlim=(bins[0], bins[-1]))
    axes.legend(frameon=False)


def _numbers(one: xr.Dataset) -> tuple[tuple[str, str], ...]:
    def three(name: str) -> str:
        rms, median, most = (float(one[f"{name}_{what}"]) * UM for what in ("rms", "median", "95"))
        return f"rms {rms:.1f} um, median {median:.1f} um, 95 % within {most:.1f} um"

    shift = ", ".join(f"{value * UM:.0f}" for value in one.translation.values)
    turn = np.degrees(np.arccos(np.clip((np.trace(one.rotation.values) - 1) / 2, -1, 1)))
    return (
        ("surface to drawing", f"{three('distance')}; mean {float(one.distance_mean) * UM:+.1f} um"),
        ("drawing to surface", three("drawing_distance")),
        ("volume over the drawing's", f"{float(one.volume_ratio):.3f}"),
        ("pose of the drawing", f"shifted by {shift} um, turned by {turn:.1f} degrees, scale {float(one.scale):.4f}"),
        ("level, plateau", f"{float(one.level):.3g}, {float(one.plateau):.3g} atoms m-3; {int(one.islands)} small pieces left out"),
    )


def _sections(block: xr.Dataset, place: int) -> Picture:
    vertices, triangles, _ = _mesh(block, place)
    one = block.isel(shot=place)
    drawing = float(one.scale) * one.drawing_triangle.values @ one.rotation.values.T + one.translation.values
    middle = one.translation.values
    figure = Figure(figsize=(11, 4.0), layout="constrained")
    for panel, (across, up, through) in enumerate(((0, 1, 2), (0, 2, 1), (2, 1, 0))):
        axes = figure.add_subplot(1, 3, panel + 1)
        for corners, colour, label in ((drawing, "k", "drawing"), (vertices[triangles], "C3", "surface")):
            lines = _cut(corners, through, float(middle[through]))[:, :, [across, up]] * MM
            axes.add_collection(LineCollection(list(lines), colors=colour, linewidths=1.1, label=label))
        axes.autoscale_view()
        axes.margins(0.05)
        axes.set(xlabel=f"{'xyz'[across]} [mm]", ylabel=f"{'xyz'[up]} [mm]", aspect="equal")
        axes.set_title(f"{'xyz'[through]} = {middle[through] * MM:.2f} mm", fontsize=9)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncol=2, frameon=False)
    return Picture(f"Sections of shot {int(one.shot)}", "Surface and registered drawing, cut through the middle of the drawing's box.", figure)


def _cut(corners: np.ndarray, axis: int, height: float) -> np.ndarray:
    """Lines (n, 2, 3) in which triangles (n, 3, 3) meet the plane across `axis`."""
    above = corners[:, :, axis] > height
    met = corners[above.any(1) & ~above.all(1)]
    above = met[:, :, axis] > height
    lone = np.argmax(above == (above.sum(1) == 1)[:, None], axis=1)  # the corner that is on its own side
    each = np.arange(len(met))
    start = met[each, lone]
    ends = [met[each, (lone + k) % 3] for k in (1, 2)]
    share = [(height - start[:, axis]) / (end[:, axis] - start[:, axis]) for end in ends]
    return np.stack([start + t[:, None] * (end - start) for t, end in zip(share, ends, strict=True)], 1)


def _series(blocks: Sequence[xr.Dataset]) -> Picture:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    shot = np.concatenate([block.shot.values for block in blocks])
    for name, label, marker in (("distance", "surface to drawing", "o"), ("drawing_distance", "drawing to surface", "s")):
        for what, fill in (("rms", "full"), ("95", "none")):
            values = np.concatenate([block[f"{name}_{what}"].values for block in blocks]) * UM
            colour = "C0" if marker == "o" else "C1"
            quoted = "rms" if what == "rms" else "95 %"
            axes.plot(shot, values, marker, color=colour, fillstyle=fill, markersize=5, label=f"{label}, {quoted}")
    axes.set(xlabel="shot", ylabel="distance [um]", ylim=(0, None))
    axes.legend(frameon=False, ncol=2, fontsize=8)
    return Picture("Distance to the drawing, shot by shot", "Distances between surface and registered drawing, both ways.", figure)
