"""Arrival times of a library as a field: those of direct and of diffuse light, mixed (`fields.arrival`).

    theta* = argmin  sum_kvh  -log Normal( T_kvh | A_kh(x_v), var_kvh )  +  sum_b (u_b degree_b / strength_k)^2 / 2
    var    = (a_k^2 + b_k^2 / n_vh) / m_vh

A time in a library is a statistic of the photons that arrived, so its scatter falls with their number n: a mean's as 1 / n; a first
arrival's to what the size of the voxel leaves. n is that of the fitted visibility: the counted one goes together with the time (more photons,
earlier first) and would bias what it weighs. m: mirror images that are averaged. The field is linear in its weights: for given noise and
strength they are found exactly. The strength is that of the largest evidence (MacKay, Neural Computation 4, 415 (1992), eq. 4.6), a and b
follow from the residuals, in turn with the weights.

The visibility's members are fitted here too, each to its half of the voxels, and the field is their mean. The error of a member needs no
model of the scatter: residuals of neighbouring voxels that it has not seen have nothing in common but its own error, so their product is
its square, E[r_v r_w] = e^2. For the mean of two members it is less by a quarter of their squared difference.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from fieldfit.experiments.dune.visibility import MEMBERS, Fitted, member_counts
from fieldfit.experiments.dune.visibility_errors import ERROR_VALUES, Doubles, Errors, Table, log_of, table_of
from fieldfit.fields.arrival import ArrivalField
from fieldfit.fitting.fit import generator_of
from fieldfit.forward.visibility import in_chunks
from fieldfit.geometry.least_squares import least_squares
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box

Times = Callable[[int], NDArray[np.float32]]  # channel -> (timing, x, y, z) [ns], NaN where there is none

SOME = 100_000  # voxels of each member, enough for its weights
PASSES = 6
OUTLIER = 5.0  # standard deviations, at which a residual is cut where the noise is measured
FREE = 1e-12  # relative precision of what has no prior: the lines in the distance


@dataclass(frozen=True)
class Arrivals:
    """time (row, timing, head) [ns], means over mirror images, 0 where there is none; images (row, timing, head) that have one;
    visibility (row, head), fitted; light (row, head): photons that an image expects, at least one."""

    time: Tensor
    images: Tensor
    visibility: Tensor
    light: Tensor


@dataclass(frozen=True)
class ArrivalFit:
    """field; squares (timing): of its error [ns^2] by visibility and depth; told: figures as text."""

    field: ArrivalField
    squares: tuple[Table, ...]
    told: dict[str, str]

    def std(self, timing: int, depth: NDArray[np.int64], visibility: NDArray[np.floating]) -> Doubles:
        """(n) [ns] of one column at depths (`Errors.depth`) and visibilities (n)."""
        found: Doubles = np.sqrt(self.squares[timing].at(log_of(visibility), depth))
        return found


@torch.no_grad()
def fit_arrivals(read: Times, names: list[str], fitted: Fitted, errors: Errors, box: Box, disks: Disks) -> ArrivalFit:
    """Fit all columns of times, at the voxels of a fitted visibility. read: as for `gathered`; errors: those of the visibility."""
    arrivals = gathered(read, len(names), fitted, box)
    field = _empty(names, fitted, box, disks)
    members = torch.stack([torch.stack([_solved(field, fitted, arrivals, rows[:SOME], k) for k in range(len(names))]) for rows in fitted.rows])
    field.weights.copy_(members.mean(0))
    return judged(field, members, fitted, arrivals, box, errors, names)


@torch.no_grad()
def gathered(read: Times, columns: int, fitted: Fitted, box: Box) -> Arrivals:
    """The times of a fit's voxels, mirror images averaged."""
    sample, heads, device = fitted.sample, fitted.heads, fitted.sample.points.device
    place = np.unravel_index(sample.voxel.cpu().numpy(), box.divisions)
    time, images = (torch.zeros(len(sample.voxel), columns, len(heads.first)) for _ in range(2))
    for h, first in enumerate(heads.first):
        for mirror in heads.mirrors:
            seen = torch.from_numpy(np.stack([mirror.flip(part)[place] for part in read(mirror.image[first])], 1))
            time[:, :, h] += seen.nan_to_num()
            images[:, :, h] += ~seen.isnan()
    rows = torch.arange(len(sample.points), device=device)
    light = torch.stack([in_chunks(partial(member_counts, fitted.field, m, sample), rows) for m in range(MEMBERS)]).mean(0)
    each = (light / len(heads.mirrors)).clamp(min=1)
    return Arrivals((time / images.clamp(min=1)).to(device), images.to(device), light / sample.photons.clamp(min=1), each)


