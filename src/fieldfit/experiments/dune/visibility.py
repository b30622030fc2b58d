"""The visibility of all channels as one field, fitted to a library's photon counts.

    theta* = argmin  sum_vh  -log Poisson( n_vh | N_vh <v_h>_v )  +  sum_k theta_k^2 / (2 sigma_k^2)

Counts weigh themselves: var(log v) = 1 / n, and an empty voxel is a count of zero. h runs over heads: channels that are mirror images of
each other share their photons (`mirrors`). Two members are fitted to disjoint halves of the voxels; the field is their mean, and what
they differ by is its error (`visibility_errors`). Some voxels are held out from both: they decide at which step each fit is kept, and
score it. The prior takes the weights for what they are at the start: normal, with the std sigma of a sine network's initialisation (three
times that for the last layer, whose amplitude the data should set).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldfit.config.dune import VisibilityFit
from fieldfit.experiments.dune.mirrors import Heads, Made, Volume, pooled
from fieldfit.fields.visibility import OMEGA, VisibilityField
from fieldfit.fitting.fit import Schedule, device_of, fit, generator_of
from fieldfit.forward.visibility import expected_counts, in_chunks, voxel_mean
from fieldfit.geometry.sensors import Sensors, solid_angle_share
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.likelihoods import poisson_deviance

MEMBERS = 2
MOST_VALUES = 30_000_000  # (voxel, head) that are held in memory; of a larger library as many voxels as that allows are drawn
LEAST_STEPS, STEPS_A_HEAD = 6000, 133  # by default
LAST_FREEDOM = 3.0  # of the last layer's prior, in its initial std
DIRECT_AT_START = 0.6  # share of a head's light that the direct part starts with


@dataclass(frozen=True)
class Sample:
    """Voxels that are fitted or held out. voxel (row): their numbers, z fastest; points (row, 3) [m]; counts, photons made, share (row, head);
    weight (head): what a value counts, less than 1 where mirrors show the same photons twice."""

    voxel: Tensor
    points: Tensor
    counts: Tensor
    photons: Tensor
    share: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Fitted:
    """field; heads of its channels; sample; rows of each member, and of those held out from both; losses (step, member); kept_step of each member."""

    field: VisibilityField
    heads: Heads
    sample: Sample
    rows: tuple[Tensor, ...]
    held: Tensor
    losses: NDArray[np.float64]
    kept_step: tuple[int, ...]


def fit_library(
    read: Volume, box: Box, disks: Disks, photons: Made, factor: list[bool], heads: Heads, settings: VisibilityFit, seed: int, device: str
) -> Fitted:
    """Fit one field to a library.

    read(channel): (values, masked) (x, y, z), masked ones filled; photons: made in every voxel, or in each (x, y, z);
    factor: for which channels the sensor's solid angle is used.
    """
    machine = device_of(device)
    generator = generator_of(seed)
    order = torch.randperm(box.voxels, generator=generator)[: max(3, MOST_VALUES // len(heads.first))]
    field = _field(box, disks, factor, heads, settings, generator).to(machine)
    sample = sampled(order, read, box, disks, photons, factor, heads, machine)
    rows = torch.arange(len(order), device=machine)
    aside = round(settings.held_out * len(order))
    held, parts = rows[:aside], rows[aside:].chunk(MEMBERS)
    results = [_train(field, member, sample, part, held, settings, generator) for member, part in enumerate(parts)]
    return Fitted(field, heads, sample, parts, held, np.stack([loss for loss, _ in results], 1), tuple(step for _, step in results))


def sampled(order: Tensor, read: Volume, box: Box, disks: Disks, photons: Made, factor: list[bool], heads: Heads, device: torch.device) -> Sample:
    """The voxels numbered `order`, of all heads."""
    place = np.unravel_index(order.numpy(), box.divisions)
    points = torch.tensor(np.stack([centres[k] for centres, k in zip(box.centres(), place, strict=True)], 1), dtype=torch.float64)
    counts, made = (torch.empty(len(order), len(heads.first)) for _ in range(2))
    for h in range(len(heads.first)):
        counts[:, h], made[:, h] = (torch.from_numpy(part[place]).float() for part in pooled(heads, h, read, photons))
    first = list(heads.first)
    sensors = Sensors(*(torch.tensor(a[first]) for a in (disks.centre, disks.normal, disks.radius)))
    edges = torch.tensor(box.pitch)
    share = in_chunks(lambda x: voxel_mean(lambda p: solid_angle_share(sensors, p), x, edges).float(), points)
    share[:, [not factor[c] for c in first]] = 0
    weight = 1 / torch.tensor(heads.own)
    return Sample(order.to(device), *(t.to(device) for t in (points.float(), counts, made, share, weight)))


def _field(box: Box, disks: Disks, factor: list[bool], heads: Heads, settings: VisibilityFit, generator: torch.Generator) -> VisibilityField:
    low, high = np.array(box.lower), np.array(box.upper)
    return VisibilityField(
        disks.centre.tolist(),
        disks.normal.tolist(),
        disks.radius.tolist(),
        ((low + high) / 2).tolist(),
        ((high - low) / 2).tolist(),
        settings.width,
        settings.depth,
        factor,
        list(heads.head),
        [list(sign) for sign in heads.sign],
        MEMBERS,
        generator,
    )


def _start(field: VisibilityField, member: int, sample: Sample, rows: Tensor) -> None:
    """Give each head its total light before the first step; one without any gets a tenth of a photon."""
    made = sample.photons[rows]
    light = sample.counts[rows].sum(0).clamp(min=0.1)
    direct = (sample.share[rows] * made).sum(0)
    lit = direct > 0  # a head whose sensor's geometry is not used has diffuse light alone
    factor = torch.where(lit, DIRECT_AT_START * light / direct.clamp(min=1e-30), torch.ones_like(light))
    diffuse = torch.where(lit, 1 - DIRECT_AT_START, 1.0) * light / made.sum(0).clamp(min=1)
    last = field.network(member).layers[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.cat([factor, diffuse]).log())


def _train(
    field: VisibilityField, member: int, sample: Sample, rows: Tensor, held: Tensor, settings: VisibilityFit, generator: torch.Generator
) -> tuple[NDArray[np.float64], int]:
    """Fit one member in place to the voxels `rows`; (loss (step), the step that was kept)."""
    _start(field, member, sample, rows)

    def deviance(some: Tensor) -> Tensor:
        """Twice minus the log-likelihood, a value."""
        weight = sample.weight * (sample.photons[some] > 0)
        mean = member_counts(field, member, sample, some).clamp(min=1e-9)  # no photon was made in a masked voxel
        return (weight * poisson_deviance(sample.counts[some], mean)).sum() / weight.sum().clamp(min=1)

    values = max(1.0, float((sample.weight * (sample.photons[rows] > 0)).sum()))

    def objective(_: int) -> Tensor:
        some = rows[torch.randint(len(rows), (min(settings.batch, len(rows)),), generator=generator).to(rows.device)]
        return weight_penalty(field, member) / values + deviance(some)

    steps = settings.steps or max(LEAST_STEPS, STEPS_A_HEAD * field.heads)
    schedule = Schedule(steps, settings.rate, check=max(1, steps // 24), patience=steps)
    parameters = list(field.network(member).parameters())
    name = f"fit_visibility {member + 1} of {MEMBERS}"
    result = fit([(parameters, 1.0)], objective, schedule, (lambda: deviance(held)) if len(held) else None, name)
    return result.losses[:, 0].double().numpy(), int(result.kept_step[0])


def member_counts(field: VisibilityField, member: int, sample: Sample, rows: Tensor) -> Tensor:
    """(row, head) mean photons that one member expects."""
    direct, diffuse = field.logarithms(member, sample.points[rows])
    return expected_counts(sample.share[rows], direct, diffuse, sample.photons[rows])


def weight_penalty(field: VisibilityField, member: int) -> Tensor:
    """sum (theta / sigma)^2 over a member's weights, see the module's text; the last layer's bias is free."""
    layers = [layer for layer in field.network(member).layers if isinstance(layer, torch.nn.Linear)]
    total = torch.zeros((), device=layers[0].weight.device)
    for k, layer in enumerate(layers):
        bound = 1 / layer.in_features if k == 0 else math.sqrt(6 / layer.in_features) / OMEGA
        sigma = bound / math.sqrt(3) * (LAST_FREEDOM if k == len(layers) - 1 else 1)
        total = total + (layer.weight / sigma).square().sum()
        if k < len(layers) - 1:
            total = total + (layer.bias / sigma).square().sum()
    return total
