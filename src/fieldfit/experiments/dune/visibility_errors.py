"""The error of a fitted visibility, and how well it does beside the table itself.

Relative variance of v, two parts added:
- noise: the members were fitted to disjoint halves of the voxels, v = (v_1 + v_2) / 2, so that E[(v_1 - v_2)^2] / 4 = var(v). No counting
  noise of the other half enters and nothing is assumed of the fit. One difference has one degree of freedom: it is averaged over voxels of
  like expected counts and like distance from the faces.
- misfit: what both members cannot follow. Every voxel was held out from a member: E[(n - m)^2 / m] - 1 = m (noise_1 + misfit^2).
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldfit.config.dune import VisibilityFit
from fieldfit.experiments.dune.mirrors import Made, Mirror, Volume, agreeing, heads_of, mirrors_of
from fieldfit.experiments.dune.visibility import Fitted, Sample, fit_library, member_counts
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks, voxel_mean
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box

QUANTILES = (0.0, 0.12, 0.25, 0.38, 0.5, 0.62, 0.75, 0.9, 0.97, 0.99, 1.0)  # of the visibility, that part the bins: finest near sensors
DEPTHS = (1.0, 2.0, 4.0)  # voxels from the nearest face: a fit is freest at the rim
LEAST_VALUES = 20  # held-out values that a decade needs to be reported
ERROR_VALUES = 2_000_000  # (voxel, head) that tell the errors: several arrays of so many float64 are in memory
METHODS = ("field", "trilinear", "nearest", "counting noise alone")

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A squared relative error by the logarithm of the visibility, between the middles of bins; one row of bins for each depth."""

    middles: tuple[Doubles, ...]
    squares: tuple[Doubles, ...]

    def at(self, log_v: Doubles, depth: NDArray[np.int64]) -> Doubles:
        """Squared error of log_v (n) or (n, channel) at depths (n)."""
        found = np.empty_like(log_v)
        for k, (middles, squares) in enumerate(zip(self.middles, self.squares, strict=True)):
            found[depth == k] = np.interp(log_v[depth == k], middles, squares)
        return found


@dataclass(frozen=True)
class Errors:
    """Squared relative errors of a field: noise and misfit; lower, upper, pitch: of the box and its voxels [m]."""

    noise: Table
    misfit: Table
    lower: Doubles
    upper: Doubles
    pitch: Doubles

    def std(self, depth: NDArray[np.int64], value: NDArray[np.floating]) -> Doubles:
        """Standard deviation of `value` (n) or (n, channel) at depths (n)."""
        log_v = log_of(value)
        relative: Doubles = np.sqrt(self.noise.at(log_v, depth) + self.misfit.at(log_v, depth))
        return value * relative

    def depth(self, points: Doubles) -> NDArray[np.int64]:
        """0 at the rim, then inwards: by the distance of points (n, 3) [m] from the nearest face in voxels."""
        inside = np.minimum(points - self.lower, self.upper - points) / self.pitch
        return np.searchsorted(np.array(DEPTHS), inside.min(1), side="right")


@dataclass(frozen=True)
class Score:
    """relative_error, bias (method, decade) on held-out voxels; decades; told: figures as text."""

    relative_error: Doubles
    bias: Doubles
    decades: NDArray[np.int32]
    told: dict[str, str]


