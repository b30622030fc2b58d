"""Other answers as density products: MLEM (plain, with total variation) and SIRT on voxels, networks, a Gaussian, Abel's rings of a symmetric cloud.

All see the photons that the field sees, through the same projector, and stop by the same held-out tenth. What a method cannot give is NaN:
voxels, networks and rings have no error of their own and no fringe, a Gaussian has no fringe.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.config.magis import DensityFit, Imaging
from fieldfit.experiments.magis.abel import AXES, rings, seen_rings
from fieldfit.experiments.magis.envelopes import TOLERANCE, scored, started
from fieldfit.experiments.magis.imaging import Fitted, thinned
from fieldfit.experiments.magis.iterative import Classical, joined, mlem, sirt
from fieldfit.experiments.magis.neural import RATES, network
from fieldfit.experiments.magis.precision import chi2
from fieldfit.experiments.magis.shape import LEAST, Photons
from fieldfit.experiments.magis.start import Moments
from fieldfit.experiments.magis.total_variation import em_tv
from fieldfit.experiments.magis.volume import Volume, axis_of, on_grid
from fieldfit.fields.fringed import ENVELOPE
from fieldfit.fields.networks import Network
from fieldfit.fields.voxels import Voxels
from fieldfit.forward.imaging import mean_electrons

ROUNDS = 4  # of Fisher scoring of a Gaussian
ABEL_MOST = 200  # MLEM iterations: rings are few, and are drawn slowly
AXIS_ONLY = {"wavefront": 3, "position": 3, "size": 3, "fringe_wave_vector": 3}


def gaussian(
    volume: Volume, counts: Float[Tensor, "all shot"], good: Float[Tensor, "all shot"], starts: Sequence[Moments], rounds: int = ROUNDS
) -> Fitted:
    """Each shot's envelope alone at its likeliest on all photons, from the moments of its views. counts: pedestal included; good: 0 where a
    pixel must not count."""
    number = len(starts)
    pixel, half = volume.turned.projector.pixel, volume.half_width
    seen, use = counts[pixel], good[pixel]
    found, converged = started(starts, [None] * number, volume.half_width), torch.zeros(number, dtype=torch.bool)
    for _ in range(rounds):  # slopes of a step before do not serve for long where the cloud is no Gaussian
        left = torch.nonzero(~converged).flatten()
        if not len(left):
            break
        found[left], converged[left] = scored(volume.turned, half, seen[:, left], use[:, left], 1.0, found[left], None, ENVELOPE, TOLERANCE)
    ones = torch.ones(number, len(volume.fine.x))
    nothing = torch.zeros(number, dtype=torch.bool)
    unknown = torch.full((number,), torch.nan, dtype=torch.float64)
    no_shape = torch.zeros(number, 0), torch.zeros(number, 7), torch.zeros(number)
    return Fitted(found, ones, *no_shape, nothing, unknown, torch.zeros(number, dtype=torch.long), converged)


def symmetric(
    volume: Volume,
    kept: Float[Tensor, "pixel shot"],
    out: Float[Tensor, "pixel shot"],
    good: Float[Tensor, "pixel shot"],
    share: float,
    centres: Float[Tensor, "shot 3"],
    axis: int,
) -> Classical:
    """Densities symmetric about a line through each shot's centre [m]. kept, out: fitted and held-out photons of the fine lattice's pixels;
    good: 0 where one must not count."""
    projector = volume.fine.projector
    step = projector.volume ** (1 / 3)  # finer along the axis where an interlaced lattice holds a short wave
    parts = []
    for place, centre in enumerate(centres):
        drawn = rings(projector.centres, centre, axis, step)
        seen, which = seen_rings(projector.electrons, drawn)
        one = slice(place, place + 1)
        found = mlem(seen, projector.pedestal, kept[:, one], out[:, one], share, ABEL_MOST, good=good[:, one])
        profile = np.zeros(drawn.shape[1])
        profile[which.numpy()] = found.density[:, 0].numpy()
        parts.append(Classical(torch.from_numpy(drawn @ profile).to(kept.dtype)[:, None], found.iterations, found.loss))
    return joined(parts)


def reconstructed(
    volume: Volume,
    counts: Float[Tensor, "all shot"],
    good: Float[Tensor, "all shot"],
    shots: Sequence[int],
    starts: Sequence[Moments],
    options: DensityFit,
    seed: int,
) -> tuple[Classical, Float[Tensor, "shot"], Network | None]:
    """(densities at the samples of the fine lattice, deviance of the held-out photons a pixel, the network) as `method` says."""
    projector = volume.fine.projector
    kept, out = thinned(counts[projector.pixel], options.held_out, shots, seed)
    share, use = 1 - options.held_out, good[projector.pixel]
    field = None
    if options.method in RATES:
        envelopes = gaussian(volume, counts, good, starts, rounds=1).parameters[:, :ENVELOPE].to(torch.float32)
        photons = Photons(kept, out, options.held_out, use)
        found, field = network(volume, photons, envelopes, options.method, options.steps, seed)
    elif options.method == "abel":
        centres = gaussian(volume, counts, good, starts, rounds=1).parameters[:, 1:4] * volume.half_width
        found = symmetric(volume, kept, out, use, share, centres, AXES.index(options.axis))
    elif options.method == "tv":
        found = em_tv(projector, volume.fine.free, kept, out, share, use)
    else:
        found = (sirt if options.method == "sirt" else mlem)(projector.electrons, projector.pedestal, kept, out, share, good=use)
    floor = (use * (out - torch.xlogy(out, out))).double().sum(0)
    return found, 2 * (found.loss - floor) / use.sum(0), field


def voxel_values(
    volume: Volume,
    counts: Float[Tensor, "all shot"],
    good: Float[Tensor, "all shot"],
    shots: Sequence[int],
    starts: Sequence[Moments],
    entry: Imaging,
) -> tuple[dict[str, np.ndarray], Voxels | Network]:
    """What the density product holds of a reconstruction without errors, by its variables' names, and the field of all shots.

    Position and size are moments of the density, noise and all: without errors, as density_std is.
    """
    side, projector = entry.grid.voxels, volume.fine.projector
    found, held_out, neural = reconstructed(volume, counts, good, shots, starts, entry.fit, entry.seed)
    number, seen = len(shots), projector.pixel
    mean = mean_electrons(projector, found.density).clamp_min(LEAST)
    density = on_grid(volume, found.density, side).cpu().numpy()
    voxels = Voxels(number, entry.grid.half_width_m, side).cpu()
    with torch.no_grad():
        voxels.values.copy_(torch.from_numpy(density))
    values = {name: np.full((number, 3), np.nan) for name in AXIS_ONLY} | {name: np.full(number, np.nan) for name in ("phase", "contrast")}
    values["fringe_period"] = np.full(number, np.nan)
    values["atom_number"], values["position"], values["size"] = _moments(density, axis_of(entry.grid))
    values |= {f"{name}_std": np.full_like(value, np.nan) for name, value in values.items() if name != "fringe_wave_vector"}
    values |= {
        "density": density,
        "density_std": np.full_like(density, np.nan),
        "chi2_reduced": np.array([chi2(projector, counts[seen, k], mean[:, k], good[seen, k], 0) for k in range(number)]),
        "held_out_deviance": held_out.cpu().numpy(),
        "kept_step": found.iterations.cpu().numpy(),
        "converged": np.ones(number, bool),
    }
    return values, neural.cpu() if neural else voxels


def _moments(density: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(atoms (shot), centre (shot, 3) [m], rms size (shot, 3) [m])."""
    total = density.sum((1, 2, 3), dtype=np.float64)
    centre, size = [], []
    for other in ((2, 3), (1, 3), (1, 2)):
        profile = density.sum(other, dtype=np.float64) / total[:, None]
        centre.append(profile @ axis)
        size.append(np.sqrt(np.maximum(profile @ axis**2 - centre[-1] ** 2, 0)))
    return total * (axis[1] - axis[0]) ** 3, np.stack(centre, 1), np.stack(size, 1)
