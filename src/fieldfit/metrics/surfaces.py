"""Distances between closed surfaces of triangles.

    signed distance of p = sign(n . (p - c)) |p - c|

c: nearest point of the surface, found exactly; n: pseudo-normal of the face, edge or corner that it lies on, the normals around it weighted by
their angles, which tells inside from outside everywhere (Baerentzen and Aanaes, IEEE Trans. Vis. Comput. Graph. 11, 243 (2005)).
"""

from dataclasses import dataclass

import numpy as np
import trimesh

ON_EDGE = 1e-6  # barycentric coordinate below which a point lies on an edge


@dataclass(frozen=True)
class Surface:
    """Closed. vertices (n, 3) [m]; triangles (m, 3): indices of vertices, anticlockwise seen from outside."""

    vertices: np.ndarray
    triangles: np.ndarray

    @property
    def volume(self) -> float:
        """Enclosed [m3] (the divergence theorem)."""
        a, b, c = self.vertices[self.triangles].transpose(1, 0, 2)
        return float((a * np.cross(b, c)).sum() / 6)

    @property
    def width(self) -> float:
        """Longest edge of the box around it [m]."""
        return float(np.ptp(self.vertices, axis=0).max())


def moved(surface: Surface, rotation: np.ndarray, translation: np.ndarray, scale: float = 1.0) -> Surface:
    """The surface at scale * rotation @ r + translation."""
    return Surface(scale * surface.vertices @ rotation.T + translation, surface.triangles)


def nearest_points(points: np.ndarray, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """(nearest points of the surface (n, 3), pseudo-normals there (n, 3)) of points (n, 3) [m]."""
    mesh, unit = _mesh(surface)
    nearest, _, face = trimesh.proximity.closest_point(mesh, points / unit)
    shares = trimesh.triangles.points_to_barycentric(mesh.triangles[face], nearest)
    normal = mesh.face_normals[face].copy()
    zero = shares < ON_EDGE
    edge, corner = zero.sum(1) == 1, zero.sum(1) >= 2
    across = _neighbours(surface.triangles)[face[edge], np.argmax(zero[edge], axis=1)]
    normal[edge] += mesh.face_normals[across]
    normal[corner] = mesh.vertex_normals[surface.triangles[face[corner], np.argmax(shares[corner], axis=1)]]
    return nearest * unit, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def signed_distance(points: np.ndarray, surface: Surface) -> np.ndarray:
    """Distance of points (n, 3) to the surface [m], negative inside of it."""
    nearest, normal = nearest_points(points, surface)
    away = points - nearest
    distance: np.ndarray = np.copysign(np.linalg.norm(away, axis=1), (away * normal).sum(1))
    return distance


def drawn_points(surface: Surface, number: int) -> np.ndarray:
    """Points (number, 3) spread over the surface at random, evenly by area, the same in every call."""
    mesh, unit = _mesh(surface)
    points: np.ndarray = np.asarray(trimesh.sample.sample_surface(mesh, number, seed=0)[0]) * unit
    return points


def vertex_areas(surface: Surface) -> np.ndarray:
    """A third of the area of the triangles around each vertex [m2]."""
    a, b, c = surface.vertices[surface.triangles].transpose(1, 0, 2)
    third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.bincount(surface.triangles.ravel(), np.repeat(third, 3), len(surface.vertices))


def weighted_quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """Value below which `share` of the weight lies."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, share * below[-1])])


def _mesh(surface: Surface) -> tuple[trimesh.Trimesh, float]:
    """(the surface in units of its own width, that width): trimesh's tolerances are absolute, and too wide for metres."""
    unit = surface.width
    return trimesh.Trimesh(surface.vertices / unit, surface.triangles, process=False), unit


def _neighbours(triangles: np.ndarray) -> np.ndarray:
    """(triangle, corner) the triangle across the edge that lies opposite to the corner."""
    edges = np.sort(triangles[:, [[1, 2], [2, 0], [0, 1]]], axis=-1).reshape(-1, 2)
    order = np.lexsort(edges.T).reshape(-1, 2)
    found = np.empty(len(edges), int)
    found[order[:, 0]], found[order[:, 1]] = order[:, 1] // 3, order[:, 0] // 3
    return found.reshape(-1, 3)
