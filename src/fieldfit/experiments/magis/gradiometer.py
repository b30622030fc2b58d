"""Gradiometer: differential phases of all pairs of interferometers, what couples to them, and what oscillates in them.

The shared model (common_phase.py) says on which branch of the cosine each port is and where to expand; the phase itself comes from the
shot's own ports. Where a port is well on its slope, cos(phi) = (2 P - 1 - balance) / C is inverted; near a turning point, where the
inversion would be biased by noise, one linear step from the model's phase is taken. Either way

    phi_b - phi_a = (Phi_b + m_b + e_b) - (Phi_a + m_a + e_a),    variance 1 / i_a + 1 / i_b = 1 / J_ab

and the common phase drops out to first order: no information of other shots is mixed in.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.experiments.magis.common_phase import first_guesses, fit_model, match, offset_covariance
from fieldfit.experiments.magis.couplings import Regression, regress
from fieldfit.experiments.magis.port_model import Model, Shots, blocks, contrast_of, phases
from fieldfit.forward.ports import counting_variance, share, slope

KNOTS = (1, 2, 4, 8, 16, 32, 64, 128)  # contrast drifts that are tried
ALWAYS = 32  # knots up to which all are tried: a wave needs several before any of them pays
SHOTS_A_KNOT = 20
CURVED = 0.1  # std times |cot(phase)| above which an inverted cosine would be biased by its noise
LARGEST_STD = 3.0  # rad: a shot at a turning point knows nothing; more than this is not worth telling


@dataclass(frozen=True)
class Gradiometer:
    """All pairs a < b of the usable shots; regressions one a pair. The series follow from the model: `differences`, `series`.

    shared_std: deviation of each pair's offset from the shared fit, with what contrasts and balances leave open; every shot of the pair has
    that part in common. knots, jitter [rad], detection [1], chi2_reduced: of the shared fit.
    """

    pairs: Int[np.ndarray, "pair 2"]
    shots: Shots
    model: Model
    regressions: tuple[Regression, ...]
    shared_std: Float[np.ndarray, "pair"]
    knots: int
    jitter: float
    detection: float
    chi2_reduced: float


def fit_run(
    counts: np.ndarray,
    time: Float[np.ndarray, "shot"],
    place: Float[np.ndarray, "shot"],
    auxiliary: Float[np.ndarray, "coupling shot"],
    device: torch.device | str = "cpu",
) -> Gradiometer:
    """Fit the usable shots of a run.

    counts (shot, interferometer, 2): atoms, every shot with atoms in each interferometer; place: where each stands among all shots of the
    file, 0 to 1; auxiliary: what may couple to the phase, one row a quantity (none: (0, shot)).
    Signals and couplings of the pairs with interferometer 0 go back into the model as modulation, so that it expands around the right place.
    """
    shots = Shots(torch.as_tensor(counts, device=device), torch.as_tensor(place, dtype=torch.float64, device=device))
    largest = max(1, len(time) // SHOTS_A_KNOT)
    model = min((fit_model(shots, guess) for guess in first_guesses(shots, min(4, largest))), key=lambda m: match(shots, m).score)
    pairs = pairs_of(counts.shape[1])
    for turn in range(3):
        with_first = [regress(time, *series(shots, model, int(k)), auxiliary) for k in np.flatnonzero(pairs[:, 0] == 0)]
        model = replace(model, modulation=_modulation(with_first, time, auxiliary).to(device))
        model = choose_drift(shots, model, largest) if turn == 0 else fit_model(shots, model, rounds=2)
    model = signed(model)
    fits = tuple(regress(time, *series(shots, model, k), auxiliary) for k in range(len(pairs)))
    found = match(shots, replace(model, jitter=0.0))
    covariance = offset_covariance(shots, model).cpu().numpy()
    return Gradiometer(
        pairs=pairs,
        shots=shots,
        model=model,
        regressions=fits,
        shared_std=np.sqrt([covariance[a, a] + covariance[b, b] - 2 * covariance[a, b] for a, b in pairs]),
        knots=model.knots.shape[1],
        jitter=model.jitter,
        detection=model.detection,
        chi2_reduced=found.chi2 / found.freedom,
    )


def _modulation(
    fits: list[Regression], time: Float[np.ndarray, "shot"], auxiliary: Float[np.ndarray, "coupling shot"]
) -> Float[Tensor, "shot interferometer"]:
    """Couplings and lines of every interferometer, relative to the first: float32, of which the rounding is far below a shot's noise."""
    out = torch.zeros(len(time), 1 + len(fits), dtype=torch.float32)
    for part in blocks(len(time)):
        for k, fit in enumerate(fits, 1):
            out[part, k] = torch.as_tensor(fit.coupled(auxiliary[:, part]) + fit.oscillating(time[part]))
    return out


