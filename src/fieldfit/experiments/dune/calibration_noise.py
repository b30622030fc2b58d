"""How measured photo-electrons scatter around the prediction, and which measurements say less than they seem to.

    var = s PE + (tau PE)^2                      s and tau from the residuals
    reading at a ceiling:      log Phi((PE - ceiling) / sqrt(var)), the light was at least that
    reading that is compressed: ceiling (1 - exp(-PE / ceiling)), as when each of so many pixels answers once
    track:  p(X) = (1 - e) N(X | PE, var) + e N(X | PE, WRONG^2 var), all channels together: a track is right, or wrong as a whole

Saturation is looked for where the prediction is bright, never where the reading is, so that no measurement is picked by its own noise.
Of the two kinds a channel has the one that its residuals prefer, when they prefer one clearly.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

DEAD_SHARE = 0.02  # of the channels' median: a channel that answers less to light is dead
OUTLIER = 4.0  # deviations, beyond which a measurement pulls no harder (Huber, Ann. Math. Stat. 35, 73 (1964))
WRONG = 10.0  # how much wider a wrong track scatters
WRONG_SHARE = (1e-3, 0.3)  # bounds of the share of wrong tracks
TRIED = 40  # places of a ceiling, and strengths of a compression
LEAST_ABOVE = 5  # tracks above a ceiling
EQUAL, PILED = 1e-3, 3  # relative difference of readings at one ceiling, and how many tell one
LEAST_GAIN = 30.0  # of chi-square for a saturation to be real
CEILING = 0.75  # of the slope that is lost above a ceiling
LEAST_BEND = 0.3  # brightest light over the ceiling of a compression: below, some 15 % of it are left to the correction of the map
LEAST_SURE = 5.0  # deviations of a bend from none


def start_efficiency(simulated: Float[Tensor, "track channel"], measured: Float[Tensor, "track channel"]) -> tuple[Tensor, Tensor]:
    """(efficiency, dead) (channel): median of measured over simulated light, weighted by light.

    Dead: the slope of readings against simulated light, a constant for noise left free, is below DEAD_SHARE of the channels' median.
    """
    light = simulated.clamp(min=1e-30)
    total = measured.sum(0) / light.sum(0)
    usual = total[total > DEAD_SHARE * total.max()].median()
    weight = 1 / (usual * light + 1)
    mean = (weight * light).sum(0) / weight.sum(0)
    away = weight * (light - mean)
    slope = (away * measured).sum(0) / (away * light).sum(0).clamp(min=1e-30)
    slope = slope if len(light) > 2 else total
    lit = slope > DEAD_SHARE * slope.max()
    dead = (slope < DEAD_SHARE * slope[lit].median()) | (total <= 0)
    ratio, order = (measured / light).sort(0)
    heavy = light.gather(0, order).cumsum(0)
    median = ratio.gather(0, (heavy < heavy[-1] / 2).sum(0, keepdim=True))[0]
    bright = (usual * light * (light > light.mean(0))).sum(0) > 10 * len(light)  # the median of few photo-electrons is coarse
    return torch.where(dead, torch.ones_like(total), torch.where(bright & (median > 0), median, total)), dead


@dataclass(frozen=True)
class Noise:
    """s, tau of the variance above."""

    poisson: float = 1.0
    relative: float = 0.0

    def variance(self, predicted: Tensor) -> Tensor:
        found: Tensor = self.poisson * predicted.clamp(min=0.1) + (self.relative * predicted).square()
        return found


@dataclass(frozen=True)
class Trust:
    """level (channel) [pe] from which readings are lower limits, infinite where there is none; right (track): chance that a track is right."""

    level: Float[Tensor, "channel"]
    right: Float[Tensor, "track"]

    def plain(self, predicted: Tensor, noise: Noise) -> Bool[Tensor, "track channel"]:
        """Measurements that saturation cannot have touched, told from the prediction so that none is picked by its own noise."""
        found: Tensor = predicted + 3 * noise.variance(predicted).sqrt() < self.level
        return found


def noise_of(predicted: Float[Tensor, "track channel"], measured: Float[Tensor, "track channel"], use: Tensor | None = None) -> Noise:
    """s, at least 1, and tau: weighted least squares on (measured - PE)^2 / PE, outliers clipped; use (track, channel): weights."""
    mean = predicted.clamp(min=1e-3)
    square = (measured - mean).square() / mean
    use = torch.ones_like(mean) if use is None else use.to(mean)
    s, tau2 = torch.tensor(1.0, dtype=mean.dtype), torch.tensor(0.0, dtype=mean.dtype)
    for _ in range(3):
        usual = s + tau2 * mean
        clipped = torch.minimum(square, OUTLIER**2 * usual)
        weight = use / usual.square()
        a, b, c = weight.sum().clamp(min=1e-30), (weight * mean).sum(), (weight * mean.square()).sum().clamp(min=1e-30)
        y, z = (weight * clipped).sum(), (weight * mean * clipped).sum()
        tau2 = ((a * z - b * y) / (a * c - b * b).clamp(min=1e-30)).clamp(min=0)
        s = ((y - b * tau2) / a).clamp(min=1.0)
        tau2 = ((z - b * s) / c).clamp(min=0)
    return Noise(float(s), float(tau2.sqrt()))


def working(predicted: Tensor, measured: Tensor, noise: Noise, trust: Trust) -> tuple[Tensor, Tensor]:
    """(weight, residual) (track, channel) of the scoring: minus second derivative of the log likelihood, and first derivative over it."""
    variance = noise.variance(predicted)
    sigma = variance.sqrt()
    residual = measured - predicted
    weight = (OUTLIER / (residual / sigma).abs().clamp(min=OUTLIER)) / variance
    limit = measured >= trust.level
    z = torch.where(limit, (predicted - trust.level) / sigma, torch.zeros_like(sigma))
    hazard = (-z.square() / 2 - math.log(2 * math.pi) / 2 - torch.special.log_ndtr(z)).exp()  # phi(z) / Phi(z)
    censored = hazard * (hazard + z) * (OUTLIER / hazard.clamp(min=OUTLIER)) / variance
    weight = torch.where(limit, censored, weight) * trust.right[:, None]
    return weight, torch.where(limit, sigma / (hazard + z).clamp(min=1e-12), residual)


def right_tracks(predicted: Tensor, measured: Tensor, noise: Noise, plain: Tensor) -> Float[Tensor, "track"]:
    """Chance that each track is right, from its channels together; plain (track, channel): which of them count.

    Where the mean squares of tracks spread more than those of independent channels would, channels err together, and a track counts as
    so many fewer.
    """
    square = ((measured - predicted).square() / noise.variance(predicted)).clamp(max=OUTLIER**2) * plain  # one channel does not condemn a track
    count = plain.sum(1).clamp(min=1)
    mean = square.sum(1) / count
    middle = mean.median()
    spread = 1.4826 * (mean - middle).abs().median()
    together = torch.minimum(count.to(mean), 2 / spread.square().clamp(min=1e-6)).clamp(min=1)
    against = together / 2 * (mean * (1 - WRONG**-2) - 2 * math.log(WRONG))
    share, right = 0.05, torch.ones_like(mean)
    for _ in range(5):
        right = torch.sigmoid(math.log((1 - share) / share) - against)
        share = min(max(float((1 - right).mean()), WRONG_SHARE[0]), WRONG_SHARE[1])
    return right


def response(light: Tensor, bend: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(reading, its derivatives for light and bend) of a compressed channel: (1 - exp(-bend light)) / bend, light itself for no bend."""
    x = light * bend
    small = x < 1e-4
    safe = torch.where(small, torch.ones_like(x), x)
    reading = torch.where(small, light * (1 - x / 2), light * -torch.expm1(-safe) / safe)
    by_bend = torch.where(small, light.square() * (x / 3 - 0.5), light.square() * (safe * (-safe).exp() + torch.expm1(-safe)) / safe.square())
    return reading, (-x).exp(), by_bend


