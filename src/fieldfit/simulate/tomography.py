"""An X-ray scan of ellipses whose line integrals are known in closed form, drawn photon by photon count, in the Data Exchange layout.

    chord through an ellipse of half-axes a, b turned by phi, at distance s from its centre, seen at angle t:
    2 a b sqrt(w^2 - s^2) / w^2,    w^2 = a^2 cos^2(t - phi) + b^2 sin^2(t - phi)
    (Kak and Slaney, Computerized Tomographic Imaging, 1988, chapter 3)

A detector column averages the light, not its logarithm: it is the mean over several rays of exp(-depth). Nothing is shared with the forward model.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from fieldfit.io.whole import whole

RAYS = 16  # across a detector column
SAMPLES = 8  # along each edge of a voxel of the truth's raster


@dataclass(frozen=True)
class Ellipse:
    """Centre and half-axes in units of the field of view's radius, turned by `angle` [rad]; its value, in units of the phantom's, adds to what
    it lies in."""

    x: float
    y: float
    a: float
    b: float
    angle: float
    value: float


# The layout of Shepp and Logan with the contrasts of Toft (1996), where soft parts can be seen.
PHANTOM = (
    Ellipse(0.0, 0.0, 0.69, 0.92, 0.0, 1.0),
    Ellipse(0.0, -0.0184, 0.6624, 0.874, 0.0, -0.8),
    Ellipse(0.22, 0.0, 0.11, 0.31, -0.314, -0.2),
    Ellipse(-0.22, 0.0, 0.16, 0.41, 0.314, -0.2),
    Ellipse(0.0, 0.35, 0.21, 0.25, 0.0, 0.1),
    Ellipse(0.0, 0.1, 0.046, 0.046, 0.0, 0.1),
    Ellipse(0.0, -0.1, 0.046, 0.046, 0.0, 0.1),
    Ellipse(-0.08, -0.605, 0.046, 0.023, 0.0, 0.1),
    Ellipse(0.0, -0.605, 0.023, 0.023, 0.0, 0.1),
    Ellipse(0.06, -0.605, 0.023, 0.046, 0.0, 0.1),
)


@dataclass(frozen=True)
class Bench:
    """columns of the detector; axis: column of the rotation axis; radius of the field of view in columns; depth: of the phantom's value 1 along
    that radius; photons a pixel in the white; gain: counts a photon; ripple: rms of the pixels' response; fading of the beam over the scan."""

    columns: int = 160
    axis: float = 77.3
    radius: float = 51.0
    depth: float = 1.5
    photons: float = 2e4
    gain: float = 0.65
    ripple: float = 0.03
    fading: float = 0.01
    dark: float = 100.0
    read_noise: float = 3.0  # counts


def depths(ellipses: Sequence[Ellipse], bench: Bench, angle: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(view, place) line integrals at `across`, distances from the axis in columns."""
    total = np.zeros((len(angle), len(across)))
    for e in ellipses:
        a, b = e.a * bench.radius, e.b * bench.radius
        square = (a * np.cos(angle - e.angle)) ** 2 + (b * np.sin(angle - e.angle)) ** 2
        s = across[None] - bench.radius * (e.x * np.cos(angle) + e.y * np.sin(angle))[:, None]
        chord = 2 * a * b * np.sqrt(np.maximum(square[:, None] - s**2, 0.0)) / square[:, None]
        total += e.value * bench.depth / bench.radius * chord
    return total


def attenuation(ellipses: Sequence[Ellipse], bench: Bench, side: int) -> np.ndarray:
    """(y, x) mean attenuation [1/column] of voxels one column wide, `side` along each edge, around the axis."""
    at = (np.arange(side * SAMPLES) + 0.5) / SAMPLES - side / 2
    x, y = np.meshgrid(at / bench.radius, at / bench.radius)
    values = np.zeros(x.shape)
    for e in ellipses:
        along = (x - e.x) * np.cos(e.angle) + (y - e.y) * np.sin(e.angle)
        beside = (y - e.y) * np.cos(e.angle) - (x - e.x) * np.sin(e.angle)
        values += e.value * ((along / e.a) ** 2 + (beside / e.b) ** 2 <= 1)
    return values.reshape(side, SAMPLES, side, SAMPLES).mean((1, 3)) * bench.depth / bench.radius


def write_scan(
    phantoms: Sequence[Sequence[Ellipse]], bench: Bench, views: int, frames: int, generator: np.random.Generator, output: Path, truth: Path
) -> None:
    """A scan of 180 degrees with a detector row for each phantom, and its truth beside it, each whole or not at all."""
    angle = np.arange(views) * np.pi / views
    column = np.arange(bench.columns)
    across = (column[:, None] + (np.arange(RAYS) + 0.5) / RAYS - 0.5 - bench.axis).ravel()
    share = np.stack([np.exp(-depths(e, bench, angle, across)).reshape(views, bench.columns, RAYS).mean(2) for e in phantoms], 1)
    response = 1 + bench.ripple * generator.standard_normal(share.shape[1:])
    beam = 1 - bench.fading * np.linspace(0, 1, views)

    def counted(mean: np.ndarray) -> np.ndarray:
        light = bench.gain * generator.poisson(mean)
        return (bench.dark + light + bench.read_noise * generator.standard_normal(mean.shape)).astype(np.float32)

    nothing = np.zeros((frames, *share.shape[1:]))
    with whole(output) as unfinished, h5py.File(unfinished, "w") as file:
        file["implements"] = "exchange"
        for name, values in (
            ("data", counted(bench.photons * response * beam[:, None, None] * share)),
            ("data_white", counted(nothing + bench.photons * response)),
            ("data_dark", counted(nothing)),
        ):
            file.create_dataset(f"exchange/{name}", data=values, compression="gzip").attrs["units"] = "counts"
        file["exchange/theta"] = np.rad2deg(angle)
        file["exchange/theta"].attrs["units"] = "degrees"
    with whole(truth) as unfinished:
        unfinished.write_text(json.dumps({"bench": asdict(bench), "rows": [[asdict(e) for e in row] for row in phantoms]}, indent=1))
