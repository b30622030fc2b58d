"""The free shape of a cloud: what a density has beyond a base, found by Gauss-Newton with a prior that the data teach.

    n = base s(1 + u),   s(v) = log(1 + exp(b v)) / b,   u a correlated field       (fields.correlated)
    (1 + J^T W J) dz = J^T W (counts - mean) - z,   J = A base s'(1 + u) F^-1 A(k) F,   W = 1/mean
    sample of the posterior: (1 + J^T W J)^-1 (J^T W^1/2 e_1 + e_2 + what the finite atoms add)

s keeps the density positive and is linear where there are atoms, so that the posterior is nearly normal there: with exp(u) instead, what no view
sees makes streaks. Samples by perturbation (Papandreou and Yuille, NIPS 2010); Gauss-Newton on white noise with samples is metric Gaussian
variational inference (Knollmueller and Ensslin, arXiv 1901.11033). After each step the spectrum is learned; each shot keeps the step
at which the photons that are never fitted are likeliest.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.fields.correlated import Correlated, damped, learned, smooth_amplitude
from fieldfit.fitting.conjugate import conjugate_gradients
from fieldfit.fitting.fit import generator_of
from fieldfit.forward.imaging import Projector, back_projected, light
from fieldfit.likelihoods import poisson

BEND = 3.0  # b
START_RMS = 1.0  # of u before anything is learned
SOLVER_STEPS, STD_STEPS = 25, 40  # of conjugate gradients, for a Gauss-Newton step and for the samples of the standard deviation
TOLERANCE, STD_TOLERANCE = 1e-2, 3e-3
SAMPLES = 4  # of the posterior, for the standard deviation
STUDENT = 1.14  # a standard deviation from so few samples holds 63 % of the errors; so many times as much holds 68 % (Student 1908)
HALVINGS = 8
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
    """density, std (sample, shot) [m-3]; held_out (shot): minus log-likelihood of the held-out photons; step (shot): the one that was kept,
    0 where the base is better than any shape."""

    density: Float[Tensor, "sample shot"]
    std: Float[Tensor, "sample shot"]
    held_out: Float[Tensor, "shot"]
    step: Int[Tensor, "shot"]


def held_out_loss(projector: Projector, photons: Photons, density: Float[Tensor, "sample shot"]) -> Float[Tensor, "shot"]:
    """Minus log-likelihood of the held-out photons."""
    return _loss(projector, photons.held_out, photons.share, photons.good, density)


def fitted_loss(projector: Projector, photons: Photons, density: Float[Tensor, "sample shot"]) -> Float[Tensor, "shot"]:
    """Minus log-likelihood of the fitted photons."""
    return _loss(projector, photons.fitted, 1 - photons.share, photons.good, density)


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
    with_std: bool = True,
    solver_steps: int = SOLVER_STEPS,
    rms: float = START_RMS,
) -> Shape:
    """Fit the shape on `base` [m-3], positive. seeds: of the posterior samples, a number a shot; steps: Gauss-Newton steps at most, each of
    `solver_steps` of conjugate gradients; rms: of u before anything is learned.

    A shot whose held-out photons have not gained for two steps in a row is done.
    """
    shots = base.shape[1]
    generators = [generator_of(seed) for seed in seeds]
    z = base.new_zeros(shots, *field.size)
    amplitude = smooth_amplitude(field, rms).expand(shots, -1, -1, -1).clone()
    information = torch.zeros_like(amplitude)
    kept, kept_amplitude, kept_information = z.clone(), amplitude.clone(), information.clone()
    step_kept = torch.zeros(shots, dtype=torch.long)
    best, waited = held_out_loss(projector, photons, base), torch.zeros(shots, dtype=torch.long)

    def objective(white: Tensor) -> Tensor:
        return fitted_loss(projector, photons, _shaped(base, field.drawn(white, amplitude))) + 0.5 * white.double().square().flatten(1).sum(1)

    for step in range(1, steps + 1):
        u = field.drawn(z, amplitude)
        learns = with_std or step < steps
        step_by, drawn, probe = _newton(projector, field, photons, base, u, z, amplitude, information, generators, int(learns), True, solver_steps)
        before, length = objective(z), torch.ones(shots)
        for _ in range(HALVINGS):
            trial = z + length[:, None, None, None] * step_by
            after = objective(trial)
            worse = ~(after <= before)
            if not worse.any():
                break
            length = torch.where(worse, 0.5 * length, length)
        z = torch.where(worse[:, None, None, None], z, trial)
        score = held_out_loss(projector, photons, _shaped(base, field.drawn(z, amplitude)))
        better = score < best
        best, waited = torch.where(better, score, best), torch.where(better, 0, waited + 1)
        step_kept = torch.where(better, step, step_kept)
        if learns:
            z, amplitude, information = learned(field, z, probe, drawn, amplitude)
        kept, kept_amplitude, kept_information = (
            torch.where(better[:, None, None, None], new, old)
            for new, old in ((z, kept), (amplitude, kept_amplitude), (information, kept_information))
        )
        if (waited >= 2).all():
            break
    u = field.drawn(kept, kept_amplitude)
    std = torch.zeros_like(base)
    if with_std:
        _, drawn, _ = _newton(projector, field, photons, base, u, kept, kept_amplitude, kept_information, generators, SAMPLES, False, STD_STEPS)
        scatter = field.drawn(drawn, kept_amplitude.repeat(SAMPLES, 1, 1, 1)).reshape(len(base), SAMPLES, shots)
        std = STUDENT * _slope(base, u) * scatter.square().mean(1).sqrt()
    return Shape(_shaped(base, u), std, best, step_kept)


def _shaped(base: Tensor, u: Tensor) -> Tensor:
    return base * torch.nn.functional.softplus(1 + u, BEND)


def _slope(base: Tensor, u: Tensor) -> Tensor:
    return base * torch.sigmoid(BEND * (1 + u))


def _newton(
    projector: Projector,
    field: Correlated,
    photons: Photons,
    base: Tensor,
    u: Tensor,
    z: Tensor,
    amplitude: Tensor,
    information: Tensor,
    generators: list[torch.Generator],
    samples: int,
    with_step: bool,
    solver_steps: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """(full Gauss-Newton step, posterior samples less their mean, the prior's part of each), all with one solver: the operator is the same."""
    share, good = 1 - photons.share, photons.good
    density, slope = _shaped(base, u), _slope(base, u)
    mean = share * (light(projector, density) + projector.pedestal[:, None]).clamp_min(LEAST)
    weight = good / mean

    residuals, rights = ([weight * (photons.fitted - mean)], [-z]) if with_step else ([], [])
    probe = z[:0]
    if samples:

        def noise(*size: int) -> Tensor:
            return torch.stack([torch.randn(size, generator=generator) for _ in range(samples) for generator in generators])

        # Photons scatter by their mean, atoms by theirs; an atom's light is seen in several pixels at once.
        atoms = share * light(projector, noise(len(base)).T * (density / projector.volume).sqrt().repeat(1, samples))
        residuals.append(good.repeat(1, samples) * noise(len(mean)).T / mean.sqrt().repeat(1, samples) + weight.repeat(1, samples) * atoms)
        probe = noise(*field.size)
        rights.append(probe)
    residual = torch.cat(residuals, 1)
    times = residual.shape[1] // base.shape[1]
    slopes, weights, amplitudes = slope.repeat(1, times), weight.repeat(1, times), amplitude.repeat(times, 1, 1, 1)
    right = share * field.adjoint(slopes * back_projected(projector, residual), amplitudes)
    right = right + torch.cat(rights)

    def operator(white: Tensor) -> Tensor:
        seen = share**2 * weights * light(projector, slopes * field.drawn(white, amplitudes))
        return white + field.adjoint(slopes * back_projected(projector, seen), amplitudes)

    known = information.repeat(times, 1, 1, 1)
    found = conjugate_gradients(
        operator, right, solver_steps, TOLERANCE if with_step else STD_TOLERANCE, lambda residual: damped(field, residual, known)
    )
    first = len(z) if with_step else 0
    return found[:first], found[first:], probe
