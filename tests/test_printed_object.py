"""A printed object: the surface of a known density lies on its drawing, wherever the drawing was put; bad drawings are refused."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.spatial.transform import Rotation

from fieldfit.config.magis import Imaging, PrintedObject
from fieldfit.experiments.magis.printed_object import found_in, half_way, scaled, surface_of
from fieldfit.io.products import open_product, product, write_product
from fieldfit.io.stl import read_body
from fieldfit.metrics.surfaces import Surface, moved
from fieldfit.report.surface import pictures
from fieldfit.simulate.solids import Solid, solid
from fieldfit.steps.extract_surface import extract_surface
from fieldfit.types import InputError, Status

MM, UM = 1e-3, 1e-6
HALF, SIDE = 1.6 * MM, 48
PITCH = 2 * HALF / SIDE
EDGES = np.linspace(-HALF, HALF, SIDE + 1)
AXIS = 0.5 * (EDGES[1:] + EDGES[:-1])
FEATURETYPE = Path(__file__).parents[1] / "../shared/data/mesh/featuretype.STL"


def bracket() -> trimesh.Trimesh:
    """Two arms of unequal length and a foot, one closed body, in millimetres."""
    outline = np.array([[0, 0], [2.0, 0], [2.0, 0.6], [0.7, 0.6], [0.7, 1.5], [0, 1.5]])
    count = len(outline)
    bottom, top = np.c_[outline, np.zeros(count)], np.c_[outline, np.full(count, 0.8)]
    top[0:3, 2] = 0.5  # slanted, so that no turn leaves it as it is
    sides = [[i, (i + 1) % count, count + i] for i in range(count)] + [[(i + 1) % count, count + (i + 1) % count, count + i] for i in range(count)]
    flat = [[0, 1, 2], [0, 2, 3], [0, 3, 5], [3, 4, 5]]
    return trimesh.Trimesh(
        np.concatenate([bottom, top]), sides + [[c, b, a] for a, b, c in flat] + [[count + i for i in f] for f in flat], process=False
    )


@pytest.fixture
def cad(tmp_path: Path) -> Path:
    path = tmp_path / "bracket.stl"
    bracket().export(path)
    return path


def density_of(surface: Surface, atoms: float = 1e6) -> np.ndarray:
    """Voxel means of the simulator's evenly filled body."""
    return Solid(surface.vertices[surface.triangles], int(atoms), "test").means(EDGES) * atoms


def block_of(folder: Path, densities: list[np.ndarray], status: list[int]) -> Path:
    density, none = np.stack(densities).astype(np.float32), np.zeros(len(densities))
    values = {"density": density, "density_std": density * 0, "chi2_reduced": none, "resolution_split_half": none, "time": none}
    values |= {"field_weights": np.zeros((len(densities), 2)), "status": np.array(status)}
    axes = {"shot": np.arange(len(densities)), "x": AXIS, "y": AXIS, "z": AXIS}
    write_product(product("density", values, axes, field="none", flagged="none"), folder / "density.nc", [], {}, "test", "test")
    return folder / "density.nc"


def entry_of(cad: Path, **more: object) -> Imaging:
    return Imaging.model_validate({"format": "tiff", "raw": "nowhere", "cameras": "nowhere.json", "object": {"cad": cad, **more}})


def test_half_way_is_half_of_the_plateau_of_a_body() -> None:
    density = np.zeros((20, 20, 20))
    density[5:15, 5:15, 5:15] = 8.0
    density[5, 5:15, 5:15] = 5.0  # partly filled
    assert half_way(density) == pytest.approx((4.0, 8.0))
    assert half_way(density + 2, 0.25)[0] == pytest.approx(4.0)


def test_the_surface_of_a_known_density_lies_on_its_drawing(cad: Path) -> None:
    """However the drawing is turned: rms a tenth of a voxel, both ways."""
    for seed in range(3):
        entry = PrintedObject(cad=cad)
        drawing = scaled(*read_body(cad), entry)
        turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix() if seed else np.eye(3)
        shift = np.array([60, -40, 25]) * UM
        found = found_in(density_of(moved(drawing, turn, shift)), AXIS, drawing, entry)
        assert found is not None
        assert found.summary()["distance_rms"] < 0.1 * PITCH
        assert found.summary()["drawing_distance_rms"] < 0.15 * PITCH
        assert found.surface.volume == pytest.approx(drawing.volume, rel=0.02)
        assert np.allclose(found.pose.translation, shift, atol=0.1 * PITCH)
        assert Rotation.from_matrix(found.pose.rotation @ turn.T).magnitude() < 0.01


def test_a_drawing_of_another_size_is_found_by_its_extent_or_its_fit(cad: Path) -> None:
    drawing = scaled(*read_body(cad), PrintedObject(cad=cad, extent_mm=1.8))
    assert np.ptp(drawing.vertices, axis=0).max() == pytest.approx(1.8 * MM)
    entry = PrintedObject(cad=cad, scale=True)
    found = found_in(density_of(drawing), AXIS, scaled(*read_body(cad), entry), entry)
    assert found is not None
    assert found.pose.scale == pytest.approx(0.9, rel=0.005)
    assert found.summary()["distance_rms"] < 0.1 * PITCH


