"""Calibrations where the detector's walls and absorption differ from the simulated ones: what becomes of efficiencies, the map, and their errors.

    uv run python benchmarks/other_walls.py

Three boxes (disks on all walls; on one; on two, with dark walls) are simulated by radiosity, 16,320 voxels with counting noise, and fitted.
Each is then measured by 400 and by 60 tracks in 16 detectors whose six reflectivities and attenuation length are drawn anew (35 and 30 %
wide) and whose efficiencies scatter by 15 %. The truth is read for scoring. Prints Markdown: errors after one common factor of the
efficiencies, root mean square over the detectors, beside those stated, and the width of the pulls; the same for the map.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tracks import straight

from fieldfit.config.dune import VisibilityFit
from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.experiments.dune.visibility_errors import judged_fit
from fieldfit.fields.visibility import VisibilityField
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.simulate.radiosity import MatteBox, direct_light, reflected_light, voxel_light

LOWER, UPPER = np.array([0.0, -0.9, 0.0]), np.array([1.5, 0.9, 2.5])
DIVISIONS = (20, 24, 34)
MADE = 5e5  # photons a voxel
DETECTORS, TRACKS, POINTS = 16, (400, 60), 60
BRIGHT = 2e6  # photons a metre of track


@dataclass(frozen=True)
class Measured:
    """points [m], photons, track (point); mean (track, channel); efficiency (channel); x [m], map (n, channel): efficiency times visibility."""

    points: np.ndarray
    photons: np.ndarray
    track: np.ndarray
    mean: np.ndarray
    efficiency: np.ndarray
    x: np.ndarray
    map: np.ndarray


def boxes() -> Iterator[tuple[str, MatteBox]]:
    """Name and simulated box."""
    wall = [((-0.03, y, z), (1, 0, 0), 0.13) for y in (-0.45, 0.45) for z in (0.3, 0.9, 1.5, 2.1)]
    across = [((1.53, y, z), (-1, 0, 0), 0.08) for y in (-0.45, 0.45) for z in (0.6, 1.3, 1.9)]
    around = [((x, 0.9, z), (0, -1, 0), 0.10) for x, z in ((0.4, 0.4), (0.9, 0.9), (0.5, 1.5), (1.1, 2.1), (1.2, 0.3))]
    around += [((x, -0.9, z), (0, 1, 0), 0.10) for x, z in ((0.5, 0.6), (1.0, 1.3), (0.6, 2.0))]
    around += [((0.7, 0.1, 2.5), (0, 0, -1), 0.13), ((0.8, -0.2, 0.0), (0, 0, 1), 0.13)]
    for name, sensors, reflectivity in (
        ("disks on all walls", wall + around, (0.3, 0.6, 0.4, 0.4, 0.35, 0.35)),
        ("on one wall", wall, (0.4,) * 6),
        ("on two walls, dark", wall[:4] + across, (0.15,) * 6),
    ):
        centre, normal, radius = (np.array(part, float) for part in zip(*sensors, strict=True))
        yield name, MatteBox(LOWER, UPPER, centre, normal, radius, 3.0, reflectivity, 0.15)


def fitted(box: MatteBox) -> VisibilityField:
    """The field of the box's library."""
    generator, channels = np.random.default_rng(7), len(box.radius)
    light = sum(generator.binomial(int(MADE), np.clip(part, 0, 1)) for part in voxel_light(box, DIVISIONS)) / MADE
    values = np.moveaxis(light.reshape(*DIVISIONS, -1), -1, 0).astype(np.float32)
    none, there = np.zeros(DIVISIONS, bool), Box((0.0, -0.9, 0.0), (1.5, 0.9, 2.5), DIVISIONS)
    disks = Disks(box.centre, box.normal, box.radius)
    return judged_fit(lambda c: (values[c], none), there, disks, MADE, [True] * channels, VisibilityFit(), 1, "cpu").fitted.field


def measured(box: MatteBox, seed: int) -> Measured:
    """Straight tracks through a detector that differs from `box`."""
    walls, generator = np.random.default_rng(seed), np.random.default_rng(100 + seed)
    reflectivity = tuple(np.clip(np.array(box.reflectivity) * np.exp(walls.normal(0, 0.35, 6)), 0.03, 0.8))
    length = box.attenuation * float(np.exp(walls.normal(0, 0.3)))
    real = MatteBox(box.lower, box.upper, box.centre, box.normal, box.radius, length, reflectivity, box.patch)
    count = max(TRACKS)
    a, b, x = (LOWER + generator.random((n, 3)) * (UPPER - LOWER) for n in (count, count, 3000))
    points, photons = straight(a, b, POINTS, BRIGHT)
    efficiency = 0.03 * np.exp(generator.normal(0, 0.15, len(box.radius)))
    light = (direct_light(real, points) + reflected_light(real, points)) * photons[:, None]
    mean = light.reshape(count, POINTS, -1).sum(1) * efficiency
    return Measured(
        points, photons, np.repeat(np.arange(count), POINTS), mean, efficiency, x, (direct_light(real, x) + reflected_light(real, x)) * efficiency
    )


def score(base: VisibilityField, real: Measured, tracks: int, seed: int) -> list[float]:
    """[error, stated, pull of the efficiencies; median, 95 %, pull of the map], errors in per cent."""
    some = real.track < tracks
    reading = np.random.default_rng(seed).poisson(real.mean[:tracks]).astype(float)
    data = (torch.from_numpy(part) for part in (real.points[some], real.photons[some], real.track[some], reading))
    result = calibrate(base, *data, used=tracks)
    away, std = np.log(result.efficiency.numpy() / real.efficiency), (result.efficiency_std / result.efficiency).numpy()
    away -= np.average(away, weights=std**-2)
    with torch.no_grad():
        of_map = np.log(result.field(torch.tensor(real.x, dtype=torch.float32)).double().numpy() / real.map)
    pulls = of_map / result.relative_std(torch.tensor(real.x)).numpy()
    pull = np.sqrt((away**2 / std**2).sum() / (len(away) - 1))
    rms = np.sqrt((std**2).mean())
    return [100 * away.std(), 100 * rms, pull, 100 * np.median(np.abs(of_map)), 100 * np.quantile(np.abs(of_map), 0.95), pulls.std()]


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("| box | tracks | efficiencies: error [%] | stated | pull | map: median [%] | 95 % | pull |\n|---|---|---|---|---|---|---|---|")
    for name, box in boxes():
        base = fitted(box)
        detectors = [measured(box, seed) for seed in range(DETECTORS)]
        for tracks in TRACKS:
            found = np.array([score(base, real, tracks, seed) for seed, real in enumerate(detectors)])
            e, stated, pull, median, most, of_map = np.sqrt((found**2).mean(0))
            print(f"| {name} | {tracks} | {e:.2f} | {stated:.2f} | {pull:.2f} | {median:.2f} | {most:.2f} | {of_map:.2f} |", flush=True)
