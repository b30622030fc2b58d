"""Pictures of a set-up, from its product alone: where the views look from, what they hold, and which fringes they see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from scipy.spatial import ConvexHull

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture

MM, UM, MRAD = 1e3, 1e6, 1e3
ACROSS = 6  # footprints side by side
BRIGHT_MRAD, FAINT_MRAD = 1.0, 300.0  # of the maps' colours
EDGES = [(a, b) for a in range(8) for b in range(a) if bin(a ^ b).count("1") == 1]  # of a cube with corners in the order of their signs


def pictures(path: Path) -> list[Picture]:
    """The set-up in space, the views' footprints, maps of the phase error, and the Fourier coverage."""
    found = open_product(path, "setup")
    return [_space(found), _footprints(found), _maps(found), _coverage(found)]


def _space(found: xr.Dataset) -> Picture:
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    whole, near = (figure.add_subplot(1, 2, place + 1, projection="3d") for place in range(2))
    _draw_views(whole, found)
    _draw_volume(near, found)
    for axes in (whole, near):
        axes.set(xlabel="z [mm]", ylabel="x [mm]", zlabel="y [mm]")
        axes.view_init(elev=22, azim=35)
        axes.set_aspect("equal")
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_tick_params(labelsize=7)
    return Picture("The set-up", _space_caption(found), figure, _space_figures(found))


def _space_caption(found: xr.Dataset) -> str:
    mirrors = np.isfinite(found.mirror_radius.values).any()
    what = "mirrors, with the middle ray of each view from the origin towards the lens" if mirrors else "lenses, with the line of sight of each view"
    return (
        f"Left: the {what}, in scale. Right: the cube on which densities are reported, the cloud at two rms sizes, and the lines of sight towards "
        "the lenses, as the mirrors show them. Waves along a line of sight are washed out in that view."
    )


def _space_figures(found: xr.Dataset) -> tuple[tuple[str, str], ...]:
    def span(values: np.ndarray, unit: str) -> str:
        low, high = f"{values.min():.3g}", f"{values.max():.3g}"
        return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"

    inside, sphere = int(found.cube_inside.sum()), int(found.sphere_inside.sum())
    places = found.views_of_place.values
    return (
        ("views", f"{found.sizes['view']}, each place of the cube seen by {span(places, 'of them')}"),
        ("pixel at the object", span(found.pixel_at_object.values * UM, "um")),
        ("depth of field (blur within a pixel)", span(found.depth_of_field.values * MM, "mm")),
        ("origin behind the plane of focus", span(found.out_of_focus.values * MM + 0.0, "mm") if _unfocused(found) else "in focus"),
        ("largest blur off focus in the cube", _blur(found.defocus_blur.values, found.defocus_held.values, span)),
        ("blur by diffraction", _blur(found.diffraction_blur.values, found.diffraction_held.values, span)),
        ("photons of the origin that pass a lens", span(found.light_share.values * 1e6, "of a million")),
        ("views that hold the whole cube, the sphere inside it", f"{inside}, {sphere}"),
    )


def _blur(pixels: np.ndarray, held: np.ndarray, span: Callable[[np.ndarray, str], str]) -> str:
    if not pixels.any():
        return "not told: no wavelength_m"
    return f"{span(pixels, 'pixels rms')}, held by the expected images of {int(held.sum())} of {len(held)} views"


def _unfocused(found: xr.Dataset) -> bool:
    return bool((np.abs(found.out_of_focus.values) > 0.05 * found.depth_of_field.values).any())


def _placed(points: np.ndarray) -> np.ndarray:
    """World (x, y, z) as it is drawn: y, the fringe axis, upwards; in mm."""
    return points[..., [2, 0, 1]] * MM


def _disc(centre: np.ndarray, normal: np.ndarray, radius: float) -> np.ndarray:
    one = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    one /= np.linalg.norm(one)
    turn = np.linspace(0, 2 * np.pi, 40)[:, None]
    return centre + radius * (np.cos(turn) * one + np.sin(turn) * np.cross(normal, one))


