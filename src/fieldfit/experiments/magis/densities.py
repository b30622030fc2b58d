"""Densities of a block of camera shots with everything that is derived from them, as arrays."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.classical import gaussian, voxel_values
from fieldfit.experiments.magis.imaging import field_of_fit, fit_shots, thinned
from fieldfit.experiments.magis.iterative import mlem
from fieldfit.experiments.magis.precision import derived
from fieldfit.experiments.magis.start import Moments, Wave, least_contrast, moments, strongest_wave, views_of, wave_at
from fieldfit.experiments.magis.volume import Volume, axis_of, on_grid, volume_of
from fieldfit.fields.fringed import Fringed
from fieldfit.fields.networks import Network
from fieldfit.fields.voxels import Voxels
from fieldfit.fitting.fit import device_of, moved
from fieldfit.forward.imaging import light, pixels_of
from fieldfit.geometry.cameras import Camera
from fieldfit.metrics.fsc import HALVES, resolution, shell_correlation

WITH_STD = ("field", "gaussian")  # methods with an error of their own
TOGETHER = 16  # shots fitted at once: bounds the memory, whatever the block's length
SCALARS = ("phase", "contrast", "fringe_period", "atom_number", "position", "size", "wavefront", "view_shift")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What every method starts from. counts (shot, view, row, column): electrons, pedestal included, zero in bad pixels; starts, waves (shot); least
    (shot): `least_contrast`."""

    volume: Volume
    counts: np.ndarray
    starts: list[Moments]
    waves: list[Wave | None]
    least: list[float]


@dataclass(frozen=True)
class Densities:
    """values: arrays with a leading axis of shots, by the product's variable names; field: of all shots;
    trusted (shot): False where the fit has not converged or something is not finite."""

    values: dict[str, np.ndarray]
    field: Fringed | Voxels | Network
    trusted: np.ndarray


def densities(
    cameras: Sequence[Camera], electrons: np.ndarray, bad: np.ndarray, shots: Sequence[int], entry: Imaging, hit: np.ndarray | None = None
) -> Densities:
    """Fit the good shots of a block.

    electrons: (shot, view, row, column) above the pedestal; bad: (view, row, column), in all shots; hit: (shot, view, row, column), in one
    shot, whose electrons are stand-ins; shots: their numbers.
    """
    given = prepared(cameras, electrons, bad, shots, entry)
    volume = moved(given.volume, device_of("cpu" if entry.fit.method == "abel" else entry.device))
    parts, fields = [], []
    for first in range(0, len(shots), TOGETHER):
        at = slice(first, first + TOGETHER)
        part, field = _together(volume, given.counts[at], None if hit is None else hit[at], shots[at], given.starts[at], given.waves[at], entry)
        parts.append(part)
        fields.append(field)
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    values["least_contrast"] = np.array(given.least)
    values["fringe_power"] = np.array([np.zeros(len(cameras)) if wave is None else wave.views for wave in given.waves])
    known = ("density", "density_std") if entry.fit.method in WITH_STD else ("density",)  # what must be finite
    trusted = values.pop("converged") & np.all([np.isfinite(values[name]).all((1, 2, 3)) for name in known], 0)
    return Densities(values, _joined(fields), trusted)


def prepared(cameras: Sequence[Camera], electrons: np.ndarray, bad: np.ndarray, shots: Sequence[int], entry: Imaging) -> Prepared:
    """Starts, waves, lattices and projectors: once a block, whatever the method. Arguments as of `densities`."""
    pedestal = np.array([camera.pedestal for camera in cameras])[:, None, None]
    light = np.where(bad, 0.0, electrons)
    counts = np.where(bad, 0.0, np.rint(electrons + pedestal).clip(min=0))  # read noise can leave less than nothing
    views = views_of(cameras)
    starts = [moments(views, image, ~bad, entry.photons_per_atom) for image in light]
    # Without `fit.fringe` a wave is not fitted, but a free shape needs samples that can draw it.
    waves = [strongest_wave(views, image, total, start) for image, total, start in zip(light, counts, starts, strict=True)]
    clearest = max((wave for wave in waves if wave), key=lambda wave: wave.power, default=None)
    if clearest is not None:  # a shot too dim to show a wave anywhere is asked for the block's
        for place, (image, total, start) in enumerate(zip(light, counts, starts, strict=True)):
            waves[place] = waves[place] or wave_at(views, image, total, start, clearest.vector)
    least = [least_contrast(views, image, total, start) for image, total, start in zip(light, counts, starts, strict=True)]
    for shot, wave, contrast in zip(shots, waves, least, strict=True):
        log.info(
            "shot %d: %s; a fringe that a view sees whole is found from a contrast of %.2g on",
            shot,
            "no wave in the spectra of the views" if wave is None else f"wave {wave.vector} rad/m, power by view {np.round(wave.views)}",
            contrast,
        )
    volume = volume_of(cameras, light, bad, starts, waves, entry.grid, entry.photons_per_atom)
    return Prepared(volume, counts, starts, waves, least)


