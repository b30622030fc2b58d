"""Efficiencies and a smooth correction of the visibility from measured tracks, tied to the simulation.

    PE_tc = eff_c sum_p q_p v_c(x_p) exp(delta_c(x_p))        p: points of track t; `fields.calibrated` for delta

Penalised Fisher scoring: with J = d PE / d parameters and W = 1 / var(PE),

    (J' W J + P) step = J' W (measured - PE) - P parameters

which for var = PE is the Poisson maximum likelihood. Measured variance may be larger, var = s PE + (tau PE)^2: s and tau come from
the residuals. P is the tie to the simulation: a Gaussian of mean zero and std strength / degree for each coefficient. The two
strengths (shared, each channel's own) are chosen by cross-validation over the fitted tracks, on the model linearised where it is.
The covariance of everything is (J' W J + P)^-1.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fieldfit.fields.calibrated import SENSOR_TERMS, CalibratedField, degrees
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks, photoelectrons

DEAD_SHARE = 0.02  # of the light that the other channels' median promises: a channel with less is dead
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the prior on the correction, that cross-validation chooses from
START = (0.1, 0.03)  # strengths of the first pass: shared, own
SENSOR_STRENGTH = 1.0  # of the terms in distance and angle: three numbers, measured well
FOLDS = 5
PASSES = 5
OUTLIER = 4.0  # deviations, beyond which a track pulls no harder (Huber, Ann. Math. Stat. 35, 73 (1964))


@dataclass(frozen=True)
class Light:
    """Tracks as the scoring sees them, float64.

    visibility (point, channel) of the simulation; photons, track (point); measured (track, channel);
    phi (point, term); psi (point, channel, 3), its mean over the fitted tracks' light removed;
    those means: phi_mean (channel, term), psi_mean (channel, 3).
    """

    visibility: Tensor
    photons: Tensor
    track: Tensor
    measured: Tensor
    phi: Tensor
    psi: Tensor
    phi_mean: Tensor
    psi_mean: Tensor

    @property
    def tracks(self) -> int:
        return len(self.measured)


@dataclass(frozen=True)
class State:
    """log_efficiency (channel), shared (term), own (channel, term), sensor (3)."""

    log_efficiency: Tensor
    shared: Tensor
    own: Tensor
    sensor: Tensor

    def flat(self) -> Tensor:
        return torch.cat([self.log_efficiency, self.sensor, self.shared, self.own.flatten()])


@dataclass(frozen=True)
class Calibration:
    """field; efficiency, efficiency_std (channel); dead (channel); predicted (track, channel) for all tracks; told: figures as text."""

    field: CalibratedField
    efficiency: Float[Tensor, "channel"]
    efficiency_std: Float[Tensor, "channel"]
    dead: Bool[Tensor, "channel"]
    predicted: Float[Tensor, "track channel"]
    told: dict[str, str]


def calibrate(
    base: VisibilityField,
    points: Float[Tensor, "point 3"],
    photons: Float[Tensor, "point"],
    track: Int[Tensor, "point"],
    measured: Float[Tensor, "track channel"],
    used: int,
    degree: int = 3,
) -> Calibration:
    """Calibrate `base` on the first `used` tracks; the rest are only predicted."""
    with torch.no_grad():
        field = CalibratedField(base.settings(), degree)
        field.base.load_state_dict(base.state_dict())
        light = _light(field, points, photons, track, measured, used)
        simulated = photoelectrons(light.visibility, light.photons, light.track, light.tracks)
        efficiency, dead = start_efficiency(simulated[:used], measured[:used])
        terms = light.phi.shape[1]
        zero = torch.zeros(terms, dtype=torch.float64)
        state = State(efficiency.log(), zero, torch.zeros(len(dead), terms, dtype=torch.float64), torch.zeros(SENSOR_TERMS, dtype=torch.float64))
        strengths, noise = START, (1.0, 0.0)
        for k in range(2 * PASSES):
            predicted, slopes = _predict(light, state, dead, used)
            noise = dispersion(predicted[:used][:, ~dead], measured[:used][:, ~dead]) if k else noise
            weight = _weights(predicted[:used], measured[:used], noise)
            if k == PASSES:
                strengths = cross_validated(slopes, measured[:used] - predicted[:used], weight, state, dead, degree)
            state, covariance = _step(slopes, measured[:used] - predicted[:used], weight, state, dead, prior(strengths, len(dead), degree))
        predicted, _ = _predict(light, state, dead, used)
        alive = (~dead).double()
        efficiency = state.log_efficiency.exp() * alive
        _put(field, state, efficiency, light)
        told = _told(predicted, measured, used, dead, noise, strengths, simulated, efficiency)
        return Calibration(field, efficiency, efficiency * covariance.diagonal()[: len(dead)].sqrt(), dead, predicted * alive, told)


def start_efficiency(simulated: Float[Tensor, "track channel"], measured: Float[Tensor, "track channel"]) -> tuple[Tensor, Tensor]:
    """(efficiency, dead) (channel): measured over simulated light; dead when below DEAD_SHARE of the median of the channels that see light."""
    ratio = measured.sum(0) / simulated.sum(0).clamp(min=1e-30)
    lit = ratio > DEAD_SHARE * ratio.max()
    dead = ratio < DEAD_SHARE * ratio[lit].median()
    return torch.where(dead, torch.ones_like(ratio), ratio), dead


def _light(field: CalibratedField, points: Tensor, photons: Tensor, track: Tensor, measured: Tensor, used: int) -> Light:
    visibility = in_chunks(field.base, points.float()).double()
    phi, psi = field.terms(points.double())
    fitted = (track < used).double()
    share = photons[:, None] * visibility * fitted[:, None]
    share = share / share.sum(0).clamp(min=1e-300)
    psi_mean = (share[:, :, None] * psi).sum(0)
    return Light(visibility, photons, track, measured, phi, psi - psi_mean, share.T @ phi, psi_mean)


def _predict(light: Light, state: State, dead: Tensor, used: int) -> tuple[Tensor, Tensor]:
    """(PE (track, channel), slopes (channel, used track, 1 + 3 + term)): derivatives for log eff_c, the sensor terms and the box terms."""
    delta = light.phi @ (state.shared + state.own).T - (light.phi_mean * (state.shared + state.own)).sum(1) + light.psi @ state.sensor
    value = light.visibility * (state.log_efficiency + delta).exp()
    predicted = photoelectrons(value, light.photons, light.track, light.tracks)
    fitted = light.track < used
    track, photons = light.track[fitted], light.photons[fitted]
    slopes = []
    for c in range(len(dead)):
        terms = torch.cat([light.psi[fitted, c], light.phi[fitted] - light.phi_mean[c]], 1)
        inner = photoelectrons(value[fitted, c, None] * terms, photons, track, used)
        slopes.append(torch.cat([predicted[:used, c, None], inner], 1))
    return predicted, torch.stack(slopes)


def dispersion(predicted: Tensor, measured: Tensor) -> tuple[float, float]:
    """(s, tau) of var = s PE + (tau PE)^2 from the residuals, s at least 1: weighted least squares on (measured - PE)^2 / PE, outliers clipped."""
    mean = predicted.clamp(min=1e-3)
    square = (measured - mean).square() / mean
    s, tau2 = torch.tensor(1.0, dtype=mean.dtype), torch.tensor(0.0, dtype=mean.dtype)
    for _ in range(3):
        usual = s + tau2 * mean
        clipped = torch.minimum(square, OUTLIER**2 * usual)
        weight = 1 / usual.square()
        a, b, c = weight.sum(), (weight * mean).sum(), (weight * mean.square()).sum()
        y, z = (weight * clipped).sum(), (weight * mean * clipped).sum()
        tau2 = ((a * z - b * y) / (a * c - b * b).clamp(min=1e-30)).clamp(min=0)
        s = ((y - b * tau2) / a).clamp(min=1.0)
        tau2 = ((z - b * s) / c).clamp(min=0)
    return float(s), float(tau2.sqrt())


def _weights(predicted: Tensor, measured: Tensor, noise: tuple[float, float]) -> Tensor:
    variance = noise[0] * predicted.clamp(min=0.1) + (noise[1] * predicted).square()
    pull = (measured - predicted).abs() / variance.sqrt()
    return (OUTLIER / pull.clamp(min=OUTLIER)) / variance


def prior(strengths: tuple[float, float], channels: int, degree: int) -> Float[Tensor, "parameter"]:
    """Precision of each parameter, in the order of `State.flat`; none on the efficiencies."""
    order = torch.tensor([float(sum(d)) for d in degrees(degree)], dtype=torch.float64)
    shared, own = ((order / strength).square() for strength in strengths)
    free = torch.zeros(channels, dtype=torch.float64)
    return torch.cat([free, torch.full((SENSOR_TERMS,), SENSOR_STRENGTH**-2, dtype=torch.float64), shared, own.repeat(channels)])


def _places(channel: int, channels: int, terms: int) -> tuple[Tensor, Tensor]:
    """(columns of the slopes, places in `State.flat`) of one channel: its box terms act through the shared and through its own coefficients."""
    rest = channels + SENSOR_TERMS
    columns = torch.cat([torch.arange(1 + SENSOR_TERMS + terms), 1 + SENSOR_TERMS + torch.arange(terms)])
    own = rest + terms * (1 + channel) + torch.arange(terms)
    places = torch.cat([torch.tensor([channel]), channels + torch.arange(SENSOR_TERMS), rest + torch.arange(terms), own])
    return columns, places


def _normal(slopes: Tensor, residual: Tensor, weight: Tensor, dead: Tensor, size: int, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(J' W J, J' W residual) over some tracks; a dead channel's efficiency is held by a unit of information."""
    information, gradient = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    terms = slopes.shape[2] - 1 - SENSOR_TERMS
    for c in range(len(dead)):
        if dead[c]:
            information[c, c] += 1
            continue
        columns, places = _places(c, len(dead), terms)
        j = slopes[c][rows]
        block = (j.T @ (weight[rows, c, None] * j))[columns][:, columns]
        information[places[:, None], places] += block
        gradient[places] += (j.T @ (weight[rows, c] * residual[rows, c]))[columns]
    return information, gradient


