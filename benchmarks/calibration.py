"""Calibrations on measured tracks side by side, scored with a known truth, and what ours makes of few and many tracks.

    uv run python benchmarks/calibration.py VISIBILITY.nc TRACKS.h5 TRACKS_TRUTH.npz TRUTH_OFFGRID.npz [fitted tracks] [epochs]

VISIBILITY.nc is a product of `fit_visibility`. The truth (pe_mean, efficiency, efficiency_times_visibility at the points of TRUTH_OFFGRID)
is read for scoring and nowhere else, save that the published recipe may take the best of its rates for the map. It is that of siren-pfmatch:
every weight of the network free, the Poisson likelihood of the tracks, no efficiency of a channel, no tie to the simulation; it starts here
from our network and one scale. Prints two Markdown tables: photo-electrons of the tracks that were not fitted, the worst channel, the
map at points off the grid, all relative, over live channels; widths of pulls; CPU seconds.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator

from fieldfit.bridge import field_of
from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks, photoelectrons
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.products import open_product
from fieldfit.io.tracks import read_tracks

NOMINAL = 0.03  # efficiency that a data sheet would say
RATES = (1e-4, 3e-4, 1e-3)  # of the published recipe: Adam
BATCH = 25  # tracks
FEW = (20, 50, 100, 200)

Values = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Measured:
    """points [m], photons, track (point); measured (track, channel); used: how many tracks are fitted."""

    points: torch.Tensor
    photons: torch.Tensor
    track: torch.Tensor
    measured: torch.Tensor
    used: int

    def light(self, values: Values) -> torch.Tensor:
        """Photo-electrons (track, channel) of a map."""
        found = in_chunks(lambda x: values(x).double(), self.points.float())
        return photoelectrons(found, self.photons, self.track, len(self.measured))


@dataclass(frozen=True)
class Truth:
    """mean (track, channel); live (channel); points (n, 3) [m]; map (n, channel): efficiency times visibility; efficiency (channel)."""

    mean: np.ndarray
    live: np.ndarray
    points: np.ndarray
    map: np.ndarray
    efficiency: np.ndarray

    def cells(self, data: Measured, values: Values) -> list[float]:
        """[photo-electrons median, 95 %, worst channel, map median, 95 %], in per cent."""
        with torch.no_grad():
            light = data.light(values).numpy()[data.used :, self.live]
            found = in_chunks(values, torch.tensor(self.points, dtype=torch.float32)).numpy()[:, self.live]
        true, there = self.mean[data.used :, self.live], self.map[:, self.live]
        off, away = np.abs(light - true)[true > 5] / true[true > 5], np.abs(found - there) / there
        worst = np.abs(light.sum(0) / true.sum(0) - 1).max()
        return [100 * float(v) for v in (np.median(off), np.quantile(off, 0.95), worst, np.median(away), np.quantile(away, 0.95))]


def unshared(base: VisibilityField) -> VisibilityField:
    """The same field with outputs of its own for each channel: a dead one must not drag along its mirror images."""
    settings = base.settings()
    head = torch.tensor(settings["head"])
    field = VisibilityField(**(settings | {"head": list(range(len(head)))}))
    rows = torch.cat([head, base.heads + head])
    state = base.state_dict()
    last = f"layers.{len(base.network(0).layers) - 1}."
    field.load_state_dict({name: value[rows] if last in name else value for name, value in state.items()})
    return field


def published(base: VisibilityField, scale: float, data: Measured, rate: float, epochs: int) -> Values:
    """The recipe of siren-pfmatch on our network."""
    field = unshared(base).train().requires_grad_(True)
    optimiser = torch.optim.Adam([p for p in field.parameters() if p.requires_grad], lr=rate)
    generator = torch.Generator().manual_seed(1)
    points = data.points.float()
    with torch.no_grad():
        share = in_chunks(field.geometric, points)
    begin = torch.searchsorted(data.track, torch.arange(data.used + 1))
    for _ in range(epochs):
        for batch in torch.randperm(data.used, generator=generator).split(BATCH):
            rows = torch.cat([torch.arange(int(begin[t]), int(begin[t + 1])) for t in batch])
            owner = torch.repeat_interleave(torch.arange(len(batch)), begin[batch + 1] - begin[batch])
            value = scale * field.value(points[rows], share[rows])
            mean = photoelectrons(value, data.photons[rows].float(), owner, len(batch))
            loss = (mean - data.measured[batch].float() * mean.clamp(min=1e-6).log()).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return lambda x: scale * field(x).detach()


def row(name: str, cells: list[float], seconds: float) -> str:
    return f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + f" | {seconds:.1f} |"


def main(visibility: Path, tracks: Path, truth_tracks: Path, truth_points: Path, used: int, epochs: int) -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    found = open_product(visibility, "visibility")
    base = field_of(found, visibility)
    assert isinstance(base, VisibilityField)
    read = read_tracks(tracks, disks_of(found).count, box_of(found, visibility))
    owner = np.repeat(np.arange(read.count), np.diff(read.offset))
    data = Measured(*(torch.from_numpy(a) for a in (read.point, read.photons, owner, read.measured)), used)
    known = np.load(truth_tracks, allow_pickle=False)
    points = np.load(truth_points, allow_pickle=False)["position_cm"] * 0.01
    truth = Truth(known["pe_mean"], known["efficiency"] > 0, points, known["efficiency_times_visibility"], known["efficiency"])

    print("| calibration | PE median [%] | 95 % | worst channel | map median | 95 % | CPU [s] |\n|---|---|---|---|---|---|---|")
    print(row(f"none: efficiency {NOMINAL}", truth.cells(data, lambda x: NOMINAL * base(x)), 0), flush=True)
    began = time.process_time()
    with torch.no_grad():
        simulated = data.light(base)[:used]
    scale = float(data.measured[:used].sum() / simulated.sum())
    print(row("one scale", truth.cells(data, lambda x: scale * base(x)), time.process_time() - began), flush=True)
    scales = (data.measured[:used].sum(0) / simulated.sum(0)).float()
    print(row("one scale a channel", truth.cells(data, lambda x: scales * base(x)), time.process_time() - began), flush=True)
    tries = []
    for rate in RATES:
        began = time.process_time()
        values = published(base, scale, data, rate, epochs)
        seconds = time.process_time() - began
        tries.append((truth.cells(data, values), seconds, rate))
    cells, seconds, rate = min(tries, key=lambda t: t[0][3])
    print(row(f"published recipe: all weights, {epochs} epochs at {rate:g}", cells, seconds), flush=True)
    began = time.process_time()
    result = calibrate(base, data.points, data.photons, data.track, data.measured, used)
    print(row("fieldfit", truth.cells(data, result.field), time.process_time() - began), flush=True)

    relative = np.moveaxis((found.visibility_std / found.visibility).values, 0, -1)
    simulation = RegularGridInterpolator((found.x, found.y, found.z), relative, bounds_error=False, fill_value=None)(points)
    print("\n| tracks | PE median [%] | 95 % | worst channel | map median | 95 % | map pull | efficiency pull | strengths | CPU [s] |")
    print("|" + "---|" * 10)
    for count in sorted({*(n for n in FEW if n < used), used}):
        began = time.process_time()
        fit = calibrate(base, data.points, data.photons, data.track, data.measured, count)
        seconds = time.process_time() - began
        std = np.hypot(fit.relative_std(torch.tensor(points)).numpy(), simulation)[:, truth.live]
        values = fit.field(torch.tensor(points, dtype=torch.float32)).detach().numpy()[:, truth.live]
        of_map = float(np.std(np.log(values / truth.map[:, truth.live]) / std))
        ratio = np.log(fit.efficiency.numpy()[truth.live] / truth.efficiency[truth.live])
        of_efficiency = float(np.std((ratio - ratio.mean()) / (fit.efficiency_std / fit.efficiency).numpy()[truth.live], ddof=1))
        cells = " | ".join(f"{cell:.2f}" for cell in truth.cells(data, fit.field))
        strengths = fit.told["prior_strength"].split(", chosen")[0]
        print(f"| {count} | {cells} | {of_map:.2f} | {of_efficiency:.2f} | {strengths} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*(Path(a) for a in sys.argv[1:5]), *(int(a) for a in (*sys.argv[5:], *("500", "20")[len(sys.argv) - 5 :])))
