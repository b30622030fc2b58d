"""The free shape of a cloud: what a density has beyond a base, found by Gauss-Newton with a prior that the data teach.

    n = base s(1 + u),   u a correlated field       (fields.positive, fields.correlated)
    (1 + J^T W J) dz = J^T W (counts - mean) - z,   J = A base s'(1 + u) F^-1 A(k) F,   W = 1/mean
    sample of the posterior: (1 + J^T W J)^-1 (J^T W^1/2 e_1 + e_2 + what the finite atoms add)

s keeps the density positive and is linear where there are atoms, so that the posterior is nearly normal there: with exp(u) instead, what no view
sees makes streaks. Samples by perturbation (Papandreou and Yuille, NIPS 2010); Gauss-Newton on white noise with samples is metric Gaussian
variational inference (Knollmueller and Ensslin, arXiv 1901.11033). After each step the spectrum is learned; each shot keeps the step
at which the photons that are never fitted are likeliest.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from fieldfit.fields.correlated import Correlated, information, learned, smooth_amplitude
from fieldfit.fields.positive import positive, positive_slope
from fieldfit.fitting.conjugate import conjugate_gradients
from fieldfit.fitting.fit import generator_of
from fieldfit.forward.imaging import Projector, back_projected, light
from fieldfit.likelihoods import poisson

START_RMS = 1.0  # of u before anything is learned
SOLVER_STEPS, STD_STEPS = 25, 40  # of conjugate gradients, for a Gauss-Newton step and for the samples of the standard deviation
TOLERANCE, STD_TOLERANCE = 1e-2, 3e-3
SAMPLES = 4  # of the posterior, for the standard deviation
STUDENT = 1.14  # a standard deviation from so few samples holds 63 % of the errors; so many times as much holds 68 % (Student 1908)
HALVINGS = 8
GAIN = 1.0  # log-likelihood of the held-out photons: a step that gains less is no reason for another
TRIED = 3  # steps after which a base that leads nowhere is given up
LEAST = 1e-6  # electrons: a mean is never below


@dataclass(frozen=True)
class Photons:
    """In a projector's pixels. fitted, held_out: counts with their pedestal (pixel, shot), a `share` of all is held out;
    good (pixel, shot): 0 where a shot's pixel must not count."""

    fitted: Float[Tensor, "pixel shot"]
    held_out: Float[Tensor, "pixel shot"]
    share: float
    good: Float[Tensor, "pixel shot"]


@dataclass(frozen=True)
class Shape:
    """density (sample, shot) [m-3]; held_out (shot): minus log-likelihood of the held-out photons; step (shot): the one that was kept,
    0 where the base is better than any shape; white, amplitude (shot, i, j, k): u is their field."""

    density: Float[Tensor, "sample shot"]
    held_out: Float[Tensor, "shot"]
    step: Int[Tensor, "shot"]
    white: Complex[Tensor, "shot i j k"]
    amplitude: Float[Tensor, "shot i j k"]

    def of(self, some: Tensor) -> "Shape":
        """The shapes of some of the shots."""
        return Shape(self.density[:, some], self.held_out[some], self.step[some], self.white[some], self.amplitude[some])


@dataclass(frozen=True)
class Errors:
    """scatter (sample, number, shot) [m-3]: samples of the posterior of the density, less their mean; std (quantity, shot): of what was asked for;
    measured (shot): degrees of freedom that the photons have determined, tr J^T W J (1 + J^T W J)^-1."""

    scatter: Float[Tensor, "sample number shot"]
    std: Float[Tensor, "quantity shot"]
    measured: Float[Tensor, "shot"]


def held_out_loss(projector: Projector, photons: Photons, density: Float[Tensor, "sample shot"]) -> Float[Tensor, "shot"]:
    """Minus log-likelihood of the held-out photons."""
    return _loss(projector, photons.held_out, photons.share, photons.good, density)


def fitted_loss(projector: Projector, photons: Photons, density: Float[Tensor, "sample shot"]) -> Float[Tensor, "shot"]:
    """Minus log-likelihood of the fitted photons."""
    return _loss(projector, photons.fitted, 1 - photons.share, photons.good, density)


def lumps_gain(projector: Projector, photons: Photons, density: Float[Tensor, "sample shot"]) -> Float[Tensor, "shot"]:
    """What the held-out photons gain at most, expected, from drawing the lumps of the finite atoms: they come from the same atoms as those fitted.

        gain = share / 2 sum_p r^2 / (r + 1/2),   r = lump light / mean

    r: variance by atoms in units of the photons'; the best estimate from as many photons has a part r / (r + 1) of it (Wiener 1949), and twice
    the r where the light of an atom, which several pixels share, adds up.
    """
    seen = light(projector, density)
    r = projector.lump[:, None] * seen / (seen + projector.pedestal[:, None]).clamp_min(LEAST)
    return 0.5 * photons.share * (photons.good * r.square() / (r + 0.5)).double().sum(0)


