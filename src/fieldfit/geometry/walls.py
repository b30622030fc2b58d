"""The six walls of a box as sources of diffuse light: how often light met each of them on its way from a point to a sensor.

    D_c(x) = Omega(x)' G R K_c,   G = (1 - R V)^-1,   R = rho 1                light that comes by way of walls
    T_cw(x) = d log D_c / d log rho_w = [Omega(x)' G]_w [R G K_c]_w / D_c(x)

Omega_w(x): share of directions from x in which wall w is seen. V_ww', K_wc: share of the light from wall w that meets wall w', sensor c (Modest,
Radiative Heat Transfer, chapter 5), walls taken as evenly lit. With one rho for all of them T is a shape to be fitted with, no prediction;
light is sent in all directions alike between walls, by the cosine to the sensors.

Light that met one wall only needs no such averages: sum_p omega_p(x) k_pc over the patches p of the wall, omega the share of directions from x,
k the share of a patch's light that meets the sensor. What met more walls is smoother by one exchange between them.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.sensors import Sensors, offsets, solid_angle_share

REFLECTIVITY = 0.5
PATCHES = 16  # along each edge of a wall


def wall_shares(points: Float[Tensor, "n 3"], centre: Float[Tensor, "3"], half: Float[Tensor, "3"]) -> Float[Tensor, "n 6"]:
    """Omega of the walls x low, x high, y low, ...: of a rectangle from its corners, the sum of +- atan(u v / (w r))."""
    to = torch.stack([half + (points - centre), half - (points - centre)], 1)  # (n, low or high, 3): ways to the walls [m]
    found = []
    for axis in range(3):
        u, v = to[:, :, None, (axis + 1) % 3], to[:, None, :, (axis + 2) % 3]
        for side in range(2):
            w = to[:, side, axis, None, None].clamp(min=1e-9)
            found.append(torch.atan(u * v / (w * (w * w + u * u + v * v).sqrt())).sum((1, 2)) / (4 * torch.pi))
    return torch.stack(found, 1)


def _patches(sensors: Sensors, centre: Tensor, half: Tensor) -> Iterator[tuple[int, float, Float[Tensor, "patch 3"], Float[Tensor, "patch channel"]]]:
    """Of each wall: axis, side, centres of its patches, and k of the module's text."""
    step = (torch.arange(PATCHES, dtype=half.dtype) + 0.5) / PATCHES * 2 - 1
    for axis in range(3):
        for side in (-1.0, 1.0):
            place = torch.full((PATCHES**2, 3), side, dtype=half.dtype)
            place[:, [(axis + 1) % 3, (axis + 2) % 3]] = torch.cartesian_prod(step, step)
            place = centre + half * place
            away = place[:, None] - sensors.centre
            cosine = (side * away[:, :, axis] / offsets(sensors, place)[1].clamp(min=1e-9)).clamp(min=0)
            yield axis, side, place, 4 * solid_angle_share(sensors, place) * cosine


def wall_exchange(sensors: Sensors, centre: Float[Tensor, "3"], half: Float[Tensor, "3"]) -> tuple[Float[Tensor, "6 6"], Float[Tensor, "channel 6"]]:
    """(G, R G K of the module's text)."""
    between, onto = [], []
    for axis, side, place, meets in _patches(sensors, centre, half):
        seen = wall_shares(place, centre, half).mean(0)
        seen[2 * axis + int(side > 0)] = 0
        between.append(seen / seen.sum())
        onto.append(meets.mean(0))
    met = torch.linalg.inv(torch.eye(6, dtype=half.dtype) - REFLECTIVITY * torch.stack(between))
    return met, (REFLECTIVITY * met @ torch.stack(onto)).T


def once_met(points: Float[Tensor, "n 3"], sensors: Sensors, centre: Float[Tensor, "3"], half: Float[Tensor, "3"]) -> Float[Tensor, "n channel 6"]:
    """Share of the light from a point that meets each sensor after one wall, were that one white and nothing absorbed."""
    edge = torch.linspace(-1, 1, PATCHES + 1, dtype=half.dtype)
    to = centre + half * edge[:, None] - points[:, None]  # (n, edge, 3) [m]
    found = []
    for axis, side, _, meets in _patches(sensors, centre, half):
        u, v = to[:, :, None, (axis + 1) % 3], to[:, None, :, (axis + 2) % 3]
        w = to[:, 0 if side < 0 else -1, axis, None, None].abs().clamp(min=1e-9)
        corners = torch.atan(u * v / (w * (w * w + u * u + v * v).sqrt()))
        found.append(corners.diff(dim=1).diff(dim=2).flatten(1) / (4 * torch.pi) @ meets)
    return torch.stack(found, 2)


def wall_visits(
    points: Float[Tensor, "n 3"], centre: Float[Tensor, "3"], half: Float[Tensor, "3"], met: Float[Tensor, "6 6"], onward: Float[Tensor, "channel 6"]
) -> Float[Tensor, "n channel 6"]:
    """T of the module's text; met, onward: what `wall_exchange` gave."""
    omega = wall_shares(points, centre, half)
    return (omega @ met)[:, None] * onward / (omega @ onward.T)[:, :, None].clamp(min=1e-30)