def saturation(
    light: Tensor, predicted: Tensor, measured: Tensor, noise: Noise, trust: Trust, bend: Float[Tensor, "channel"]
) -> tuple[Float[Tensor, "channel"], Float[Tensor, "channel"]]:
    """(ceilings, bends) (channel): those of `trust` and `bend`, changed where readings of right tracks show another.

    light: what `predicted` would be without saturation. Equal largest readings tell a ceiling; otherwise the chi-square of readings
    against light does.
    """
    level, bend = trust.level.clone(), bend.clone()
    right = trust.right > 0.5
    plain = trust.plain(predicted, noise) & right[:, None] & (predicted > 1)
    for c in range(len(level)):
        piled = _piled(light[right, c], measured[right, c], noise)
        if piled < level[c] * (1 - 2 * EQUAL):
            level[c], bend[c] = piled, 0
            continue
        mean, reading = light[plain[:, c], c], measured[plain[:, c], c]
        if len(mean) < 4 * LEAST_ABOVE:
            continue
        (kinked, lowest), (curved, strength) = _ceiling(mean, reading, noise), _compression(mean, reading, noise)
        if bend[c] == 0 and level[c].isinf() and max(kinked, curved) > LEAST_GAIN:
            bend[c] = strength  # it takes a fit with the compression in it to tell the two kinds apart
        elif kinked > LEAST_GAIN + max(curved, 0.0):
            level[c], bend[c] = min(float(level[c]), lowest), 0
    return level, bend