def _loss(projector: Projector, counts: Tensor, share: float, good: Tensor, density: Tensor) -> Tensor:
    mean = share * (light(projector, density) + projector.pedestal[:, None]).clamp_min(LEAST)
    return (good * poisson(counts, mean)).double().sum(0)


def fit_shape(
    projector: Projector,
    field: Correlated,
    photons: Photons,
    base: Float[Tensor, "sample shot"],
    seeds: list[int],
    steps: int,
    solver_steps: int = SOLVER_STEPS,
    rms: float = START_RMS,
    rival: Float[Tensor, "shot"] | None = None,
) -> Shape:
    """Fit the shape on `base` [m-3], positive. seeds: of the posterior samples, a number a shot; steps: Gauss-Newton steps at most, each of
    `solver_steps` of conjugate gradients; rms: of u before anything is learned; rival: held-out loss of another answer.

    A shot whose held-out photons have not gained a GAIN for two steps in a row is done, and one that is behind its rival after TRIED steps.
    """
    shots = base.shape[1]
    generators = [generator_of(seed) for seed in seeds]
    amplitude = smooth_amplitude(field, rms).expand(shots, -1, -1, -1).clone()
    z = torch.zeros_like(amplitude, dtype=torch.complex64)
    kept, kept_amplitude = z.clone(), amplitude.clone()
    step_kept = torch.zeros(shots, dtype=torch.long)
    best, waited = held_out_loss(projector, photons, base), torch.zeros(shots, dtype=torch.long)

    def objective(white: Tensor, density: Tensor) -> Tensor:
        return fitted_loss(projector, photons, density) + 0.5 * _product(white, white)

    u = field.drawn(z, amplitude)
    for step in range(1, steps + 1):
        posterior = _Posterior(projector, field, photons, base, u, amplitude, generators)
        learns = steps > 1  # a single step is a glance
        probe, response = posterior.sample(1) if learns else (z[:0], z[:0])
        found = posterior.solved(torch.cat([posterior.gradient() - z, response]), solver_steps, TOLERANCE)
        before, length = objective(z, posterior.density), torch.ones(shots)
        for _ in range(HALVINGS):
            trial = z + length[:, None, None, None] * found[:shots]
            density = base * positive(field.drawn(trial, amplitude))
            worse = ~(objective(trial, density) <= before)
            if not worse.any():
                break
            length = torch.where(worse, 0.5 * length, length)
        z = torch.where(worse[:, None, None, None], z, trial)
        density = torch.where(worse, posterior.density, density)
        score = held_out_loss(projector, photons, density)
        better = score < best
        waited = torch.where(score < best - GAIN, 0, waited + 1)
        best = torch.where(better, score, best)
        step_kept = torch.where(better, step, step_kept)
        if learns:
            z, amplitude = learned(field, z, probe, found[shots:], amplitude)
        kept, kept_amplitude = (torch.where(better[:, None, None, None], new, old) for new, old in ((z, kept), (amplitude, kept_amplitude)))
        done = waited >= 2
        if rival is not None and step >= TRIED:
            done |= best > rival
        if done.all():
            break
        u = field.drawn(z, amplitude)
    return Shape(base * positive(field.drawn(kept, kept_amplitude)), best, step_kept, kept, kept_amplitude)


def shape_errors(
    projector: Projector,
    field: Correlated,
    photons: Photons,
    base: Float[Tensor, "sample shot"],
    shape: Shape,
    seeds: list[int],
    by: Float[Tensor, "quantity sample shot"],
) -> Errors:
    """SAMPLES of the posterior, and standard deviations of quantities whose derivatives by the density are `by`, in closed form up to the
    solver:

        variance = q^T (1 + J^T W J)^-1 q + sum_v n_v / V g_v^2,   g = what an atom more in v does to the quantity
    """
    shots, amplitude = base.shape[1], shape.amplitude
    generators = [generator_of(-1 - seed) for seed in seeds]  # not the numbers that the fit has used
    posterior = _Posterior(projector, field, photons, base, field.drawn(shape.white, amplitude), amplitude, generators)
    right = torch.cat([field.adjoint(posterior.slope * one, amplitude) for one in by])
    probe, samples = posterior.sample(SAMPLES)
    found = posterior.solved(torch.cat([samples, right]), STD_STEPS, STD_TOLERANCE)
    scatter = field.drawn(found[: len(samples)], amplitude.repeat(SAMPLES, 1, 1, 1)).reshape(len(base), SAMPLES, shots)
    measured = _product(probe, probe - found[: len(samples)]).reshape(SAMPLES, shots).mean(0)
    known = found[len(samples) :]
    by_atoms = posterior.share * back_projected(projector, posterior.over(len(known))[2] * posterior.seen(known))
    atoms = (posterior.density / projector.volume).repeat(1, len(by))
    variance = _product(right, known) + (atoms * by_atoms.square()).double().sum(0)
    return Errors(posterior.slope[:, None] * scatter, variance.reshape(len(by), shots).sqrt(), measured)


def _product(a: Complex[Tensor, "batch i j k"], b: Complex[Tensor, "batch i j k"]) -> Float[Tensor, "batch"]:
    return (a.conj() * b).real.double().flatten(1).sum(1)


def std_of(samples: Float[Tensor, "voxel number"]) -> Float[Tensor, "voxel"]:
    """Standard deviation that holds 68 % of the errors, from few samples of them."""
    return STUDENT * samples.square().mean(1).sqrt()


class _Posterior:
    """The photons' view of white noise z around a field: J, W, and solutions with 1 + J^T W J. Batches are all shots, once or several times over."""

    def __init__(
        self, projector: Projector, field: Correlated, photons: Photons, base: Tensor, u: Tensor, amplitude: Tensor, generators: list[torch.Generator]
    ) -> None:
        self.projector, self.field, self.photons, self.amplitude, self.generators = projector, field, photons, amplitude, generators
        self.share = 1 - photons.share
        self._over: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self.density, self.slope = base * positive(u), base * positive_slope(u)
        self.mean = self.share * (light(projector, self.density) + projector.pedestal[:, None]).clamp_min(LEAST)
        self.weight = photons.good / self.mean
        # What the photons tell of each mode, from their response to one random field: the solver needs it rough, but from the first step on.
        random, flat = field.modes(self.noise(1, *field.size)), torch.ones_like(amplitude)
        response = self.slope * back_projected(projector, self.weight * light(projector, self.slope * field.drawn(random, flat)))
        self.known = amplitude.square() * self.share**2 * information(field, random, field.adjoint(response, flat))

    def noise(self, number: int, *size: int) -> Tensor:
        """Standard normal numbers, `number` for each shot."""
        drawn = [torch.randn(size, generator=generator, device=generator.device) for _ in range(number) for generator in self.generators]
        return torch.stack(drawn).to(self.projector.pedestal.device)

    def over(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """(amplitude, slope of the electrons, weight) of as many members, all shots once or several times over."""
        if batch not in self._over:
            times = batch // len(self.amplitude)
            self._over[batch] = self.amplitude.repeat(times, 1, 1, 1), self.share * self.slope.repeat(1, times), self.weight.repeat(1, times)
        return self._over[batch]

    def seen(self, white: Complex[Tensor, "batch i j k"]) -> Float[Tensor, "pixel batch"]:
        """J: electrons."""
        amplitude, slope, _ = self.over(len(white))
        return light(self.projector, slope * self.field.drawn(white, amplitude))

    def back(self, pixels: Float[Tensor, "pixel batch"]) -> Complex[Tensor, "batch i j k"]:
        """Adjoint of `seen`."""
        amplitude, slope, _ = self.over(pixels.shape[1])
        return self.field.adjoint(slope * back_projected(self.projector, pixels), amplitude)

    def gradient(self) -> Complex[Tensor, "shot i j k"]:
        """Of the fitted photons' log-likelihood."""
        return self.back(self.weight * (self.photons.fitted - self.mean))

    def sample(self, number: int) -> tuple[Complex[Tensor, "batch i j k"], Complex[Tensor, "batch i j k"]]:
        """(the prior's part, all) of right-hand sides whose solutions are samples of the posterior, less its mean."""
        probe = self.field.modes(self.noise(number, *self.field.size))
        # Photons scatter by their mean, atoms by theirs; an atom's light is seen in several pixels at once.
        lumps = self.noise(number, len(self.density)).T * (self.density / self.projector.volume).sqrt().repeat(1, number)
        atoms = self.share * light(self.projector, lumps)
        photons = self.noise(number, len(self.mean)).T * self.mean.sqrt().repeat(1, number)
        return probe, probe + self.back(self.over(len(probe))[2] * (photons + atoms))

    def solved(self, right: Complex[Tensor, "batch i j k"], steps: int, tolerance: float) -> Complex[Tensor, "batch i j k"]:
        known, (_, _, weight) = 1 + self.known.repeat(len(right) // len(self.amplitude), 1, 1, 1), self.over(len(right))

        def operator(white: Tensor) -> Tensor:
            return white + self.back(weight * self.seen(white))

        return conjugate_gradients(operator, right, steps, tolerance, lambda residual: residual / known)
