"""Pictures of the detector study and of the published toy, from their products."""

import json
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture

_LABELS = {"field": "field", "binarised": "field > 0.5", "best_ring": "best ring", "filled_region": "region filled"}
_COLOURS = {"field": "#3b6fb6", "binarised": "#17365d", "best_ring": "#c8553d", "filled_region": "#9a9a9a"}
# Kagan and Heinrich, arXiv 2308.16680: mean and spread of 5000 events at th = 2.5
_PUBLISHED = {"score": (2.56, 12.6), "score_baseline": (2.62, 4.57), "numeric": (2.43, 78.7), "stochastic_ad": (2.48, 7.78)}


def pictures(path: Path) -> list[Picture]:
    """Pictures of a design product (`design.nc`) or of a toy product (`toy.nc`). Raises InputError for another kind."""
    if path.name == "toy.nc":
        toy = open_product(path, "toy")
        return [estimators(toy), landscape(toy)]
    design = open_product(path, "design")
    return [layout(design), comparison(design), trace(design)]


def layout(design: xr.Dataset) -> Picture:
    """Material of the best seed, its binarised form, and where the seeds agree, with the region's outline."""
    losses = design.evaluation_loss.sel(candidate="binarised")
    best = int(np.argmin(losses.values))
    material = design.material.values
    shown = [material[best], material[best] > 0.5, (material > 0.5).mean(0)]
    seed = int(design.seed[best])
    titles = [f"material, seed {seed}", f"binarised, seed {seed}", f"share of {design.sizes['seed']} seeds"]
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    pitch = float(design.x[1] - design.x[0])
    edge = float(design.x[-1]) + pitch / 2
    image = None
    for ax, values, title in zip(axes, shown, titles, strict=True):
        image = ax.imshow(values, origin="lower", extent=(-edge, edge, -edge, edge), vmin=0, vmax=1, cmap="Greys")
        _outline(ax, design)
        ax.set(title=title, xlabel="x")
    axes[0].set_ylabel("y")
    axes[0].legend(loc="upper right", fontsize=7)
    if image is not None:
        figure.colorbar(image, ax=axes, label="share of full density", shrink=0.85)
    inside = np.hypot(*np.meshgrid(design.x, design.y)) < edge
    return Picture(
        "Material layout",
        "What showers from the cross should meet, and its binarised form: matter fills the region (dashed) and leaves the way to it free.",
        figure,
        (
            ("seeds", str(design.sizes["seed"])),
            ("mean density over the disc, best seed", f"{material[best][inside].mean():.3f}"),
            ("cells between 0.1 and 0.9", f"{((material[best] > 0.1) & (material[best] < 0.9))[inside].mean():.1%}"),
        ),
    )


def comparison(design: xr.Dataset) -> Picture:
    """Loss of every candidate, seed by seed, on the same held-out showers."""
    names = [str(name) for name in design.candidate.values]
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    ax = figure.subplots()
    width = 0.8 / len(names)
    place = np.arange(design.sizes["seed"])
    for k, name in enumerate(names):
        at = place + (k - (len(names) - 1) / 2) * width
        one = design.sel(candidate=name)
        ax.bar(at, one.evaluation_loss, width, yerr=one.evaluation_loss_std, color=_COLOURS.get(name), label=_LABELS.get(name, name), capsize=2)
        ax.errorbar(at, one.check_loss, one.check_loss_std, fmt="o", ms=3, color="black", lw=0.8, label="independent simulation" if k == 0 else None)
    ax.set(xticks=place, xticklabels=[f"seed {int(seed)}" for seed in design.seed], ylabel="loss")
    ax.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.28))
    gap, error = design.difference_to_ring.sel(candidate="binarised").values, design.difference_to_ring_std.sel(candidate="binarised").values
    ring = design.evaluation_loss.sel(candidate="best_ring").values
    rows = [
        (f"binarised less best ring, seed {int(s)}", f"{g:+.4f} ± {e:.4f} ({g / r:+.1%})")
        for s, g, e, r in zip(design.seed, gap, error, ring, strict=True)
    ]
    centre = ", ".join(f"{c:g}" for c in design.ring_centre.values[0])
    rows.append(("best ring", f"{float(design.ring_inner[0]):.2f} to {float(design.ring_outer[0]):.2f} about ({centre})"))
    return Picture(
        "Candidates on held-out showers",
        "All bars of a seed come from the same showers, which no fit and no search saw; dots repeat them with an independent simulation.",
        figure,
        tuple(rows),
    )