def _empty(names: list[str], fitted: Fitted, box: Box, disks: Disks) -> ArrivalField:
    """A field without weights; its diffuse light is that of the visibility's, in the mean over the box."""
    low, high = np.array(box.lower), np.array(box.upper)
    heads, light, points = fitted.heads, fitted.field, fitted.sample.points[:SOME]
    first, sign = list(heads.first), [list(s) for s in heads.sign]
    centre, normal, radius = (part[first].tolist() for part in (disks.centre, disks.normal, disks.radius))
    middle, half, factor = ((low + high) / 2).tolist(), ((high - low) / 2).tolist(), [light.factor[c] for c in first]
    field = ArrivalField(names, centre, normal, radius, factor, middle, half, list(heads.head), sign).to(points.device)
    field.glow.copy_(torch.stack([light.logarithms(m, points)[1].exp().mean(0) for m in range(MEMBERS)]).mean(0))
    return field


def _solved(field: ArrivalField, fitted: Fitted, arrivals: Arrivals, rows: Tensor, k: int) -> Float[Tensor, "head term"]:
    """The weights of one column from the voxels `rows`; NaN for a head without a time."""
    sample, order = fitted.sample, field.order.double()
    points, light = sample.points[rows].double(), arrivals.light[rows].double()
    time, images = arrivals.time[rows, k].double(), arrivals.images[rows, k].double()
    weights = torch.full(field.weights.shape[1:], torch.nan, dtype=torch.float64, device=points.device)
    noise = (images * time.square()).sum().div(images.sum().clamp(min=1)).repeat(2)  # a^2, b^2
    strength = noise[0].sqrt()
    for _ in range(PASSES):
        scatter, bent, told = [], torch.zeros_like(strength), torch.zeros_like(strength)
        for h in range(len(weights)):
            there = images[:, h] > 0
            if not there.any():
                continue
            basis = field.basis(points[there], sample.share[rows[there], h].double(), h)
            n, m, t = light[there, h], images[there, h], time[there, h]
            precision = sample.weight[h] * m / (noise[0] + noise[1] / n)
            weighted = basis * precision[:, None]
            normal = basis.T @ weighted
            tie = (order / strength).square() + FREE * normal.diagonal().amax()
            spread = torch.linalg.inv(normal + tie.diag())
            weights[h] = spread @ (weighted.T @ t)
            bent += (weights[h] * order).square().sum()
            told += (1 - tie * spread.diagonal())[order > 0].sum()
            known = ((basis @ spread) * weighted).sum(1).clamp(max=0.9)  # share of a residual that the fit took for itself
            scatter.append(torch.stack([m * (t - basis @ weights[h]).square() / (1 - known), 1 / n]))
        if not scatter:
            break
        square, fewness = torch.cat(scatter, 1)
        noise = _noise(square, fewness, noise)
        strength = (bent / told.clamp(min=1e-6)).sqrt().clamp(min=1e-6)
    return weights.float()


def _noise(square: Tensor, fewness: Tensor, before: Tensor) -> Tensor:
    """a^2 and b^2 of E[square] = a^2 + b^2 fewness, by least squares weighted with what they were before, none negative."""
    expected = before[0] + before[1] * fewness
    x, y = torch.stack([1 / expected, fewness / expected], 1), square.clamp(max=OUTLIER**2 * expected) / expected
    found = least_squares(x, y)
    if (found > 0).all():
        return found
    one = int(found.argmax())
    alone = (x[:, one] @ y / x[:, one].square().sum()).clamp(min=1e-12)
    return torch.stack([alone, 1e-6 * alone] if one == 0 else [1e-6 * alone, alone])


@torch.no_grad()
def judged(
    field: ArrivalField,
    members: Float[Tensor, "member timing head term"],
    fitted: Fitted,
    arrivals: Arrivals,
    box: Box,
    errors: Errors,
    names: list[str],
) -> ArrivalFit:
    """The errors of a fit, by visibility and distance from the faces; members: the weights of each."""
    sample, heads = fitted.sample, range(members.shape[2])
    most = max(1, ERROR_VALUES // (MEMBERS * members[0, ..., 0].numel()))
    pairs, generator = _pairs(sample.voxel, box), generator_of(0)
    log_v, depth = log_of(arrivals.visibility.cpu().numpy()), errors.depth(sample.points.double().cpu().numpy())

    def values(weights: Tensor, rows: Tensor) -> Tensor:
        return torch.stack([field.basis(sample.points[rows], sample.share[rows, h], h) @ weights[:, h].T for h in heads], 2)

    def some(rows: Tensor) -> Tensor:
        return rows[torch.randperm(len(rows), generator=generator)[:most].to(rows.device)]

    ends, products, there = [], [], []
    for weights, seen in zip(members, fitted.rows, strict=True):
        unseen = torch.ones(len(sample.points), dtype=torch.bool, device=seen.device)
        unseen[seen] = False
        pair = some(pairs[unseen[pairs].all(1)])
        one, other = (arrivals.time[rows] - values(weights, rows) for rows in pair.T)
        ends.append(pair[:, 0])
        products.append(one * other)
        there.append((arrivals.images[pair] > 0).all(1))
    end, product, use = (torch.cat(parts).cpu() for parts in (ends, products, there))
    rows = some(torch.arange(len(sample.points), device=pairs.device))
    apart = (values(members[0] - members[1], rows).square() / 4).double().cpu().numpy()
    found = (arrivals.images[rows] > 0).cpu().numpy()
    squares, told = [], []
    for k, name in enumerate(names):
        of_one = table_of(log_v[end], product[:, k].double().numpy(), np.ones(product[:, k].shape), depth[end], use[:, k].numpy())
        halves = table_of(log_v[rows.cpu()], apart[:, k], np.ones(apart[:, k].shape), depth[rows.cpu()], found[:, k])
        squares.append(_of_the_mean(of_one, halves))
        std = np.sqrt(np.concatenate(squares[-1].squares))
        told.append(f"{name} {std.min():.2g} to {std.max():.2g} ns")
    return ArrivalFit(field, tuple(squares), {"arrival_error": "; ".join(told)})


def _pairs(voxel: Tensor, box: Box) -> Tensor:
    """(pair, 2) rows of neighbouring voxels; not across the middle, where mirror images are means of the same values."""
    row_of = torch.full((box.voxels,), -1, dtype=torch.int64, device=voxel.device)
    row_of[voxel] = torch.arange(len(voxel), device=voxel.device)
    found = []
    for axis, divisions in enumerate(box.divisions):
        stride = math.prod(box.divisions[axis + 1 :])
        index = voxel // stride % divisions
        row = torch.nonzero((index + 1 < divisions) & (2 * (index + 1) != divisions))[:, 0]
        other = row_of[voxel[row] + stride]
        found.append(torch.stack([row, other], 1)[other >= 0])
    return torch.cat(found)


def _of_the_mean(of_one: Table, halves: Table) -> Table:
    """Squared error of the mean of two members: that of one, less a quarter of their squared difference, and no less than that."""
    squares = []
    for middles, square, at, quarter in zip(of_one.middles, of_one.squares, halves.middles, halves.squares, strict=True):
        apart = np.interp(middles, at, quarter)
        squares.append(np.maximum(square - apart, apart))
    return Table(of_one.middles, tuple(squares))
