"""Are the stated errors true, and how near do the fits come to the bound? Many simulated shots of known truth.

Usage: uv run python benchmarks/pulls.py [--shots 100] [--cases cloud377 cloud150 donut dome] [--docs PAGE.md] [--picture PICTURE.png]
Shots are traced photon by photon (ring6, 1e9 photons), in blocks of 16 (dome: 4) held in memory: one object a block, its atoms and photons
drawn anew in each shot, phase and centre anew from block to block. Prints pulls (estimate - truth) / stated error, the scatter of the
estimates over the Cramer-Rao bound of photons and atoms (imaging_bound.py), the bound itself, and the share of core voxels (above a tenth of
the densest) within density_std.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from imaging_bound import bound_of
from imaging_cases import cameras_of
from marked import write_between
from matplotlib.figure import Figure
from tqdm import tqdm

from fieldfit.calibration.frames import regions
from fieldfit.config.magis import Imaging, SimulateShots
from fieldfit.experiments.magis.densities import densities, prepared
from fieldfit.experiments.magis.volume import Lattice
from fieldfit.metrics.pulls import pulls
from fieldfit.simulate.clouds import Cloud
from fieldfit.simulate.layouts import layout_of
from fieldfit.simulate.shots import Shown, shot_of, shown_of, true_density
from fieldfit.units import TAU

CASES = {
    "cloud377": ("fringes of 377 um", {}),
    "cloud150": ("fringes of 150 um", {"period_um": 150.0, "contrast": 0.6}),
    "donut": ("donut", {"object": "donut"}),
    "dome": ("fringes of 377 um in a dome of mirrors, 2e8 photons", {"layout": "dome", "photons": 2e8}),
}
TOGETHER, TOGETHER_DOME = 16, 4  # a dome's projectors are large
ATOMS, CORE = 1e6, 0.1
EDGES = np.array([0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])  # of voxel densities, in the densest
ENTRY = Imaging.model_validate({"format": "tiff", "raw": "raw", "cameras": "cameras.json"})
UNITS = {"phase": "mrad", "contrast": "", "fringe_period": "um", "atom_number": "", "position": "um", "size": "um", "wavefront": "mrad"}
QUANTITIES = tuple(UNITS)
SCALE = {"mrad": 1e3, "um": 1e6, "": 1.0}


@dataclass
class Repeats:
    """By quantity, a row a shot: errors, stated standard deviations, bounds; coverage of the core (shot) and by EDGES (shot, bin);
    apart: what a fit by the photons' likelihood can reach, in bounds, of the quantity where the two lie farthest apart."""

    errors: dict[str, list[np.ndarray]] = field(default_factory=lambda: {name: [] for name in QUANTITIES})
    stds: dict[str, list[np.ndarray]] = field(default_factory=lambda: {name: [] for name in QUANTITIES})
    bounds: dict[str, list[np.ndarray]] = field(default_factory=lambda: {name: [] for name in QUANTITIES})
    coverage: list[float] = field(default_factory=list)
    by_density: list[np.ndarray] = field(default_factory=list)
    untrusted: int = 0
    apart: float = 1.0


def truth_of(shown: Shown) -> dict[str, np.ndarray]:
    """What is known of the object; the atom number is the expected one, since the stated errors hold the scatter of the atoms."""
    assert shown.source is not None
    known = {"atom_number": np.array(ATOMS), "position": np.array(shown.centre)}
    if isinstance(shown.source, Cloud):
        cloud = shown.source
        known |= {"phase": np.array(cloud.phase), "contrast": np.array(cloud.contrast), "fringe_period": np.array(TAU / cloud.wave_number)}
        known |= {"size": np.array(cloud.size), "wavefront": np.zeros(3)}
    return known


def repeats_of(name: str, shots: int, seed: int) -> Repeats:
    together = TOGETHER_DOME if name == "dome" else TOGETHER
    entry = SimulateShots.model_validate({"shots": shots, "repeats": together, "dark": "none", **CASES[name][1]})
    layout, photons_per_atom = layout_of(entry), entry.photons / ATOMS
    cameras = cameras_of(layout)
    settings = ENTRY.model_copy(update={"photons_per_atom": photons_per_atom})
    run = shown_of(entry, photons_per_atom, seed)
    found, seen = Repeats(), None
    for first in tqdm(range(0, shots, together), desc=name):
        block = run[first : first + together]
        frames = np.stack([shot_of(layout, one.source, photons_per_atom, np.random.default_rng([seed, 1, one.shot])) for one in block])
        views = regions(frames, cameras, [(camera.rows, camera.columns) for camera in cameras]).astype(float)
        electrons = views - np.array([camera.pedestal for camera in cameras])[:, None, None]
        numbers, bad = [one.shot for one in block], np.zeros(electrons.shape[1:], bool)
        if seen is None:  # objects wander little: the lattice of the first block serves the bounds of all
            volume = prepared(cameras, electrons, bad, numbers, settings).volume
            seen = volume.turned, volume.half_width
            del volume  # its fine lattice is large
        result = densities(cameras, electrons, bad, numbers, settings)
        collect(found, result.values, result.trusted, block[0], seen)
    return found


