"""Every format gives the same table in metres, whatever its order, units and direction of y; conventions are recorded."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from fieldfit.config.dune import Quality
from fieldfit.config.load import load_config
from fieldfit.io.optical.source import Source
from fieldfit.io.optical.table import Table, fill_table, fill_times
from fieldfit.steps.read_library import read_library
from fieldfit.types import InputError
from libraries import (
    CHANNELS,
    DIVISIONS,
    GEOMETRY,
    LOWER_CM,
    RECORDS,
    SENSORS_CM,
    UPPER_CM,
    columns,
    entry_of,
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

SHARED = Path(__file__).parents[1] / "../shared/data/root"
MEMORY = 2**30


def filled(source: Source, quality: Quality | None = None) -> Table:
    return fill_table(source, quality or Quality(), None, MEMORY)


def written(folder: Path, format: str) -> Source:
    """A sound file of each format, of direct light where there is a choice."""
    path = folder / format
    if format == "larsoft":
        return opened(write_larsoft(path), format, component="direct")
    if format == "dune_export":
        return opened(write_dune(path), format, component="direct")
    if format == "arcube_lut":
        return opened(write_arcube(path), format)
    if format == "larndsim_npz":
        return opened(write_npz(path.with_suffix(".npz")), format, geometry=GEOMETRY)
    if format == "photonlib_h5":
        return opened(write_photonlib(path), format)
    return opened(write_hits(path), format, geometry=GEOMETRY)


FORMATS = ("larsoft", "dune_export", "arcube_lut", "larndsim_npz", "photonlib_h5", "hits")


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_gives_the_table(tmp_path: Path, format: str) -> None:
    source = written(tmp_path, format)
    table = filled(source)
    assert np.allclose(table.values, truth(), rtol=1e-6) and table.values.dtype == np.float32
    assert not table.bad.any() and source.channels == CHANNELS and source.box.divisions == DIVISIONS
    assert np.allclose(source.box.lower + source.box.upper, np.array(LOWER_CM + UPPER_CM) / 100)
    assert np.allclose(source.box.centres()[2], [0.1, 0.3, 0.5, 0.7, 0.9])


@pytest.mark.parametrize("format", FORMATS)
def test_a_voxel_has_the_files_name(tmp_path: Path, format: str) -> None:
    source = written(tmp_path, format)
    names = {
        "larsoft": "Voxel 42, OpChannel 4",
        "dune_export": "coords (15, 35, 70) cm, sensor 4",
        "arcube_lut": "Voxel 42, OpChannel 4",
        "larndsim_npz": "arr[2, 1, 3, 4]",
        "photonlib_h5": "vis[42, 4]",
        "hits": "voxel (2, 1, 3), channel 4",
    }
    assert source.name_at((2, 1, 3), 4) == names[format]


@pytest.mark.parametrize("format", FORMATS)
def test_convention_and_efficiency_are_recorded(tmp_path: Path, format: str) -> None:
    source = written(tmp_path, format)
    inside = {"larsoft": "not in it", "dune_export": "not in it", "photonlib_h5": "not known"}.get(format, "in it")
    assert source.efficiency == inside and len(source.convention) > 20 and source.rows == truth().size


@pytest.mark.parametrize("folder", ["", "pmtresponse", "a/b"])
def test_larsoft_in_any_folder_and_order(tmp_path: Path, folder: str) -> None:
    shuffled = np.random.default_rng(0).permutation(truth().size)
    path = write_larsoft(tmp_path / "a.root", {k: v[shuffled] for k, v in columns(reflected=truth(True)).items()}, folder=folder)
    for component, expected in (("direct", truth()), ("reflected", truth(True)), ("total", truth() + truth(True))):
        assert np.array_equal(filled(opened(path, "larsoft", component=component)).values, expected)


def test_larsoft_without_metadata_takes_the_config(tmp_path: Path) -> None:
    path = write_larsoft(tmp_path / "a.root", objects={})
    assert np.array_equal(filled(opened(path, "larsoft", component="direct", geometry=GEOMETRY)).values, truth())


def test_larsoft_times_are_told_and_read_on_demand(tmp_path: Path) -> None:
    time = np.arange(truth().size, dtype=np.float32)
    rows = columns() | {"ReflTfirst": time, "timing_par": np.stack([time + 1, time + 2], 1)}
    source = opened(write_larsoft(tmp_path / "a.root", rows), "larsoft", component="direct")
    assert source.times == ("ReflTfirst", "timing_par[0]", "timing_par[1]")
    assert "ReflTfirst, timing_par[0], timing_par[1]" in filled(source).findings[0]
    first, _, second = fill_times(source, tmp_path)
    assert second[4, 2, 1, 3] == 42 * CHANNELS + 4 + 2
    assert np.isnan(first[0, 0, 0, 0])  # zero: no photon arrived
    with pytest.raises(InputError, match=r"no arrival times, and the key times asks for them; expected ReflTfirst or timing_par \(larsoft\)"):
        fill_times(opened(write_larsoft(tmp_path / "b.root"), "larsoft", component="direct"), tmp_path)


def test_absent_rows_are_zeros_in_larsoft_only(tmp_path: Path) -> None:
    rows = {k: v[3:] for k, v in columns().items()}
    table = filled(opened(write_larsoft(tmp_path / "a.root", rows), "larsoft", component="direct"))
    assert np.isnan(table.values).sum() == 3 and not table.bad.any() and not table.findings
    table = filled(opened(write_arcube(tmp_path / "b.root", rows | {"T1": rows["Visibility"]}), "arcube_lut"))
    assert table.bad.sum() == 3 and "3 of 360 values are not in the file (first: Voxel 0, OpChannel 0); masked" in table.findings


def test_dune_coordinates_decide_where_a_voxel_lies(tmp_path: Path) -> None:
    path = write_dune(tmp_path / "a.root", shuffled=True)
    assert np.allclose(filled(opened(path, "dune_export")).values, truth() + truth(True), rtol=1e-6)
    source = opened(path, "dune_export", None)
    assert source.disks is not None and np.allclose(source.disks.centre, np.array(SENSORS_CM) / 100)
    assert np.allclose(source.disks.normal, [1, 0, 0]) and np.allclose(np.pi * source.disks.radius**2, 0.02)


def test_edges_of_dune_voxels_are_those_of_the_histograms(tmp_path: Path) -> None:
    plane = np.arange(15, 30)  # all at the second x: only the histogram knows how wide it is
    source = opened(write_dune(tmp_path / "a.root", keep=plane, grid=True), "dune_export")
    assert source.box.divisions == (1, 3, 5) and np.allclose(source.box.pitch, [0.1, 0.1, 0.2])
    assert np.allclose(filled(source).values, (truth() + truth(True))[:, 1:2], rtol=1e-6)
    with pytest.raises(InputError, match="all voxels have the same x and there is no histogram hgrid"):
        opened(write_dune(tmp_path / "b.root", keep=plane), "dune_export")


def test_dune_map_without_reflections_is_told(tmp_path: Path) -> None:
    path = write_dune(tmp_path / "a.root", reflected=np.zeros((60, CHANNELS)))
    table = filled(opened(path, "dune_export"))
    assert np.allclose(table.values, truth(), rtol=1e-6) and "the total is direct light" in table.findings[0]
    with pytest.raises(InputError, match=r"opDet_visReflct is zero everywhere.*expected component: direct"):
        opened(path, "dune_export", component="reflected")


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("fortran", [False, True])
def test_larndsim_records_and_directions(tmp_path: Path, kind: str, falls: bool, fortran: bool) -> None:
    arr = records(kind, falls)
    path = write_npz(tmp_path / "a.npz", np.asfortranarray(arr) if fortran else arr)
    source = opened(path, "larndsim_npz", geometry=GEOMETRY, y_order="top_down" if falls else "bottom_up")
    assert np.array_equal(filled(source).values, truth())
    assert source.name_at((2, 0, 3), 4) == f"arr[2, {2 if falls else 0}, 3, 4]" and ("y falls" in source.convention) == falls
    assert fill_times(source, tmp_path)[0][4, 2, 0, 3] == np.float32(arr["t0"][2, 2 if falls else 0, 3, 4])


def test_channels_of_zeros_are_found_and_masked(tmp_path: Path) -> None:
    padded = truth()
    padded[4:] = 0
    table = filled(opened(write_npz(tmp_path / "a.npz", records(values=padded)), "larndsim_npz", geometry=GEOMETRY))
    assert table.findings == ("2 of 6 channels have nothing but zeros: 4, 5; masked",)
    assert table.bad[4:].all() and not table.bad[:4].any()
    kept = filled(opened(tmp_path / "a.npz", "larndsim_npz", geometry=GEOMETRY), Quality(missing_channels="accept"))
    assert not kept.bad.any() and (kept.values[4:] == 0).all()


@pytest.mark.parametrize("chunks", [None, (60, 6), (7, 2), (1, 6)])
def test_photonlib_chunks_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, int] | None) -> None:
    monkeypatch.setattr("fieldfit.io.optical.photonlib_h5.ROWS", 50)
    with h5py.File(write_photonlib(tmp_path / "a.h5"), "a") as file:
        vis = file["vis"][()]
        del file["vis"]
        file.create_dataset("vis", data=vis, chunks=chunks)
    source = opened(tmp_path / "a.h5", "photonlib_h5")
    assert np.array_equal(filled(source).values, truth()) and all(len(rows.voxel) <= 50 for rows in source.chunks(("vis",), None))


def test_photonlib_factor_is_told_and_not_applied(tmp_path: Path) -> None:
    source = opened(write_photonlib(tmp_path / "a.h5", eff=0.25), "photonlib_h5")
    assert source.efficiency == "not in it" and "eff is 0.25: a factor beside the table, not applied" in source.notes
    assert np.array_equal(filled(source).values, truth())


@pytest.mark.parametrize("modules", [1, 2, 3])
def test_hits_are_counted_with_the_photons_made(tmp_path: Path, modules: int) -> None:
    source = opened(write_hits(tmp_path / "a.h5", modules, skipped=(0, 59)), "hits", geometry=GEOMETRY)
    table = filled(source)
    assert source.made is not None and source.made.shape == DIVISIONS and (source.made == 0).sum() == 2
    assert table.bad[:, 0, 0, 0].all() and table.bad[:, 3, 2, 4].all() and table.bad.sum() == 2 * CHANNELS
    assert np.allclose(np.where(table.bad, truth(), table.values), truth(), rtol=1e-5)


def test_older_hits_have_one_dataset_in_step_with_the_segments(tmp_path: Path) -> None:
    write_hits(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as new, h5py.File(tmp_path / "b.h5", "w") as old:
        segments, light = new["segments"][()], new["light_dat/light_dat_allmodules"][()]
        light = light[np.argsort(light["segment_id"][:, 0])][np.argsort(np.argsort(segments["segment_id"]))]
        old["tracks"], old["light_dat"] = segments, light[["n_photons_det", "t0_det"]]
    table = filled(opened(tmp_path / "b.h5", "hits", geometry=GEOMETRY))
    assert np.allclose(table.values, truth(), rtol=1e-5) and "tracks has no attribute zbeam" in table.findings[0]
    with h5py.File(tmp_path / "b.h5", "a") as old:
        del old["light_dat"]
        old["light_dat"] = light[:-1][["n_photons_det", "t0_det"]]
    with pytest.raises(InputError, match="light_dat has 179 rows for 180 segments and no segment_id"):
        opened(tmp_path / "b.h5", "hits", geometry=GEOMETRY)


def test_segments_outside_the_box_are_left_out_and_told(tmp_path: Path) -> None:
    half = GEOMETRY | {"max_cm": (30.0, 50.0, 60.0), "divisions": (4, 3, 3)}
    table = filled(opened(write_hits(tmp_path / "a.h5"), "hits", geometry=half))
    assert np.allclose(table.values, truth()[..., :3], rtol=1e-5) and table.findings == ("72 of 180 segments lie outside the box; left out",)


def test_hits_are_counted_by_groups_of_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldfit.io.optical.hits.TABLE_VALUES", 4 * 60)
    monkeypatch.setattr("fieldfit.io.optical.hits.ROWS", 7)
    source = opened(write_hits(tmp_path / "a.h5"), "hits", geometry=GEOMETRY)
    assert np.allclose(filled(source).values, truth(), rtol=1e-5)
    assert sum(1 for _ in source.chunks(("n_photons_det",), None)) > 60


def channel_file(path: Path) -> Path:
    sensors = [{"channel": c, "centre": list(p), "normal": [1, 0, 0], "radius": 3.0} for c, p in enumerate(SENSORS_CM)]
    path.write_text(json.dumps(sensors))
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_the_step_writes_what_it_read(tmp_path: Path, format: str) -> None:
    path = written(tmp_path, format).path
    keys: dict[str, Any] = {"quality": {"misplaced_sensors": "accept", "hot_voxels": "accept"}}
    keys |= {"geometry": GEOMETRY} if format in ("larndsim_npz", "hits") else {}
    keys |= {"component": "direct"} if format in ("larsoft", "dune_export") else {}
    keys |= {} if format == "hits" else {"photons_per_voxel": 1e6}
    read_library(path, channel_file(tmp_path / "channels.json"), tmp_path / "library.nc", entry_of(format, **keys))
    library = xr.open_dataset(tmp_path / "library.nc")
    assert np.allclose(library.visibility, truth(), rtol=1e-6) and library.attrs["format"] == format
    assert library.attrs["quantum_efficiency"] in ("in it", "not in it", "not known") and library.attrs["convention"]
    made = {"hits": opened(path, "hits", geometry=GEOMETRY).made if format == "hits" else None}.get(format, 1e6)
    assert np.allclose(library.counting_std, np.sqrt(truth() * (1 - truth()) / made), rtol=1e-4)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_step_takes_sensors_from_a_dune_map(tmp_path: Path) -> None:
    path = write_dune(tmp_path / "a.root")
    entry = entry_of("dune_export", channels=None, photons_per_voxel=1e6, quality={"misplaced_sensors": "accept", "hot_voxels": "accept"})
    read_library(path, None, tmp_path / "library.nc", entry)
    library = xr.open_dataset(tmp_path / "library.nc")
    assert (
        np.allclose(library.channel_position, np.array(SENSORS_CM) / 100) and "sensors' places are those of the library" in library.attrs["findings"]
    )


@pytest.mark.parametrize("asked", FORMATS)
@pytest.mark.parametrize("there", FORMATS)
def test_another_known_format_is_told(tmp_path: Path, asked: str, there: str) -> None:
    path = written(tmp_path, there).path
    if asked != there:
        with pytest.raises(InputError, match=rf"this is .*, expected format: {asked} as configured; did you mean 'format: {there}'"):
            opened(path, asked, geometry=GEOMETRY)


@pytest.mark.parametrize(
    ("name", "format", "told"),
    [
        ("729-0_fft_mirror.root", "larsoft", "no tree PhotonLibraryData .trees found: none"),
        ("numucc.root", "larsoft", "no tree PhotonLibraryData .trees found: E, KM3NET_TIMESLICE"),
        ("uproot-HZZ-zstd.root", "dune_export", "no tree photoVisMap .trees found: events"),
        ("uproot-from-geant4.root", "arcube_lut", "no tree PhotonLibraryData .trees found: Details, HitStrips"),
        ("uproot-issue64.root", "larsoft", "no tree PhotonLibraryData .trees found: events/events"),
        ("numu_cc_test.h5", "photonlib_h5", "dataset 'numvox' is missing .found: _i_hits, _i_mc_tracks"),
        ("numu_cc_test.h5", "hits", "datasets found: _i_hits.*expected segments and light_dat"),
        ("numu_cc_test.h5", "larsoft", "cannot be read as ROOT, it is an HDF5 file without a library .keys: _i_hits"),
        ("numucc.root", "hits", "cannot be read as HDF5, it is a ROOT file without a library .trees: E, KM3NET"),
        ("729-0_fft_mirror.root", "photonlib_h5", "a ROOT file without a library .trees: none, but TProfile"),
        ("light_noise-module0.npy", "larndsim_npz", "it is one NumPy array"),
        ("sipm_impulse.npy", "larndsim_npz", "it is one NumPy array"),
        ("D_ORCA006.detx", "larsoft", "it is no format that is known"),
        ("SPE_NP04_HPK_2024_without_pretrigger.dat", "hits", "it is no format that is known"),
    ],
)
def test_a_real_file_that_is_no_library_is_refused(name: str, format: str, told: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("the reference files are not here")
    with pytest.raises(InputError, match=told) as error:
        opened(SHARED / name, format, geometry=GEOMETRY)
    assert "\n" not in str(error.value) and len(str(error.value)) < 900 and "expected" in str(error.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"format": "larsoft", "library": "a"}, "key 'dune.a.channels' is missing, expected JSON list of sensors"),
        ({"format": "larsoft", "library": "a", "channels": None}, "'dune.a': key 'channels' is null, expected a JSON list of sensors"),
        ({"format": "larsof", "library": "a", "channels": "b"}, "dune.a.format' is 'larsof'"),
        ({"format": "larsoft", "library": "a", "channels": "b", "y_order": "top_down"}, "key 'y_order' is 'top_down' for format 'larsoft'"),
        ({"format": "hits", "library": "a", "channels": "b", "photons_per_voxel": 5}, "photons made in each voxel are counted"),
        ({"format": "hits", "library": "a", "channels": "b", "simulate": {}}, "key 'simulate' makes a LArSoft library"),
        ({"format": "larsoft", "library": "a", "channels": "b", "quality": {"hole": "mask"}}, "did you mean 'holes'"),
    ],
)
def test_keys_that_do_not_belong_together_are_told(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config({"dune": {"a": keys}})
