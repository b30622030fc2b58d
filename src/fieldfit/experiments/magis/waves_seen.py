"""Which density waves a set of views can see, and how well they tell their phase.

Photo-electrons of a fringed Gaussian cloud on a pedestal b: over whole fringes, a place with s electrons of the cloud a pixel and contrast c tells

    information on the phase = (s + b) (1 - sqrt(1 - m^2)),   m = s c / (s + b)

which is summed over the cloud's image. One view alone sees a wave when it tells its phase to 1/8 rad: the wave's power is then 32 times
that of the noise in the view's spectrum, where a density fit begins to believe a wave (`start.SIGNIFICANT`). All views together tell it to

    var(phase) = 1 / sum_v information_v + 1 / (N_atoms (1 - sqrt(1 - C^2)))

The second term stands for the atoms, which are finite. Wave vector, envelope and contrast count as known: with them free the error is
1.1 to 1.3 times that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fieldfit.experiments.magis.start import View, views_of
from fieldfit.geometry.cameras import Camera
from fieldfit.geometry.modulation import Sight, modulation, sight_of

SEEN_RAD = 1 / 8
UNKNOWN_RAD = math.pi / math.sqrt(3)  # of a phase that may be anything
RADII = 24  # Gauss-Legendre nodes over the cloud's image


@dataclass(frozen=True)
class Cloud:
    """What the views are to see. size: rms [m]; contrast: of its fringe; photons: emitted; atoms: their number."""

    size: float
    contrast: float
    photons: float
    atoms: float


@dataclass(frozen=True)
class Waves:
    """Of each wave vector. contrast (wave, view): that each view shows, on its sensor; phase_std (wave) [rad]: of all views together;
    seen (wave, view): whether that view alone sees it."""

    contrast: Float[Tensor, "wave view"]
    phase_std: Float[Tensor, "wave"]
    seen: Bool[Tensor, "wave view"]


def waves_seen(cameras: Sequence[Camera], waves: Float[Tensor, "wave 3"], cloud: Cloud) -> Waves:
    """What the views show of density waves [rad/m] of a cloud in the middle of the world. A fringe that no view sees: `not seen[i].any()`."""
    sights: list[Sight] = [sight_of(camera) for camera in cameras]
    contrast = cloud.contrast * modulation(sights, waves, cloud.size)
    views: list[View] = views_of(cameras)
    told = [
        phase_information(contrast[:, place], cloud.photons * view.electrons, cloud.size / view.pixel, camera.pedestal)
        for place, (view, camera) in enumerate(zip(views, cameras, strict=True))
    ]
    information = torch.stack(told, 1)
    by_atoms = cloud.atoms * (1 - math.sqrt(1 - cloud.contrast**2))
    total = information.sum(1).clamp_min(torch.finfo(torch.float64).tiny)
    return Waves(contrast, (1 / total + 1 / by_atoms).sqrt().clamp_max(UNKNOWN_RAD), information >= SEEN_RAD**-2)


def phase_information(contrast: Float[Tensor, "wave"], electrons: float, size: float, pedestal: float) -> Float[Tensor, "wave"]:
    """Fisher information [rad^-2] on the phase of fringes of `contrast` on a Gaussian of rms size `size` [pixels] with `electrons` in all, on
    `pedestal` electrons a pixel. Without a pedestal: electrons (1 - sqrt(1 - contrast^2))."""
    nodes, weights = np.polynomial.legendre.leggauss(RADII)
    w = torch.from_numpy(0.5 * (nodes + 1))[:, None]  # exp(-r^2 / 2 size^2): rings of equal weight have equal shares of the cloud
    light = electrons / (2 * math.pi * size**2) * w
    mean = light + pedestal
    m = contrast * light / mean
    told = mean * m.square() / (1 + (1 - m.square()).sqrt())  # 1 - sqrt(1 - m^2) without cancellation
    return (torch.from_numpy(0.5 * weights)[:, None] / w * told).sum(0) * (2 * math.pi * size**2)
