"""Pose of a known body in a measured surface.

    min over R, t, s of   sum_i ( n_i . (c_i - (R^T (p_i - t) / s)) )^2,    c_i: nearest point of the body, n_i: its normal there

Iterated closest points (Besl and McKay, IEEE Trans. Pattern Anal. Mach. Intell. 14, 239 (1992)) from 48 starts: the 24 turns of a cube,
in the axes of the laboratory and in the principal axes of both surfaces. The start that ends nearest, both ways, is refined against the
body's planes (Chen and Medioni, Image Vis. Comput. 10, 145 (1992)). The farthest KEPT of the points are left out: faults of a reconstruction
shall not pull the pose. Nothing is random: the same surfaces give the same pose.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from fieldfit.metrics.surfaces import Surface, drawn_points, nearest_points

POINTS, DENSE = 600, 4000  # drawn over the surfaces
COARSE, FINE = 25, 25  # iterations
REFINED = 2  # of the starts
KEPT = 0.95
SETTLED = 1e-5  # of the body's width


@dataclass(frozen=True)
class Pose:
    """r_laboratory = scale * rotation @ r_body + translation [m]; rms: of the kept points' distances [m]."""

    rotation: np.ndarray
    translation: np.ndarray
    scale: float
    rms: float


def registered(measured: Surface, body: Surface, sized: bool = False) -> Pose:
    """The pose of `body` in `measured`. sized: its scale is fitted too, in the refinement."""
    points, known = drawn_points(measured, POINTS), drawn_points(body, DENSE)
    tree, back = KDTree(known), drawn_points(measured, DENSE)
    ends = [_closest_points(points, known, tree, start, back) for start in _starts(points, known)]
    best = sorted(ends, key=lambda end: end[0])[:REFINED]
    dense = back[::3]
    refined = [_to_planes(dense, body, rotation, translation, sized) for _, rotation, translation in best]
    return min(refined, key=lambda pose: pose.rms)


def _starts(points: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    """Rotations from the laboratory to the body."""
    turns = [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    turns = [turn for turn in turns if np.linalg.det(turn) > 0]
    own, others = (np.linalg.svd(some - some.mean(0), full_matrices=False)[2] for some in (points, known))
    return (
        turns
        + [others.T @ turn @ own for turn in turns if np.linalg.det(others) * np.linalg.det(own) > 0]
        + [others.T @ -turn @ own for turn in turns if np.linalg.det(others) * np.linalg.det(own) < 0]
    )


def _closest_points(
    points: np.ndarray, known: np.ndarray, tree: KDTree, rotation: np.ndarray, back: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """(mean square distance both ways, rotation, translation) from the laboratory to the body."""
    translation = known.mean(0) - rotation @ points.mean(0)
    for _ in range(COARSE):
        at = points @ rotation.T + translation
        distance, which = tree.query(at)
        kept = distance <= np.quantile(distance, KEPT)
        p, c = points[kept], known[which[kept]]
        u, _, vt = np.linalg.svd((c - c.mean(0)).T @ (p - p.mean(0)))
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        translation = c.mean(0) - rotation @ p.mean(0)
    forth = np.sort(tree.query(points @ rotation.T + translation)[0])[: int(KEPT * len(points))]
    reverse = np.sort(KDTree(back @ rotation.T + translation).query(known[::4])[0])[: int(KEPT * len(known) / 4)]
    return float((forth**2).mean() + (reverse**2).mean()), rotation, translation


def _to_planes(points: np.ndarray, body: Surface, rotation: np.ndarray, translation: np.ndarray, sized: bool) -> Pose:
    """Gauss-Newton on the distances to the planes of the nearest triangles. rotation, translation: from the laboratory to the body."""
    shrink, middle, width = 1.0, points.mean(0), body.width
    offset = rotation @ middle + translation  # of the points' middle, about which they turn
    centred = points - middle
    for _ in range(FINE):
        turned = shrink * centred @ rotation.T
        nearest, normal = nearest_points(turned + offset, body)
        away = turned + offset - nearest
        kept = (away**2).sum(1) <= np.quantile((away**2).sum(1), KEPT)
        turned, normal, residual = turned[kept], normal[kept], (away[kept] * normal[kept]).sum(1)
        columns = [np.cross(turned, normal) / width, normal] + ([(turned * normal).sum(1, keepdims=True) / width] if sized else [])
        step = -np.linalg.lstsq(np.concatenate(columns, 1), residual, rcond=None)[0]
        rotation = Rotation.from_rotvec(step[:3] / width).as_matrix() @ rotation
        offset = offset + step[3:6]
        shrink *= 1 + step[6] / width if sized else 1.0
        if np.abs(step).max() < SETTLED * width:
            break
    rms = float(np.sqrt((away[kept] ** 2).sum(1).mean())) / shrink
    return Pose(rotation.T, middle - rotation.T @ offset / shrink, 1 / shrink, rms)