def _draw_views(axes: Any, found: xr.Dataset) -> None:
    """Lenses as discs with a ray to the origin; mirrors likewise, with their rays towards the lens, which may be far away."""
    lenses, mirrors, rays = [], [], []
    reach = np.nanmax(np.linalg.norm(found.mirror_position.values, axis=1)) if np.isfinite(found.mirror_radius.values).any() else 0.0
    for place in range(found.sizes["view"]):
        one = found.isel(view=place)
        lens, look = one.lens_position.values, one.look.values
        if np.isfinite(one.mirror_radius):
            mirror, normal = one.mirror_position.values, one.mirror_normal.values
            onwards = lens - 2 * ((lens - mirror) @ normal) * normal - mirror  # to the real lens
            mirrors.append(_disc(mirror, normal, float(one.mirror_radius)))
            rays.append([np.zeros(3), mirror, mirror + min(1.0, 2 * reach / np.linalg.norm(onwards)) * onwards])
        else:
            lenses.append(_disc(lens, look, 2 * float(one.distance) * np.sqrt(float(one.light_share))))  # share = (R / 2d)^2
            rays.append([np.zeros(3), lens])
            axes.text(*_placed(1.12 * lens), str(one.view_name.values), color="0.3", fontsize=8, ha="center", va="center")
    axes.add_collection3d(Line3DCollection([_placed(np.array(ray)) for ray in rays], colors="C0", linewidths=0.8, alpha=0.7))
    for discs, colour in ((lenses, "C1"), (mirrors, "0.75")):
        if discs:
            axes.add_collection3d(Poly3DCollection([_placed(disc) for disc in discs], facecolor=colour, edgecolor="0.2", linewidths=0.5))
    axes.scatter([0], [0], [0], color="C3", s=18)
    everything = np.concatenate([_placed(np.array(part)) for part in [*lenses, *mirrors, *rays]])
    for setter, low, high in zip((axes.set_xlim, axes.set_ylim, axes.set_zlim), everything.min(0), everything.max(0), strict=True):
        setter(low - 2, high + 2)


def _draw_volume(axes: Any, found: xr.Dataset) -> None:
    half, sigma = float(found.attrs["half_width_m"]), float(found.attrs["size_m"])
    corners = half * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    axes.add_collection3d(Line3DCollection([_placed(corners[list(edge)]) for edge in EDGES], colors="0.4", linewidths=0.8))
    turn, up = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13))
    ball = 2 * sigma * np.stack([np.sin(up) * np.cos(turn), np.cos(up), np.sin(up) * np.sin(turn)], -1)
    axes.plot_surface(*np.moveaxis(_placed(ball), -1, 0), color="C3", alpha=0.35, linewidth=0)
    reach = 1.5 * half
    for place, sight in enumerate(found.sight.values):
        axes.plot(*_placed(np.stack([np.zeros(3), reach * sight])).T, color="C0", linewidth=0.9)
        axes.text(*_placed(1.1 * reach * sight), str(found.view_name.values[place]), color="0.3", fontsize=7, ha="center", va="center")
    for setter in (axes.set_xlim, axes.set_ylim, axes.set_zlim):
        setter(-1.05 * reach * MM, 1.05 * reach * MM)


def _footprints(found: xr.Dataset) -> Picture:
    views = found.sizes["view"]
    across = min(ACROSS, views)
    down = -(-views // across)
    figure = Figure(figsize=(11, 0.4 + 11 / across * down), layout="constrained")
    for place in range(views):
        axes, one = figure.add_subplot(down, across, place + 1), found.isel(view=place)
        rows, columns = float(one.rows), float(one.columns)
        corners, cloud = one.cube_footprint.values, one.cloud_footprint.values
        hull = corners[ConvexHull(corners).vertices]
        axes.add_patch(Rectangle((0, 0), columns, rows, fill=False, edgecolor="k", linewidth=1.2))
        axes.fill(hull[:, 1], hull[:, 0], facecolor="C0", alpha=0.18, edgecolor="C0", label="reported cube")
        axes.fill(cloud[:, 1], cloud[:, 0], facecolor="C3", alpha=0.45, edgecolor="C3", label="cloud, two rms sizes")
        axes.plot(float(one.origin[1]), float(one.origin[0]), "k+", markersize=5)
        beyond = np.concatenate([hull, [[0, 0], [rows, columns]]])
        low, high = beyond.min(0), beyond.max(0)
        margin = 0.04 * (high - low)
        axes.set(xlim=(low[1] - margin[1], high[1] + margin[1]), ylim=(high[0] + margin[0], low[0] - margin[0]), aspect="equal")
        axes.set_title(f"{one.view_name.values}" + ("" if int(one.cube_inside) else f": {min(float(one.cube_share), 0.999):.1%}"), fontsize=8)
        axes.tick_params(labelsize=7)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncol=2, frameon=False)
    share = found.cloud_share.values
    figures = (("share of the cloud on each sensor", f"{share.min():.4f} to {share.max():.4f}"),)
    caption = "Each view's region of its sensor (black frame, pixels) with the images of the cube and of the cloud; the cross is the origin. "
    caption += "A percentage says how much of the cube is on the sensor where that is not all of it."
    return Picture("Footprints of the views", caption, figure, figures)


def _maps(found: xr.Dataset) -> Picture:
    """Equal-area maps of the half sphere of wave vectors, y in the middle."""
    periods = found.sizes["period"]
    across = min(3, periods)
    down = -(-periods // across)
    figure = Figure(figsize=(11, 3.7 * down), layout="constrained")
    for place in range(periods):
        axes = figure.add_subplot(down, across, place + 1)
        image = _map(axes, found.isel(period=place), found.sight.values)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.8, extend="both", label="expected standard deviation of the phase [mrad]")
    bar.ax.tick_params(labelsize=8)
    figures = tuple(
        (
            f"{float(period) * UM:.0f} um",
            f"seen in {float(found.directions_seen[place]):.1%} of all directions; best {float(found.phase_std[place].min()) * MRAD:.2g} mrad; "
            + (
                f"along y {float(found.phase_std[place, 0].mean()) * MRAD:.2g} mrad"
                if found.views_that_see[place, 0].any()
                else "no view sees it along y"
            ),
        )
        for place, period in enumerate(found.period)
    )
    return Picture(
        "Which fringes the views see",
        "Half sphere of wave vectors in equal area, y in the middle and x and z at the rim: how well the phase of a fringe of each period is known "
        f"after one shot. Hatched: no view sees it (criterion: {found.attrs['seen_criterion']}). White rings: lines of sight.",
        figure,
        figures,
    )


