"""A LArSoft library comes back as it was written, in any order of rows, and what is wrong with one is told in a message."""

from pathlib import Path

import numpy as np
import pytest
import uproot

from fieldfit.config.dune import Geometry, Quality
from fieldfit.io.optical.larsoft import COUNTS, LENGTHS, header_of, open_larsoft
from fieldfit.io.optical.source import Component
from fieldfit.io.optical.table import Table, fill_table
from fieldfit.types import InputError

GEOMETRY = Geometry(min_cm=(0, -10, 0), max_cm=(20, 10, 40), divisions=(2, 3, 4))
SHARED = Path(__file__).parents[1] / "../shared/data/larsoft"
KINDS = {"Voxel": np.int32, "OpChannel": np.int32, "Visibility": np.float32, "ReflVisibility": np.float32}


def columns(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    voxel, channel = np.divmod(np.arange(24 * 2), 2)
    found = {"Voxel": voxel, "OpChannel": channel, "Visibility": generator.random(48) / 4, "ReflVisibility": generator.random(48) / 4}
    return {name: values.astype(KINDS[name]) for name, values in found.items()}


def write(path: Path, rows: dict[str, np.ndarray], tree: str = "PhotonLibraryData") -> Path:
    with uproot.recreate(path) as file:
        file.mktree(tree, {name: values.dtype for name, values in rows.items()}).extend(rows)
    return path


def table(
    path: Path, component: Component = "total", channels: int = 2, geometry: Geometry | None = GEOMETRY, quality: Quality | None = None
) -> Table:
    return fill_table(open_larsoft(path, component, channels, geometry), quality or Quality(), None, 2**30)


def read(path: Path, component: Component = "total", channels: int = 2, geometry: Geometry | None = GEOMETRY) -> np.ndarray:
    return table(path, component, channels, geometry).values


def test_shuffled_rows_come_back_in_their_places(tmp_path: Path) -> None:
    rows = columns()
    shuffled = np.random.default_rng(1).permutation(48)
    values = read(write(tmp_path / "a.root", {k: v[shuffled] for k, v in rows.items()}), "direct")
    for voxel in range(24):
        x, y, z = voxel % 2, voxel // 2 % 3, voxel // 6
        assert np.array_equal(values[:, x, y, z], rows["Visibility"][2 * voxel : 2 * voxel + 2])


def test_components_add_up(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", columns())
    assert np.allclose(read(path), read(path, "direct") + read(path, "reflected"))


def test_a_tree_in_a_folder_is_found(tmp_path: Path) -> None:
    assert np.isfinite(read(write(tmp_path / "a.root", columns(), "pmtresponse/PhotonLibraryData"))).all()


def test_absent_rows_are_marked_and_repeated_ones_told(tmp_path: Path) -> None:
    rows = {k: np.concatenate([v[3:], v[10:12]]) for k, v in columns().items()}
    found = table(write(tmp_path / "a.root", rows), "direct")
    assert np.isnan(found.values).sum() == 3
    assert found.findings == ("2 of 47 rows are there again with the same value (first: Voxel 5, OpChannel 0); kept once",)


def changed(**keys: object) -> dict[str, np.ndarray]:
    rows = columns()
    for name, (index, value) in keys.items():  # type: ignore[misc]
        rows[name][index] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            changed(Visibility=([5, 7], np.nan)),
            r"2 of 48 values of Visibility are NaN or infinite \(first: Voxel 2, OpChannel 1: nan\), expected .* Visibility holds something else",
        ),
        (changed(Visibility=(slice(None), np.nan)), "all 48 values of Visibility are NaN"),
        (changed(ReflVisibility=(4, -0.1)), r"1 of 48 values of ReflVisibility are negative \(first: Voxel 2, OpChannel 0: -0.1\)"),
        (changed(Visibility=(3, 1.5)), "values of Visibility are above 1"),
        (changed(Visibility=(3, 0.9), ReflVisibility=(3, 0.9)), r"values of Visibility \+ ReflVisibility are above 1"),
        (
            changed(Voxel=(0, 24)),
            r"1 of 48 rows have a voxel outside 0 to 23 \(first: Voxel 24, OpChannel 0\), expected 2 x 3 x 4 voxels .policy quality.out_of_range",
        ),
        (changed(OpChannel=(0, 7)), r"channel outside 0 to 1 \(first: Voxel 0, OpChannel 7\), expected 2 channels"),
        (changed(Voxel=(2, 0)), r"1 of 48 rows are there again with different values \(first: Voxel 0, OpChannel 0: "),
        ({k: v for k, v in columns().items() if k != "ReflVisibility"}, "no branch ReflVisibility .* expected component: direct"),
        ({("Visiblity" if k == "Visibility" else k): v for k, v in columns().items()}, "no branch Visibility .*did you mean 'Visiblity'"),
    ],
)
def test_a_bad_row_is_told(tmp_path: Path, rows: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "a.root", rows))


