"""Where the cameras really stand, from shots of the clouds that all of them see: bundle adjustment.

    mean_sp = pedestal_p + sum_v A_pv(x) n(r_v; theta_s)        x: corrections of the views (geometry.corrections), shared by all shots
                                                                theta_s: envelope and fringe of shot s (fields.fringed)
    (x, theta) = argmin  sum_sp -log Poisson(counts_sp | mean_sp)  +  sum_d (x_d / prior_d)^2 / 2

by Gauss-Newton, the clouds eliminated (fitting.bundle). Views are first aligned on the envelopes, which bind to within some micrometres
whatever the misplacement, then with the fringes, whose phase would be ambiguous by whole periods. d(mean)/dx: central differences of
one view's images.

    covariance = C + C K C,   K = sum_sv (n_v / V) G_v G_v^T,   G = A^T W (d(mean)/dx less what the clouds' own parameters take up)

C: of photons and prior (fitting.bundle); K: the score's, because the atoms are finite and all views see the same ones.

The gauge: moving, turning or scaling the whole world changes no image. Of these answers the prior takes the one with the smallest
corrections in units of its standard deviations, so the mean correction stays zero. Stated standard deviations contain this freedom.

A shot whose views do not agree with how the other shots show them (`alignment.moved_views`) is left out, and named.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.config.magis import Imaging, Refine
from fieldfit.experiments.magis.alignment import USUAL, moved_views, view_shifts
from fieldfit.experiments.magis.envelopes import ROUGH, drawn, sampled, scored, started, with_amplitude
from fieldfit.experiments.magis.shape import LEAST
from fieldfit.experiments.magis.start import Wave, moments, strongest_wave, views_of
from fieldfit.experiments.magis.volume import Volume, seen_by, turned_volume
from fieldfit.fields.fringed import ENVELOPE, PARAMETERS
from fieldfit.fitting.bundle import Blocks, passed, shared_step
from fieldfit.forward.imaging import POINT, Projector, back_projected, binned, build_projector, light, pixels_of, variance
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.corrections import STEPS, corrected, degrees_of, image_slopes, stepped
from fieldfit.likelihoods import poisson
from fieldfit.units import MRAD, UM

ROUNDS = {ENVELOPE: 3, PARAMETERS: 8}  # Gauss-Newton steps of each stage, at most
SETTLED = 3.0  # log-likelihood that a step promises over all parameters together, whose noise alone makes it twenty to forty
REUSE = 2.0  # standard deviations: after a shorter step the derivatives of the step before still serve (the chord method)
NUDGE = 0.2  # camera pixels: half the step of the images' derivatives
GAIN = 20.0  # log-likelihood that a wave must gain
STUCK = 10.0  # the same of a step that gains nothing however short, beyond which the refinement has failed
HALVINGS = 5
LOSS = 0.1  # log-likelihood: rounding of its sum

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitness:
    """How well shots fit a geometry. chi2 (view): Pearson, a pixel, the finite atoms' own share in the variance;
    residuals (view, row, column): of the sum over shots, in standard deviations of a binned pixel;
    shift, shift_std (shot, view, 2): see alignment.view_shifts [camera pixels]."""

    chi2: np.ndarray
    residuals: np.ndarray
    shift: np.ndarray
    shift_std: np.ndarray


@dataclass(frozen=True)
class Refined:
    """corrections: a vector a view, in the order of corrections.degrees_of; covariance: of all of them, one view after the other;
    used (shot): False where it was left out; before, after: shifts of all shots, chi-square and residuals of the used ones;
    binning: of the residual maps."""

    corrections: list[np.ndarray]
    covariance: np.ndarray
    used: np.ndarray
    before: Fitness
    after: Fitness
    binning: int
    converged: bool


def prior_of(refine: Refine, cameras: Sequence[Camera]) -> list[np.ndarray]:
    """Standard deviations of the corrections before anything is seen, a vector a view."""
    turn = refine.turn_mrad * MRAD
    of = dict.fromkeys(("shift_look", "shift_left", "shift_up", "displacement", "shift_first", "shift_second"), refine.shift_um * UM)
    of |= dict.fromkeys(("turn_look", "turn_left", "turn_up", "normal_first", "normal_second"), turn)
    of |= {"scale": refine.magnification, "focus": refine.focus_um * UM}
    return [np.array([of[name] for name in degrees_of(camera)]) for camera in cameras]


@dataclass(frozen=True)
class _Clouds:
    """Shots, and what was fitted to each. frames (view, shot, pixel): binned electrons, pedestal included; good (view, pixel);
    parameters (shot, 15); waves: of the views' spectra; photons: an atom's."""

    volume: Volume
    frames: Float[Tensor, "view shot pixel"]
    good: Bool[Tensor, "view pixel"]
    parameters: Float[Tensor, "shot 15"]
    waves: Sequence[Wave | None]
    photons: float


def refine_geometry(
    cameras: Sequence[Camera], electrons: np.ndarray, bad: np.ndarray, shots: Sequence[int], entry: Imaging, refine: Refine
) -> Refined:
    """The corrections of all views from good shots. electrons: (shot, view, row, column) above the pedestal; bad: (view, row, column)."""
    prior = [torch.from_numpy(part) for part in prior_of(refine, cameras)]
    plain = _with_envelopes(_clouds(cameras, electrons, bad, entry))
    waved = _with_waves(plain)
    before = _fitness(waved, np.ones(len(shots), bool))
    used = np.array([view is None for view in moved_views(before.shift, before.shift_std)])
    used |= len(shots) < USUAL or not used.any()  # one shot cannot tell a moved view from a set-up that is not as described
    for place in np.flatnonzero(~used).tolist():
        log.warning("shot %d is left out: its views do not agree with how the other shots show them", shots[place])
    rough = _aligned(cameras, _only(plain, used), [torch.zeros_like(part) for part in prior], prior, ENVELOPE)
    nearer = _with_waves(_with_envelopes(_seen_by(plain, _moved(cameras, rough.values), bad)))
    fine = _aligned(cameras, _only(nearer, used), rough.values, prior, PARAMETERS)
    last = _with_waves(_seen_by(nearer, _moved(cameras, fine.values), bad))
    return Refined(
        [value.numpy() for value in fine.values],
        fine.covariance.numpy(),
        used,
        before if used.all() else _fitness(waved, used),
        _fitness(last, used),
        last.volume.turned.projector.binning,
        fine.converged,
    )


def _moved(cameras: Sequence[Camera], values: Sequence[Tensor]) -> list[Camera]:
    return [corrected(camera, value.tolist()) for camera, value in zip(cameras, values, strict=True)]


def _clouds(cameras: Sequence[Camera], electrons: np.ndarray, bad: np.ndarray, entry: Imaging) -> _Clouds:
    """The shots with envelopes that have the moments of the views, and the waves of their spectra, which no shift of a view changes."""
    pedestal = np.array([camera.pedestal for camera in cameras])[:, None, None]
    counts = np.where(bad, 0.0, np.rint(electrons + pedestal).clip(min=0))
    views, shown = views_of(cameras), np.where(bad, 0.0, electrons)
    starts = [moments(views, image, ~bad, entry.photons_per_atom) for image in shown]
    waves = [
        strongest_wave(views, image, total, start) if entry.fit.fringe else None for image, total, start in zip(shown, counts, starts, strict=True)
    ]
    volume = turned_volume(cameras, bad, starts, waves, entry.grid, entry.photons_per_atom)
    projector = volume.turned.projector
    frames = pixels_of(projector, torch.from_numpy(counts).to(torch.float32))
    by_view = frames.reshape(len(cameras), -1, len(electrons)).transpose(1, 2).contiguous()
    good = (binned(torch.from_numpy(bad[None]).to(torch.float32), projector.binning) == 0).reshape(len(cameras), -1)
    return _Clouds(volume, by_view, good, started(starts, waves, volume.half_width), waves, entry.photons_per_atom)


def _seen_by(clouds: _Clouds, cameras: Sequence[Camera], bad: np.ndarray) -> _Clouds:
    lattice = seen_by(clouds.volume.turned, cameras, bad, clouds.photons)
    return replace(clouds, volume=replace(clouds.volume, turned=lattice, fine=lattice))


def _pixels(clouds: _Clouds) -> Float[Tensor, "pixel shot"]:
    """The shots in the pixels of the volume's projector."""
    return clouds.frames.transpose(1, 2).reshape(-1, len(clouds.parameters))[clouds.volume.turned.projector.pixel]


