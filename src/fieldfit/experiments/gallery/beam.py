"""What a scan tells of its beam, before and beside any object: noise, intensity view by view, response column by column.

    counts = dark + gain (photons + pedestal),   photons ~ Poisson(incident T),   pedestal = (read noise / gain)^2
    incident_vj = white_j intensity_v exp(alpha_j + beta_j tau_v),   tau from -1 to 1 over the scan

gain from the white frames' scatter (photon transfer: variance = gain mean + read noise^2). intensity_v from the rays that miss the object.
alpha and beta: how column j differs from its white, and drifts; a regression on residuals, with a normal prior as wide as the columns that
never see the object show. Left out, they make rings.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from fieldfit.io.data_exchange import Scan
from fieldfit.types import InputError

SMOOTH = 42  # parts of the detector: depths are averaged over one to find the object's edges, and as much is left around it
DRIFT = 0.05  # of the beam, at most: a depth that is everywhere larger is an object
EDGE = 0.03  # of the scan's largest depth: below, there is no object
FEW = 20  # columns of air, below which their response tells nothing of the others
LEAST_AIR = 4  # columns beside the object that a view needs


@dataclass(frozen=True)
class Beam:
    """photons (row, view, column), pedestal included; incident (row, view, column) without the columns' own response; tau (view);
    object (row, view, column): where the object can be; prior (2): standard deviations of alpha and beta."""

    photons: Float[np.ndarray, "row view column"]
    incident: Float[np.ndarray, "row view column"]
    object: Bool[np.ndarray, "row view column"]
    tau: Float[np.ndarray, "view"]
    prior: Float[np.ndarray, "2"]
    pedestal: float
    gain: float

    def seen(self, views: np.ndarray) -> "Beam":
        """The same beam, some views only."""
        at = (slice(None), views)
        return replace(self, photons=self.photons[at], incident=self.incident[at], object=self.object[at], tau=self.tau[views])


def beam_of(scan: Scan, gain: float | None, source: str) -> Beam:
    """The beam of a scan. gain: counts a detected photon, measured from the white frames when None.

    Raises InputError, speaking of `source`, when the gain cannot be measured or the object reaches an end of the detector.
    """
    white, dark = scan.white.mean(0), scan.dark.mean(0)
    read = float(scan.dark.var(0, ddof=1).mean()) if len(scan.dark) > 1 else 0.0
    gain = _gain(scan, white - dark, read, source) if gain is None else gain
    light = np.moveaxis(scan.counts - dark, 1, 0)
    incident = (white - dark)[:, None] / gain * np.ones_like(light)
    there = _object(light / gain / incident, float(np.median(incident)) ** -0.5, scan.rows, source)
    air = np.where(there, 0.0, 1.0)
    intensity = (air * light / gain).sum(2) / (air * incident).sum(2)
    incident *= intensity[:, :, None]
    pedestal = read / gain**2
    beam = Beam(light / gain + pedestal, incident, there, np.linspace(-1, 1, len(scan.angle)), np.full(2, np.inf), pedestal, gain)
    return replace(beam, prior=_prior(beam, len(scan.white)))


def _gain(scan: Scan, lit: np.ndarray, read: float, source: str) -> float:
    if len(scan.white) < 2:
        raise InputError(f"{source}: one white frame, so that its noise cannot be measured; give the key 'gain' (counts a detected photon)")
    flat = scan.white - scan.dark.mean(0)
    flat = flat * (flat.mean() / flat.mean((1, 2), keepdims=True))  # a beam that flickers as a whole is no photon noise
    found = float((flat.var(0, ddof=1).mean() - read) / lit.mean())
    if not found > 0:
        raise InputError(
            f"{source}: the white frames scatter no more than the dark ones (gain {found:.3g}); give the key 'gain' (counts a detected photon)"
        )
    return found


def _object(share: np.ndarray, noise: float, rows: tuple[int, ...], source: str) -> np.ndarray:
    """(row, view, column): from the first to the last column where a smoothed depth stands out, with a margin. noise: of one depth in air."""
    depth = -np.log(np.clip(share, 1e-4, None))
    width = max(5, depth.shape[2] // SMOOTH | 1)
    padded = np.pad(depth, ((0, 0), (0, 0), (width // 2, width // 2)), mode="reflect")
    smooth = np.lib.stride_tricks.sliding_window_view(padded, width, axis=2).mean(3)
    smooth = smooth - np.clip(np.percentile(smooth, 5, axis=2, keepdims=True), -DRIFT, DRIFT)
    stands = smooth > EDGE * np.percentile(smooth, 99.5) + 4 * noise / np.sqrt(width)
    first = stands.argmax(2) - width
    last = depth.shape[2] - 1 - stands[..., ::-1].argmax(2) + width
    cut = (first < LEAST_AIR) | (last > depth.shape[2] - 1 - LEAST_AIR)
    if cut.any():
        row, view = np.argwhere(cut)[0]
        raise InputError(
            f"{source}: the object reaches an end of the detector in {int(cut.sum())} of {cut.size} projections, the first in row {rows[row]}, "
            f"view {view} (columns {first[row, view]} to {last[row, view]} of 0 to {depth.shape[2] - 1}); expected air on both sides in every view"
        )
    column = np.arange(depth.shape[2])
    return np.asarray((column >= first[..., None]) & (column <= last[..., None]))


def responses(beam: Beam, share: Float[np.ndarray, "row view column"]) -> Float[np.ndarray, "row column 2"]:
    """(alpha, beta) of every column, given what share of the incident photons the object lets through."""
    mean = np.maximum(beam.incident * share, 1.0)
    weight = mean**2 / (mean + beam.pedestal)  # of the logarithm
    residual = (beam.photons - beam.pedestal - mean) / mean
    basis = np.stack([np.ones_like(beam.tau), beam.tau], 1)
    matrix = np.einsum("rvj,va,vb->rjab", weight, basis, basis) + np.diag(beam.prior**-2.0)
    return np.linalg.solve(matrix, np.einsum("rvj,va,rvj->rja", weight, basis, residual)[..., None])[..., 0]


def responding(beam: Beam, response: Float[np.ndarray, "row column 2"]) -> Beam:
    """The beam with its columns' response in."""
    drift = response[:, None, :, 0] + response[:, None, :, 1] * beam.tau[None, :, None]
    return replace(beam, incident=beam.incident * np.exp(drift))


def _prior(beam: Beam, frames: int) -> np.ndarray:
    """Widths of alpha and beta from the columns that see air in all views; never below what the white frames' own noise makes of alpha."""
    least = 1 / np.sqrt(np.median(beam.incident) * frames)
    air = ~beam.object.any((0, 1))
    if air.sum() < FEW:
        return np.array([3 * least, 3 * least])
    found = responses(replace(beam, prior=np.array([1.0, 1.0])), np.ones_like(beam.incident))[:, air]
    return np.maximum(found.reshape(-1, 2).std(0), least)