def test_a_missing_tree_is_told_with_those_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tree PhotonLibraryData \(trees found: PhotonLibrary\).*did you mean 'PhotonLibrary'"):
        read(write(tmp_path / "a.root", columns(), "PhotonLibrary"))


def test_what_is_no_root_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_text("nothing of the kind")
    with pytest.raises(InputError, match="cannot be read as ROOT"):
        read(tmp_path / "a.root")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "b.root")


def test_without_metadata_the_geometry_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the key geometry"):
        read(write(tmp_path / "a.root", columns()), geometry=None)


def metadata(**changes: float) -> dict[str, float]:
    values = dict.fromkeys(COUNTS + LENGTHS, 0.0)
    values |= {"NVoxels": 24, "NChannels": 2, "NDivX": 2, "NDivY": 3, "NDivZ": 4, "MaxX": 20, "MinY": -10, "MaxY": 10, "MaxZ": 40}
    values |= {"StepX": 10, "StepY": 20 / 3, "StepZ": 10}
    return values | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"StepX": 5}, "metadata contradict: StepX 5 cm x NDivX 2 = 10 cm, MaxX - MinX = 20 cm"),
        ({"NVoxels": 25}, "NVoxels 25, NDivX NDivY NDivZ = 24"),
        ({"MaxZ": -1}, "expected MinZ below MaxZ"),
        ({"NDivX": 0}, "NDivX is 0, expected a whole number"),
    ],
)
def test_contradicting_metadata_are_told(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        header_of(metadata(**changes), None, 2, Path("a.root"))


def test_metadata_and_config_must_agree() -> None:
    assert header_of(metadata(), GEOMETRY, 2, Path("a.root")).box.divisions == (2, 3, 4)
    with pytest.raises(InputError, match=r"metadata say NDivX 2, the key geometry says 3 .*divisions \[3, 2, 4\]"):
        header_of(metadata(), Geometry(min_cm=(0, -10, 0), max_cm=(20, 10, 40), divisions=(3, 2, 4)), 2, Path("a.root"))


def test_the_reference_library_reads_the_same_with_and_without_metadata() -> None:
    if not (SHARED / "photon_library.root").is_file():
        pytest.skip("the reference library is not here")
    geometry = Geometry(min_cm=(0, -75, 0), max_cm=(150, 75, 300), divisions=(20, 20, 40))
    full = table(SHARED / "photon_library.root", "direct", 10, None)
    flat = table(SHARED / "photon_library_flat.root", "direct", 10, geometry)
    assert np.array_equal(full.values, flat.values, equal_nan=True) and not full.findings
    with pytest.raises(InputError, match="NChannels is 10, the channel file has 9"):
        table(SHARED / "photon_library.root", "direct", 9, None)
    with pytest.raises(InputError, match="component: total cannot be made, expected component: direct"):
        table(SHARED / "photon_library_flat.root", "total", 10, geometry)