def _with_envelopes(clouds: _Clouds) -> _Clouds:
    """Every shot's envelope fitted alone."""
    pixels = _pixels(clouds)
    every = torch.ones_like(pixels)
    found, _ = scored(clouds.volume.turned, clouds.volume.half_width, pixels, every, 1.0, clouds.parameters, None, ENVELOPE, ROUGH)
    found = found.clone()
    found[:, ENVELOPE + 3 :] = 0
    return replace(clouds, parameters=found)


def _with_waves(clouds: _Clouds) -> _Clouds:
    """Every shot's envelope and fringe fitted together, where the fringe gains enough."""
    volume, pixels, best = clouds.volume, _pixels(clouds), clouds.parameters.clone()
    every = torch.ones_like(pixels)
    tried = torch.tensor([place for place, found in enumerate(clouds.waves) if found is not None], dtype=torch.long)
    if len(tried):
        fresh = ~best[tried, ENVELOPE + 3 :].any(1)
        start = best[tried].clone()
        if fresh.any():
            start[fresh] = with_amplitude(volume, pixels[:, tried[fresh]], every[:, tried[fresh]], 1.0, start[fresh])
        found, _ = scored(volume.turned, volume.half_width, pixels[:, tried], every[:, tried], 1.0, start, None, PARAMETERS, ROUGH)
        plain = best[tried].clone()
        plain[:, ENVELOPE + 3 :] = 0
        wins = _losses(volume, pixels[:, tried], found) < _losses(volume, pixels[:, tried], plain) - GAIN
        best[tried] = torch.where(wins[:, None], found, plain)
    return replace(clouds, parameters=best)


