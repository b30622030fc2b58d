"""Field beside filtered back-projection and SIRT: real scans by views that no method saw, a simulated one against its truth as well.

Usage: uv run python benchmarks/tomography.py [SCAN.h5 ...] [--rows 0 1] [--columns 384] [--more]
Prints one Markdown table a scan. --more adds, for fewer views: the field without its prior, without its fringe, and a sine network in its place.
With scikit-image at hand (uv run --with scikit-image ...) its FBP is a row of its own. Truth is used for scoring only.
"""

import argparse
import importlib.util
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fieldfit.config.gallery import SimulateTomography, TomogramFit, Tomography
from fieldfit.experiments.gallery.axis import axis_of
from fieldfit.experiments.gallery.baselines import fbp
from fieldfit.experiments.gallery.beam import Beam, beam_of, responding, responses
from fieldfit.experiments.gallery.tomogram import (
    LEAST,
    METHODS,
    Bench,
    Tomogram,
    Views,
    depths,
    hull,
    rays_of,
    reconstruct,
    score_of,
    shares_of,
    split,
    strips_for,
)
from fieldfit.fields.siren import Siren
from fieldfit.fitting.fit import Schedule, fit, generator_of
from fieldfit.forward.attenuation import optical_depth, raster, transmitted
from fieldfit.io.data_exchange import read_scan
from fieldfit.likelihoods import poisson_deviance
from fieldfit.priors import total_variation
from fieldfit.simulate.tomography import PHANTOM, attenuation
from fieldfit.simulate.tomography import Bench as Source
from fieldfit.steps.simulate_tomography import simulate_tomography

EVERY = (1, 8)
STEPS = 300


def first_row(beam: Beam) -> Beam:
    return replace(beam, photons=beam.photons[:1], incident=beam.incident[:1], object=beam.object[:1])


def own_response(beam: Beam, bench: Bench, views: Views, image: np.ndarray, fringe: torch.Tensor) -> Beam:
    """The beam of one row with the columns' response that this image leaves."""
    strips = strips_for(bench, views.fitted, beam.incident.shape[2])
    mu = torch.from_numpy(image).float().flatten()[strips.voxel][:, None]
    share = transmitted(strips, optical_depth(strips, mu), torch.ones(strips.views * strips.columns, 1), fringe)
    return responding(beam, responses(beam.seen(views.fitted), shares_of(share, strips)))


def sine_network(beam: Beam, bench: Bench, views: Views, found: Tomogram) -> tuple[np.ndarray, float]:
    """(image of the first row, seconds): softplus of a sine network, with the prior's weight, the fringe and the response of the field's fit."""
    strips = strips_for(bench, views.fitted, beam.incident.shape[2])
    points = (raster(strips.side)[strips.voxel] / (strips.side / 2)).float()
    image, fringe = found.attenuation[METHODS.index("field"), 0], torch.tensor(found.fringe[:1]).float()
    part = own_response(first_row(beam), bench, views, image, fringe).seen(views.fitted)
    photons, incident = rays_of(part.photons), rays_of(part.incident)
    scale = float(image.sum()) / int(bench.inside.sum())
    network = Siren(2, 1, width=128, depth=3, omega_first=60.0, omega=10.0, generator=generator_of(1))

    def whole() -> torch.Tensor:
        values = scale * torch.nn.functional.softplus(network(points))
        return torch.zeros(strips.side**2).index_copy(0, strips.voxel, values[:, 0]).reshape(1, strips.side, strips.side)

    def objective(step: int) -> torch.Tensor:
        now = whole()
        depth = optical_depth(strips, now.flatten()[strips.voxel][:, None])
        mean = transmitted(strips, depth, incident, fringe).clamp_min(LEAST) + part.pedestal
        return 0.5 * poisson_deviance(photons, mean).sum(0) + float(found.variation[0]) * total_variation(now / scale)

    began = time.perf_counter()
    fit([(list(network.parameters()), 1.0)], objective, Schedule(STEPS, 3e-3))
    with torch.no_grad():
        return whole()[0].numpy(), time.perf_counter() - began


def table(path: Path, rows: list[int] | None, truth: Source | None, more: bool) -> None:
    scan = read_scan(path, rows)
    beam = beam_of(scan, None, str(path))
    began = time.perf_counter()
    axis = axis_of(depths(beam), scan.angle)
    bench = Bench(scan.angle, axis, hull(beam, scan.angle, axis))
    side = len(bench.inside)
    told = f"axis at column {axis:.2f} ({time.perf_counter() - began:.1f} s)"
    told += f", truly {truth.axis:.2f}" if truth else ""
    print(f"\n{path.name}: {scan.counts.shape[0]} views, {beam.incident.shape[2]} columns, rows {list(scan.rows)}, gain {beam.gain:.3f}, {told}\n")
    borrowed(beam, bench)
    right = attenuation(PHANTOM, truth, side) if truth else None
    print("| views | method | chi-square a ray | through the object | " + ("error against truth | " if truth else "") + "seconds |")
    print("|---|---|---|---|---|" + ("---|" if truth else ""))

    def line(views: Views, name: str, chi2: float, through: float, image: np.ndarray, seconds: float) -> None:
        error = "" if right is None else f"{np.linalg.norm((image - right)[bench.inside]) / np.linalg.norm(right[bench.inside]):.4f} | "
        print(f"| {len(views.used)} | {name} | {chi2:.3f} | {through:.3f} | {error}{seconds:.1f} |", flush=True)

    for every in EVERY:
        views = split(len(scan.angle), every, 9, str(path))
        found = reconstruct(beam, bench, views, TomogramFit(steps=STEPS))
        for k, name in enumerate(METHODS):
            line(views, name, found.chi2[k].mean(), found.chi2_object[k].mean(), found.attenuation[k, 0], found.seconds[k])
        print(f"|  | fringe {np.round(found.fringe, 3).tolist()} pixel2, weights {found.variation.tolist()}, steps {found.steps.tolist()} |")
        if not more or every == min(EVERY):
            continue
        for name, options in (("field, no prior", TomogramFit(variation=(0.0,))), ("field, no fringe", TomogramFit(fringe=False))):
            other = reconstruct(beam, bench, views, options)
            line(views, name, other.chi2[2].mean(), other.chi2_object[2].mean(), other.attenuation[2, 0], other.seconds[2])
        image, seconds = sine_network(beam, bench, views, found)
        own = own_response(first_row(beam), bench, views, image, torch.tensor(found.fringe[:1]).float())
        chi2, through = score_of(own, strips_for(bench, views.test, beam.incident.shape[2]), views, image[None], found.fringe[:1])
        line(views, "sine network (first row)", float(chi2[0]), float(through[0]), image, seconds)


def borrowed(beam: Beam, bench: Bench) -> None:
    """How far scikit-image's FBP lies from ours on the same line integrals of all views, which are evenly spaced."""
    if importlib.util.find_spec("skimage") is None:
        return
    from skimage.transform import iradon

    data, angle, side = depths(beam)[0], bench.angle, len(bench.inside) | 1
    middle, column = data.shape[1] // 2, np.arange(data.shape[1])  # iradon turns about the middle, and its y runs down
    centred = np.stack([np.interp(column + bench.axis - middle, column, view, 0.0, 0.0) for view in data])
    theirs = iradon(centred.T, np.rad2deg(angle), output_size=side, filter_name="ramp", circle=True)[::-1]
    ours = fbp(centred, angle, float(middle), side)
    disc = np.hypot(*np.meshgrid(*2 * [np.arange(side) - side // 2])) < side / 2 - 2
    print(f"FBP of scikit-image: relative distance {np.linalg.norm((theirs - ours)[disc]) / np.linalg.norm(ours[disc]):.4f} from ours\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="*", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=None)
    parser.add_argument("--columns", type=int, default=384)
    parser.add_argument("--more", action="store_true")
    given = parser.parse_args()
    for path in given.scans:
        table(path, given.rows, None, given.more)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.h5"
        wanted = SimulateTomography(columns=given.columns)
        simulate_tomography(path, path.with_suffix(".json"), Tomography(model="tomography", raw=path, simulate=wanted))
        table(path, None, Source(columns=given.columns, axis=0.483 * given.columns, radius=0.32 * given.columns), given.more)


if __name__ == "__main__":
    main()