def collect(found: Repeats, values: dict[str, np.ndarray], trusted: np.ndarray, shown: Shown, seen: tuple[Lattice, float]) -> None:
    """Add a block of repeats of one object."""
    source = shown.source
    assert source is not None
    bound = bound_of(*seen, source, ATOMS) if isinstance(source, Cloud) else None
    if bound:
        found.apart = max(found.apart, *(float(np.max(bound.fit[name] / value)) for name, value in bound.best.items()))
    density, _ = true_density(source, ATOMS, ENTRY.grid.half_width_m, ENTRY.grid.voxels)
    within = np.abs(values["density"] - density) <= values["density_std"]
    share = density / density.max()
    bins = np.digitize(share, EDGES) - 1
    found.untrusted += int((~trusted).sum())
    for shot in np.flatnonzero(trusted):
        found.coverage.append(float(within[shot][share > CORE].mean()))
        counted = [within[shot][bins == k] for k in range(len(EDGES) - 1)]
        found.by_density.append(np.array([part.mean() if part.size else np.nan for part in counted]))
        for name, truth in truth_of(shown).items():
            difference = values[name][shot] - truth
            found.errors[name].append(np.angle(np.exp(1j * difference)) if name == "phase" else difference)
            found.stds[name].append(values[f"{name}_std"][shot])
            found.bounds[name].append(bound.best[name] if bound else np.full_like(difference, np.nan))


def table_of(name: str, found: Repeats) -> str:
    lines = [
        f"{CASES[name][0]}: {len(found.coverage)} shots, {found.untrusted} not converged; core voxels within density_std: "
        f"{100 * np.mean(found.coverage):.1f} +- {100 * np.std(found.coverage, ddof=1) / np.sqrt(len(found.coverage)):.1f} % (true errors: 68.3 %)",
        "",
        "| quantity | pull, mean | pull, width | scatter / bound | bound |",
        "|---|---|---|---|---|",
    ]
    for quantity in QUANTITIES:
        errors, stds = np.array(found.errors[quantity]), np.array(found.stds[quantity])
        if len(errors) < 2 or np.isfinite(errors).sum() < 2:
            continue
        p = pulls(errors, np.zeros_like(errors), stds)
        cells = [f"{p.mean:+.2f} +- {p.mean_std:.2f}", f"{p.width:.2f} +- {p.width_std:.2f}"]
        ratio = errors / np.array(found.bounds[quantity])
        scatter = np.sqrt(ratio.var(axis=0, ddof=1).mean())  # about each component's mean
        known = np.isfinite(scatter)
        cells.append(f"{scatter:.2f} +- {scatter / np.sqrt(2 * (ratio.size - 1)):.2f}" if known else "")
        unit = UNITS[quantity]
        cells.append(f"{SCALE[unit] * np.sqrt(np.square(found.bounds[quantity]).mean()):.3g} {unit}".strip() if known else "")
        lines.append(f"| {quantity.replace('_', ' ')} | " + " | ".join(cells) + " |")
    if found.apart > 1:
        lines += ["", f"A fit by the photons' likelihood, which overlooks that atoms are finite, scatters by {found.apart:.3f} bounds at most."]
    return "\n".join(lines)


def draw(found: dict[str, Repeats], picture: Path) -> None:
    """A row a case: pulls with the unit normal, and coverage against the voxels' density."""
    figure = Figure(figsize=(17, 2.6 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), len(QUANTITIES) + 1, squeeze=False)
    at = np.linspace(-4, 4, 17)
    smooth = np.linspace(-4, 4, 200)
    for row, (case, repeats) in zip(panels, found.items(), strict=True):
        for axes, name in zip(row, QUANTITIES, strict=False):
            if repeats.errors[name]:
                pull = (np.array(repeats.errors[name]) / np.array(repeats.stds[name])).ravel()
                axes.hist(pull[np.isfinite(pull)].clip(-4, 4), at, density=True, color="C0", alpha=0.6)
                axes.plot(smooth, np.exp(-0.5 * smooth**2) / np.sqrt(TAU), "k", linewidth=1)
                axes.set(xlabel=f"pull of the {name.replace('_', ' ')}", yticks=[], xlim=(-4, 4))
            else:
                axes.set_axis_off()
        middle = (EDGES[1:] * EDGES[:-1]) ** 0.5
        row[-1].errorbar(middle, np.nanmean(repeats.by_density, 0), np.nanstd(repeats.by_density, 0), fmt="o", markersize=3)
        row[-1].axhline(0.683, color="k", linewidth=1)
        row[-1].set(xscale="log", ylim=(0, 1), xlabel="density / densest", ylabel="within one std")
        row[0].set_title(CASES[case][0], loc="left")
    figure.savefig(picture, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=100, help="of each case")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--docs", type=Path, default=None)
    parser.add_argument("--picture", type=Path, default=None)
    given = parser.parse_args()
    found = {}
    for name in given.cases:
        found[name] = repeats_of(name, given.shots, given.seed)
        print("\n" + table_of(name, found[name]) + "\n", flush=True)
    if given.picture:
        draw(found, given.picture)
    if given.docs:
        parts = [f"Seed {given.seed}.", *(table_of(name, one) for name, one in found.items())]
        parts += [f"![Pulls with the unit normal, and coverage against density]({given.picture.name})"] if given.picture else []
        write_between(given.docs, "benchmarks/pulls.py", "\n\n".join(parts))


if __name__ == "__main__":
    main()