def test_small_pieces_beside_the_object_are_left_out(cad: Path) -> None:
    drawing = scaled(*read_body(cad), PrintedObject(cad=cad))
    density = density_of(drawing)
    clean = surface_of(density, AXIS, 0.5 * density.max())
    density[2:4, 2:4, 2:4] = density.max()
    found = surface_of(density, AXIS, 0.5 * density.max())
    assert clean is not None and found is not None
    assert found[1] == clean[1] + 1
    assert np.allclose(found[0].vertices, clean[0].vertices)


def test_a_block_is_compared_shot_by_shot_and_drawn(tmp_path: Path, cad: Path) -> None:
    drawing = scaled(*read_body(cad), PrintedObject(cad=cad))
    first = density_of(drawing)
    nothing, speck = np.zeros_like(first), np.zeros_like(first)
    speck[4, 4, 4] = 1.0
    block = block_of(tmp_path, [first, nothing, speck, density_of(moved(drawing, np.eye(3), np.array([0, 0, 80 * UM])))], [0, Status.empty, 0, 0])
    extract_surface(block, cad, tmp_path / "surface.nc", entry_of(cad))
    found = open_product(tmp_path / "surface.nc", "surface")
    assert found.status.values.tolist() == [Status.good, Status.empty, Status.weak, Status.good]
    assert "shot 2 is weak" in found.attrs["flagged"]
    assert found.vertex_count.values[[1, 2]].tolist() == [0, 0]
    assert found.sizes["vertex"] == found.vertex_count.sum()
    assert found.triangle_vertex.values.max() == found.sizes["vertex"] - 1
    assert np.isnan(found.distance_rms.values[[1, 2]]).all()
    assert float(found.translation[3, 2] - found.translation[0, 2]) == pytest.approx(80 * UM, abs=0.05 * PITCH)
    drawn = pictures([tmp_path / "surface.nc"])
    assert len(drawn) == 3
    for picture in drawn:
        FigureCanvasAgg(picture.figure)
        picture.figure.draw_without_rendering()


def test_a_block_of_flagged_shots_has_no_surface(tmp_path: Path, cad: Path) -> None:
    block = block_of(tmp_path, [np.zeros((SIDE,) * 3)], [Status.saturated])
    extract_surface(block, cad, tmp_path / "surface.nc", entry_of(cad))
    assert open_product(tmp_path / "surface.nc", "surface").status.values.tolist() == [Status.saturated]
    assert pictures([tmp_path / "surface.nc"]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mesh: mesh.update_faces(np.arange(len(mesh.faces)) != 3), r"the mesh is open or not wound alike: 3 of \d+ edges have no partner"),
        (lambda mesh: mesh.invert(), "encloses a volume of -1.* expected triangles that are anticlockwise seen from outside"),
        (lambda mesh: mesh.apply_transform(np.diag([1, 1, 0, 1])), "a flat mesh of 20 triangles, expected a closed surface"),
    ],
)
def test_a_drawing_that_is_no_body_is_refused(tmp_path: Path, change, message: str) -> None:
    mesh = bracket()
    change(mesh)
    mesh.export(tmp_path / "bad.stl")
    block = block_of(tmp_path, [np.zeros((SIDE,) * 3)], [0])
    with pytest.raises(InputError, match=f"bad.stl: {message}"):
        extract_surface(block, tmp_path / "bad.stl", tmp_path / "surface.nc", entry_of(tmp_path / "bad.stl"))
    assert not (tmp_path / "surface.nc").exists()


def test_a_drawing_cut_short_is_refused(tmp_path: Path, cad: Path) -> None:
    cad.write_bytes(cad.read_bytes()[:-7])
    with pytest.raises(InputError, match="bytes for the 20 triangles of its header"):
        extract_surface(block_of(tmp_path, [np.zeros((SIDE,) * 3)], [0]), cad, tmp_path / "surface.nc", entry_of(cad))


def test_the_reference_object_is_found_within_a_tenth_of_a_voxel() -> None:
    if not FEATURETYPE.exists():
        pytest.skip("shared/data/mesh is not here")
    entry = PrintedObject(cad=FEATURETYPE, extent_mm=2)
    drawing = scaled(*read_body(FEATURETYPE), entry)
    found = found_in(solid(FEATURETYPE, (0.0, 0.0, 0.0), 2 * MM, 1).means(EDGES), AXIS, drawing, entry)
    assert found is not None
    assert found.summary()["distance_rms"] < 0.1 * PITCH
    assert found.summary()["distance_95"] < 0.25 * PITCH
    assert Rotation.from_matrix(found.pose.rotation).magnitude() < 0.01
