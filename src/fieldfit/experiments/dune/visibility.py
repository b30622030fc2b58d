"""The visibility of all channels as one field, fitted to a library's photon counts, and how well it does beside the table itself.

    theta* = argmin  sum_vc  -log Poisson( N V_vc | N <v_c>_v )  +  sum_k theta_k^2 / (2 sigma_k^2)

Counts weigh themselves: var(log V) = 1 / (N V), and an empty voxel is a count of zero. A few voxels are held out. They decide at which
step the fit is kept, and they measure the model's error. The prior takes the weights for what they are at the start: normal, with the
std sigma of a sine network's initialisation (three times that for the last layer, whose amplitude the data should set).

Uncertainty of log v, two parts added in square:
- noise: the field is fitted again, from another start, to a random half of the voxels. An efficient fit of half the data has twice the
  variance, and cov(half, full) = var(full), so that E[(log half - log full)^2] = var(full): no counting noise enters. The local shape is
  Laplace's over the last layer, h(x)' A_c^-1 h(x) with A_c = sum_v N <v_c>_v h_v h_v' + 1; the half fit scales it, by expected counts.
- misfit: what the network cannot follow, from the chi-square of held-out voxels, E[(n - m)^2 / m] - 1 = m (noise + misfit^2).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldfit.config import VisibilityFit
from fieldfit.fields.visibility import OMEGA, VisibilityField
from fieldfit.fitting.fit import Schedule, device_of, fit, generator_of
from fieldfit.forward.visibility import expected_counts, in_chunks, voxel_mean
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.likelihoods import poisson_deviance

LAPLACE_VOXELS = 100_000  # from which the last layer's information is summed (scaled up for larger libraries)
PRIOR_PRECISION = 1.0  # of a last-layer weight, for Laplace's approximation
LAST_FREEDOM = 3.0  # of the last layer's prior, in its initial std
BINS = 12  # of expected counts, for the scale of the uncertainty
LEAST_VALUES = 20  # held-out values that a decade needs to be reported
METHODS = ("field", "trilinear", "nearest", "counting noise alone")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """A library on its voxels, one row a voxel, z fastest. points (voxel, 3) [m]; counts, kept (voxel, channel); edges (3) [m]."""

    points: Tensor
    counts: Tensor
    kept: Tensor
    edges: Tensor
    photons: float


@dataclass(frozen=True)
class FittedVisibility:
    """values, std (channel, x, y, z) at the voxels' centres; relative_error, bias (method, decade); loss (step); told: figures as text."""

    field: VisibilityField
    values: Floats
    std: Floats
    relative_error: NDArray[np.float64]
    bias: NDArray[np.float64]
    decades: NDArray[np.int32]
    loss: NDArray[np.float64]
    told: dict[str, str]


def fit_library(
    values: Floats,
    masked: NDArray[np.bool_],
    box: Box,
    disks: Disks,
    photons: float,
    factor: list[bool],
    settings: VisibilityFit,
    seed: int,
    device: str,
) -> FittedVisibility:
    """Fit one field to a library.

    values: (channel, x, y, z), masked ones filled; masked: of the same shape, left out of the fit; photons: a voxel;
    factor: for which channels the sensor's solid angle is used.
    """
    machine = device_of(device)
    generator = generator_of(seed)
    grid = _grid(values, masked, box, photons, machine)
    field = _field(box, disks, factor, settings, generator).to(machine)
    share = in_chunks(lambda x: voxel_mean(field.geometric, x, grid.edges), grid.points)
    _start(field, grid, share)
    order = torch.randperm(len(grid.points), generator=generator)
    aside = round(settings.held_out * len(order))
    held, fitted = order[:aside].to(machine), order[aside:].to(machine)
    loss, kept_step = _train(field, grid, share, fitted, held, settings, settings.steps, generator)
    half = _field(box, disks, factor, settings, generator).to(machine)
    _train(half, grid, share, fitted[: len(fitted) // 2], held[:0], settings, max(1, settings.steps // 2), generator)
    with torch.no_grad():
        return _summary(field, half, grid, share, held, fitted, values, masked, loss, kept_step)


def _train(
    field: VisibilityField, grid: Grid, share: Tensor, fitted: Tensor, held: Tensor, settings: VisibilityFit, steps: int, generator: torch.Generator
) -> tuple[NDArray[np.float64], int]:
    """Fit in place to the voxels `fitted`; (loss (step), the step that was kept)."""
    _start(field, grid, share)

    def deviance(rows: Tensor) -> Tensor:
        mean = expected_counts(share[rows], field.smooth(grid.points[rows]), grid.photons)
        weight = grid.kept[rows]
        return (weight * poisson_deviance(grid.counts[rows], mean)).sum() / weight.sum().clamp(min=1)

    values = max(1.0, float(grid.kept[fitted].sum()))

    def objective(_: int) -> Tensor:
        # the deviance is twice minus the log-likelihood, and so is the penalty
        return weight_penalty(field) / values + deviance(
            fitted[torch.randint(len(fitted), (min(settings.batch, len(fitted)),), generator=generator).to(fitted.device)]
        )

    schedule = Schedule(steps, settings.rate, check=max(1, steps // 24), patience=steps)
    result = fit([(list(field.parameters()), 1.0)], objective, schedule, (lambda: deviance(held)) if len(held) else None, "fit_visibility")
    return result.losses[:, 0].double().numpy(), int(result.kept_step[0])


def weight_penalty(field: VisibilityField) -> Tensor:
    """sum (theta / sigma)^2 over the network's weights, see the module's text; the last layer's bias is free."""
    layers = [layer for layer in field.network.layers if isinstance(layer, torch.nn.Linear)]
    total = torch.zeros((), device=layers[0].weight.device)
    for k, layer in enumerate(layers):
        bound = 1 / layer.in_features if k == 0 else math.sqrt(6 / layer.in_features) / OMEGA
        sigma = bound / math.sqrt(3) * (LAST_FREEDOM if k == len(layers) - 1 else 1)
        total = total + (layer.weight / sigma).square().sum()
        if k < len(layers) - 1:
            total = total + (layer.bias / sigma).square().sum()
    return total


def _grid(values: Floats, masked: NDArray[np.bool_], box: Box, photons: float, device: torch.device) -> Grid:
    points = np.stack(np.meshgrid(*box.centres(), indexing="ij"), -1).reshape(-1, 3)
    rows = lambda a: torch.tensor(np.moveaxis(a, 0, -1).reshape(len(points), -1), dtype=torch.float32, device=device)  # noqa: E731
    edges = torch.tensor(box.pitch, dtype=torch.float32, device=device)
    return Grid(torch.tensor(points, dtype=torch.float32, device=device), photons * rows(values), 1 - rows(masked), edges, photons)


def _field(box: Box, disks: Disks, factor: list[bool], settings: VisibilityFit, generator: torch.Generator) -> VisibilityField:
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
        generator,
    )


def _start(field: VisibilityField, grid: Grid, share: Tensor) -> None:
    """Give each channel its total light before the first step; one without any gets a tenth of a photon, one that is masked its geometric share."""
    with torch.no_grad():
        light = (grid.counts * grid.kept).sum(0).clamp(min=0.1)
        seen = grid.photons * (share * grid.kept).sum(0)
        last = field.network.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        last.bias.copy_(torch.where(seen > 0, light / seen, torch.ones_like(seen)).log())


def _summary(
    field: VisibilityField,
    half: VisibilityField,
    grid: Grid,
    share: Tensor,
    held: Tensor,
    fitted: Tensor,
    values: Floats,
    masked: NDArray[np.bool_],
    loss: NDArray[np.float64],
    kept_step: int,
) -> FittedVisibility:
    mean = expected_counts(share, in_chunks(field.smooth, grid.points), grid.photons)
    spread = last_layer_variance(field, grid, mean, fitted)
    between = (in_chunks(field.smooth, grid.points) - in_chunks(half.smooth, grid.points)).square()
    noise, factors = scaled(spread, between, mean, grid.kept)
    misfit = held_out_misfit(grid, mean, noise, held)
    visibility = in_chunks(field, grid.points)
    std = visibility * (noise + misfit**2).sqrt()
    shape = values.shape
    cube = lambda a: np.moveaxis(a.cpu().numpy().reshape(*shape[1:], -1), -1, 0).astype(np.float32)  # noqa: E731
    relative, bias, decades, overall = held_out_errors(values, masked, cube(mean / grid.photons), held.cpu().numpy(), grid.photons)
    told = {
        "uncertainty": f"last-layer Laplace, scaled by a fit to half the voxels ({min(factors):.3g} to {max(factors):.3g} with the expected counts), "
        f"and {100 * misfit:.2g} % of misfit from the chi-square of held-out voxels",
        "held_out_voxels": str(len(held)),
        "held_out_chi2": f"{_chi2(grid, mean, held):.4f}" if len(held) else "none held out",
        "fitted_chi2": f"{_chi2(grid, mean, fitted):.4f}",
        "kept_step": str(kept_step),
        "held_out_relative_error": "; ".join(f"{name} {value:.4f}" for name, value in zip(METHODS, overall, strict=True)),
    }
    return FittedVisibility(field, cube(visibility), cube(std), relative, bias, decades, loss, told)


def last_layer_variance(field: VisibilityField, grid: Grid, mean: Tensor, fitted: Tensor) -> Tensor:
    """(voxel, channel) variance of log v by Laplace's approximation over the last layer, of the fitted voxels' counts `mean`."""
    rows = fitted[:: max(1, len(fitted) // LAPLACE_VOXELS)]
    scale = len(fitted) / len(rows)
    hidden = in_chunks(lambda x: _features(field, x), grid.points).double()
    spread = torch.empty_like(mean)
    prior = PRIOR_PRECISION * torch.eye(hidden.shape[1], dtype=torch.float64, device=hidden.device)
    for c in range(mean.shape[1]):
        weight = (mean[rows, c] * grid.kept[rows, c]).double() * scale
        information = hidden[rows].T @ (weight[:, None] * hidden[rows]) + prior
        root = torch.linalg.solve_triangular(torch.linalg.cholesky(information), hidden.T, upper=False)
        spread[:, c] = root.square().sum(0).to(spread.dtype)
    return spread


def _features(field: VisibilityField, points: Tensor) -> Tensor:
    """(n, width + 1): what the last layer multiplies, with the 1 of its bias."""
    hidden = (points - field.network.centre) / field.network.half_width
    for omega, layer in zip(field.network.omegas, field.network.layers, strict=False):
        hidden = torch.sin(omega * layer(hidden))
    return torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1)


def scaled(spread: Tensor, between: Tensor, mean: Tensor, kept: Tensor) -> tuple[Tensor, list[float]]:
    """`spread` times what makes it agree on average with `between` at the same expected counts, and the factors on its root.

    All (voxel, channel). The factor is found in BINS bins of the expected counts and drawn through their middles, linear in the logarithms.
    """
    use = (kept > 0).cpu().numpy().ravel()
    if not use.any():
        return spread, [1.0]
    log_m, s, b = (t.double().cpu().numpy().ravel() for t in (mean.clamp(min=1e-6).log(), spread, between))
    edges = np.quantile(log_m[use], np.linspace(0, 1, BINS + 1))
    place = np.clip(np.searchsorted(edges, log_m, side="right") - 1, 0, BINS - 1)
    full = [k for k in range(BINS) if (use & (place == k)).any()]
    middle = [log_m[use & (place == k)].mean() for k in full]
    square = [b[use & (place == k)].mean() / s[use & (place == k)].mean() for k in full]
    smooth = np.exp(np.interp(log_m, middle, np.log(square))).reshape(tuple(spread.shape))
    return spread * torch.tensor(smooth, dtype=spread.dtype, device=spread.device), [float(np.sqrt(q)) for q in square]


def held_out_misfit(grid: Grid, mean: Tensor, noise: Tensor, held: Tensor) -> float:
    """misfit >= 0 of the module's equation: least squares over held-out values, each weighted by its own scatter."""
    keep = (grid.kept[held] > 0) & (mean[held] > 1)
    m, n, s = (t[held][keep].double() for t in (mean, grid.counts, noise))
    if len(m) < LEAST_VALUES:
        return 0.0
    excess = (n - m).square() / m - 1 - m * s
    weight = 1 / (2 + 1 / m + 2 * (m * s).square())
    square = (weight * m * excess).sum() / (weight * m * m).sum()
    return float(square.clamp(min=0).sqrt())


def _chi2(grid: Grid, mean: Tensor, rows: Tensor) -> float:
    keep = (grid.kept[rows] > 0) & (mean[rows] > 1)
    return float(((grid.counts[rows] - mean[rows]).square() / mean[rows])[keep].mean())


def held_out_errors(
    values: Floats, masked: NDArray[np.bool_], predicted: Floats, held: NDArray[np.int64], photons: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32], list[float]]:
    """(relative_error, bias) (method, decade), decades, and the relative errors over all decades, on held-out voxels.

    The decade is that of the field's value, so that the table's noise does not sort itself. Trilinear is the mean of the opposite
    neighbours, at twice the spacing that it has between voxels: harder than points off the grid. Counting noise alone: what a
    perfect prediction would show, with a photon count drawn around the field's value.
    """
    aside = np.zeros(values.shape[1:], bool)
    aside.ravel()[held] = True
    usable = aside & ~masked
    known = np.where(aside | masked, np.nan, values)
    trilinear, nearest = _neighbours(known)
    drawn = (np.random.default_rng(0).poisson(photons * np.maximum(predicted, 0)) / photons).astype(np.float32)
    usable &= np.isfinite(trilinear)
    v, p = values[usable], predicted[usable]
    pairs: list[tuple[Floats, Floats]] = [(p, v), (trilinear[usable], v), (nearest[usable], v), (p, drawn[usable])]
    decade = np.floor(np.log10(np.maximum(p, 1e-30))).astype(int)
    decades = np.array([d for d in np.unique(decade) if (decade == d).sum() >= LEAST_VALUES], np.int32)
    if not len(decades):
        return np.full((4, 1), np.nan), np.full((4, 1), np.nan), np.array([-4], np.int32), [float("nan")] * 4
    relative = np.array([[_relative(a[decade == d], b[decade == d]) for d in decades] for a, b in pairs])
    bias = np.array([[a[decade == d].sum() / max(b[decade == d].sum(), 1e-30) - 1 for d in decades] for a, b in pairs])
    return relative, bias, decades, [_relative(a, b) for a, b in pairs]


def _relative(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(np.mean(2 * np.abs(a - b) / np.maximum(a + b, 1e-30)))


def _neighbours(known: Floats) -> tuple[Floats, Floats]:
    """(mean over axes of the two opposite neighbours, one neighbour) of each voxel, NaN where there is none."""
    total, count = np.zeros_like(known), np.zeros_like(known)
    nearest = np.full_like(known, np.nan)
    for axis in (1, 2, 3):
        width = [(0, 0)] * 4
        width[axis] = (1, 1)
        padded = np.moveaxis(np.pad(known, width, constant_values=np.nan), axis, 0)
        below, above = np.moveaxis(padded[:-2], 0, axis), np.moveaxis(padded[2:], 0, axis)
        pair = (below + above) / 2
        total += np.nan_to_num(pair)
        count += np.isfinite(pair)
        for side in (below, above):
            nearest = np.where(np.isnan(nearest), side, nearest)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, np.nan).astype(np.float32), nearest