def _piled(light: Float[Tensor, "n"], reading: Float[Tensor, "n"], noise: Noise) -> float:
    """The largest reading if several equal it where more light is expected, infinite otherwise."""
    most = reading.max()
    at = reading >= most * (1 - EQUAL)
    pull = (light - reading)[at] / noise.variance(light[at]).sqrt()
    return float(most * (1 - EQUAL)) if len(pull) >= PILED and float(pull.mean()) > OUTLIER else math.inf


def _ceiling(mean: Float[Tensor, "n"], reading: Float[Tensor, "n"], noise: Noise) -> tuple[float, float]:
    """(gain in chi-square, ceiling) of readings a PE - b max(PE - kink, 0); no gain where b is too small for a ceiling."""
    weight = 1 / noise.variance(mean)
    kinks = torch.quantile(mean, torch.linspace(0.2, 1 - LEAST_ABOVE / len(mean), TRIED, dtype=mean.dtype))
    beyond = (mean - kinks[:, None]).clamp(min=0)  # (kink, n)
    aa, ab, bb = (weight * mean.square()).sum(), beyond @ (weight * mean), beyond.square() @ weight
    ya, yb = (weight * mean * reading).sum(), beyond @ (weight * reading)
    left = (aa * bb - ab.square()).clamp(min=1e-30)
    lost = (ab * ya - aa * yb) / left
    slope = (ya + ab * lost) / aa
    gain = torch.where(lost > CEILING * slope, (aa * yb - ab * ya).square() / (aa * left), torch.zeros_like(left))
    best = int(gain.argmax())
    above = reading[mean > kinks[best] + 3 * noise.variance(kinks[best]).sqrt()]
    level = torch.quantile(above, 0.02) if len(above) >= LEAST_ABOVE else slope[best] * kinks[best]
    return float(gain[best]), float(level)


def _compression(mean: Float[Tensor, "n"], reading: Float[Tensor, "n"], noise: Noise) -> tuple[float, float]:
    """(gain in chi-square, bend) of readings `response(a PE)`."""
    bends = torch.logspace(math.log10(LEAST_BEND), 1, TRIED, dtype=mean.dtype)[:, None] / mean.max()
    shape, _, _ = response(mean.expand(TRIED, -1), bends)
    weight = 1 / noise.variance(mean)
    straight = (weight * mean * reading).sum().square() / (weight * mean.square()).sum()
    along = (shape * weight * reading).sum(1)
    gain = along.clamp(min=0).square() / (shape.square() * weight).sum(1) - straight
    best = int(gain.argmax())
    return float(gain[best]), float(bends[best, 0])
