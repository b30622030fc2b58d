"""X-ray tomography, the five words wired together, with the classical answers beside it.

    field       positive sum of grids in a plane                                   fields.plane
    forward     strips of a parallel beam, Beer-Lambert, propagation fringe        forward.attenuation
    likelihood  Poisson photons, read noise as a pedestal                          likelihoods.poisson_deviance
    prior       total variation, its weight chosen by views that are not fitted    priors.total_variation
    fit         Adam from the SIRT answer, stopped blind by the same views         fitting.fit

Views are of three kinds: `test` views no method sees; of the others every n-th is used, and of these some (`asked`) are not fitted but
asked when to stop SIRT and field and which weight of the prior to take. Filtered back-projection has nothing to stop and takes both.
Between rounds of the fit the columns' response (`gallery.beam`) is found again from the residuals.
"""

import logging
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.config.gallery import TomogramFit
from fieldfit.experiments.gallery.baselines import fbp, sirt
from fieldfit.experiments.gallery.beam import Beam, responding, responses
from fieldfit.fields.grids import gathered
from fieldfit.fields.plane import Plane
from fieldfit.fitting.fit import Schedule, fit
from fieldfit.forward.attenuation import Strips, optical_depth, raster, strips_of, transmitted
from fieldfit.likelihoods import poisson_deviance
from fieldfit.priors import total_variation
from fieldfit.types import InputError

METHODS = ("fbp", "sirt", "field")
ROUNDS = 3  # of the fit, the response found again after each
SIRT_ROUNDS, SIRT_ROUND = 3, 40  # the same for SIRT, and its steps
SIRT_MOST, SIRT_CHECK, SIRT_PATIENCE = 2000, 10, 3
COARSER = (8, 4, 2, 1)  # the field's grids, against the raster
FRINGE_RATE = 0.3  # of the fit's rate: pixel2 are few
ASKED = 10  # of so many used views, one is asked
FEWEST = 6  # views in use
LEAST = 1e-3  # photons: a mean is never below
# A share of the object's rays that are brighter than the beam by so many standard deviations, which no attenuation explains.
BRIGHT_SHARE, BRIGHT = 1e-3, 8.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Views:
    """Indices of the views: fitted and asked make up those in use; test ones no method sees."""

    fitted: np.ndarray
    asked: np.ndarray
    test: np.ndarray

    @property
    def used(self) -> np.ndarray:
        return np.sort(np.concatenate([self.fitted, self.asked]))


@dataclass(frozen=True)
class Bench:
    """Geometry of a scan: angle (view) [rad], axis [column], inside: where the object can be on the raster around the axis."""

    angle: Float[np.ndarray, "view"]
    axis: float
    inside: Bool[np.ndarray, "side side"]


@dataclass(frozen=True)
class Tomogram:
    """attenuation (method, row, y, x) [1/pixel]; chi2 and chi2_object (method, row) on the test views, of all rays and of those through the object;
    steps (method, row) that were kept; seconds (method); fringe (row) [pixel2]; variation (row): the prior's weight; field: of all rows."""

    attenuation: Float[np.ndarray, "method row y x"]
    chi2: Float[np.ndarray, "method row"]
    chi2_object: Float[np.ndarray, "method row"]
    steps: Float[np.ndarray, "method row"]
    seconds: Float[np.ndarray, "method"]
    fringe: Float[np.ndarray, "row"]
    variation: Float[np.ndarray, "row"]
    field: Plane


