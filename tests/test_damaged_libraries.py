"""A damaged library is refused or masked as its policy says, by name: never a silently different table."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import uproot

from fieldfit.config.dune import Quality
from fieldfit.io.optical.table import Table, fill_table
from fieldfit.types import InputError
from libraries import (
    CHANNELS,
    DIVISIONS,
    GEOMETRY,
    columns,
    metadata,
    opened,
    records,
    truth,
    write_arcube,
    write_dune,
    write_hits,
    write_larsoft,
    write_npz,
    write_photonlib,
)

Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class Damage:
    """told: in the message of a refusal, or in the findings when `bad` counts the masked values; absent: values without a row."""

    name: str
    write: Callable[[Path], Any]
    told: str
    bad: int | None = None
    absent: int = 0
    quality: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    format: str = "larsoft"


def rows(**changes: Any) -> Rows:
    """LArSoft's rows with (index, value) changed."""
    found = columns()
    for name, (index, value) in changes.items():
        found[name] = found[name].copy()
        found[name][index] = value
    return found


def more(again: Any, factor: float = 1.0) -> Rows:
    """With rows at the end that are there already."""
    found = {name: np.concatenate([values, values[again]]) for name, values in columns().items()}
    found["Visibility"][truth().size :] *= np.float32(factor)
    return found


def without(**gone: Any) -> Rows:
    """Without the rows that have this value in this branch."""
    found = columns()
    for name, value in gone.items():
        kept = found[name] != value
        found = {key: values[kept] for key, values in found.items()}
    return found


def larsoft(found: Rows | None = None, objects: dict[str, Any] | None = None, **keys: Any) -> Callable[[Path], Any]:
    return lambda path: write_larsoft(path, found, objects, **keys)