def trace(design: xr.Dataset) -> Picture:
    """Loss estimated from each batch, seed by seed, with a running mean."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    ax = figure.subplots()
    steps = design.sizes["step"]
    window = max(1, steps // 40)
    for seed, loss in zip(design.seed.values, design.loss.values, strict=True):
        smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
        ax.plot(loss, lw=0.4, alpha=0.3, color="grey")
        ax.plot(np.arange(smooth.size) + window / 2, smooth, lw=1.4, label=f"seed {int(seed)}")
    floor = float(design.evaluation_loss.sel(candidate="best_ring").mean())
    ax.axhline(floor, color=_COLOURS["best_ring"], ls="--", lw=1, label="best ring")
    ax.set(xlabel="step", ylabel="loss", yscale="log")
    ax.legend(fontsize=8)
    last = design.loss.values[:, -window:].mean(1)
    return Picture(
        "Loss while fitting",
        "Each step's showers give a noisy loss (grey); running means in colour.",
        figure,
        tuple((f"mean of the last {window} steps, seed {int(s)}", f"{v:.4f}") for s, v in zip(design.seed, last, strict=True)),
    )


def estimators(toy: xr.Dataset) -> Picture:
    """Mean and spread of each gradient estimator."""
    names = [str(name) for name in toy.estimator.values]
    mean, error, spread = (toy[name].values[:, 0] for name in ("gradient", "gradient_error", "gradient_std"))
    at_published = abs(float(toy.attrs["threshold"]) - 2.5) < 1e-9
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    place = np.arange(len(names))
    left.errorbar(mean, place, xerr=error, fmt="o", color="#17365d", capsize=3, label="this run")
    right.barh(place, spread, color="#3b6fb6")
    if at_published:
        left.plot([_PUBLISHED[name][0] for name in names], place, "x", color="#c8553d", label="published, 5000 events")
        right.plot([_PUBLISHED[name][1] for name in names], place, "x", color="#c8553d")
    left.set(yticks=place, yticklabels=[name.replace("_", " ") for name in names], xlabel="mean gradient", ylim=(len(names) - 0.5, -0.5))
    right.set(yticks=[], xlabel="spread an event", xscale="log", xlim=(1, 3 * max(spread)), ylim=(len(names) - 0.5, -0.5))
    left.legend(fontsize=8)
    return Picture(
        "Gradient estimators of the published toy",
        f"Four estimates of d loss / d th at th = {toy.attrs['threshold']} agree in the mean (left) and differ in their spread (right).",
        figure,
        tuple((name.replace("_", " "), f"{m:.2f} ± {e:.2f}, spread {s:.2f}") for name, m, e, s in zip(names, mean, error, spread, strict=True)),
    )


def landscape(toy: xr.Dataset) -> Picture:
    """The toy's loss along the scan."""
    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    ax = figure.subplots()
    ax.errorbar(toy.scan_threshold, toy.scan_loss, toy.scan_loss_std, fmt="o-", color="#17365d", capsize=3)
    ax.set(xlabel="th", ylabel="loss")
    lowest = int(np.argmin(toy.scan_loss.values))
    return Picture(
        "Loss of the toy",
        "The loss along the start of the matter, th.",
        figure,
        (
            (
                "lowest of the scan",
                f"{float(toy.scan_loss[lowest]):.3f} ± {float(toy.scan_loss_std[lowest]):.3f} at th = {float(toy.scan_threshold[lowest]):g}",
            ),
        ),
    )


def _outline(ax: Axes, design: xr.Dataset) -> None:
    """The region's two edges, the disc, and the source, from the study that the product carries."""
    study = json.loads(design.attrs["study"])
    region = study["region"]
    turn = np.deg2rad(region.get("angle_deg", 0.0))
    t = np.linspace(0, 2 * np.pi, 200)
    for k, edge in enumerate((region["inner"], region["outer"])):
        a, b = np.broadcast_to(edge, 2)
        u, v = a * np.cos(t), b * np.sin(t)
        x, y = region["centre"][0] + u * np.cos(turn) - v * np.sin(turn), region["centre"][1] + u * np.sin(turn) + v * np.cos(turn)
        ax.plot(x, y, "--", color="#c8553d", lw=1, label="region" if k == 0 else None)
    ax.plot(study["radius"] * np.cos(t), study["radius"] * np.sin(t), color="black", lw=0.6)
    ax.plot(*study["source"], "+", color="#c8553d", ms=8, label="source")