def _together(
    volume: Volume, frames: np.ndarray, hit: np.ndarray | None, shots: Sequence[int], starts: Sequence, waves: Sequence, entry: Imaging
) -> tuple[dict[str, np.ndarray], Fringed | Voxels | Network]:
    machine = volume.reported.device
    counts = pixels_of(volume.fine.projector, torch.from_numpy(frames).to(torch.float32)).to(machine)
    struck = None if hit is None else pixels_of(volume.fine.projector, torch.from_numpy(hit).to(torch.float32)).to(machine)
    good = torch.ones_like(counts) if struck is None else (struck == 0).to(counts.dtype)
    with machine:
        if entry.fit.method not in WITH_STD:
            plain, other = voxel_values(volume, counts, good, shots, starts, entry)
            return plain | split_half(volume, counts, good, shots, entry), other
        if entry.fit.method == "gaussian":
            fitted = gaussian(volume, counts, good, starts)
        else:
            fitted = fit_shots(volume, counts, good, shots, starts, waves, entry.fit, entry.seed)
        shown = [moved(derived(volume, fitted, member, counts[:, member], good[:, member]), "cpu") for member in range(len(shots))]
        halves = split_half(volume, counts, good, shots, entry)
        field = field_of_fit(volume, fitted).cpu()
    fitted = moved(fitted, "cpu")
    axis, side = axis_of(entry.grid), entry.grid.voxels
    points = torch.from_numpy(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).astype(np.float32))
    with torch.no_grad():
        density = field.means(points, 2 * entry.grid.half_width_m / side).reshape(-1, side, side, side).numpy()
    std = np.zeros((len(shots), side**3), np.float32)
    reported = volume.reported[volume.reported >= 0].cpu().numpy()
    for member, one in enumerate(shown):
        std[member, reported] = one.density_std.numpy()
    values = {
        "density": density,
        "density_std": std.reshape(density.shape),
        "chi2_reduced": np.array([one.chi2_reduced for one in shown]),
        **halves,
        "fringe_wave_vector": np.stack([one.values["wave_vector"].numpy() for one in shown]),
        "held_out_deviance": fitted.held_out.numpy(),
        "kept_step": fitted.kept_step.numpy(),
        "converged": fitted.converged.numpy(),
    }
    for name in SCALARS:
        values[name] = np.stack([one.values[name].detach().numpy() for one in shown])
        values[f"{name}_std"] = np.stack([one.stds[name].detach().numpy() for one in shown])
    return values, field


def split_half(volume: Volume, counts: torch.Tensor, good: torch.Tensor, shots: Sequence[int], entry: Imaging) -> dict[str, np.ndarray]:
    """Fourier shell correlation of two halves of each shot's photons, by the product's variables' names: classical reconstructions, each stopped
    by the other half's photons.

    The halves share the atoms, so that their noise correlates by (q/2) / (1 + q/2) with q detected photons an atom: the plateau.
    """
    projector = volume.fine.projector
    use = good[projector.pixel]
    halves = thinned(counts[projector.pixel], 0.5, shots, entry.seed + 1)
    side = entry.grid.voxels
    both = [mlem(projector.electrons, projector.pedestal, a, b, 0.5, good=use).density for a, b in (halves, halves[::-1])]
    first, second = (on_grid(volume, half, side).cpu().numpy() for half in both)
    curves = [shell_correlation(a, b, 2 * entry.grid.half_width_m / side) for a, b in zip(first, second, strict=True)]
    electrons = (use * light(projector, (both[0] + both[1]) / 2)).double().sum(0)
    of_an_atom = electrons / (projector.volume * (both[0] + both[1]).double().sum(0) / 2)
    plateau = (of_an_atom / 2 / (1 + of_an_atom / 2)).cpu().numpy()
    return {
        "resolution_split_half": np.array([resolution(curve) for curve in curves]),
        "resolution_above_plateau": np.array([resolution(curve, p + HALVES * (1 - p)) for curve, p in zip(curves, plateau, strict=True)]),
        "split_half_plateau": plateau,
        "split_half_correlation": np.stack([curve.correlation for curve in curves]),
        "split_half_correlation_std": np.stack([curve.std for curve in curves]),
        "split_half_power": np.stack([curve.power for curve in curves]),
    }


def _joined(fields: Sequence[Fringed | Voxels | Network]) -> Fringed | Voxels | Network:
    """One field of all shots; those without a free shape get an empty one."""
    largest = max(fields, key=_nodes)
    whole = of_batch(largest, sum(field.batch or 1 for field in fields))
    first = 0
    with torch.no_grad():
        for field in fields:
            at = slice(first, first + (field.batch or 1))
            for name, part in field.state_dict().items():
                if _nodes(field) == _nodes(largest) or name != "logarithm":
                    whole.state_dict()[name][at] = part
            first = at.stop
    return whole


def _nodes(field: Fringed | Voxels | Network) -> int:
    return 0 if isinstance(field, Network) else field.nodes


def of_batch(field: Fringed | Voxels | Network, batch: int) -> Fringed | Voxels | Network:
    """A field of the same kind for another number of shots."""
    return type(field)(**{**field.settings(), "batch": batch})