def _step(slopes: Tensor, residual: Tensor, weight: Tensor, state: State, dead: Tensor, precision: Tensor) -> tuple[State, Tensor]:
    """One step of scoring, and the covariance."""
    flat = state.flat()
    information, gradient = _normal(slopes, residual, weight, dead, len(flat), torch.arange(slopes.shape[1]))
    covariance = torch.linalg.inv(information + torch.diag(precision))
    change = covariance @ (gradient - precision * flat)
    return _state(flat + change.clamp(-1, 1), len(dead), len(state.shared)), covariance


def _state(flat: Tensor, channels: int, terms: int) -> State:
    log_efficiency, sensor, shared, own = flat.split([channels, SENSOR_TERMS, terms, channels * terms])
    return State(log_efficiency, shared, own.reshape(channels, terms), sensor)


def cross_validated(slopes: Tensor, residual: Tensor, weight: Tensor, state: State, dead: Tensor, degree: int) -> tuple[float, float]:
    """(shared, own) strengths with the smallest chi-square on left-out folds of the fitted tracks, the model taken as linear around `state`."""
    flat = state.flat()
    tracks, channels, terms = slopes.shape[1], len(dead), len(state.shared)
    fold = torch.arange(tracks) % FOLDS
    blocks = [_normal(slopes, residual, weight, dead, len(flat), torch.nonzero(fold == k)[:, 0]) for k in range(FOLDS)]
    best, least = START, math.inf
    for strengths in itertools.product(STRENGTHS, STRENGTHS):
        if strengths[1] > strengths[0]:  # a channel of its own is not freer than all together
            continue
        precision, chi2 = prior(strengths, channels, degree), 0.0
        for k in range(FOLDS):
            information: Tensor = sum((b[0] for i, b in enumerate(blocks) if i != k), torch.diag(precision))
            gradient: Tensor = sum((b[1] for i, b in enumerate(blocks) if i != k), -precision * flat)
            change = torch.linalg.solve(information, gradient)
            for c in torch.nonzero(~dead)[:, 0].tolist():
                columns, places = _places(c, channels, terms)
                left = residual[fold == k, c] - slopes[c][fold == k][:, columns] @ change[places]
                chi2 += float((weight[fold == k, c] * left.square()).sum())
        if chi2 < least:
            best, least = strengths, chi2
    return best


