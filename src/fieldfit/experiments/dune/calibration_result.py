"""What a calibration gives: efficiencies and map in their gauge, with their errors, and figures in words."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.experiments.dune.calibration_model import Light, State, Strengths, columns, predict, terms_of, where
from fieldfit.experiments.dune.calibration_noise import DEAD_SHARE, Noise, Trust, right_tracks
from fieldfit.experiments.dune.calibration_posterior import Posterior
from fieldfit.fields.calibrated import SENSOR_TERMS, WALLS, CalibratedField
from fieldfit.forward.visibility import in_chunks, photoelectrons


@dataclass(frozen=True)
class Calibration:
    """field; efficiency, efficiency_std, dead (channel); efficiency_run, efficiency_run_std (run, channel); saturation (channel) [pe], NaN
    where there is none; predicted (track, channel) and track_weight (track) of all tracks; told: figures as text."""

    field: CalibratedField
    efficiency: Float[Tensor, "channel"]
    efficiency_std: Float[Tensor, "channel"]
    efficiency_run: Float[Tensor, "run channel"]
    efficiency_run_std: Float[Tensor, "run channel"]
    dead: Bool[Tensor, "channel"]
    saturation: Float[Tensor, "channel"]
    predicted: Float[Tensor, "track channel"]
    track_weight: Float[Tensor, "track"]
    told: dict[str, str]
    posterior: Posterior
    light: Light

    @torch.no_grad()
    def relative_std(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channel"]:
        """Standard deviation of log w_c by the delta method, efficiency and correction with their correlation; zero for a dead channel."""
        return in_chunks(self._relative_std, points.double())

    def _relative_std(self, points: Tensor) -> Tensor:
        direct = self.field.light(points.float())[1].double()
        phi, psi = terms_of(self.field, points, direct)
        found = torch.zeros(len(points), len(self.dead), dtype=torch.float64)
        for c in where(~self.dead):
            shared = columns(psi[:, c], phi, 1 - direct[:, c]) - self.light.mean[c]
            efficiency = torch.cat([shared.new_tensor([1.0, 0.0]), self.light.share[: self.light.runs, c]]).expand(len(points), -1)
            found[:, c] = self.posterior.variance(c, shared, torch.cat([efficiency, shared[:, -1 - phi.shape[1] :]], 1)).sqrt()
        return found


@dataclass(frozen=True)
class Fit:
    """Where the scoring ended: the tracks' light, the parameters and their posterior, the noise and what is not trusted, the prior."""

    light: Light
    state: State
    posterior: Posterior
    noise: Noise
    trust: Trust
    strengths: Strengths


def result_of(field: CalibratedField, fit: Fit, measured: Float[Tensor, "track channel"], used: int) -> Calibration:
    """Everything in its gauge, with its errors, into the field and into words."""
    light, state, found, dead = fit.light, fit.state, fit.posterior, fit.state.dead
    alive = (~dead).double()
    _, predicted, _ = predict(light, state, used)
    common = light.mean[~dead].mean(0)
    away = common - light.mean  # the scoring removes each term's mean over a channel's light, where it is least correlated with the efficiency
    own = light.mean[:, -len(state.order) :]
    run_log = state.log_efficiency + away @ state.shared - (own * state.own[:, 2 + light.runs :]).sum(1)
    shares = light.share if light.runs else torch.ones_like(light.share)
    efficiency, run_efficiency = (shares * run_log).sum(0).exp() * alive, run_log.exp() * alive
    rows = torch.zeros(1 + len(run_log), state.own.shape[1], dtype=torch.float64)
    rows[:, 0] = 1
    rows[1:, 2 : 2 + light.runs] = torch.eye(len(run_log), light.runs, dtype=torch.float64)
    std, run_std = torch.zeros_like(efficiency), torch.zeros_like(run_efficiency)
    for c in where(~dead):
        rows[0, 2 : 2 + light.runs] = light.share[: light.runs, c]
        rows[:, 2 + light.runs :] = -own[c]
        error = found.variance(c, away[c].expand(len(rows), -1), rows).sqrt()
        std[c], run_std[:, c] = efficiency[c] * error[0], run_efficiency[:, c] * error[1:]
    field.efficiency.copy_(efficiency)
    sensor, walls, box, diffuse = state.shared.split([SENSOR_TERMS, WALLS, len(state.order) - 1, len(state.order)])
    field.sensor.copy_(sensor)
    field.walls.copy_(walls)
    field.shared.copy_(box)
    field.own.copy_(diffuse + state.own[:, 2 + light.runs :])
    field.gauge.copy_((common @ state.shared).expand(len(dead)))
    ones = torch.ones(len(measured), dtype=torch.float64)
    right = right_tracks(predicted, measured, fit.noise, replace(fit.trust, right=ones).plain(predicted, fit.noise) & ~dead)
    level = torch.minimum(fit.trust.level, 1 / state.bend)
    return Calibration(
        field,
        efficiency,
        std,
        run_efficiency,
        run_std,
        dead,
        torch.where(dead | level.isinf(), torch.full_like(level, math.nan), level),
        torch.minimum(predicted, fit.trust.level) * alive,
        right,
        _told(fit, predicted, measured, efficiency, right, used),
        found,
        light,
    )