def _map(axes: Axes, one: xr.Dataset, sights: np.ndarray) -> Any:
    step = float(one.polar[1] - one.polar[0]) / 2, float(one.azimuth[1] - one.azimuth[0]) / 2
    polar = np.append(one.polar.values - step[0], np.pi / 2)
    azimuth = np.append(one.azimuth.values - step[1], one.azimuth.values[-1] + step[1])
    x, z = _projected(polar[:, None], azimuth)
    norm = LogNorm(BRIGHT_MRAD, FAINT_MRAD)
    image = axes.pcolormesh(x, z, one.phase_std.values * MRAD, norm=norm, cmap="viridis_r", rasterized=True)
    around = np.append(one.azimuth.values, one.azimuth.values[0] + 2 * np.pi)
    down = np.append(one.polar.values, np.pi / 2)
    unseen = (one.views_that_see.values == 0).astype(float)
    unseen = np.concatenate([unseen, unseen[-1:]])
    unseen = np.concatenate([unseen, unseen[:, :1]], 1)
    if unseen.any():
        axes.contourf(*_projected(down[:, None], around), unseen, levels=[0.5, 1.5], colors="0.92", hatches=["////"])
    upward = sights * np.where(sights[:, 1:2] < 0, -1, 1)
    axes.plot(*_projected(np.arccos(np.clip(upward[:, 1], -1, 1)), np.arctan2(upward[:, 2], upward[:, 0])), "wo", mec="k", ms=4, mfc="none", mew=2.0)
    axes.plot(*_projected(np.arccos(np.clip(upward[:, 1], -1, 1)), np.arctan2(upward[:, 2], upward[:, 0])), "wo", ms=4, mfc="none", mew=1.0)
    rim = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(rim), np.sin(rim), "k", linewidth=0.8)
    axes.set(xlim=(-1.13, 1.13), ylim=(-1.13, 1.13), aspect="equal", title=f"{float(one.period) * UM:.0f} um")
    for name, at in (("x", (1.07, 0)), ("z", (0, 1.07)), ("y", (0, 0))):
        axes.text(at[0], at[1], name, ha="center", va="center", fontsize=9)
    axes.set_axis_off()
    return image


def _projected(polar: Any, azimuth: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lambert's equal-area projection of the half sphere on the unit disc."""
    r = np.sqrt(2) * np.sin(np.asarray(polar) / 2)
    return r * np.cos(azimuth), r * np.sin(azimuth)


def _coverage(found: xr.Dataset) -> Picture:
    figure = Figure(figsize=(10, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    frequency = found.spatial_frequency.values / MM
    for place, width in enumerate(found.object_width.values * MM):
        label = f"object of {width:g} mm"
        left.plot(frequency, found.fourier_coverage[place], color=f"C{place}", label=label)
        right.plot(frequency, found.fsc_limit[place], color=f"C{place}", label=label)
    right.axhline(0.5, color="0.5", linewidth=0.8, linestyle="--")
    right.axhline(0.143, color="0.5", linewidth=0.8, linestyle=":")
    right.text(frequency[0], 0.51, "0.5, against the truth", fontsize=8, color="0.4")
    right.text(frequency[0], 0.153, "0.143, of two halves", fontsize=8, color="0.4")
    for axes, label in ((left, "share of the Fourier shell that is measured"), (right, "largest FSC without a prior")):
        axes.set(xlabel="waves a millimetre", ylabel=label, xlim=(0, frequency[-1]), ylim=(0, 1.03))
        above = axes.secondary_xaxis("top")
        periods = np.array([500, 200, 150, 100, 80, 60, 50, 40])
        above.set_xticks(1e3 / periods, [str(period) for period in periods], fontsize=8)
        above.set_xlabel("period [um]", fontsize=8)
    left.legend(frameon=False)
    shell = int(np.argmin(np.abs(1 / found.spatial_frequency.values - 60e-6)))
    figures = tuple(
        (
            f"60 um shell, object of {width * MM:g} mm",
            f"{float(found.fourier_coverage[place, shell]):.1%} measured, FSC at most {float(found.fsc_limit[place, shell]):.2f}",
        )
        for place, width in enumerate(found.object_width.values)
    )
    caption = (
        "A view measures the plane of wave vectors across its line of sight, as thick as 1 / width of the object. What lies between the planes comes "
        "from the prior: resolution quoted beyond the right-hand curve is the prior's, not the data's."
    )
    return Picture("Fourier space that the views cover", caption, figure, figures)
