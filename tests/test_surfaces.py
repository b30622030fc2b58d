"""Distances between surfaces and the pose of a body: closed forms, and poses that are found again."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from fieldfit.metrics.registration import registered
from fieldfit.metrics.surfaces import Surface, drawn_points, moved, signed_distance, vertex_areas, weighted_quantile

MM = 1e-3


def of(mesh: trimesh.Trimesh) -> Surface:
    return Surface(np.asarray(mesh.vertices), np.asarray(mesh.faces))


BOX = of(trimesh.creation.box((2 * MM, 1 * MM, 0.6 * MM)))


def wedge() -> Surface:
    """A body without any symmetry: a tetrahedron with unequal edges."""
    corners = np.array([[0, 0, 0], [2.0, 0, 0], [0.4, 1.1, 0], [0.3, 0.2, 0.7]]) * MM
    return Surface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]))


def test_distances_to_a_box_are_those_of_its_planes_edges_and_corners() -> None:
    points = np.array([[0, 0, 0.5], [0, 0, 0.1], [0, 0, 0.3], [1.3, 0.9, 0], [1.3, 0.9, 0.3], [1.1, 0.6, 0.4], [0.9, 0.45, 0.1]]) * MM
    expected = np.array([0.2, -0.2, 0.0, 0.5, 0.5, np.sqrt(0.03), -0.05]) * MM
    assert signed_distance(points, BOX) == pytest.approx(expected, abs=1e-12)


def test_the_sign_is_right_beyond_a_sharp_edge_that_no_face_alone_tells() -> None:
    body = wedge()
    random = np.random.default_rng(1)
    points = (random.random((400, 3)) * [2.6, 1.7, 1.3] - 0.3) * MM
    planes = []
    for a, b, c in body.vertices[body.triangles]:
        n = np.cross(b - a, c - a)
        planes.append((points - a) @ n > 0)
    outside = np.any(planes, axis=0)
    assert ((signed_distance(points, body) > 0) == outside).all()


def test_a_spheres_distance_is_its_radius_less_the_triangles_sagitta() -> None:
    ball = of(trimesh.creation.icosphere(subdivisions=4, radius=1 * MM))
    found = signed_distance(np.array([[0, 0, 0], [3 * MM, 0, 0]]), ball)
    assert found == pytest.approx([-MM, 2 * MM], rel=3e-3)
    assert ball.volume == pytest.approx(4 / 3 * np.pi * MM**3, rel=5e-3)
    assert vertex_areas(ball).sum() == pytest.approx(4 * np.pi * MM**2, rel=5e-3)


def test_points_are_drawn_on_the_surface_and_the_same_each_time() -> None:
    points = drawn_points(BOX, 500)
    assert np.abs(signed_distance(points, BOX)).max() < 1e-12
    assert (points == drawn_points(BOX, 500)).all()


def test_a_weighted_quantile_counts_weights() -> None:
    assert weighted_quantile(np.array([3.0, 1, 2]), np.array([1.0, 1, 8]), 0.5) == 2
    assert weighted_quantile(np.array([3.0, 1, 2]), np.array([8.0, 1, 1]), 0.5) == 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_turned_body_is_found_again(seed: int) -> None:
    body = wedge()
    turn, shift = Rotation.random(rng=np.random.default_rng(seed)).as_matrix(), np.array([0.3, -0.2, 0.1]) * MM
    pose = registered(moved(body, turn, shift), body)
    assert pose.rms < 1e-6 * MM
    assert np.allclose(pose.rotation, turn, atol=1e-6)
    assert np.allclose(pose.translation, shift, atol=1e-9)
    assert pose.scale == 1


def test_a_body_of_another_size_is_found_with_its_scale() -> None:
    body = wedge()
    turn = Rotation.from_euler("xyz", [0.3, -0.5, 1.2]).as_matrix()
    pose = registered(moved(body, turn, np.array([1.0, 2.0, 3.0]) * MM, 1.05), body, sized=True)
    assert pose.scale == pytest.approx(1.05, rel=1e-5)
    assert np.allclose(pose.rotation, turn, atol=1e-5)
    assert np.allclose(pose.translation, np.array([1.0, 2.0, 3.0]) * MM, atol=1e-8)
