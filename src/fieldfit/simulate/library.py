"""A photon library, sensors, measured tracks and flashes of a known detector, in the files that the readers read.

The library is counted photon by photon (`simulate.optics`), each voxel's photons from random places in it. The detector that measures
the tracks differs from the simulated one: another absorption length, scattering length and reflectivity, an efficiency for each
channel, and one dead channel.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import uproot
from numpy.typing import NDArray

from fieldfit.config.dune import Geometry, Library
from fieldfit.io.whole import whole
from fieldfit.simulate.optics import Detector, expect_photons, trace_photons
from fieldfit.types import InputError
from fieldfit.units import AR_DELAY_S_M, CM, NS

AT_ONCE = 262_144  # photons traced together: fits the processor's cache
PHOTONS_PER_M = 5.0e6  # that a muon makes
STEP_M = 0.02  # between the points of a track
SAMPLES = 96  # photons traced from each point of a track
FLASH_PHOTONS = 2.0e6  # that a flash makes, in the mean: some 80 MeV
FLASH_SAMPLES = 2000  # photons traced from each flash
TRUTH_POINTS = 40
TRUTH_SAMPLES = 5000
DEAD = 2  # the channel without efficiency
EFFICIENCY = 0.026


@dataclass(frozen=True)
class Muons:
    """point (point, 3) [m]; photons (point); offset (track + 1)."""

    point: NDArray[np.float64]
    photons: NDArray[np.float64]
    offset: NDArray[np.int64]


def simulated_detector(geometry: Geometry) -> Detector:
    """Eight disks on the box: six on the lower x wall, two on the upper y wall."""
    low, high = np.array(geometry.min_cm) * CM, np.array(geometry.max_cm) * CM
    spots = [(0.0, y, z) for z in (1 / 6, 1 / 2, 5 / 6) for y in (0.25, 0.75)] + [(0.5, 1.0, z) for z in (0.25, 0.75)]
    centre = low + np.array(spots) * (high - low)
    return Detector(low, high, centre, np.full(len(spots), 0.1 * float((high - low).min())), absorption=20.0, scattering=0.9, reflectivity=0.25)


def real_detector(simulated: Detector) -> Detector:
    """What the tracks are measured with: more absorption and scattering, brighter walls."""
    return replace(simulated, absorption=6.0, scattering=0.75, reflectivity=0.3)


@dataclass(frozen=True)
class Traced:
    """counts (2, voxel, channel): photons detected, direct and reflected; first (2, voxel, channel) [m]: the shortest way of them, infinite
    without one; way (voxel, channel) [m]: the sum of all ways."""

    counts: NDArray[np.int64]
    first: NDArray[np.float32]
    way: NDArray[np.float64]

    def times(self) -> NDArray[np.float64]:
        """(3, voxel, channel) [ns]: the first reflected arrival, the first of all, and the mean delay after it; NaN without photons, and a delay
        without a second one."""
        counts, ways = self.counts.sum(0), np.where(np.isfinite(self.first), self.first, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            first = np.fmin(*ways)
            delay = np.where(counts > 1, self.way / counts - first, np.nan)
        return AR_DELAY_S_M / NS * np.stack([ways[1], first, delay])


def trace_library(
    detector: Detector,
    divisions: tuple[int, int, int],
    photons: int,
    generator: np.random.Generator,
    lower: NDArray[np.float64] | None = None,
    upper: NDArray[np.float64] | None = None,
) -> Traced:
    """`photons` from random places in each voxel, x fastest, of the detector or of a box inside it."""
    lower, upper = detector.lower if lower is None else lower, detector.upper if upper is None else upper
    voxels, channels = int(np.prod(divisions)), len(detector.centre)
    edge = (upper - lower) / np.array(divisions)
    counts, way = np.zeros((2, voxels * channels), np.int64), np.zeros(voxels * channels)
    first = np.full((2, voxels * channels), np.inf, np.float32)
    total = voxels * photons
    for begin in range(0, total, AT_ONCE):
        voxel = np.arange(begin, min(begin + AT_ONCE, total)) // photons
        corner = np.stack([voxel % divisions[0], voxel // divisions[0] % divisions[1], voxel // (divisions[0] * divisions[1])], 1)
        start = lower + (corner + generator.random((len(voxel), 3))) * edge
        for arrived in trace_photons(detector, start, generator):
            place = voxel[arrived.photon] * channels + arrived.channel
            np.add.at(way, place, arrived.way)
            for kind in (0, 1):
                here = arrived.reflected == bool(kind)
                np.add.at(counts[kind], place[here], 1)
                np.minimum.at(first[kind], place[here], arrived.way[here])
    return Traced(counts.reshape(2, voxels, channels), first.reshape(2, voxels, channels), way.reshape(voxels, channels))


def cross_box(detector: Detector, tracks: int, generator: np.random.Generator) -> Muons:
    """Straight muons through random places of the box in random directions, from face to face."""
    points, photons, offset = [], [], [0]
    while len(offset) <= tracks:
        middle = detector.lower + generator.random(3) * (detector.upper - detector.lower)
        direction = generator.normal(size=3)
        direction /= np.linalg.norm(direction)
        with np.errstate(divide="ignore"):
            bounds = np.sort(np.stack([(detector.lower - middle) / direction, (detector.upper - middle) / direction]), 0)
        way = np.arange(bounds[0].max() + STEP_M / 2, bounds[1].min(), STEP_M)
        if len(way) < 10:
            continue
        points.append(np.clip(middle + way[:, None] * direction, detector.lower, detector.upper))
        photons.append(PHOTONS_PER_M * STEP_M * generator.gamma(8.0, 1 / 8.0, len(way)))
        offset.append(offset[-1] + len(way))
    none = np.zeros((0, 3))
    return Muons(np.concatenate([none, *points]), np.concatenate([none[:, 0], *photons]), np.array(offset))


def light_of(detector: Detector, muons: Muons, generator: np.random.Generator, samples: int = SAMPLES) -> NDArray[np.float64]:
    """Mean photons that reach each channel, (track, channel)."""
    tracks = len(muons.offset) - 1
    track = np.repeat(np.arange(tracks), np.diff(muons.offset))
    light = np.zeros((tracks, len(detector.centre)))
    most = max(1, AT_ONCE // samples)
    for first in range(0, len(track), most):
        rows = np.repeat(np.arange(first, min(first + most, len(track))), samples)
        light += expect_photons(detector, muons.point[rows], muons.photons[rows] / samples, track[rows], tracks, generator)
    return light


def visibility_at(detector: Detector, points: NDArray[np.float64], samples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """(point, channel) by next-event estimation."""
    return light_of(detector, Muons(points, np.ones(len(points)), np.arange(len(points) + 1)), generator, samples)


def make_files(entry: Library, truth: Path) -> None:
    """Write the ROOT library (branches at top level, no metadata), the sensors, the tracks, the flashes and the truth.

    Raises InputError when the entry's geometry is absent, or says other divisions or photons than `simulate`.
    """
    settings, geometry, photons_given = entry.simulate, entry.geometry, entry.photons_per_voxel
    assert settings is not None and entry.channels is not None
    if geometry is None:
        raise InputError("key 'geometry' is missing: a simulated library carries no metadata, expected geometry: {min_cm, max_cm, divisions}")
    if tuple(geometry.divisions) != tuple(settings.divisions):
        raise InputError(f"key 'simulate.divisions' is {settings.divisions}, 'geometry.divisions' is {geometry.divisions}; expected the same")
    if photons_given is not None and photons_given != settings.photons:
        raise InputError(f"key 'photons_per_voxel' is {photons_given:g}, 'simulate.photons' is {settings.photons}; expected the same")
    generator = np.random.default_rng(entry.seed)
    detector = simulated_detector(geometry)
    real = real_detector(detector)
    traced = trace_library(detector, settings.divisions, settings.photons, generator)
    muons = cross_box(detector, settings.tracks, generator)
    efficiency = EFFICIENCY * generator.lognormal(0.0, 0.1, len(detector.centre))
    efficiency[DEAD] = 0.0
    mean = efficiency * light_of(real, muons, generator)
    points = detector.lower + generator.random((TRUTH_POINTS, 3)) * (detector.upper - detector.lower)
    told = {
        "simulated": _told(detector),
        "real": _told(real),
        "efficiency": efficiency.tolist(),
        "pe_mean": mean.tolist(),
        "position_cm": (points / CM).tolist(),
        "visibility": visibility_at(detector, points, TRUTH_SAMPLES, generator).tolist(),
        "efficiency_times_visibility": (efficiency * visibility_at(real, points, TRUTH_SAMPLES, generator)).tolist(),
    }
    with whole(entry.library) as unfinished:
        write_root(unfinished, traced, settings.photons)
    with whole(entry.channels) as unfinished:
        unfinished.write_text(json.dumps(_sensors(detector), indent=1) + "\n")
    if entry.tracks is not None:
        with whole(entry.tracks) as unfinished:
            write_tracks(unfinished, muons, generator.poisson(mean))
    if entry.flashes is not None:
        place = detector.lower + (0.05 + 0.9 * generator.random((settings.flashes, 3))) * (detector.upper - detector.lower)
        charge = FLASH_PHOTONS * generator.gamma(4.0, 1 / 4.0, settings.flashes)
        light = charge[:, None] * efficiency * visibility_at(real, place, FLASH_SAMPLES, generator)
        told |= {"flash_position_cm": (place / CM).tolist(), "flash_photons": charge.tolist()}
        with whole(entry.flashes) as unfinished, h5py.File(unfinished, "w") as file:
            file["pe_measured"] = generator.poisson(light).astype(np.float32)
    with whole(truth) as unfinished:
        unfinished.write_text(json.dumps(told) + "\n")


def write_root(path: Path, traced: Traced, photons: int) -> None:
    """A row for each (voxel, channel) that light reached; times are 0 where there is none.

    timing_par: of exp(-(t - [0]) / [1]), the first arrival and the mean delay after it [ns].
    """
    voxel, channel = np.nonzero(traced.counts.any(0))
    counts, (reflected, first, delay) = (part[:, voxel, channel] for part in (traced.counts, np.nan_to_num(traced.times())))
    columns = {
        "Voxel": voxel.astype(np.int32),
        "OpChannel": channel.astype(np.int32),
        "Visibility": (counts[0] / photons).astype(np.float32),
        "ReflVisibility": (counts[1] / photons).astype(np.float32),
        "ReflTfirst": reflected.astype(np.float32),
        "timing_par": np.stack([first, delay], 1).astype(np.float32),
    }
    with uproot.recreate(path) as file:
        file.mktree("PhotonLibraryData", {name: (value.dtype, value.shape[1:]) for name, value in columns.items()}).extend(columns)


def write_tracks(path: Path, muons: Muons, measured: NDArray[Any]) -> None:
    """The track file of the reader's layout."""
    with h5py.File(path, "w") as file:
        file["point_cm"] = (muons.point / CM).astype(np.float32)
        file["point_offset"] = muons.offset
        file["point_photons"] = muons.photons.astype(np.float32)
        file["pe_measured"] = measured.astype(np.float32)


def _sensors(detector: Detector) -> list[dict[str, Any]]:
    rows = zip(detector.centre, detector.normals(), detector.radius, strict=True)
    return [
        {"kind": "disk", "centre": (np.round(c / CM, 6)).tolist(), "normal": n.tolist(), "radius": round(float(r) / CM, 6), "channel": k}
        for k, (c, n, r) in enumerate(rows)
    ]


def _told(detector: Detector) -> dict[str, float]:
    return {"absorption_m": detector.absorption, "scattering_m": detector.scattering, "reflectivity": detector.reflectivity}
