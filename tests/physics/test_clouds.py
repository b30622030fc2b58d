"""Drawn atoms scatter about the stated densities as Poisson numbers do, object by object; densities are whole and where they should be."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from fieldfit.config.magis import SimulateShots
from fieldfit.io.stl import read_stl
from fieldfit.simulate.clouds import Cloud, Source
from fieldfit.simulate.shots import source_of, true_density
from fieldfit.simulate.solids import solid
from fieldfit.types import InputError
from fieldfit.units import TAU

CENTRE = (40e-6, -90e-6, 60e-6)
OBJECTS = {
    "plain cloud": {"contrast": 0},
    "fringed cloud": {"period_um": 600},
    "tilted wave": {"period_um": 700, "tilt_deg": 50, "azimuth_deg": 70, "contrast": 1},
    "aberrated": {"period_um": 800, "tilt_deg": 20, "azimuth_deg": -40, "defocus_rad": 0.7, "size_mm": 0.4},
    "donut": {"object": "donut", "tilt_deg": 60, "azimuth_deg": 45},
    "two clouds": {"object": "two_clouds", "tilt_deg": 30},
    "spots": {"object": "spots"},
    "letters": {"object": "letters"},
}


def drawn_of(keys: dict, atoms: int) -> Source:
    return source_of(SimulateShots.model_validate(keys), CENTRE, 0.8, atoms, 5)


def pull_of_chi2(source: Source, edges: np.ndarray, seed: int = 0) -> float:
    """(chi2 - dof) / sqrt(2 dof) of atoms in voxels against the density, those outside in one more bin."""
    atoms = source.drawn(np.random.default_rng(seed))
    assert atoms.shape == (source.atoms, 3)
    found = np.histogramdd(atoms, (edges,) * 3)[0].ravel()
    expected = source.atoms * source.means(edges).ravel() * np.diff(edges)[0] ** 3
    full = expected > 8
    found, expected = (np.append(values[full], source.atoms - values[full].sum()) for values in (found, expected))
    if expected[-1] < 8:
        assert found[-1] < expected[-1] + 20
        found, expected = found[:-1], expected[:-1]
    assert len(expected) > 20
    return float(((found - expected) ** 2 / expected).sum() - len(found)) / math.sqrt(2 * len(found))


@pytest.mark.parametrize("name", OBJECTS)
def test_atoms_are_drawn_from_the_stated_density(name: str) -> None:
    assert abs(pull_of_chi2(drawn_of(OBJECTS[name], 400_000), np.linspace(-1.6e-3, 1.6e-3, 41))) < 4.5


def test_the_check_would_see_a_wrong_phase() -> None:
    right, wrong = (Cloud((0, 0, 0), (5e-4,) * 3, TAU / 600e-6, 0.8, phase, 400_000) for phase in (0.80, 0.90))

    class Mixed:
        atoms = right.atoms
        drawn, means = right.drawn, wrong.means

    assert pull_of_chi2(Mixed(), np.linspace(-1.6e-3, 1.6e-3, 41)) > 5


@pytest.mark.parametrize("name", ["aberrated", "donut", "spots", "letters"])
def test_a_density_holds_its_atoms(name: str) -> None:
    density, axis = true_density(drawn_of(OBJECTS[name], 1000), 1e6, voxels=64)
    assert density.sum() * (axis[1] - axis[0]) ** 3 == pytest.approx(1e6, rel=2e-3)


def test_voxel_means_of_a_wave_are_integrals_not_samples() -> None:
    """A wave of three voxels loses sin(x) / x, x = k h / 2, of its contrast."""
    density, axis = true_density(drawn_of({"period_um": 150, "size_mm": 0.3}, 1000), 1e6, voxels=64)
    k = TAU / 150e-6
    wave = np.exp(1j * k * axis)
    found = 2 * np.abs((density.sum((0, 2)) * wave).sum()) / density.sum()
    assert found == pytest.approx(0.8 * np.sinc(k * 50e-6 / TAU), rel=3e-4)


def test_unequal_clouds_lie_where_they_should() -> None:
    source = drawn_of({"object": "two_clouds"}, 100_000)
    atoms = source.drawn(np.random.default_rng(1)) - np.array(CENTRE)
    upper = atoms[:, 1] > 0
    assert upper.mean() == pytest.approx(0.6 * 0.9918 + 0.4 * 0.0082, abs=0.006)  # Phi(2.4) = 0.9918
    assert atoms.mean(0) == pytest.approx([0, 0.2 * 0.6e-3, 0], abs=1e-5)


def test_letters_are_asymmetric_and_of_the_stated_width() -> None:
    bars = drawn_of({"object": "letters", "extent_mm": 0.9}, 10)
    low, high = bars.low.min(0), bars.high.max(0)
    assert high[0] - low[0] == pytest.approx(0.9e-3)
    assert (bars.high - bars.low)[0] == pytest.approx([6e-5, 6e-5, 12e-5])
    image = bars.means(np.linspace(-0.5e-3, 0.5e-3, 41) + 40e-6).sum(2)
    for turned in (image[::-1], image[:, ::-1], image[::-1, ::-1]):
        assert np.corrcoef(image.ravel(), turned.ravel())[0, 1] < 0.7


# ---------------------------------------------------------------- meshes


def written(path: Path, corners: np.ndarray) -> Path:
    body = b"".join(struct.pack("<12fH", 0, 0, 0, *triangle.ravel(), 0) for triangle in corners)
    path.write_bytes(b"\0" * 80 + struct.pack("<I", len(corners)) + body)
    return path


def tetrahedron() -> np.ndarray:
    """Corners of (0,0,0), (2,0,0), (0,1,0), (0,0,1), anticlockwise from outside."""
    p = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    return p[[[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]]


def test_a_tetrahedron_is_filled_evenly(tmp_path: Path) -> None:
    body = solid(written(tmp_path / "t.stl", tetrahedron()), CENTRE, 1.0e-3, 200_000)
    assert body.volume == pytest.approx(2 / 6 * (0.5e-3) ** 3)
    atoms = body.drawn(np.random.default_rng(0)) - np.array(CENTRE) + np.array([0.5, 0.25, 0.25]) * 1e-3
    assert atoms.min() >= 0
    assert (atoms / np.array([1, 0.5, 0.5]) / 1e-3).sum(1).max() <= 1
    assert atoms.mean(0) == pytest.approx(np.array([1, 0.5, 0.5]) * 1e-3 / 4, rel=0.01)
    assert abs(pull_of_chi2(body, np.linspace(-0.6e-3, 0.6e-3, 25))) < 6


def test_the_reference_part_is_filled_evenly(reference: Path) -> None:
    source = drawn_of({"object": "mesh", "mesh": reference / "mesh" / "featuretype.STL"}, 200_000)
    density, axis = true_density(source, 1e6, voxels=64)
    assert density.sum() * (axis[1] - axis[0]) ** 3 == pytest.approx(1e6, rel=2e-3)
    assert density.max() == pytest.approx(1e6 / source.volume, rel=1e-6)
    assert abs(pull_of_chi2(source, np.linspace(-0.8e-3, 0.8e-3, 33))) < 6


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"solid part\nfacet normal 0 0 0\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\n", "an STL in text: convert it"),
        (b"\0" * 80, "80 bytes, expected a binary STL"),
        (b"\0" * 80 + struct.pack("<I", 2_000_000_000) + b"\0" * 50, "134 bytes for the 2000000000 triangles of its header, expected 100000000084"),
        (b"\0" * 80 + struct.pack("<I12fH", 1, *[float("nan")] * 12, 0), "triangle 0 has a corner that is no number"),
    ],
)
def test_each_fault_of_a_mesh_file_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "m.stl").write_bytes(content)
    with pytest.raises(InputError, match=f"m.stl: .*{told}"):
        read_stl(tmp_path / "m.stl")


def test_a_mesh_that_encloses_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file, expected a mesh"):
        read_stl(tmp_path / "none.stl")
    with pytest.raises(InputError, match="flat mesh of 1 triangles"):
        solid(written(tmp_path / "f.stl", tetrahedron()[:1]), CENTRE, 1e-3, 10)
    with pytest.raises(InputError, match=r"encloses -.* expected triangles that are anticlockwise"):
        solid(written(tmp_path / "i.stl", tetrahedron()[:, ::-1]), CENTRE, 1e-3, 10)
    body = solid(written(tmp_path / "o.stl", tetrahedron()[1:]), CENTRE, 1e-3, 1000)
    with pytest.raises(InputError, match=r"o.stl: the mesh is open at x"):
        body.drawn(np.random.default_rng(0))
