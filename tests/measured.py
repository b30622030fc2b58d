"""Tracks measured by a box with six disks, made in NumPy: solid angle and a glow from everywhere, in a detector that differs from the simulated one."""

from dataclasses import dataclass, field

import numpy as np
import torch

from fieldfit.fields.visibility import VisibilityField
from fieldfit.simulate.optics import disk_share

CENTRE = np.array([[0.0, -0.25, 0.3], [0.0, 0.25, 0.3], [0.0, -0.25, 0.9], [0.0, 0.25, 0.9], [0.0, -0.25, 1.4], [0.0, 0.25, 1.4]])
LOW, HIGH = np.array([0.0, -0.5, 0.0]), np.array([1.0, 0.5, 1.6])
GLOW = 1e-3
EFFICIENCY = np.array([0.03, 0.025, 0.0, 0.028, 0.02, 0.03])
ALIVE = EFFICIENCY > 0


@dataclass(frozen=True)
class Detector:
    """What differs from the simulation: attenuation [m-1], glow (of the simulated one); waves: coefficients of TERMS, (term) of all light and
    (channel, 1 + term) of each channel's glow, a constant first."""

    attenuation: float = 0.0
    glow: float = 1.0
    efficiency: np.ndarray = field(default_factory=lambda: EFFICIENCY)
    waves: tuple[np.ndarray, np.ndarray] | None = None

    def correction(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of what becomes of all light (n) and of each channel's glow (n, channel), in closed form."""
        if self.waves is None:
            return np.zeros(len(points)), np.zeros((len(points), 6))
        u = (points - (LOW + HIGH) / 2) / ((HIGH - LOW) / 2)
        p = np.stack([np.ones_like(u), u, (3 * u * u - 1) / 2])
        terms = [p[i, :, 0] * p[j, :, 1] * p[k, :, 2] for i, j, k in TERMS]
        shared, own = self.waves
        return np.stack(terms, 1) @ shared, own[:, 0] + np.stack(terms, 1) @ own[:, 1:].T

    def visibility(self, points: np.ndarray) -> np.ndarray:
        """(n, channel), without efficiency."""
        values = []
        of_all, of_glow = self.correction(points)
        for c, centre in enumerate(CENTRE):
            away = points - centre
            square = np.square(away).sum(-1)
            share = disk_share(away[:, 0], np.sqrt(np.maximum(square - away[:, 0] ** 2, 0)), 0.1)
            values.append((share + self.glow * GLOW * np.exp(of_glow[:, c])) * np.exp(of_all - self.attenuation * np.sqrt(square)))
        return np.stack(values, 1)


TERMS = [(i, j, k) for i in range(3) for j in range(3) for k in range(3) if 1 <= i + j + k <= 2]


def drawn(generator: np.random.Generator, shared: float, own: float) -> Detector:
    """A detector whose correction is drawn from the calibration's own prior: std shared / degree and own / degree."""
    order = np.array([sum(t) for t in TERMS])
    own_order = np.concatenate([[1], order])
    return Detector(waves=(generator.normal(size=len(TERMS)) * shared / order, generator.normal(size=(6, len(own_order))) * own / own_order))


@dataclass(frozen=True)
class Tracks:
    """points [m], photons, track (point); mean (track, channel): photo-electrons."""

    points: np.ndarray
    photons: np.ndarray
    track: np.ndarray
    mean: np.ndarray


def muons(generator: np.random.Generator, tracks: int, detector: Detector, photons: float = 1e5, single: bool = False) -> Tracks:
    """Straight tracks between random places of the box, or single points."""
    points, owner = [], []
    for t in range(tracks):
        a, b = LOW + generator.random((2, 3)) * (HIGH - LOW)
        n = 1 if single else max(10, int(np.linalg.norm(b - a) / 0.02))
        points.append(a + np.linspace(0, 1, n)[:, None] * (b - a))
        owner.append(np.full(n, t))
    x, track = np.concatenate(points), np.concatenate(owner)
    made = photons * generator.gamma(8, 1 / 8, len(x)) * (50 if single else 1)
    light = made[:, None] * detector.visibility(x)
    mean = np.stack([np.bincount(track, light[:, c], tracks) for c in range(6)], 1) * detector.efficiency
    return Tracks(x, made, track, mean)


def inputs(tracks: Tracks, measured: np.ndarray) -> list[torch.Tensor]:
    """The arguments of `calibrate` after the field."""
    return [torch.from_numpy(a) for a in (tracks.points, tracks.photons, tracks.track, measured.astype(float))]


def simulated_field() -> VisibilityField:
    """The field that holds `Detector()` exactly."""
    made = VisibilityField(
        CENTRE.tolist(), [[1.0, 0.0, 0.0]] * 6, [0.1] * 6, ((LOW + HIGH) / 2).tolist(), ((HIGH - LOW) / 2).tolist(), 4, 1, members=1
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.networks[0].layers[-1].bias[6:] = float(np.log(GLOW))
    return made


def logarithms(found: np.ndarray, true: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Pulls of efficiencies of live channels after one common factor."""
    away = np.log(found[ALIVE] / true[ALIVE])
    return (away - away.mean()) / (std[ALIVE] / found[ALIVE]) * np.sqrt(ALIVE.sum() / (ALIVE.sum() - 1))