def pairs_of(interferometers: int) -> Int[np.ndarray, "pair 2"]:
    """Every pair (a, b) with a < b."""
    return np.array(list(itertools.combinations(range(interferometers), 2)))


def choose_drift(shots: Shots, model: Model, largest: int) -> Model:
    """The contrast's spline with the lowest BIC among KNOTS, each fitted; beyond ALWAYS only while the finest is the best."""
    best, lowest, previous = model, np.inf, 0
    mean = torch.stack([contrast_of(model, shots.place[part]).sum(0) for part in blocks(len(shots.place))]).sum(0) / len(shots.place)
    for knots in KNOTS:
        if knots > largest or (knots > ALWAYS and best.knots.shape[1] != previous):
            break
        trial = fit_model(shots, replace(model, knots=mean[:, None].repeat(1, knots)), rounds=3)
        criterion = match(shots, trial).score + np.log(model.modulation.numel()) * trial.knots.numel()
        best, lowest = (trial, criterion) if criterion < lowest else (best, lowest)
        previous = knots
    return best


def signed(model: Model) -> Model:
    """The mirror image, if need be, in which the pair with the largest separation lies in (0, pi): cosines do not know the overall sign."""
    separation = torch.stack([_wrapped(model.offset[b] - model.offset[a]) for a, b in pairs_of(len(model.offset))])
    widest = separation[separation.abs().argmax()]
    return replace(model, offset=-model.offset, common=-model.common, modulation=-model.modulation) if widest < 0 else model


def series(shots: Shots, model: Model, pair: int) -> tuple[Float[np.ndarray, "shot"], Float[np.ndarray, "shot"]]:
    """(phi_b - phi_a, standard deviation) of one pair over the run."""
    phase, std = np.empty(len(shots.place)), np.empty(len(shots.place))
    for part in blocks(len(phase)):
        each_phase, each_std = differences(shots.part(part), model.part(part))
        phase[part], std[part] = each_phase[pair], each_std[pair]
    return phase, std


def differences(shots: Shots, model: Model) -> tuple[Float[np.ndarray, "pair shot"], Float[np.ndarray, "pair shot"]]:
    """(phi_b - phi_a, standard deviation) of every pair, each shot on its own, near the pair's offset in (-pi, pi]."""
    excess, std = own_phases(shots, model)
    static = model.offset + excess
    values, errors = [], []
    for a, b in pairs_of(len(model.offset)):
        offset = model.offset[b] - model.offset[a]
        values.append(static[:, b] - static[:, a] + _wrapped(offset) - offset)
        errors.append(torch.hypot(std[:, a], std[:, b]))
    return torch.stack(values).cpu().numpy(), torch.stack(errors).cpu().numpy()


def own_phases(shots: Shots, model: Model) -> tuple[Float[Tensor, "shot interferometer"], Float[Tensor, "shot interferometer"]]:
    """(phi - theta - Phi, standard deviation) of every interferometer from its own ports, given the run's contrasts and balances."""
    expected, contrast = phases(model), contrast_of(model, shots.place)
    measured, atoms = shots.share, shots.atoms
    deviation = (counting_variance(expected, contrast, model.balance, atoms) + model.detection**2).sqrt()
    lever = slope(expected, contrast)
    lever = torch.where(lever < 0, -1.0, 1.0) * lever.abs().clamp(min=1e-12)
    linear = (measured - share(expected, contrast, model.balance)) / lever
    std = deviation / lever.abs()
    cosine = (2 * measured - 1 - model.balance) / contrast
    branch = torch.where(torch.sin(expected) < 0, -1.0, 1.0)
    inverted = _wrapped(branch * torch.arccos(cosine.clamp(-1, 1)) - expected)
    sloping = (std / torch.tan(expected).abs().clamp(min=1e-12) < CURVED) & (cosine.abs() < 1) & (inverted.abs() < 0.5)
    at = torch.where(sloping, expected + inverted, expected)
    deviation = (counting_variance(at, contrast, model.balance, atoms) + model.detection**2).sqrt()
    std = deviation / slope(at, contrast).abs().clamp(min=1e-12)
    change = torch.where(sloping, inverted, linear.clamp(-LARGEST_STD, LARGEST_STD))
    return model.modulation + change, std.clamp(max=LARGEST_STD)


def _wrapped(angle: Tensor) -> Tensor:
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi
