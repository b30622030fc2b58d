"""The six walls of a box, cut into patches, as sources of diffuse light: how often light met each wall on its way from a point to a sensor.

    D_c(x) = Omega(x)' G R K_c,   G = (1 - R V)^-1,   R = rho 1                            light that comes by way of walls
    T_cw(x) = d log D_c / d log rho_w = sum over patches p of wall w  [Omega(x)' G]_p [R G K_c]_p / D_c(x)

Omega_p(x): share of directions from x in which patch p is seen. V_pq, K_pc: share of the light from patch p that meets patch q, sensor c, sent by
the cosine (Modest, Radiative Heat Transfer, chapter 5). With one rho for all walls and nothing absorbed T is a shape to be fitted with, no
prediction. Walls taken as evenly lit, one patch each, have another shape: a wall is brightest beside the light.

Light that met one wall only is sum_p Omega_p(x) K_pc over its patches.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.geometry.sensors import Sensors, offsets, solid_angle_share

REFLECTIVITY = 0.5
PATCHES = 4  # along each edge of a wall
NEAREST = 1e-3  # m from a wall: in its plane the shares jump where two patches meet
FINE = 16  # where light that met one wall is asked for


def wall_shares(points: Float[Tensor, "n 3"], centre: Float[Tensor, "3"], half: Float[Tensor, "3"], patches: int = 1) -> Float[Tensor, "n patch"]:
    """Omega of the patches of walls x low, x high, y low, ...: of a rectangle from its corners, +- atan(u v / (w r))."""
    edge = torch.linspace(-1, 1, patches + 1, dtype=points.dtype, device=points.device)
    to = centre + half * edge[:, None] - points[:, None]  # (n, edge, 3): ways to the edges of patches [m]
    found = []
    for axis in range(3):
        u, v = to[:, :, None, (axis + 1) % 3], to[:, None, :, (axis + 2) % 3]
        for w in (-to[:, 0, axis], to[:, -1, axis]):
            w = w[:, None, None].clamp(min=NEAREST)
            a = torch.atan(u * v / (w * (w * w + u * u + v * v).sqrt()))
            found.append(a[:, 1:, 1:] - a[:, 1:, :-1] - a[:, :-1, 1:] + a[:, :-1, :-1])
    return torch.stack(found, 1).reshape(points.shape[0], 6 * patches**2) / (4 * torch.pi)


def _middles(centre: Tensor, half: Tensor, patches: int) -> tuple[Float[Tensor, "patch 3"], Float[Tensor, "patch 3"]]:
    """(centres of the patches, normals into the box), in the order of `wall_shares`."""
    step = (torch.arange(patches, dtype=half.dtype) + 0.5) / patches * 2 - 1
    place, normal = torch.zeros(2, 6, patches**2, 3, dtype=half.dtype)
    for wall in range(6):
        axis, side = wall // 2, 2 * (wall % 2) - 1
        place[wall][:, axis], normal[wall][:, axis] = side, -side
        place[wall][:, [(axis + 1) % 3, (axis + 2) % 3]] = torch.cartesian_prod(step, step)
    return centre + half * place.flatten(0, 1), normal.flatten(0, 1)


def _onto(sensors: Sensors, centre: Tensor, half: Tensor) -> Float[Tensor, "fine channel"]:
    """K of fine patches."""
    place, normal = _middles(centre, half, FINE)
    away = sensors.centre - place[:, None]
    cosine = (away * normal[:, None]).sum(-1) / offsets(sensors, place)[1].clamp(min=1e-9)
    return 4 * solid_angle_share(sensors, place) * cosine.clamp(min=0)


def wall_exchange(
    sensors: Sensors, centre: Float[Tensor, "3"], half: Float[Tensor, "3"]
) -> tuple[Float[Tensor, "patch patch"], Float[Tensor, "channel patch"]]:
    """(G, R G K of the module's text)."""
    place, normal = _middles(centre, half, PATCHES)
    away = place - place[:, None]
    cosine = (away * normal[:, None]).sum(-1) / away.norm(dim=-1).clamp(min=1e-9)  # zero within a wall
    between = wall_shares(place, centre, half, PATCHES) * cosine.clamp(min=1e-9)
    fine = FINE // PATCHES
    onto = _onto(sensors, centre, half).reshape(6, PATCHES, fine, PATCHES, fine, -1).mean((2, 4)).flatten(0, 2)
    met = torch.linalg.inv(torch.eye(len(place), dtype=half.dtype) - REFLECTIVITY * between / between.sum(1, keepdim=True))
    return met, (REFLECTIVITY * met @ onto).T


def once_met(points: Float[Tensor, "n 3"], sensors: Sensors, centre: Float[Tensor, "3"], half: Float[Tensor, "3"]) -> Float[Tensor, "n channel 6"]:
    """Share of the light from a point that meets each sensor after one wall, were that one white and nothing absorbed."""
    omega = wall_shares(points, centre, half, FINE).reshape(len(points), 6, FINE**2)
    return torch.einsum("nwp,wpc->ncw", omega, _onto(sensors, centre, half).reshape(6, FINE**2, -1))


def wall_visits(
    points: Float[Tensor, "n 3"],
    centre: Float[Tensor, "3"],
    half: Float[Tensor, "3"],
    met: Float[Tensor, "patch patch"],
    onward: Float[Tensor, "channel patch"],
) -> Float[Tensor, "n channel 6"]:
    """T of the module's text; met, onward: what `wall_exchange` gave."""
    omega = wall_shares(points, centre, half, PATCHES)
    lit, seen = (part.reshape(len(part), 6, PATCHES**2) for part in (omega @ met, onward))
    return torch.einsum("nwp,cwp->ncw", lit, seen) / (omega @ onward.T)[:, :, None].clamp(min=1e-30)


def wall_change(
    points: Float[Tensor, "n 3"],
    centre: Float[Tensor, "3"],
    half: Float[Tensor, "3"],
    met: Float[Tensor, "patch patch"],
    onward: Float[Tensor, "channel patch"],
    change: Float[Tensor, "6"],
) -> Float[Tensor, "n channel"]:
    """T @ change, without T."""
    omega = wall_shares(points, centre, half, PATCHES)
    each = change[:, None].expand(6, PATCHES**2).reshape(-1)
    return ((omega @ met * each) @ onward.T) / (omega @ onward.T).clamp(min=1e-30)