def _told(fit: Fit, predicted: Tensor, measured: Tensor, efficiency: Tensor, right: Tensor, used: int) -> dict[str, str]:
    light, dead, level, bend, noise, strengths = fit.light, fit.state.dead, fit.trust.level, fit.state.bend, fit.noise, fit.strengths
    good = (right > 0.5)[:, None] & ~(measured >= level) & ~dead
    chi2 = (measured - predicted).square() / noise.variance(predicted)
    fitted = torch.arange(len(measured)) < used
    judged = good & (measured > 5) & (fitted if fitted.all() else ~fitted)[:, None]

    def median(model: Tensor) -> str:
        return f"{float(((model - measured).abs() / measured)[judged].median()):.4f}" if judged.any() else "no bright track"

    simulated = photoelectrons(light.visibility, light.photons, light.track, len(measured))
    scale = measured[:used][:, ~dead].sum() / simulated[:used][:, ~dead].sum().clamp(min=1e-30)
    full = [f"{c} at {float(level[c]):.4g} pe ({int((measured[:used, c] >= level[c]).sum())} readings of {used})" for c in where(level < math.inf)]
    full += [f"{c} compressed to {float(1 / bend[c]):.4g} pe" for c in where(bend > 0)]
    wrong = where(right < 0.5)
    names = ", ".join(str(c) for c in where(dead))
    return {
        "dead_test": f"slope of readings against simulated light below {100 * DEAD_SHARE:g} % of the channels' median: {names or 'none'}",
        "gauge": "what channels share of the correction has no mean over channels and the fitted tracks' simulated light, a channel's own "
        "terms change its diffuse light alone, its drifts have no mean over its light: efficiencies hold up to one common factor, the map up to "
        "its inverse",
        "prior_strength": f"shared {strengths.shared:g}, own {strengths.own:g}, chosen by cross-validation over the fitted tracks; own levels of "
        f"diffuse light {strengths.level:.4f}, by evidence",
        "drift": f"std {strengths.drift:.4f} a run and channel, chosen by evidence, {light.runs} runs" if light.runs else "one run",
        "noise": f"variance = {noise.poisson:.3f} PE + ({noise.relative:.4f} PE)^2, from the residuals",
        "saturated_channels": ", ".join(full) or "none",
        "wrong_tracks": f"{len(wrong)} of {len(right)}" + (f", first {wrong[0]}" if wrong else ""),
        "chi2_fitted": f"{float(chi2[good & fitted[:, None]].mean()):.4f}",
        "chi2_held_out": f"{float(chi2[good & ~fitted[:, None]].mean()):.4f}" if not fitted.all() else "none held out",
        "pe_error_median": f"against {'fitted' if fitted.all() else 'held-out'} measurements, their noise included: "
        f"calibrated {median(predicted)}; "
        f"one efficiency a channel {median(simulated * efficiency)}; one scale {median(simulated * scale)}",
    }