def _losses(volume: Volume, pixels: Tensor, parameters: Tensor) -> Float[Tensor, "shot"]:
    projector = volume.turned.projector
    mean = light(projector, drawn(volume.turned, volume.half_width, parameters, None).T.contiguous()) + projector.pedestal[:, None]
    return poisson(pixels, mean.clamp_min(LEAST)).double().sum(0)


def _only(clouds: _Clouds, used: np.ndarray) -> _Clouds:
    at = torch.from_numpy(used)
    waves = [wave for wave, keep in zip(clouds.waves, used, strict=True) if keep]
    return replace(clouds, frames=clouds.frames[:, at], parameters=clouds.parameters[at], waves=waves)


# ------------------------------------------------------------- all views and clouds together


@dataclass(frozen=True)
class _Aligned:
    values: list[Tensor]
    covariance: Tensor
    converged: bool


def _aligned(cameras: Sequence[Camera], clouds: _Clouds, values: list[Tensor], prior: list[Tensor], number: int) -> _Aligned:
    """The corrections with the first `number` parameters of each cloud free."""
    own, sizes, sigma = clouds.parameters, [len(part) for part in prior], torch.cat(prior)
    views = _views(_moved(cameras, values), clouds)
    moves: list[Tensor] = []
    stuck = False
    objective = _objective(views, values, clouds, own, sigma)
    for turn in range(ROUNDS[number]):
        moves = moves or _moves(cameras, values, views, clouds, own)
        step = shared_step(_blocks(views, moves, clouds, own, number), torch.cat(values), sigma)
        if step.gain < SETTLED:
            break
        length, scale = float((step.shared / step.covariance.diagonal().sqrt()).abs().max()), 1.0
        for _ in range(HALVINGS):
            new = [value + scale * part for value, part in zip(values, step.shared.split(sizes), strict=True)]
            moved, new_views = _stepped_clouds(own, scale * step.own), _views(_moved(cameras, new), clouds)
            gained = objective - _objective(new_views, new, clouds, moved, sigma)
            if gained > -LOSS:
                break
            scale *= 0.5
        else:
            stuck = True
            break
        log.info("round %d: log-likelihood gained %.2f of %.2f, longest step %.2f standard deviations", turn, gained, step.gain, scale * length)
        values, own, views, objective = new, moved, new_views, objective - gained
        moves = moves if scale * length < REUSE else []
    settled = step.gain < (STUCK if stuck else SETTLED)
    if number < PARAMETERS:
        return _Aligned(values, step.covariance, settled)
    atomic = _atomic(_moved(cameras, values), views, moves or _moves(cameras, values, views, clouds, own), clouds, own, number)
    return _Aligned(values, step.covariance + step.covariance @ atomic @ step.covariance, settled)


def _stepped_clouds(own: Float[Tensor, "shot 15"], step: Float[Tensor, "shot q"]) -> Float[Tensor, "shot 15"]:
    """A step along the parameters, of the wave's two amplitudes along contrast and phase: a shift of the world turns phases by much more than
    a step along their tangent can follow."""
    moved = own.clone()
    straight = min(step.shape[1], PARAMETERS - 2)
    moved[:, :straight] += step[:, :straight]
    if step.shape[1] == PARAMETERS:
        wave = torch.view_as_complex(own[:, -2:].contiguous())
        relative = torch.view_as_complex(step[:, -2:].contiguous()) / torch.where(wave == 0, 1, wave)
        moved[:, -2:] = torch.view_as_real(wave * (1 + relative.real) * torch.exp(1j * relative.imag))
    return moved