def split(views: int, every: int, held_out: int, source: str) -> Views:
    """Every `held_out`-th view is a test view; of the others every `every`-th is used, a tenth of them and two at least to be asked.

    Raises InputError, speaking of `source`, when too few are left.
    """
    test = np.arange(held_out // 2, views, held_out)
    used = np.setdiff1d(np.arange(views), test)[::every]
    number = max(2, round(len(used) / ASKED))
    if len(used) < FEWEST:
        raise InputError(f"{source}: key 'every' is {every}, which leaves {len(used)} of {views} views, expected {FEWEST} or more")
    asked = used[((np.arange(number) + 0.5) * len(used) / number).astype(int)]
    return Views(np.setdiff1d(used, asked), asked, test)


def hull(beam: Beam, angle: Float[np.ndarray, "view"], axis: float) -> Bool[np.ndarray, "side side"]:
    """Voxels that every view sees inside the object's shadow, of any row, on the smallest raster that holds the shadows."""
    seen: np.ndarray = np.any(beam.object, axis=0)
    first, last = seen.argmax(1), seen.shape[1] - 1 - seen[:, ::-1].argmax(1)
    side = 2 * int(np.ceil(max(np.abs(first - axis).max(), np.abs(last - axis).max())))
    x, y = raster(side).numpy().T
    inside = np.ones(side * side, bool)
    for turn, low, high in zip(angle, first, last, strict=True):
        column = axis + x * np.cos(turn) + y * np.sin(turn)
        inside &= (column >= low) & (column <= high)
    return inside.reshape(side, side)


def depths(beam: Beam) -> Float[np.ndarray, "row view column"]:
    """Line integrals as counted, nothing where the object cannot be."""
    share = (beam.photons - beam.pedestal) / beam.incident
    return np.where(beam.object, -np.log(np.clip(share, 1e-4, None)), 0.0)


def shows_fringes(beam: Beam) -> bool:
    """Whether the object's edges are brighter than the beam. Where they are not, a fringe is not told from a sharper object: it stays 0."""
    excess = (beam.photons - beam.pedestal - beam.incident) / np.sqrt(beam.incident + beam.pedestal)
    return bool((excess[beam.object] > BRIGHT).mean() > BRIGHT_SHARE)


def strips_for(bench: Bench, views: np.ndarray, columns: int) -> Strips:
    return strips_of(torch.from_numpy(bench.angle[views]).float(), columns, bench.axis, torch.from_numpy(bench.inside))


def reconstruct(beam: Beam, bench: Bench, views: Views, options: TomogramFit) -> Tomogram:
    """All methods on the same views of all rows."""
    columns, side, rows = beam.incident.shape[2], len(bench.inside), len(beam.incident)
    strips = {name: strips_for(bench, at, columns) for name, at in (("fitted", views.fitted), ("asked", views.asked), ("test", views.test))}
    began = time.perf_counter()
    values, response, steps = _sirt(beam, strips, views)
    sirt_time, began = time.perf_counter() - began, time.perf_counter()
    data = depths(responding(beam, response).seen(views.used))
    back = np.stack([fbp(row, bench.angle[views.used], bench.axis, side) for row in data])
    fbp_time, began = time.perf_counter() - began, time.perf_counter()
    started = _on_raster(values, strips["fitted"])
    field, fringe, field_response, variation, field_steps = _field(beam, bench, strips, views, started, response, options)
    field_time = time.perf_counter() - began
    with torch.no_grad():
        images = np.stack([back, started.numpy(), field.raster().numpy()]).astype(np.float64)
    nothing = np.zeros(rows)
    parts = [(response, nothing), (response, nothing), (field_response, fringe)]
    scores = [score_of(responding(beam, own), strips["test"], views, image, edge) for image, (own, edge) in zip(images, parts, strict=True)]
    chi2, chi2_object = np.moveaxis(np.array(scores), 1, 0)
    return Tomogram(
        images, chi2, chi2_object, np.stack([nothing, steps, field_steps]), np.array([fbp_time, sirt_time, field_time]), fringe, variation, field
    )


def rays_of(values: np.ndarray) -> Float[Tensor, "ray row"]:
    return torch.from_numpy(np.moveaxis(values, 0, -1).reshape(-1, len(values))).to(torch.float32)


def shares_of(rays: Tensor, strips: Strips) -> np.ndarray:
    """(row, view, column) from (ray, row)."""
    return np.moveaxis(rays.reshape(strips.views, strips.columns, -1).double().numpy(), -1, 0)


def _on_raster(values: Float[Tensor, "voxel row"], strips: Strips) -> Float[Tensor, "row side side"]:
    whole = torch.zeros(values.shape[1], strips.side**2)
    whole[:, strips.voxel] = values.T
    return whole.reshape(-1, strips.side, strips.side)


def _deviance(photons: Tensor, mean: Tensor) -> Float[Tensor, "batch"]:
    return poisson_deviance(photons.clamp_min(LEAST), mean.clamp_min(LEAST)).double().sum(0)


def _sirt(beam: Beam, strips: dict[str, Strips], views: Views) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """(values (voxel, row), response, steps): SIRT stopped where the asked views are predicted best, row by row."""
    fitted = strips["fitted"]
    rows = len(beam.incident)
    values = torch.zeros(len(fitted.voxel), rows)
    response = np.zeros((rows, fitted.columns, 2))
    for _ in range(SIRT_ROUNDS):
        data = rays_of(depths(responding(beam, response).seen(views.fitted)))
        values = sirt(fitted, data, values, SIRT_ROUND)
        response = responses(beam.seen(views.fitted), shares_of(torch.exp(-optical_depth(fitted, values)), fitted))
    asked = responding(beam, response).seen(views.asked)
    photons, incident = rays_of(asked.photons), rays_of(asked.incident)
    data = rays_of(depths(responding(beam, response).seen(views.fitted)))
    best, kept, kept_step, waited = torch.full((rows,), torch.inf, dtype=torch.float64), values, np.zeros(rows), 0
    for step in range(SIRT_ROUNDS * SIRT_ROUND, SIRT_MOST, SIRT_CHECK):
        score = _deviance(photons, incident * torch.exp(-optical_depth(strips["asked"], values)) + asked.pedestal)
        better = score < best
        best, kept = torch.where(better, score, best), torch.where(better, values, kept)
        kept_step[better.numpy()] = step
        waited = 0 if better.any() else waited + 1
        if waited >= SIRT_PATIENCE:
            break
        values = sirt(fitted, data, values, SIRT_CHECK)
    log.info("SIRT kept steps %s", kept_step.tolist())
    return kept, response, kept_step


def _field(
    beam: Beam, bench: Bench, strips: dict[str, Strips], views: Views, start: Tensor, response: np.ndarray, options: TomogramFit
) -> tuple[Plane, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(field, fringe, response, variation, kept step): every weight of the prior is fitted to every row at once, and the asked views choose."""
    rows, weights = len(start), options.variation
    member_row = np.tile(np.arange(rows), len(weights))
    scale = start.sum((1, 2)).div(int(bench.inside.sum())).clamp_min(1e-9)[member_row]
    side = strips["fitted"].side
    field = Plane(len(member_row), (side - 1) / 2, [side // n for n in COARSER], [float(s) for s in scale])
    field.start(start[member_row])
    weight = torch.tensor(weights).repeat_interleave(rows)
    fringed = options.fringe and shows_fringes(beam.seen(views.used))
    fringe = torch.zeros(len(member_row), requires_grad=fringed)
    beam = _members(beam, member_row)
    response = response[member_row]
    groups: list[tuple[list[Tensor], float]] = [([level], 1 / coarse) for level, coarse in zip(field.levels, COARSER, strict=True)]
    groups += [([fringe], FRINGE_RATE)] if fringed else []

    def mean(at: str, incident: Tensor, image: Tensor) -> Tensor:
        mu = image.flatten(1)[:, strips[at].voxel].T.contiguous()
        return transmitted(strips[at], optical_depth(strips[at], mu), incident, fringe) + beam.pedestal

    kept_step = torch.zeros(len(member_row))
    score = torch.zeros(len(member_row))
    for turn in range(ROUNDS):
        light = {at: responding(beam, response).seen(getattr(views, at)) for at in ("fitted", "asked")}
        photons, incident = ({at: rays_of(getattr(part, name)) for at, part in light.items()} for name in ("photons", "incident"))

        def objective(step: int, photons: dict[str, Tensor] = photons, incident: dict[str, Tensor] = incident) -> Tensor:
            image = field.raster()
            likelihood = 0.5 * poisson_deviance(photons["fitted"].clamp_min(LEAST), mean("fitted", incident["fitted"], image).clamp_min(LEAST)).sum(0)
            return likelihood + weight * total_variation(image / field.scale)

        def held_out(photons: dict[str, Tensor] = photons, incident: dict[str, Tensor] = incident) -> Tensor:
            return _deviance(photons["asked"], mean("asked", incident["asked"], field.raster()))

        last = 0.01 if turn == ROUNDS - 1 else 0.2
        steps = -(-options.steps // ROUNDS)
        result = fit(groups, objective, Schedule(steps, options.rate, last, patience=steps), held_out, name=f"round {turn}")
        kept_step = turn * steps + result.kept_step
        with torch.no_grad():
            mu = field.raster().flatten(1)[:, strips["fitted"].voxel].T.contiguous()
            ones = torch.ones_like(incident["fitted"])
            share = transmitted(strips["fitted"], optical_depth(strips["fitted"], mu), ones, fringe)
            response = responses(beam.seen(views.fitted), shares_of(share.clamp_min(1e-4), strips["fitted"]))
            score = held_out()
    by_weight = score.reshape(len(weights), rows)
    log.info("deviance of the asked views by weight of the prior (%s) and row: %s", weights, by_weight.tolist())
    chosen = (by_weight.argmin(0) * rows + torch.arange(rows)).tolist()
    final = Plane(rows, field.half_width, [side], [float(scale[k]) for k in chosen])
    with torch.no_grad():
        final.levels[0].copy_(gathered(list(field.levels))[chosen])
    step = kept_step.expand(len(member_row)).numpy().astype(float)
    return final, fringe.detach().numpy()[chosen].astype(float), response[chosen], np.array(weights)[np.array(chosen) // rows], step[chosen]


def _members(beam: Beam, rows: np.ndarray) -> Beam:
    return replace(beam, photons=beam.photons[rows], incident=beam.incident[rows], object=beam.object[rows])


def score_of(beam: Beam, strips: Strips, views: Views, images: np.ndarray, fringe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(chi2 a ray, chi2 a ray through the object), each (row), of the test views."""
    part = beam.seen(views.test)
    mu = torch.from_numpy(images.reshape(len(images), -1)[:, strips.voxel.numpy()].T.copy()).to(torch.float32)
    light = transmitted(strips, optical_depth(strips, mu), rays_of(part.incident), torch.from_numpy(fringe).to(torch.float32))
    mean = np.maximum(shares_of(light, strips) + part.pedestal, LEAST)
    square = (part.photons - mean) ** 2 / mean
    return square.mean((1, 2)), np.array([s[o].mean() for s, o in zip(square, part.object, strict=True)])