def _put(field: CalibratedField, state: State, efficiency: Tensor, light: Light) -> None:
    field.efficiency.copy_(efficiency)
    field.shared.copy_(state.shared)
    field.own.copy_(state.own)
    field.sensor.copy_(state.sensor)
    field.gauge.copy_((light.phi_mean * (state.shared + state.own)).sum(1) + light.psi_mean @ state.sensor)


def _told(
    predicted: Tensor,
    measured: Tensor,
    used: int,
    dead: Tensor,
    noise: tuple[float, float],
    strengths: tuple[float, float],
    simulated: Tensor,
    efficiency: Tensor,
) -> dict[str, str]:
    variance = noise[0] * predicted.clamp(min=0.1) + (noise[1] * predicted).square()
    chi2 = ((measured - predicted).square() / variance)[:, ~dead]
    rows = slice(used, None) if used < len(measured) else slice(0, used)
    truth, alive = measured[rows][:, ~dead], slice(None)
    bright = truth > 5

    def median(model: Tensor) -> str:
        error = (model[rows][:, ~dead] - truth)[alive].abs()[bright] / truth[bright]
        return f"{float(error.median()):.4f}" if bright.any() else "no bright track"

    scale = measured[:used][:, ~dead].sum() / simulated[:used][:, ~dead].sum().clamp(min=1e-30)
    names = ", ".join(str(c) for c in torch.nonzero(dead)[:, 0].tolist())
    return {
        "dead_test": f"measured light below {100 * DEAD_SHARE:g} % of what the other channels' median efficiency promises: {names or 'none'}",
        "gauge": "the correction's mean over the light of the fitted tracks is zero for each channel",
        "prior_strength": f"shared {strengths[0]:g}, own {strengths[1]:g}, chosen by {FOLDS}-fold cross-validation over the fitted tracks",
        "noise": f"variance = {noise[0]:.3f} PE + ({noise[1]:.4f} PE)^2, from the residuals",
        "chi2_fitted": f"{float(chi2[:used].mean()):.4f}",
        "chi2_held_out": f"{float(chi2[used:].mean()):.4f}" if used < len(measured) else "none held out",
        "pe_error_median": f"against {'held-out' if used < len(measured) else 'fitted'} measurements, their noise included: "
        f"calibrated {median(predicted)}; "
        f"one efficiency a channel {median(simulated * efficiency)}; one scale {median(simulated * scale)}",
    }