def _views(cameras: Sequence[Camera], clouds: _Clouds, size: float = 1.0) -> list[Projector]:
    """A projector a view. size: of what is drawn for a sample, in that of the volume's projector."""
    old = clouds.volume.turned.projector
    edge = size * old.pitch
    return [build_projector([camera], old.centres, edge, clouds.photons, old.binning, None, old.volume, old.tent) for camera in cameras]


def _image(view: Projector, columns: Float[Tensor, "voxel k"]) -> Float[Tensor, "k pixel"]:
    """Light in all binned pixels of one view."""
    seen = columns.new_zeros(view.shape[1] * view.shape[2], columns.shape[1])
    seen[view.pixel] = light(view, columns)
    return seen.T


def _objective(views: Sequence[Projector], values: Sequence[Tensor], clouds: _Clouds, own: Tensor, sigma: Tensor) -> float:
    """Minus log-likelihood and log-prior."""
    density = drawn(clouds.volume.turned, clouds.volume.half_width, own, None).T.contiguous()
    total = float((torch.cat(list(values)) / sigma).square().sum()) / 2
    for view, frames, good in zip(views, clouds.frames, clouds.good, strict=True):
        mean = (_image(view, density)[:, good] + view.pedestal[0]).clamp_min(LEAST)
        total += float(poisson(frames[:, good], mean).double().sum())
    return total


def _moves(
    cameras: Sequence[Camera], values: Sequence[Tensor], views: Sequence[Projector], clouds: _Clouds, own: Tensor
) -> list[Float[Tensor, "shot degree pixel"]]:
    """Derivatives of each view's images by its corrections: of the places of all samples' images, and of the blur by the plane of focus.

    One pair of images by rows and one by columns serve all of a view's corrections, so that what moves images alike stays exactly alike.
    What a correction does to the light caught counts for a mirror, whose edge cuts the lens as the cloud sees it; of a camera it is left out,
    as no evidence, since efficiencies are not known as well.
    """
    turned, shots = clouds.volume.turned, len(own)
    density = drawn(turned, clouds.volume.half_width, own, None).T.contiguous()
    found = []
    for camera, at, view in zip(cameras, values, views, strict=True):
        told, names = at.tolist(), degrees_of(camera)
        now = corrected(camera, told)
        slopes, dimmed = (part.to(density.dtype) for part in image_slopes(camera, told, view.centres.double()))
        move = torch.zeros(shots, len(names), view.shape[1] * view.shape[2])
        for axis, step in enumerate(((NUDGE, 0.0), (0.0, NUDGE))):
            sides = _views([replace(now, axis=(now.middle[0] + s * step[0], now.middle[1] + s * step[1])) for s in (1, -1)], clouds)
            columns = (density[:, :, None] * slopes[:, None, axis]).flatten(1)
            move += ((_image(sides[0], columns) - _image(sides[1], columns)) / (2 * NUDGE)).reshape(move.shape)
        if camera.mirror:
            move += _image(view, (density[:, :, None] * dimmed[:, None]).flatten(1)).reshape(move.shape)
        if "focus" in names:
            place = names.index("focus")
            sides = _views([stepped(camera, told, place, sign) for sign in (1.0, -1.0)], clouds)
            move[:, place] = (_image(sides[0], density) - _image(sides[1], density)) / (2 * STEPS["focus"])
        found.append(move)
    return found


