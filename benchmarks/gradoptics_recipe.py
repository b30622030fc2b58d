"""The published recipe around gradoptics (PyPI 0.0.4), on our shots: a sine network for a light source, rays traced backwards through it.

    SIREN 64 x 3 (omega 30, softplus), float64; a sphere of 3 mm; 32 + 32 samples a ray (hierarchical); pinhole rays through the lens's centre,
    4096 a step from one random camera; mean squared error of the pixels; Adam 1e-3; 2000 steps.

Settings are those of the public tutorial for MAGIS (github.com/sgasioro/neural-fields-tutorial); its data are rendered by the code that
reconstructs, ours are photons, with the pedestal subtracted. gradoptics draws no units: the field is scaled to atoms by the lens's solid angle.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import gradoptics
import numpy as np
import torch
from gradoptics.integrator import HierarchicalSamplingIntegrator
from gradoptics.transforms.simple_transform import SimpleTransform
from torch import Tensor, nn
from tqdm import tqdm

from fieldfit.fields.siren import Siren
from fieldfit.geometry.cameras import Camera

RAYS, SAMPLES, STEPS, RATE = 4096, 32, 2000, 1e-3
WIDTH, DEPTH, OMEGA = 64, 4, 30.0  # a first sine layer and three hidden ones
SPHERE_M = 3e-3


@dataclass(frozen=True)
class Reconstruction:
    """density (points) [m-3]; step_s: seconds a step; steps: that were taken; loss: of the first and of the last steps, relative."""

    density: np.ndarray
    step_s: float
    steps: int
    loss: tuple[float, float]


class Light(nn.Module):
    """The network as gradoptics calls it: (softplus of the output, the coordinates)."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.sines = Siren(3, 1, WIDTH, DEPTH, OMEGA, OMEGA, generator=generator)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        return nn.functional.softplus(self.sines(points)), points


def reconstruct(
    cameras: Sequence[Camera], electrons: np.ndarray, photons_per_atom: float, points: np.ndarray, steps: int, seed: int = 0
) -> Reconstruction:
    """`steps` steps of the recipe. electrons: (view, row, column) above the pedestal; points (n, 3) [m]: where the density is wanted."""
    torch.manual_seed(seed)  # gradoptics draws its samples from the global generator
    light = Light(torch.Generator().manual_seed(seed)).double()
    source = gradoptics.LightSourceFromNeuralNet(light, gradoptics.BoundingSphere(SPHERE_M, 0.0, 0.0, 0.0), rad=SPHERE_M)
    scene = gradoptics.Scene(source)
    for camera in cameras:
        for element in _elements(camera):
            scene.add_object(element)
    integrator = HierarchicalSamplingIntegrator(SAMPLES, SAMPLES)
    optimiser = torch.optim.Adam(light.parameters(), RATE)
    targets = [torch.from_numpy(image.ravel() / electrons.mean()) for image in electrons]
    pixels = [_pixels(camera) for camera in cameras]
    depth = 2 * SPHERE_M  # makes the integral of a field of order one of order one
    losses = []
    began = time.perf_counter()
    for _ in tqdm(range(steps), desc="gradoptics recipe", leave=False):
        view = int(torch.randint(len(cameras), (1,)))
        which = torch.randint(len(targets[view]), (RAYS,))
        origin = pixels[view][which]
        rays = gradoptics.Rays(origin, torch.tensor(cameras[view].lens, dtype=torch.float64) - origin)
        found = gradoptics.backward_ray_tracing(rays, scene, source, integrator, max_iterations=3) / depth
        loss = nn.functional.mse_loss(found, targets[view][which])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    took = time.perf_counter() - began
    with torch.no_grad():
        field = source.pdf(torch.from_numpy(points).double())[:, 0].numpy()
    inside = np.linalg.norm(points, axis=1) < SPHERE_M
    scale = electrons.mean() / depth / _electrons_per_column(cameras[0], photons_per_atom)
    ends = max(1, steps // 10)
    return Reconstruction(field * inside * scale, took / steps, steps, (float(np.mean(losses[:ends])), float(np.mean(losses[-ends:]))))


def _elements(camera: Camera) -> tuple[object, object]:
    """Sensor and lens as gradoptics knows them."""
    lens, look, left, up = (np.array(part, float) for part in (camera.lens, camera.look, camera.left, camera.up))
    behind = lens - look * camera.focal_length * (1 + camera.magnification)
    sensor = gradoptics.Sensor(
        resolution=(camera.columns, camera.rows),
        pixel_size=(camera.pitch, camera.pitch),
        position=tuple(behind.tolist()),
        viewing_direction=list(camera.look),
        up=list(camera.up),
        quantum_efficiency=camera.efficiency,
    )
    place = SimpleTransform(0.0, 0.0, 0.0, torch.from_numpy(lens))
    place.transform[:3, :3] = torch.from_numpy(np.stack([look, left, up], 1))  # the lens's own axis is its first
    place.inverse_transform = torch.inverse(place.transform)
    aperture = 2 * camera.radius / camera.focal_length
    return sensor, gradoptics.PerfectLens(f=camera.focal_length, na=aperture, m=camera.magnification, transform=place)


def _pixels(camera: Camera) -> Tensor:
    """(row * column, 3) centres of the pixels on the sensor [m]; the image is inverted."""
    lens, look, left, up = (np.array(part, float) for part in (camera.lens, camera.look, camera.left, camera.up))
    middle = lens - look * camera.focal_length * (1 + camera.magnification)
    row, column = np.meshgrid(np.arange(camera.rows) + 0.5, np.arange(camera.columns) + 0.5, indexing="ij")
    along_up, along_left = (camera.rows / 2 - row) * camera.pitch, (camera.columns / 2 - column) * camera.pitch
    return torch.from_numpy((middle + along_up[..., None] * up + along_left[..., None] * left).reshape(-1, 3))


def _electrons_per_column(camera: Camera, photons_per_atom: float) -> float:
    """Electrons in a pixel for one atom m-2 along its line of sight, at the plane of focus."""
    distance = camera.focal_length * (1 + camera.magnification) / camera.magnification
    caught = 0.5 * (1 - 1 / np.sqrt(1 + (camera.radius / distance) ** 2))
    return photons_per_atom * camera.efficiency * caught * (camera.pitch / camera.magnification) ** 2