@torch.no_grad()
def errors_of(fitted: Fitted, box: Box) -> tuple[Errors, dict[str, str]]:
    """The error of a fit from its members' differences and from what each held out."""
    sample = fitted.sample
    step = max(1, sample.counts.numel() // ERROR_VALUES)  # rows are in random order
    some = torch.arange(0, len(sample.points), step, device=sample.points.device)
    means = [_counts(fitted.field, member, sample, some).double().cpu().numpy() for member in range(len(fitted.rows))]
    counts, made = (t[some].double().cpu().numpy() for t in (sample.counts, sample.photons))
    points = sample.points[some].double().cpu().numpy()
    mean = sum(means) / 2
    log_v, square = log_of(mean / np.maximum(made, 1)), np.square((means[0] - means[1]) / (2 * np.maximum(mean, 1e-9)))
    corners = np.array(box.lower), np.array(box.upper), box.pitch
    depth = Errors(Table((), ()), Table((), ()), *corners).depth(points)
    seen = (made > 0) & (mean > 0)
    noise = table_of(log_v, square, np.ones_like(square), depth, seen)
    # each voxel by the member that has not seen it
    m = np.full_like(mean, np.nan)
    for member, others in enumerate(fitted.rows[::-1]):
        other = torch.isin(some, others).cpu().numpy()
        m[other] = means[member][other]
    seen &= np.nan_to_num(m) > 1
    m = np.where(seen, m, 1.0)
    scatter = np.square(counts - m) / (m * (1 - np.minimum(m / np.maximum(made, 1), 0.999)))  # binomial
    share = np.broadcast_to(sample.weight.double().cpu().numpy(), m.shape)
    variance = 2 * noise.at(log_v, depth)  # of one member
    weight = share / (2 + 1 / m + 2 * np.square(m * variance))
    misfit = table_of(log_v, (scatter - 1 - m * variance) / m, weight * m * m, depth, seen)
    told = {
        "uncertainty": f"noise from two fits to disjoint halves of the voxels ({_range(noise)}), "
        f"misfit from the chi-square of what each half predicts of the other ({_range(misfit)})",
        "held_out_chi2": f"{np.average(scatter[seen], weights=share[seen]):.4f}" if seen.any() else "no light",
        "kept_step": ", ".join(map(str, fitted.kept_step)),
    }
    return Errors(noise, misfit, *corners), told


def _counts(field: VisibilityField, member: int, sample: Sample, rows: Tensor) -> Tensor:
    return in_chunks(lambda some: member_counts(field, member, sample, some), rows)


def log_of(value: NDArray[np.floating]) -> Doubles:
    """Its logarithm, that of 1e-12 for less."""
    log_v: Doubles = np.log(np.maximum(value, 1e-12), dtype=np.float64)
    return log_v


def table_of(log_v: Doubles, square: Doubles, weight: Doubles, depth: NDArray[np.int64], use: NDArray[np.bool_]) -> Table:
    """Weighted means of `square` in bins of log_v, all (voxel, head), never negative; depths with too few values take those of all."""
    rows = [_bins(*(a[use] for a in (log_v, square, weight)))]
    for k in range(len(DEPTHS) + 1):
        here = use & (depth == k)[:, None]
        rows.append(_bins(*(a[here] for a in (log_v, square, weight))) if here.sum() >= LEAST_VALUES * len(QUANTILES) else rows[0])
    return Table(tuple(m for m, _ in rows[1:]), tuple(s for _, s in rows[1:]))


def _bins(log_v: Doubles, square: Doubles, weight: Doubles) -> tuple[Doubles, Doubles]:
    order = np.argsort(log_v)
    middles, squares = [], []
    for low, high in itertools.pairwise(QUANTILES):
        part = order[int(low * len(order)) : int(high * len(order))]
        if len(part):
            middles.append(float(log_v[part].mean()))
            squares.append(max(0.0, float(np.average(square[part], weights=weight[part]))))
    return (np.array(middles), np.array(squares)) if middles else (np.zeros(1), np.zeros(1))


def _range(table: Table) -> str:
    percents = 100 * np.sqrt(np.concatenate(table.squares))
    return f"{percents.min():.2g} to {percents.max():.2g} %"


@torch.no_grad()
def score_of(fitted: Fitted, read: Volume, box: Box, photons: Made) -> Score:
    """(relative_error, bias) (method, decade) on the voxels that no member has seen, their counting noise in.

    The decade is that of the field's value, so that the table's noise does not sort itself. Trilinear is the mean of the opposite
    neighbours, at twice the spacing that it has between voxels: harder than points off the grid. Counting noise alone: what a
    perfect prediction would show, with a photon count drawn around the field's value.
    """
    field, sample, held = fitted.field, fitted.sample, fitted.held
    aside = np.zeros(box.voxels, bool)
    voxel = sample.voxel[held].cpu().numpy()
    aside[voxel] = True
    aside = aside.reshape(box.divisions)
    mean = predicted(field, sample.points[held], box).double().cpu().numpy()
    generator = np.random.default_rng(0)
    made = np.maximum(np.broadcast_to(photons, box.divisions).ravel()[voxel], 1.0)
    columns = []
    for c in range(mean.shape[1]):
        values, masked = read(c)
        trilinear, nearest = _neighbours(np.where(aside | masked, np.nan, values), voxel)
        p, v = mean[:, c], np.asarray(values, np.float64).ravel()[voxel]
        drawn = generator.poisson(made * p) / made
        keep = np.isfinite(trilinear) & ~masked.ravel()[voxel]
        columns.append(np.stack([p, trilinear, nearest, p, v, v, v, drawn])[:, keep])
    table = np.concatenate(columns, 1) if columns else np.zeros((8, 0))
    pairs = list(zip(table[:4], table[4:], strict=True))
    decade = np.floor(np.log10(np.maximum(table[0], 1e-30))).astype(int)
    decades = np.array([d for d in np.unique(decade) if (decade == d).sum() >= LEAST_VALUES], np.int32)
    told = {"held_out_voxels": str(len(held))}
    if not len(decades):
        told["held_out_relative_error"] = "too few held-out voxels"
        return Score(np.full((4, 1), np.nan), np.full((4, 1), np.nan), np.array([-4], np.int32), told)
    relative = np.array([[_relative(a[decade == d], b[decade == d]) for d in decades] for a, b in pairs])
    bias = np.array([[a[decade == d].sum() / max(b[decade == d].sum(), 1e-30) - 1 for d in decades] for a, b in pairs])
    told["held_out_relative_error"] = "; ".join(f"{name} {_relative(a, b):.4f}" for name, (a, b) in zip(METHODS, pairs, strict=True))
    return Score(relative, bias, decades, told)


@dataclass(frozen=True)
class Judged:
    """A fit with its errors, its score on held-out voxels, and what to tell of it."""

    fitted: Fitted
    errors: Errors
    score: Score
    told: dict[str, str]


def judged_fit(
    read: Volume, box: Box, disks: Disks, photons: Made, factor: list[bool], settings: VisibilityFit, seed: int, device: str, symmetry: bool = True
) -> Judged:
    """Share what mirrors share (where `symmetry` allows it), fit, and judge; the arguments are those of `visibility.fit_library`."""
    mirrors: tuple[Mirror, ...] = (Mirror((1, 1, 1), tuple(range(disks.count))),)
    told: list[str] = []
    if symmetry and settings.symmetry == "auto" and not isinstance(photons, np.ndarray):  # counts of unequal voxels are not compared
        mirrors, told = agreeing(mirrors_of(box, disks), read, photons)
    fitted = fit_library(read, box, disks, photons, factor, heads_of(mirrors), settings, seed, device)
    errors, noise = errors_of(fitted, box)
    score = score_of(fitted, read, box, photons)
    return Judged(fitted, errors, score, {"symmetry": "; ".join(told) or "no mirrors", **noise, **score.told})


def predicted(field: VisibilityField, points: Tensor, box: Box) -> Tensor:
    """(n, channel) means over voxels around `points`: the solid angle by the Gauss rule, the rest at the centre."""
    edges = torch.tensor(box.pitch, dtype=points.dtype, device=points.device)
    return in_chunks(lambda x: field.value(x, voxel_mean(field.geometric, x, edges)), points)


def _relative(a: Doubles, b: Doubles) -> float:
    return float(np.mean(2 * np.abs(a - b) / np.maximum(a + b, 1e-30)))


def _neighbours(known: NDArray[np.floating], voxel: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
    """(mean over axes of the two opposite neighbours, one neighbour) of some voxels, NaN where there is none."""
    padded = np.pad(np.asarray(known, np.float64), 1, constant_values=np.nan)
    at = [k + 1 for k in np.unravel_index(voxel, known.shape)]
    sides = []
    for axis in range(3):
        below, above = ([k + step * (a == axis) for a, k in enumerate(at)] for step in (-1, 1))
        sides.append((padded[tuple(below)], padded[tuple(above)]))
    means = np.array([(a + b) / 2 for a, b in sides])
    count = np.isfinite(means).sum(0)
    nearest = np.full(len(voxel), np.nan)
    for one in (side for pair in sides for side in pair):
        nearest = np.where(np.isnan(nearest), one, nearest)
    return np.where(count > 0, np.nansum(means, 0) / np.maximum(count, 1), np.nan), nearest
