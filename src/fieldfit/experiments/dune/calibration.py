"""Efficiencies and a smooth correction of the visibility from measured tracks, tied to the simulation.

    PE_tc = eff_c exp(drift_cr) sum_p q_p v_c(x_p) exp(delta_c(x_p))     p: points of track t; r: its run; `fields.calibrated` for delta

Penalised Fisher scoring: with J = d PE / d parameters and W = 1 / var(PE),

    (J' W J + P) step = J' W (measured - PE) - P parameters              `calibration_posterior`

which for var = PE is the Poisson maximum likelihood; `calibration_noise` has the variance, saturated readings and wrong tracks.
P is the tie to the simulation: Gaussians of mean zero, of std strength / degree for each coefficient of the correction and of a common std
for the drifts and for the channels' own levels of diffuse light. The two strengths of the correction (shared, each channel's own) are chosen
by cross-validation over the fitted tracks, that of the drifts by its evidence; the levels have the mean variance that theirs leaves, since
where little direct light tells a level from an efficiency, all small ones are as likely. All on the model linearised where it is. The
covariance of everything is (J' W J + P)^-1.

Gauge: only the product of efficiency and map is measured. What channels share of the correction has no mean over channels and the simulated
light of the fitted tracks; a channel's own terms change its diffuse light alone, and its drifts have no mean over its light. What another
absorption or other walls do to some channels is thus in the map, and efficiencies are those of the sensors, up to one common factor.
"""

import itertools
import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.experiments.dune.calibration_model import State, Strengths, derivatives, light_of, predict, prior, simulation_of, where
from fieldfit.experiments.dune.calibration_noise import (
    LEAST_BEND,
    LEAST_SURE,
    Noise,
    Trust,
    noise_of,
    right_tracks,
    saturation,
    start_efficiency,
    working,
)
from fieldfit.experiments.dune.calibration_posterior import Information, informed, posterior_of
from fieldfit.experiments.dune.calibration_result import Calibration, Fit, result_of
from fieldfit.fields.calibrated import degrees
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import photoelectrons

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the prior on the correction, that cross-validation chooses from
LIKELY = tuple(math.exp(k) for k in torch.linspace(math.log(1e-3), math.log(0.5), 14).tolist())  # strengths that the evidence weighs
FOLDS = 5
PASSES = 5
SLACK = 1.0  # of chi-square, in which strengths are as good as each other
SETTLED = 3  # last passes, in which no channel begins to saturate


def calibrate(
    base: VisibilityField,
    points: Float[Tensor, "point 3"],
    photons: Float[Tensor, "point"],
    track: Int[Tensor, "point"],
    measured: Float[Tensor, "track channel"],
    used: int,
    degree: int = 5,
    run: Int[Tensor, "track"] | None = None,
    ceiling: Float[Tensor, "channel"] | None = None,
) -> Calibration:
    """Calibrate `base` on the first `used` tracks; the rest are only predicted.

    track: which one each point belongs to, in order; degree: of the box terms, so high that the errors of what tracks do not tell are in the
    map's; run: 0, 1, ... of each track (None: all of one); ceiling: known levels of saturation [pe], NaN where there is none.
    """
    with torch.no_grad():
        field = simulation_of(base, degree)
        light = light_of(field, points, photons, track, torch.zeros(len(measured), dtype=torch.int64) if run is None else run, used)
        simulated = photoelectrons(light.visibility, photons, track, len(measured))
        efficiency, dead = start_efficiency(simulated[:used], measured[:used])
        alive, fitted = ~dead, measured[:used]
        order = torch.tensor([1.0, *(float(sum(d)) for d in degrees(degree))], dtype=torch.float64)
        own = torch.zeros(len(dead), 2 + light.runs + len(order), dtype=torch.float64)
        own[:, 0] = efficiency.log()
        state = State(torch.zeros(light.mean.shape[1], dtype=torch.float64), own, light.runs, dead, fitted.amax(0).clamp(min=1), order)
        level = torch.full_like(efficiency, math.inf) if ceiling is None else ceiling.double().nan_to_num(nan=math.inf) * (1 - 1e-6)
        strengths, noise, trust = Strengths(), Noise(), Trust(level, torch.ones(used, dtype=torch.float64))
        for k in range(2 * PASSES):
            straight, predicted, slopes = predict(light, state, used)
            now = predicted[:used]
            if k:
                for _ in range(3):  # the noise decides which tracks are wrong, and they are no noise
                    plain = trust.plain(now, noise) & alive
                    noise = noise_of(now, fitted, plain * trust.right[:, None])
                    trust = replace(trust, right=right_tracks(now, fitted, noise, plain))
            if 1 < k < 2 * PASSES - SETTLED:
                level, bend = saturation(straight[:used], now, fitted, noise, trust, state.bend)
                trust = replace(trust, level=torch.where(alive, level, trust.level))
                if (bend * alive != state.bend).any():
                    state = state.bent(bend * alive)
                    straight, predicted, slopes = predict(light, state, used)
                    now = predicted[:used]
            weight, residual = working(now, fitted, noise, trust)
            folds = _folds(slopes, light.run[:used], residual, weight * alive, state)
            information: Information = sum(folds[1:], folds[0])
            if k >= PASSES - 1 and light.runs:
                values, share = _evidence("drift", information, state, strengths)
                strengths = replace(strengths, drift=float(values[share.argmax()]))
            if k == PASSES:
                strengths = cross_validated(folds, slopes, light.run[:used], residual, weight * alive, state, strengths)
            if k >= PASSES:
                values, share = _evidence("level", information, state, strengths)
                strengths = replace(strengths, level=float((share @ values.square()).sqrt()))
            found = posterior_of(information, prior(strengths, state), state.shared, state.own)
            state = state.moved(found)
            unsure = (state.own[:, 1] < LEAST_SURE * found.own_covariance[:, 1, 1].sqrt()) | (state.own[:, 1] < LEAST_BEND)
            state = state.bent(torch.where(unsure, 0.0, state.bend))
        return result_of(field, Fit(light, state, found, noise, trust, strengths), measured, used)


def _folds(slopes: Tensor, run: Tensor, residual: Tensor, weight: Tensor, state: State) -> list[Information]:
    """What each fold of the fitted tracks says."""
    found = []
    for k in range(FOLDS):
        parts = [informed(*derivatives(s[k::FOLDS], run[k::FOLDS], state), weight[k::FOLDS, c], residual[k::FOLDS, c]) for c, s in enumerate(slopes)]
        shared, own, cross, shared_gradient, own_gradient = (torch.stack(column) for column in zip(*parts, strict=True))
        found.append(Information(shared.sum(0), own, cross, shared_gradient.sum(0), own_gradient))
    return found


def _evidence(name: str, information: Information, state: State, strengths: Strengths) -> tuple[Tensor, Tensor]:
    """(values, their shares of the evidence) of the strength called `name`."""
    tried = [prior(replace(strengths, **{name: value}), state) for value in LIKELY]
    found = [posterior_of(information, there, state.shared, state.own).log_evidence for there in tried]
    return torch.tensor(LIKELY, dtype=torch.float64), torch.tensor(found, dtype=torch.float64).softmax(0)


def cross_validated(
    folds: list[Information],
    slopes: Tensor,
    run: Tensor,
    residual: Tensor,
    weight: Tensor,
    state: State,
    strengths: Strengths,
) -> Strengths:
    """Strengths of the correction that predict left-out folds of the fitted tracks, the model taken as linear around `state`.

    Of those whose chi-square is not worse than the smallest by more than SLACK, the weakest tie: few tracks cannot tell, and a map held
    close to the simulation without need would have too small an error.
    """
    found = []
    for shared, own in itertools.product(STRENGTHS, STRENGTHS):
        if own > shared:  # a channel of its own is not freer than all together
            continue
        tried, chi2 = replace(strengths, shared=shared, own=own), 0.0
        there = prior(tried, state)
        for k in range(FOLDS):
            kept = [fold for i, fold in enumerate(folds) if i != k]
            fit = posterior_of(sum(kept[1:], kept[0]), there, state.shared, state.own)
            step = fit.shared - state.shared, fit.own - state.own
            for c in where(~state.dead):
                by_shared, by_own = derivatives(slopes[c][k::FOLDS], run[k::FOLDS], state)
                left = residual[k::FOLDS, c] - by_shared @ step[0] - by_own @ step[1][c]
                chi2 += float((weight[k::FOLDS, c] * left.square()).sum())
        found.append((chi2, tried))
    least = min(chi2 for chi2, _ in found)
    return max((tried for chi2, tried in found if chi2 <= least + SLACK), key=lambda tried: (tried.own, tried.shared))