def _blocks(views: Sequence[Projector], moves: Sequence[Tensor], clouds: _Clouds, own: Tensor, number: int) -> Blocks:
    """Information and score of all pixels about the corrections and the clouds."""
    value, by = sampled(clouds.volume.turned, clouds.volume.half_width, own, None)
    shots, sizes = len(own), [part.shape[1] for part in moves]
    columns = torch.cat([value[:, None], by[:, :number]], 1).reshape(shots * (number + 1), -1).T.contiguous()
    zeros = partial(torch.zeros, dtype=torch.float64)
    shared, score, between = zeros(sum(sizes), sum(sizes)), zeros(sum(sizes)), zeros(shots, sum(sizes), number)
    info, own_score = zeros(shots, number, number), zeros(shots, number)
    first = 0
    for view, move, frames, good in zip(views, moves, clouds.frames, clouds.good, strict=True):
        seen = _image(view, columns).reshape(shots, number + 1, -1)[:, :, good]
        mean = (seen[:, 0] + view.pedestal[0]).clamp_min(LEAST)
        noise = mean.sqrt()[:, None]
        slopes, by_view = seen[:, 1:] / noise, move[:, :, good] / noise
        residual = (frames[:, good] - mean) / noise[:, 0]
        to = slice(first, first + move.shape[1])
        shared[to, to] = (by_view @ by_view.transpose(1, 2)).double().sum(0)
        score[to] = (by_view @ residual[:, :, None]).double().sum(0)[:, 0]
        between[:, to] = (by_view @ slopes.transpose(1, 2)).double()
        info += (slopes @ slopes.transpose(1, 2)).double()
        own_score += (slopes @ residual[:, :, None])[:, :, 0].double()
        first += move.shape[1]
    return Blocks(shared, between, info, score, own_score)


def _atomic(
    cameras: Sequence[Camera], views: Sequence[Projector], moves: Sequence[Tensor], clouds: _Clouds, own: Tensor, number: int
) -> Float[Tensor, "p p"]:
    """Covariance of the corrections' score because the atoms are finite: K. Atoms are points in the middle of the samples."""
    atoms = _views(cameras, clouds, POINT)
    value, by = sampled(clouds.volume.turned, clouds.volume.half_width, own, None)
    through = passed(_blocks(views, moves, clouds, own, number))
    total = torch.zeros(through.shape[1], through.shape[1], dtype=torch.float64)
    for shot, density in enumerate(value.clamp_min(0)):
        columns = torch.cat([density[None], by[shot, :number]]).T.contiguous()
        theirs, own_score = [], torch.zeros(len(density), number, dtype=torch.float64)
        for view, atom, move, good in zip(views, atoms, moves, clouds.good, strict=True):
            seen = _image(view, columns)
            weight = good / (seen[0] + view.pedestal[0]).clamp_min(LEAST)
            theirs.append(back_projected(atom, (weight * move[shot])[:, atom.pixel].T).double())
            own_score += back_projected(atom, (weight * seen[1:])[:, atom.pixel].T).double()
        score = torch.cat(theirs, 1) - own_score @ through[shot].T
        total += score.T @ (score * (density / views[0].volume).double()[:, None])
    return total


# ------------------------------------------------------------- how well it fits


def _fitness(clouds: _Clouds, judged: np.ndarray) -> Fitness:
    """How the shots fit the cameras of their volume; chi-square and residuals of the judged ones."""
    lattice, half = clouds.volume.turned, clouds.volume.half_width
    projector, counts = lattice.projector, _pixels(clouds)
    excess, variances, chi2 = torch.zeros(3, len(projector.pixel), dtype=torch.float64)
    shifts, stds = [], []
    for member, keep in enumerate(judged.tolist()):
        p = clouds.parameters[member : member + 1]
        number = PARAMETERS if bool(p[0, ENVELOPE + 3 :].any()) else ENVELOPE
        value, by = sampled(lattice, half, p, None)
        seen = light(projector, torch.cat([value[:, None], by[:, :number]], 1)[0].T.contiguous())
        mean = (seen[:, 0] + projector.pedestal).clamp_min(LEAST)
        slopes = (seen[:, 1:] / mean.sqrt()[:, None]).double()
        scale = slopes.norm(dim=0).clamp_min(1e-30)
        inverse = torch.linalg.inv((slopes / scale).T @ (slopes / scale)) / torch.outer(scale, scale)
        atoms = value[0].clamp_min(0)
        shift, std = view_shifts(projector, counts[:, member], mean, slopes, inverse, atoms)
        shifts.append(shift.numpy())
        stds.append(std.numpy())
        if keep:
            spread = variance(projector, mean).double()
            rest = (counts[:, member] - mean).double()
            excess, variances, chi2 = excess + rest, variances + spread, chi2 + rest.square() / spread
    views = projector.shape[0]
    of_view = projector.pixel // (projector.shape[1] * projector.shape[2])
    pixels = torch.bincount(of_view, minlength=views).clamp_min(1) * int(judged.sum())
    residuals = torch.full((math.prod(projector.shape),), torch.nan, dtype=torch.float64)
    residuals[projector.pixel] = excess / variances.sqrt()
    by_view = (torch.bincount(of_view, chi2, minlength=views) / pixels).numpy()
    return Fitness(by_view, residuals.reshape(projector.shape).numpy(), np.stack(shifts), np.stack(stds))
