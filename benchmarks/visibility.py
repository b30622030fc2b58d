"""A library's field beside the table's interpolations and the networks that others fit, in one run, at points off the grid with a known truth.

    uv run --group bench python benchmarks/visibility.py                      a library of 54,000 voxels and 20 channels, made here by radiosity
    uv run --group bench python benchmarks/visibility.py LIBRARY.root CHANNELS.json TRUTH.npz PHOTONS [--component direct]

Beside the field: nearest voxel; trilinear; the sine network of the package siren-pytorch (52,628 weights at 20 channels) with Adam at 1e-3
on the logarithm of the visibility; and the published recipe (CIDeR-ML siren-lartpc: omega 30, weights 1e6 v, Adam 5e-5). Each network has
`--budget` CPU seconds of one thread. The truth is read for scoring and nowhere else. Prints Markdown: mean 2|p - t| / (p + t) in per cent
overall and by decade, worst bias of a decade, CPU seconds and those to reach 2 %; then the field's spread over seeds and its pulls.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator
from siren_pytorch import SirenNet

from fieldfit.config.dune import Quality, VisibilityFit
from fieldfit.experiments.dune.visibility_errors import Judged, judged_fit
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.channels import Disks, read_channels
from fieldfit.io.optical.box import Box
from fieldfit.io.optical.larsoft import open_larsoft
from fieldfit.io.optical.table import fill_table
from fieldfit.simulate.radiosity import MatteBox, direct_light, reflected_light, voxel_light

REACH = 2.0  # per cent, whose cost is told
DECADES = (-5, -4, -3, -2)
HEAD = "| method | weights | rel [%] | 1e-5 | 1e-4 | 1e-3 | 1e-2 | above 0.1 | worst bias [%] | CPU [s] | CPU to 2 % [s] |\n|" + "---|" * 11


@dataclass(frozen=True)
class Case:
    """values (channel, x, y, z) of a library, and the truth (point, channel) at points [m] off its grid; factor: fitted with the solid angle."""

    values: np.ndarray
    box: Box
    disks: Disks
    photons: float
    points: np.ndarray
    truth: np.ndarray
    factor: bool = True


def made_here(photons: float = 5e5) -> Case:
    """A box of 1.5 x 1.8 x 2.5 m without symmetry: ten large disks behind one wall, ten on the others, walls of different reflectivity."""
    lower, upper = np.array([0.0, -0.9, 0.0]), np.array([1.5, 0.9, 2.5])
    back = [(-0.6, 0.3), (0.55, 0.25), (-0.2, 0.75), (0.65, 0.9), (-0.7, 1.2), (0.1, 1.35), (-0.45, 1.7), (0.6, 1.65), (-0.65, 2.2), (0.3, 2.25)]
    sensors = [((-0.03, y, z), (1, 0, 0), 0.13) for y, z in back]
    sensors += [((x, 0.9, z), (0, -1, 0), 0.10) for x, z in ((0.4, 0.4), (0.9, 0.9), (0.5, 1.5), (1.1, 2.1), (1.2, 0.3))]
    sensors += [((x, -0.9, z), (0, 1, 0), 0.10) for x, z in ((0.5, 0.6), (1.0, 1.3), (0.6, 2.0))]
    sensors += [((0.7, 0.1, 2.5), (0, 0, -1), 0.13), ((0.8, -0.2, 0.0), (0, 0, 1), 0.13)]
    centre, normal, radius = (np.array(part, float) for part in zip(*sensors, strict=True))
    box = MatteBox(lower, upper, centre, normal, radius, 3.0, (0.3, 0.6, 0.4, 0.4, 0.35, 0.35), 0.125)
    divisions, generator = (30, 36, 50), np.random.default_rng(7)
    light = sum(generator.binomial(int(photons), np.clip(part, 0, 1)) for part in voxel_light(box, divisions)) / photons
    points = lower + generator.random((8000, 3)) * (upper - lower)
    values = np.moveaxis(light.reshape(*divisions, -1), -1, 0).astype(np.float32)
    given = Box((0.0, -0.9, 0.0), (1.5, 0.9, 2.5), divisions)
    return Case(values, given, Disks(centre, normal, radius), photons, points, direct_light(box, points) + reflected_light(box, points))


def read(library: Path, channels: Path, truth: Path, photons: float, component: Literal["direct", "reflected", "total"]) -> Case:
    """A LArSoft library with its truth (position_cm, visibility, refl_visibility)."""
    disks = read_channels(channels)
    source = open_larsoft(library, component, disks.count, None)
    table = fill_table(source, Quality(), None, 10**10)
    known = np.load(truth, allow_pickle=False)
    parts = {"direct": known["visibility"], "reflected": known["refl_visibility"]}
    return Case(
        np.nan_to_num(np.ascontiguousarray(table.values)),
        source.box,
        disks,
        photons,
        known["position_cm"].astype(np.float64) * 0.01,
        parts.get(component, parts["direct"] + parts["reflected"]),
        component != "reflected",
    )


def relative(found: np.ndarray, true: np.ndarray) -> float:
    """Per cent."""
    return float(100 * np.mean(2 * np.abs(found - true) / np.maximum(found + true, 1e-300)))


def row(name: str, weights: int | str, found: np.ndarray, true: np.ndarray, seconds: float, reached: float | None) -> str:
    """One line of the table."""
    decade = np.floor(np.log10(np.maximum(true, 1e-30)))
    full = [d for d in DECADES if (decade == d).sum() > 50]
    cells = [f"{relative(found[true > 4.5e-5], true[true > 4.5e-5]):.2f}"]
    cells += [f"{relative(found[decade == d], true[decade == d]):.2f}" if d in full else "-" for d in DECADES]
    cells += [f"{relative(found[true > 0.1], true[true > 0.1]):.1f}" if (true > 0.1).sum() > 5 else "-"]
    bias = max((found[decade == d].sum() / true[decade == d].sum() - 1 for d in full), key=abs)
    return f"| {name} | {weights} | " + " | ".join(cells) + f" | {100 * bias:+.2f} | {seconds:.0f} | {'-' if reached is None else f'{reached:.0f}'} |"


def overall(found: np.ndarray, true: np.ndarray) -> float:
    """Per cent, of the whole table but its dimmest values."""
    return relative(found[true > 4.5e-5], true[true > 4.5e-5])


def fitted(case: Case, seed: int, steps: int | None = None) -> tuple[Judged, np.ndarray, float]:
    """(fit, values at the points, CPU seconds) of the field."""
    began = time.process_time()
    none = np.zeros(case.box.divisions, bool)
    settings = VisibilityFit() if steps is None else VisibilityFit(steps=steps)
    fit = judged_fit(lambda c: (case.values[c], none), case.box, case.disks, case.photons, [case.factor] * case.disks.count, settings, seed, "cpu")
    seconds = time.process_time() - began
    with torch.no_grad():
        return fit, in_chunks(fit.fitted.field, torch.tensor(case.points, dtype=torch.float32)).double().numpy(), seconds


def to_log(v: torch.Tensor, least: float = 1e-7) -> torch.Tensor:
    """The recipe's target: the logarithm of v, scaled to [-1, 1]."""
    low, high = np.log10(least), np.log10(1 + least)
    return 2 * ((v + least).log10() - low) / (high - low) - 1


