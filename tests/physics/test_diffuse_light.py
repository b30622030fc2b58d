"""What comes straight and what met the walls, told apart in a box whose truth is made by radiosity; and a calibration of it on measured tracks."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from fieldfit.config.dune import VisibilityFit
from fieldfit.experiments.dune.calibration import calibrate
from fieldfit.experiments.dune.direct_light import direct_light as found_direct
from fieldfit.experiments.dune.visibility_errors import judged_fit
from fieldfit.fields.visibility import VisibilityField
from fieldfit.geometry.sensors import Sensors
from fieldfit.geometry.walls import once_met, wall_exchange, wall_shares, wall_visits
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.simulate.radiosity import MatteBox, direct_light, reflected_light, voxel_light

LOW, HIGH = np.array([0.0, -0.9, 0.0]), np.array([1.5, 0.9, 2.5])
MIDDLE, HALF = torch.tensor((LOW + HIGH) / 2), torch.tensor((HIGH - LOW) / 2)
PLACES = [(-0.03, y, z) for y in (-0.5, 0.4) for z in (0.4, 1.2, 2.1)] + [(0.7, 0.93, 0.8), (0.7, -0.93, 1.7)]
NORMALS = [(1, 0, 0)] * 6 + [(0, -1, 0), (0, 1, 0)]
RADIUS = 0.12
PHOTONS = 5e5


def box(reflectivity: tuple[float, ...], attenuation: float = 3.0) -> MatteBox:
    return MatteBox(LOW, HIGH, np.array(PLACES), np.array(NORMALS, float), np.full(8, RADIUS), attenuation, reflectivity, 0.25)


SIMULATED = box((0.4,) * 6)
MEASURED = [
    box((0.6, 0.4, 0.3, 0.5, 0.4, 0.25)),
    box((0.3, 0.55, 0.4, 0.3, 0.5, 0.4), 2.0),
    box((0.25, 0.3, 0.6, 0.4, 0.3, 0.45), 4.0),
]


def anywhere(seed: int, n: int) -> np.ndarray:
    return LOW + np.random.default_rng(seed).random((n, 3)) * (HIGH - LOW)


def sensors_of() -> Sensors:
    return Sensors(*(torch.tensor(np.asarray(part, np.float64)) for part in (PLACES, NORMALS, [RADIUS] * 8)))


@cache
def simulated() -> VisibilityField:
    divisions, generator = (15, 18, 25), np.random.default_rng(0)
    light = sum(generator.binomial(int(PHOTONS), part) for part in voxel_light(SIMULATED, divisions)) / PHOTONS
    values = np.moveaxis(light.reshape(*divisions, -1), -1, 0).astype(np.float32)
    disks = Disks(SIMULATED.centre, SIMULATED.normal, SIMULATED.radius)
    none, there = np.zeros(divisions, bool), Box((0.0, -0.9, 0.0), (1.5, 0.9, 2.5), divisions)
    settings = VisibilityFit(steps=1500)
    return judged_fit(lambda c: (values[c], none), there, disks, PHOTONS, [True] * 8, settings, 1, "cpu").fitted.field


def test_walls_fill_the_view_of_any_point() -> None:
    points = torch.tensor(anywhere(1, 50))
    shares = wall_shares(points, MIDDLE, HALF)
    assert torch.allclose(shares.sum(1), torch.ones(50, dtype=torch.float64))
    assert torch.allclose(wall_shares(MIDDLE[None], MIDDLE, torch.ones(3, dtype=torch.float64)), torch.full((1, 6), 1 / 6, dtype=torch.float64))
    mirrored = wall_shares(2 * MIDDLE - points, MIDDLE, HALF)
    assert torch.allclose(mirrored, shares[:, [1, 0, 3, 2, 5, 4]])


def test_visits_of_walls_have_the_shape_of_what_other_reflectivities_change() -> None:
    x = anywhere(2, 200)
    visits = wall_visits(torch.tensor(x), MIDDLE, HALF, *wall_exchange(sensors_of(), MIDDLE, HALF)).numpy()
    before = np.log(reflected_light(SIMULATED, x))
    for wall in range(6):
        more = tuple(0.44 if w == wall else 0.4 for w in range(6))
        true = (np.log(reflected_light(box(more), x)) - before) / np.log(1.1)
        assert np.corrcoef(true.ravel(), visits[:, :, wall].ravel())[0, 1] > 0.96


def test_direct_light_is_told_from_diffuse_light() -> None:
    alpha, length = found_direct(simulated())
    assert np.allclose(alpha, 1, atol=0.04) and np.std(alpha.numpy()) < 0.006
    assert abs(float(length) / 3 - 1) < 0.25


def test_light_that_met_one_wall_is_that_of_radiosity() -> None:
    x = LOW + 0.1 + np.random.default_rng(3).random((200, 3)) * (HIGH - LOW - 0.2)
    once = once_met(torch.tensor(x), sensors_of(), MIDDLE, HALF).numpy()
    for wall in range(6):
        only = tuple(1e-3 * (w == wall) for w in range(6))  # what meets it twice or more is a thousandth
        true = reflected_light(replace(box(only, 1e6), patch=0.12), x) / 1e-3
        assert np.allclose(once[:, :, wall], true, rtol=0.04, atol=0.02 * true.max())


def test_efficiencies_are_those_of_sensors_in_a_box_whose_walls_differ() -> None:
    pulls, errors, of_map = [], [], []
    for seed, real in enumerate(MEASURED):
        generator = np.random.default_rng(seed)
        ends = anywhere(10 + seed, 300), anywhere(20 + seed, 300)
        along = (np.arange(40) + 0.5) / 40
        points = (ends[0][:, None] + (ends[1] - ends[0])[:, None] * along[:, None]).reshape(-1, 3)
        photons = np.repeat(np.linalg.norm(ends[1] - ends[0], axis=1) * 5e4, 40)
        efficiency = 0.03 * np.exp(generator.normal(0, 0.15, 8))
        light = (direct_light(real, points) + reflected_light(real, points)) * photons[:, None]
        mean = light.reshape(300, 40, 8).sum(1) * efficiency
        data = (points, photons, np.repeat(np.arange(300), 40), generator.poisson(mean).astype(float))
        result = calibrate(simulated(), *(torch.from_numpy(part) for part in data), used=300)
        away, std = np.log(result.efficiency.numpy() / efficiency), (result.efficiency_std / result.efficiency).numpy()
        away -= np.average(away, weights=std**-2)
        pulls.append(away / std * np.sqrt(8 / 7))
        errors.append(away)
        x = anywhere(30 + seed, 500)
        found = result.field(torch.tensor(x, dtype=torch.float32)).detach().numpy()
        of_map.append(np.abs(np.log(found / (efficiency * (direct_light(real, x) + reflected_light(real, x))))))
    assert np.std(errors) < 0.01
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.4  # 24 of them
    assert np.median(of_map) < 0.015