def cut(write: Callable[[Path], Any], share: float) -> Callable[[Path], Any]:
    """The first part of a sound file."""

    def shortened(path: Path) -> None:
        write(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return shortened


def with_types(**types: str) -> Rows:
    return {name: values.astype(types.get(name, values.dtype)) for name, values in columns().items()}


def renamed(old: str, new: str) -> Rows:
    return {new if name == old else name: values for name, values in columns().items()}


def two_trees(path: Path) -> None:
    with uproot.recreate(path) as file:
        for folder in ("a", "b"):
            file.mkdir(folder).mktree("PhotonLibraryData", {k: v.dtype for k, v in columns().items()}).extend(columns())


def only(*names: str) -> dict[str, Any]:
    return {name: value for name, value in metadata().items() if name in names}


def lacking(*names: str) -> dict[str, Any]:
    return metadata(**dict.fromkeys(names))


OTHER_BOX = GEOMETRY | {"divisions": (3, 4, 5)}
NAN, ROW = np.nan, 42 * CHANNELS + 4  # Voxel 42, OpChannel 4
LARSOFT = [
    # what is no library at all
    Damage(
        "empty file", lambda path: path.write_bytes(b""), "cannot be read as ROOT, it is an empty file; expected an optical library of format larsoft"
    ),
    Damage(
        "no ROOT file", lambda path: path.write_text("Voxel,OpChannel,Visibility\n0,0,0.1\n"), "cannot be read as ROOT, it is no format that is known"
    ),
    Damage(
        "begins like ROOT",
        lambda path: path.write_bytes(b"root" + bytes(500)),
        "no tree PhotonLibraryData .trees found: none., expected a LArSoft photon library",
    ),
    Damage("truncated at half", cut(larsoft(), 0.5), "is cut off, it has .* bytes that its header promises"),
    Damage("truncated at the end", cut(larsoft(), 0.97), "is cut off, it has .* bytes that its header promises"),
    Damage("truncated in the header", cut(larsoft(), 0.01), "cannot be read as ROOT"),
    # the tree
    Damage("zero entries", larsoft({k: v[:0] for k, v in columns().items()}), "tree pmtresponse/PhotonLibraryData has no rows"),
    Damage("tree of another name", larsoft(tree="PhotonLibrary"), r"no tree PhotonLibraryData \(trees found: pmtresponse/PhotonLibrary\)"),
    Damage("two trees", two_trees, "2 trees PhotonLibraryData .a/PhotonLibraryData, b/PhotonLibraryData., expected one"),
    Damage(
        "misspelt branch",
        larsoft(renamed("Visibility", "Visiblity")),
        "no branch Visibility .branches: Voxel, OpChannel, Visiblity.*did you mean 'Visiblity'",
    ),
    Damage("no branch OpChannel", larsoft(renamed("OpChannel", "PMT")), "no branch OpChannel .branches: Voxel, PMT, Visibility"),
    Damage("no reflected light", larsoft(), "so it holds direct light only.*expected component: direct", keys={"component": "reflected"}),
    Damage("voxels as real numbers", larsoft(with_types(Voxel="f4")), "branch Voxel holds float, expected one of whole numbers a row"),
    Damage(
        "visibility as whole numbers", larsoft(with_types(Visibility="i4")), "branch Visibility holds int32_t, expected one of real numbers a row"
    ),
    # metadata
    Damage("none, no config", larsoft(objects={}), "no metadata beside PhotonLibraryData.*expected the key geometry"),
    Damage("wrong NDivX", larsoft(objects=metadata(NDivX=8)), "metadata contradict: StepX 10 cm x NDivX 8 = 80 cm, MaxX - MinX = 40 cm"),
    Damage("swapped NDiv, no steps", larsoft(objects=metadata(NDivX=3, NDivY=5, StepX=None, StepY=None)), "NVoxels 60, NDivX NDivY NDivZ = 75"),
    Damage("wrong NVoxels", larsoft(objects=metadata(NVoxels=61)), "metadata contradict: NVoxels 61, NDivX NDivY NDivZ = 60"),
    Damage("NChannels disagrees", larsoft(objects=metadata(NChannels=8)), "NChannels is 8, the channel file has 6 sensors"),
    Damage("no divisions at all", larsoft(objects=metadata(NDivZ=0)), "metadata NDivZ is 0, expected a whole number of at least 1"),
    Damage("upside down", larsoft(objects=metadata(MinY=60.0, StepY=-10.0)), "metadata MinY 60 and MaxY 50 cm, expected MinY below MaxY"),
    Damage("not a number", larsoft(objects=metadata(MaxZ=NAN)), "metadata MaxZ is nan, expected a number"),
    Damage("config contradicts", larsoft(), r"metadata say NDivX 4, the key geometry says 3 \(min_cm", keys={"geometry": OTHER_BOX}),
    Damage("partial, not enough", larsoft(objects=lacking("MinX", "StepX")), "metadata MinX are missing beside .* and do not follow from them"),
    Damage("partial, contradicts config", larsoft(objects=only("NDivX")), "NDivX 4, the key geometry says 3", keys={"geometry": OTHER_BOX}),
    Damage("partial, steps follow", larsoft(objects=lacking("StepX", "NVoxels")), "metadata StepX is missing: 10 follows from the others", 0),
    Damage("partial, upper corner follows", larsoft(objects=lacking("MaxZ")), "metadata MaxZ is missing: 100 follows from the others", 0),
    Damage("partial, lower corner follows", larsoft(objects=lacking("MinY")), "metadata MinY is missing: 20 follows from the others", 0),
    Damage("partial, divisions from steps", larsoft(objects=lacking("NDivY")), "metadata NDivY is missing: 3 follows from the others", 0),
    Damage("partial, divisions from NVoxels", larsoft(objects=lacking("NDivY", "StepY")), "metadata NDivY is missing: 3 follows from the others", 0),
    Damage("partial, channels counted", larsoft(objects=lacking("NChannels")), "metadata NChannels is missing: 6 sensors in the channel file", 0),
    Damage(
        "partial, box from config",
        larsoft(objects=only("NVoxels", "NChannels", "MinX")),
        "taken from the key geometry",
        0,
        keys={"geometry": GEOMETRY},
    ),
    # values
    Damage(
        "NaN",
        larsoft(rows(Visibility=(ROW, NAN))),
        r"1 of 360 values of Visibility are NaN or infinite \(first: Voxel 42, OpChannel 4: nan\); masked",
        1,
    ),
    Damage(
        "infinite", larsoft(rows(Visibility=(ROW, np.inf))), "1 of 360 values of Visibility are NaN or infinite .first: Voxel 42, OpChannel 4: inf", 1
    ),
    Damage("negative", larsoft(rows(Visibility=(ROW, -0.1))), r"values of Visibility are negative \(first: Voxel 42, OpChannel 4: -0.1\); masked", 1),
    Damage(
        "above 1",
        larsoft(rows(Visibility=([ROW, 7], 1.5))),
        r"2 of 360 values of Visibility are above 1 \(first: Voxel 1, OpChannel 1: 1.5\); masked",
        2,
    ),
    Damage(
        "NaN, an error",
        larsoft(rows(Visibility=(ROW, NAN))),
        "expected shares .* between 0 and 1 .policy quality.bad_values: error",
        quality={"bad_values": "error"},
    ),
    Damage("NaN, accepted", larsoft(rows(Visibility=(ROW, NAN))), "taken for no row", 0, 1, quality={"bad_values": "accept"}),
    Damage("many NaN", larsoft(rows(Visibility=(slice(0, 4), NAN))), "4 of 360 values .* more than 1%, so Visibility holds something else"),
    Damage(
        "many NaN, accepted", larsoft(rows(Visibility=(slice(0, 4), NAN))), "so Visibility holds something else", quality={"bad_values": "accept"}
    ),
    Damage("photons, not shares", larsoft(rows(Visibility=(slice(None), 3e5))), "all 360 values of Visibility are above 1"),
    # rows
    Damage("repeated", larsoft(more([ROW, 3])), r"2 of 362 rows are there again with the same value \(first: Voxel 42, OpChannel 4\); kept once", 0),
    Damage("repeated, masked", larsoft(more([ROW, 3])), "with the same value .*; masked", 2, quality={"duplicates_same": "mask"}),
    Damage(
        "repeated, an error",
        larsoft(more([ROW])),
        "expected one row each .policy quality.duplicates_same: error",
        quality={"duplicates_same": "error"},
    ),
    Damage(
        "conflicting",
        larsoft(more([ROW], 2)),
        r"1 of 361 rows are there again with different values \(first: Voxel 42, OpChannel 4: 0.3125 and 0.625\)",
    ),
    Damage(
        "conflicting, masked",
        larsoft(more([ROW, 3, ROW], 2)),
        "3 of 363 rows are there again|2 of 363 rows",
        2,
        quality={"duplicates_conflicting": "mask"},
    ),
    Damage(
        "voxel too large",
        larsoft(rows(Voxel=(ROW, 60))),
        r"1 of 360 rows have a voxel outside 0 to 59 \(first: Voxel 60, OpChannel 4\), expected 4 x 3 x 5 voxels",
    ),
    Damage("voxel negative", larsoft(rows(Voxel=(ROW, -1))), "voxel outside 0 to 59 .first: Voxel -1, OpChannel 4., expected 4 x 3 x 5 voxels"),
    Damage("channel too large", larsoft(rows(OpChannel=(ROW, 6))), r"channel outside 0 to 5 \(first: Voxel 42, OpChannel 6\), expected 6 channels"),
    Damage(
        "channel too large, masked", larsoft(rows(OpChannel=(ROW, 6))), "channel outside 0 to 5 .*; dropped", 0, 1, quality={"out_of_range": "mask"}
    ),
    Damage("missing channel", larsoft(without(OpChannel=2)), "1 of 6 channels have no row: 2; masked", 60),
    Damage("missing channel, accepted", larsoft(without(OpChannel=2)), "no row: 2; kept, as dark", 0, 60, quality={"missing_channels": "accept"}),
    Damage(
        "missing channel, an error", larsoft(without(OpChannel=2)), "policy quality.missing_channels: error", quality={"missing_channels": "error"}
    ),
]


def unlike(name: str, value: Any) -> Callable[[Path], Any]:
    return lambda path: write_photonlib(path, **{name: value})


def npz(change: Callable[[np.ndarray], Any]) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(write_npz(path.with_suffix(".npz"), change(records())).read_bytes())


def changed(arr: np.ndarray, value: float) -> np.ndarray:
    arr["vis"][2, 1, 3, 4] = value
    return arr


def other_size(path: Path) -> None:
    """A header that promises far more than there is."""
    write_npz(path.with_suffix(".npz"))
    with zipfile.ZipFile(path.with_suffix(".npz")) as sound, zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr.npy", sound.read("arr.npy").replace(b"(4, 3, 5, 6)", b"(4,3,5,6000)"))


def vis(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Any]:
    flat = np.moveaxis(truth(), 0, -1).transpose(2, 1, 0, 3).reshape(-1, CHANNELS).copy()
    return lambda path: write_photonlib(path, change(flat))


def poisoned(table: np.ndarray, index: Any, value: float) -> np.ndarray:
    table = table.copy()
    table[index] = value
    return table


def h5_without_vis(path: Path) -> None:
    write_photonlib(path)
    with h5py.File(path, "a") as file:
        del file["vis"]


def hits_without(path: Path) -> None:
    write_hits(path)
    with h5py.File(path, "a") as file:
        light = file["light_dat/light_dat_allmodules"][()]
        del file["light_dat/light_dat_allmodules"]
        light["segment_id"][0] = 7
        file["light_dat/light_dat_allmodules"] = light


G = {"geometry": GEOMETRY}
DIRECT = np.moveaxis(truth(), 0, -1).reshape(-1, CHANNELS)
VECTORS = {"Min": [-100.0, 200.0, 0.0], "Max": [300.0, 500.0, 1000.0]}
COORDS = np.stack(np.meshgrid([-5.0, 5, 15, 25], [25.0, 35, 45], [10.0, 30, 50, 70, 90], indexing="ij"), -1).reshape(-1, 3)
OTHERS = [
    Damage("dune: truncated", cut(write_dune, 0.5), "is cut off", format="dune_export"),
    Damage("dune: off the grid", lambda p: write_dune(p, coords=poisoned(COORDS, (7, 0), 6.0)), "coords hold x = .*expected centres", format="dune_export"),
    Damage("dune: few voxels", lambda p: write_dune(p, keep=np.array([0, 1, 2, 3, 4, 5, 10, 15, 30, 45])), "coords of 10 rows spread over 60 voxels .*expected a row for each", format="dune_export"),
    Damage("dune: NaN coordinates", lambda p: write_dune(p, coords=poisoned(COORDS, (7, 0), NAN)), "coords of row 7 .*expected a voxel's centre", format="dune_export"),
    Damage("dune: a voxel twice", lambda p: write_dune(p, coords=poisoned(COORDS, 7, COORDS[8])), "6 of 360 rows are there again with different values .first: coords .-5, 35, 7?", format="dune_export"),
    Damage("dune: a voxel is missing", lambda p: write_dune(p, keep=np.arange(1, 60)), r"6 of 360 values are not in the file \(first: coords \(-5, 25, 10\) cm, sensor 0\); masked", 6, format="dune_export"),
    Damage("dune: NaN", lambda p: write_dune(p, direct=poisoned(DIRECT, (44, 4), NAN)), "values of opDet_visDirect are NaN .*first: coords .15, 45, 90. cm, sensor 4", 1, format="dune_export"),
    Damage("dune: no direct light", lambda p: write_dune(p, direct=None), "no branch opDet_visDirect .branches: coords, opDet_visReflct", format="dune_export"),
    Damage("dune: other sensors", write_dune, "has 6 sensors a row, the channel file has 5", format="dune_export", keys={"channels_there": 5}),
    Damage("dune: other box", write_dune, "coords make .* the key geometry says", format="dune_export", keys={"geometry": OTHER_BOX}),
    Damage("arcube: no divisions", lambda p: write_arcube(p, vectors=VECTORS), "no TVectorT<double> NDivisions .found: PhotonLibraryData, Min, Max", format="arcube_lut"),
    Damage("arcube: box of the config", lambda p: write_arcube(p, vectors=VECTORS), "NDivisions are missing: the box is taken", 0, format="arcube_lut", keys=G),
    Damage("arcube: wrong divisions", lambda p: write_arcube(p, vectors=VECTORS | {"NDivisions": [4.0, 3.5, 5.0]}), "NDivisions is .*expected whole numbers", format="arcube_lut"),
    Damage("arcube: fewer divisions", lambda p: write_arcube(p, vectors=VECTORS | {"NDivisions": [4.0, 3.0, 4.0]}), "72 of 360 rows have a voxel outside 0 to 47", format="arcube_lut"),
    Damage("arcube: direct light", write_arcube, "holds all light together.*expected total", format="arcube_lut", keys={"component": "direct"}),
    Damage("arcube: above 1", lambda p: write_arcube(p, rows(Visibility=(ROW, 2)) | {"T1": columns()["Visibility"]}), "values of Visibility are above 1", 1, format="arcube_lut"),
    Damage("npz: no arr", lambda p: np.savez(p.open("wb"), lut=records()), "a zip archive without a library|no key arr .keys found: lut", format="larndsim_npz", keys=G),
    Damage("npz: plain numbers", npz(lambda a: a["vis"].copy()), "arr holds float32, expected records of vis", format="larndsim_npz", keys=G),
    Damage("npz: pickled objects", npz(lambda a: np.array([{}], object)), "arr holds Python objects, expected numbers: nothing is unpickled", format="larndsim_npz", keys=G),
    Damage("npz: other axes", npz(lambda a: a.transpose(1, 0, 2, 3).copy()), r"arr has \[3, 4, 5\] voxels along x, y, z, the key geometry has divisions \[4, 3, 5\]", format="larndsim_npz", keys=G),
    Damage("npz: no geometry", npz(lambda a: a), "does not say where it lies; expected the key geometry", format="larndsim_npz"),
    Damage("npz: truncated", cut(npz(lambda a: a), 0.7), "a zip archive that cannot be read|cannot be read as npz", format="larndsim_npz", keys=G),
    Damage("npz: large header", other_size, r"arr of shape \(4, 3, 5, 6000\) .*needs 12960000 bytes, the file holds 12960", format="larndsim_npz", keys=G),
    Damage("npz: padded channels", npz(lambda a: np.concatenate([a, np.zeros_like(a)], 3)), "arr has 12 channels, the channel file has 6 sensors.*padded", format="larndsim_npz", keys=G),
    Damage("npz: negative", npz(lambda a: changed(a, -1)), r"values of vis are negative \(first: arr\[2, 1, 3, 4\]: -1\); masked", 1, format="larndsim_npz", keys=G),
    Damage("h5: no vis", h5_without_vis, "without a library|dataset 'vis' is missing", format="photonlib_h5"),
    Damage("h5: no min", unlike("min", None), "dataset 'min' is missing .found: max, numvox, vis", format="photonlib_h5"),
    Damage("h5: wrong numvox", unlike("numvox", np.array([4, 3, 6])), r"vis holds float32 of shape \(60, 6\), expected real numbers \(72, channel\): numvox is \[4, 3, 6\]", format="photonlib_h5"),
    Damage("h5: upside down", unlike("max", np.array([30, 10, 100.0])), "expected min below max", format="photonlib_h5"),
    Damage("h5: fewer channels", vis(lambda v: v[:, :5]), "vis has 5 channels, the channel file has 6", format="photonlib_h5"),
    Damage("h5: NaN", vis(lambda v: poisoned(v, (42, 4), NAN)), r"values of vis are NaN or infinite \(first: vis\[42, 4\]: nan\); masked", 1, format="photonlib_h5"),
    Damage("h5: dark channel", vis(lambda v: poisoned(v, (slice(None), 2), 0)), "1 of 6 channels have nothing but zeros: 2; masked", 60, format="photonlib_h5"),
    Damage("h5: truncated", cut(write_photonlib, 0.6), "an HDF5 file that cannot be read|cannot be read as HDF5", format="photonlib_h5"),
    Damage("hits: no geometry", write_hits, "hits have no voxels of their own; expected the key geometry", format="hits"),
    Damage("hits: other segments", hits_without, "has 1 rows of segments that are not there .first: segment_id 7.", format="hits", keys=G),
    Damage("hits: box elsewhere", write_hits, "no photons are made inside", format="hits", keys={"geometry": {"min_cm": (500, 0, 0), "max_cm": (600, 10, 10), "divisions": (2, 2, 2)}}),
    Damage("hits: a voxel without", lambda p: write_hits(p, skipped=(38,)), r"6 of 360 values are not in the file \(first: voxel \(2, 1, 3\), channel 0\); masked", 6, format="hits", keys=G),
]  # fmt: skip


def table_of(path: Path, damage: Damage, scratch: Path | None = None, most: int = 2**30) -> Table:
    keys = {"component": "direct"} if damage.format in ("larsoft", "dune_export") else {}
    keys |= damage.keys
    channels = keys.pop("channels_there", CHANNELS)
    return fill_table(opened(path, damage.format, channels, **keys), Quality(**damage.quality), scratch, most)


@pytest.mark.parametrize("damage", [*LARSOFT, *OTHERS], ids=lambda damage: damage.name)
def test_damage_is_refused_or_masked(tmp_path: Path, damage: Damage) -> None:
    damage.write(tmp_path / "library")
    if damage.bad is None:
        with pytest.raises(InputError, match=damage.told) as error:
            table_of(tmp_path / "library", damage)
        assert str(error.value).startswith(str(tmp_path / "library")) and "\n" not in str(error.value)
        return
    table = table_of(tmp_path / "library", damage)
    assert any(re.search(damage.told, finding) for finding in table.findings), table.findings
    assert table.bad.sum() == damage.bad and (np.isnan(table.values) & ~table.bad).sum() == damage.absent
    known = ~np.isnan(table.values)
    assert np.allclose(table.values[known], truth()[known], rtol=1e-5) and not (known & table.bad).any()


@pytest.mark.parametrize("damage", [d for d in LARSOFT if d.bad is not None], ids=lambda damage: damage.name)
@pytest.mark.parametrize("channels", [1, 4])
def test_spilled_rows_give_the_same_table(tmp_path: Path, damage: Damage, channels: int) -> None:
    damage.write(tmp_path / "library")
    whole = table_of(tmp_path / "library", damage)
    (tmp_path / "scratch").mkdir()
    spilled = table_of(tmp_path / "library", damage, tmp_path / "scratch", 4 * channels * int(np.prod(DIVISIONS)))
    assert np.array_equal(spilled.values, whole.values, equal_nan=True) and np.array_equal(spilled.bad, whole.bad)
    assert spilled.findings == whole.findings
    assert isinstance(spilled.values.base, np.memmap)
    assert {path.name for path in (tmp_path / "scratch").iterdir()} == {"values.npy", "flags.npy"}


def test_every_chunk_is_compared_with_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shuffled, with repeated rows near and far apart, in chunks of any size: the same table and the same counts."""
    random = np.random.default_rng(4)
    found = more([ROW, 3, ROW, 100, 200])
    found["Visibility"][-2:] *= np.float32(2)  # 100 and 200 conflict
    order = random.permutation(len(found["Voxel"]))
    write_larsoft(tmp_path / "library", {name: values[order] for name, values in found.items()})
    lines, tables = set(), []
    for size in (1, 7, 50, 1000):
        monkeypatch.setattr("fieldfit.io.optical.trees.stream.__defaults__", (size,))
        table = table_of(tmp_path / "library", Damage("", lambda _: None, "", quality={"duplicates_conflicting": "mask"}))
        lines.add(tuple(re.sub(r" \(first: .*?\)", "", line) for line in table.findings))
        tables.append(table)
    assert lines == {
        (
            "3 of 365 rows are there again with the same value; kept once",
            "2 of 365 rows are there again with different values; masked",
        )
    }
    assert all(np.array_equal(t.values, tables[0].values, equal_nan=True) and t.bad.sum() == 2 for t in tables)


def test_policies_of_repeated_rows_do_not_mix(tmp_path: Path) -> None:
    found = more([ROW, 3])
    found["Visibility"][-1] *= np.float32(2)
    write_larsoft(tmp_path / "library", found)
    quality = {"duplicates_same": "mask", "duplicates_conflicting": "accept"}
    table = table_of(tmp_path / "library", Damage("", lambda _: None, "", quality=quality))
    assert table.bad.sum() == 1 and table.bad[4, 2, 1, 3]
    assert table.values[3, 0, 0, 0] == 2 * truth()[3, 0, 0, 0] and "the last is taken" in table.findings[1]


def test_a_bad_row_beside_a_sound_one_is_a_conflict(tmp_path: Path) -> None:
    found = more([ROW])
    found["Visibility"][-1] = np.nan
    write_larsoft(tmp_path / "library", found)
    with pytest.raises(InputError, match=r"different values \(first: Voxel 42, OpChannel 4: 0.3125 and no share of photons\)"):
        table_of(tmp_path / "library", Damage("", lambda _: None, ""))
    table = table_of(tmp_path / "library", Damage("", lambda _: None, "", quality={"bad_values": "accept"}))
    assert np.array_equal(table.values, truth())


def test_a_table_beyond_the_memory_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a scratch folder"):
        table_of(write_larsoft(tmp_path / "a.root"), LARSOFT[0], most=100)


def test_a_header_that_promises_too_much_is_not_believed(tmp_path: Path) -> None:
    path = write_larsoft(tmp_path / "a.root", objects={})
    large = {"geometry": GEOMETRY | {"divisions": (2000, 2000, 2000)}}
    with pytest.raises(InputError, match="8000000000 voxels of 6 channels in the header for 360 rows, expected more rows"):
        table_of(path, Damage("", lambda _: None, "", keys=large))
