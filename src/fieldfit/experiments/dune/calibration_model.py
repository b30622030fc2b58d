"""What a calibration is fitted with: the light of the tracks, the parameters, and what they predict, with its slopes.

    PE_tc = eff_c exp(drift_cr) sum_p q_p v_c(x_p) exp(delta_c(x_p))     reading: compressed where a channel is (`calibration_noise.response`)

The means of all terms over the simulated light of each channel are removed here: there efficiencies and terms are least correlated.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fieldfit.experiments.dune.calibration_noise import response
from fieldfit.experiments.dune.calibration_posterior import Posterior, Prior
from fieldfit.experiments.dune.direct_light import direct_light
from fieldfit.fields.calibrated import CalibratedField
from fieldfit.fields.visibility import VisibilityField
from fieldfit.forward.visibility import in_chunks, photoelectrons
from fieldfit.geometry.walls import wall_exchange

SENSOR_STRENGTHS = (1.0, 1.0, 1.0, 0.5, *[0.5] * 6)  # of the terms in distance, angle, direct light and walls: ten numbers, measured well
DIFFUSE_STRENGTH = 0.5  # of a factor on all diffuse light
HELD, FREE = 1e12, 1e-6  # precisions of a parameter that stays zero, and of one that goes where the data say
MOST_STEP = 1.0  # of a parameter in one step of scoring


@dataclass(frozen=True)
class Light:
    """Tracks as the scoring sees them, float64.

    visibility (point, channel) of the simulation; photons, track (point), tracks in order; run (track); share (run, channel): of the
    simulated light of the fitted tracks; phi (point, term); psi (point, channel, SENSOR_TERMS + WALLS); diffuse (point, channel): 1 - f;
    mean (channel, column): of `columns` over that light.
    """

    visibility: Tensor
    photons: Tensor
    track: Tensor
    run: Tensor
    share: Tensor
    phi: Tensor
    psi: Tensor
    diffuse: Tensor
    mean: Tensor

    @property
    def runs(self) -> int:
        """How many drift: none where there is one run only."""
        return len(self.share) if len(self.share) > 1 else 0


@dataclass(frozen=True)
class Strengths:
    """Standard deviations of the priors: coefficients of the correction of degree one, shared and own; drifts; own levels of diffuse light."""

    shared: float = 0.1
    own: float = 0.03
    drift: float = 0.03
    level: float = 0.1


@dataclass(frozen=True)
class State:
    """z: of all `columns`. y: for each channel log efficiency, bend (in units of 1 / brightest), drift (run), own (1 + term) of diffuse light.

    dead (channel); brightest (channel): the largest reading; order (1 + term): degree of a box term, at least 1.
    """

    shared: Float[Tensor, "s"]
    own: Float[Tensor, "channel k"]
    runs: int
    dead: Bool[Tensor, "channel"]
    brightest: Float[Tensor, "channel"]
    order: Float[Tensor, "_"]

    @property
    def log_efficiency(self) -> Float[Tensor, "run channel"]:
        return self.own[:, 0] + self.own[:, 2 : 2 + self.runs].T if self.runs else self.own[None, :, 0]

    def correction(self, channel: int) -> Float[Tensor, "column"]:
        """Coefficients of `columns`."""
        found = self.shared.clone()
        found[-len(self.order) :] += self.own[channel, 2 + self.runs :]
        return found

    @property
    def bend(self) -> Float[Tensor, "channel"]:
        """1 / ceiling of a channel that is compressed, 0 of another [1/pe]."""
        return self.own[:, 1].clamp(min=0) / self.brightest

    def bent(self, bend: Float[Tensor, "channel"]) -> "State":
        own = self.own.clone()
        own[:, 1] = bend * self.brightest
        return replace(self, own=own)

    def moved(self, to: Posterior) -> "State":
        change = (to.shared - self.shared).clamp(-MOST_STEP, MOST_STEP), (to.own - self.own).clamp(-MOST_STEP, MOST_STEP)
        return replace(self, shared=self.shared + change[0], own=self.own + change[1])


def columns(psi: Float[Tensor, "n k"], phi: Float[Tensor, "n term"], diffuse: Float[Tensor, "n"]) -> Float[Tensor, "n column"]:
    """What the coefficients of one channel's correction multiply: psi, phi, and the terms of diffuse light, a constant first."""
    return torch.cat([psi, phi, diffuse[:, None], diffuse[:, None] * phi], 1)


def terms_of(field: CalibratedField, points: Tensor, direct: Float[Tensor, "n channel"]) -> tuple[Float[Tensor, "n term"], Tensor]:
    """(phi, psi and the walls' terms side by side (n, channel, SENSOR_TERMS + WALLS)); direct: f."""
    phi, psi = field.terms(points, direct)
    return phi, torch.cat([psi, (1 - direct)[:, :, None] * field.visits(points)], -1)


def simulation_of(base: VisibilityField, degree: int) -> CalibratedField:
    """`base` uncorrected, with what its light consists of: that which comes straight, and that which met the walls."""
    field = CalibratedField(base.settings(), degree)
    field.base.load_state_dict(base.state_dict())
    alpha, length = direct_light(base)
    centre, half = (torch.tensor(edge, dtype=torch.float64) for edge in field.box)
    met, onward = wall_exchange(base.sensors.double(), centre, half)
    for parameter, found in ((field.alpha, alpha), (field.length, length), (field.met, met), (field.onward, onward)):
        parameter.copy_(found)
    return field


def light_of(field: CalibratedField, points: Tensor, photons: Tensor, track: Tensor, run: Tensor, used: int) -> Light:
    visibility, direct = in_chunks(lambda x: torch.cat(field.light(x), 1), points.float()).double().tensor_split(2, 1)
    phi, psi = terms_of(field, points.double(), direct)
    light = photons[:, None] * visibility * (track < used).double()[:, None]
    light = light / light.sum(0).clamp(min=1e-300)
    share = torch.zeros(int(run.max()) + 1, light.shape[1], dtype=torch.float64).index_add(0, run[track], light)
    bounced = (light * (1 - direct)).T
    mean = torch.cat([torch.einsum("pc,pck->ck", light, psi), light.T @ phi, bounced.sum(1, keepdim=True), bounced @ phi], 1)
    return Light(visibility, photons, track, run, share, phi, psi, 1 - direct, mean)


def predict(light: Light, state: State, used: int) -> tuple[Tensor, Tensor, Tensor]:
    """(PE before compression and after it (track, channel), slopes (channel, used track, 2 + column)).

    Slopes: derivatives for log efficiency, bend, and the coefficients of `columns`.
    """
    tracks, channels = len(light.run), light.visibility.shape[1]
    first = torch.searchsorted(light.track, torch.arange(used + 1))  # point of each fitted track
    last = int(first[-1])
    number, one = torch.arange(last), torch.ones_like(light.phi[:last, :1])
    factor = state.log_efficiency[light.run if light.runs else torch.zeros_like(light.run)].exp()
    before, after, slopes = *torch.empty(2, tracks, channels, dtype=torch.float64), []
    for c in range(channels):
        coefficients = state.correction(c)
        along, shared, level, own = coefficients.split([light.psi.shape[2], light.phi.shape[1], 1, light.phi.shape[1]])
        of_all, of_diffuse = (light.phi @ torch.stack([shared, own], 1)).T
        delta = light.psi[:, c] @ along + of_all + light.diffuse[:, c] * (level + of_diffuse) - light.mean[c] @ coefficients
        value = light.visibility[:, c] * delta.exp()
        straight = photoelectrons(value[:, None], light.photons, light.track, tracks)[:, 0] * factor[:, c]
        after[:, c], by_light, by_bend = response(straight, state.bend[c])
        before[:, c] = straight
        # sums over the points of a track as one product: faster than adding rows, which `photoelectrons` does
        made, bounced = (
            torch.sparse_csr_tensor(first, number, part[:last], (used, last), check_invariants=False)
            for part in (light.photons * value, light.photons * value * light.diffuse[:, c])
        )
        slope = torch.cat([made @ light.psi[:last, c].contiguous(), made @ light.phi[:last], bounced @ one, bounced @ light.phi[:last]], 1)
        slope = slope * factor[:used, c, None] - straight[:used, None] * light.mean[c]
        slope = torch.cat([straight[:used, None], slope], 1) * by_light[:used, None]
        slopes.append(torch.cat([slope[:, :1], by_bend[:used, None] / state.brightest[c], slope[:, 1:]], 1))
    return before, after, torch.stack(slopes)


def derivatives(slopes: Float[Tensor, "track m"], run: Int[Tensor, "track"], state: State) -> tuple[Tensor, Tensor]:
    """(shared (track, s), own (track, k)) of one channel, in the order of `State`."""
    drift = slopes[:, :1] * torch.nn.functional.one_hot(run, state.runs) if state.runs else slopes[:, :0]
    return slopes[:, 2:], torch.cat([slopes[:, :2], drift, slopes[:, -len(state.order) :]], 1)


def prior(strengths: Strengths, state: State) -> Prior:
    """Hardly any on efficiencies and bends, save that what is not in the model, a dead channel's and a straight one's, is held where it is."""
    sensor = torch.tensor(SENSOR_STRENGTHS, dtype=torch.float64) ** -2
    drift = torch.full((state.runs,), strengths.drift**-2, dtype=torch.float64)
    own = torch.cat([torch.full((2,), FREE, dtype=torch.float64), drift, (state.order / strengths.own).square()]).repeat(len(state.dead), 1)
    own[:, 2 + state.runs] = strengths.level**-2
    own[state.dead, 0] = 1
    own[state.bend == 0, 1] = HELD
    box = (state.order / strengths.shared).square()
    return Prior(torch.cat([sensor, box[1:], sensor.new_tensor([DIFFUSE_STRENGTH**-2]), box[1:]]), own)


def where(mask: Bool[Tensor, "n"]) -> list[int]:
    """Numbers of the channels or tracks for which it holds."""
    found: list[int] = torch.nonzero(mask)[:, 0].tolist()
    return found