def from_log(y: torch.Tensor, least: float = 1e-7) -> torch.Tensor:
    """The inverse of `to_log`."""
    low, high = np.log10(least), np.log10(1 + least)
    return torch.pow(10.0, (y + 1) / 2 * (high - low) + low) - least


def network(case: Case, rate: float, weighted: bool, budget: float, batch: int = 2048) -> Iterator[tuple[np.ndarray, float, int]]:
    """(values at the points, CPU seconds so far, weights) of a sine network on the table, while its budget lasts; a tenth of it between."""
    torch.manual_seed(1)
    lower, upper = torch.tensor(case.box.lower), torch.tensor(case.box.upper)
    to_cube: Callable[[np.ndarray], torch.Tensor] = lambda x: (2 * (torch.tensor(x) - lower) / (upper - lower) - 1).float()  # noqa: E731
    grid = to_cube(np.stack(np.meshgrid(*case.box.centres(), indexing="ij"), -1).reshape(-1, 3))
    v = torch.tensor(np.moveaxis(case.values, 0, -1).reshape(len(grid), -1))
    y, asked = to_log(v), to_cube(case.points)
    net = SirenNet(dim_in=3, dim_hidden=128, dim_out=case.disks.count, num_layers=4)
    if weighted:  # omega 30 in all layers, as published
        net = SirenNet(dim_in=3, dim_hidden=128, dim_out=case.disks.count, num_layers=4, w0=30.0)
    adam = torch.optim.Adam(net.parameters(), rate)
    generator = torch.Generator().manual_seed(1)
    weights = sum(p.numel() for p in net.parameters())
    spent, told = 0.0, 0.0
    while spent < budget:
        began = time.process_time()
        for _ in range(50):
            some = torch.randint(len(grid), (batch,), generator=generator)
            square = (net(grid[some]) - y[some]).square()
            loss = (square * (1e6 * v[some]).clamp(min=1) if weighted else square).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        spent += time.process_time() - began
        if spent >= budget or spent - told >= budget / 40:
            told = spent
            with torch.no_grad():
                yield from_log(net(asked)).clamp(min=0).double().numpy(), spent, weights


def main(case: Case, budget: float, seeds: int) -> None:
    """Run everything, print Markdown."""
    torch.set_num_threads(1)
    print(
        f"{case.box.voxels} voxels, {case.disks.count} channels, {case.photons:g} photons a voxel, {len(case.points)} points off the grid\n\n{HEAD}"
    )
    inside = np.stack([np.clip(case.points[:, k], c[0], c[-1]) for k, c in enumerate(case.box.centres())], 1)
    for name, method in (("nearest voxel", "nearest"), ("trilinear", "linear")):
        began = time.process_time()
        found = RegularGridInterpolator(case.box.centres(), np.moveaxis(case.values, 0, -1), method=method)(inside)
        print(row(name, case.values.size, found, case.truth, time.process_time() - began, None), flush=True)
    for name, rate, weighted in (("siren-pytorch, Adam 1e-3", 1e-3, False), ("published recipe", 5e-5, True)):
        steps = list(network(case, rate, weighted, budget))
        reached = next((seconds for found, seconds, _ in steps if overall(found, case.truth) <= REACH), None)
        found, seconds, weights = steps[-1]
        print(row(name, weights, found, case.truth, seconds, reached), flush=True)
    reached = None
    for steps in (50, 100, 200, 400, 800):
        _, found, seconds = fitted(case, 1, steps)
        if overall(found, case.truth) <= REACH:
            reached = seconds
            break
    fits = [fitted(case, seed) for seed in range(1, 1 + seeds)]
    for seed, (fit, found, seconds) in enumerate(fits, 1):
        weights = sum(p.numel() for p in fit.fitted.field.parameters())
        print(row(f"field, seed {seed}", weights, found, case.truth, seconds, reached), flush=True)
    bright = case.truth > 4.5e-5
    several = np.stack([found for _, found, _ in fits])
    spread = (several.std(0, ddof=1) / several.mean(0))[bright] if seeds > 1 else np.array([np.nan])
    pulls = np.stack([(found - case.truth) / fit.errors.std(fit.errors.depth(case.points), found) for fit, found, _ in fits])[:, bright]
    print(f"\nSpread of the visibility over {seeds} seeds: median {100 * np.median(spread):.2f} %.")
    print(
        "Pulls of visibility_std: width "
        + ", ".join(f"{one.std():.2f}" for one in pulls)
        + "; mean "
        + ", ".join(f"{one.mean():+.2f}" for one in pulls)
    )
    print("Mirror images: " + fits[0][0].told["symmetry"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="LIBRARY.root CHANNELS.json TRUTH.npz PHOTONS; none: made here")
    parser.add_argument("--component", choices=("direct", "reflected", "total"), default="total", help="of the files' light (default total)")
    parser.add_argument("--budget", type=float, default=320.0, help="CPU seconds of each network (default 320)")
    parser.add_argument("--seeds", type=int, default=3, help="fits of the field (default 3)")
    given = parser.parse_args()
    if len(given.files) not in (0, 4):
        parser.error("expected LIBRARY.root CHANNELS.json TRUTH.npz PHOTONS, or nothing")
    case = read(*map(Path, given.files[:3]), float(given.files[3]), given.component) if given.files else made_here()
    main(case, given.budget, given.seeds)
