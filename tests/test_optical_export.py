"""A visibility written for other tools reads back by each tool's own convention, to float32; models and evaluator agree with the field."""

import json
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnxruntime
import pytest
import torch
import uproot

import fieldfit
from fieldfit.bridge import describe
from fieldfit.config.dune import Library
from fieldfit.config.load import load_config, load_entry
from fieldfit.experiments.dune.onnx_model import write_onnx
from fieldfit.fields.calibrated import CalibratedField
from fieldfit.fields.field import gradient
from fieldfit.fields.visibility import VisibilityField
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.io.optical.opening import open_library
from fieldfit.io.optical.table import fill_table
from fieldfit.io.optical_export.light_lut import write_light_lut
from fieldfit.io.optical_export.photon_library import write_photon_library
from fieldfit.io.optical_export.photonlib import write_photonlib
from fieldfit.io.optical_export.roo import TNAMED_CHECKSUM, checksum
from fieldfit.io.optical_export.table import spooled, voxels_of
from fieldfit.io.products import product, write_product
from fieldfit.paths import EXPORTS
from fieldfit.plan import Plan
from fieldfit.steps.export_visibility import export_visibility
from fieldfit.types import InputError

BOX = Box((0.0, -0.5, -0.2), (0.9, 0.7, 1.4), (3, 4, 5))
CENTRE = [[0.0, 0.1, 0.3], [0.9, -0.2, 0.5], [0.4, 0.7, 0.9]]
NORMAL = [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
RADIUS = [0.05, 0.1, 0.15]
EFFICIENCY = np.array([0.5, 0.0, 1.25], np.float32)
SETTINGS: dict[str, Any] = {"centre": CENTRE, "normal": NORMAL, "radius": RADIUS, "box_centre": [0.45, 0.1, 0.6], "box_half": [0.45, 0.6, 0.8]}
GAUSS = np.array([-1, 1]) / (2 * np.sqrt(3))


def simulated() -> VisibilityField:
    shared: dict[str, Any] = {"factor": [True, True, False], "head": [0, 0, 1], "sign": [[1, 1, 1], [-1, 1, 1], [1, 1, 1]]}
    return VisibilityField(**SETTINGS, width=16, depth=2, **shared, generator=torch.Generator().manual_seed(3)).eval()


def calibrated() -> CalibratedField:
    field, random = CalibratedField(simulated().settings()), torch.Generator().manual_seed(4)
    field.base.load_state_dict(simulated().state_dict())
    with torch.no_grad():
        for parameter in (field.gauge, field.shared, field.own, field.sensor, field.walls, field.alpha, field.length, field.met, field.onward):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
        field.alpha.add_(0.7)
        field.efficiency.copy_(torch.tensor(EFFICIENCY))
    return field.eval()


def entry(**export: Any) -> Library:
    keys = {"format": "larsoft", "library": "l.root", "channels": "c.json", "component": "total", "tracks": "t.h5", "device": "cpu", "export": export}
    found: Library = load_entry("dune", keys)
    return found


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """visibility.nc and calibration.nc of fields with random weights."""
    folder = tmp_path_factory.mktemp("products")
    shape = (3, *BOX.divisions)
    sensors = {"channel_position": np.array(CENTRE), "channel_normal": np.array(NORMAL), "channel_radius": np.array(RADIUS)}
    coordinates = {**dict(zip("xyz", BOX.centres(), strict=True)), "axis": np.array(["x", "y", "z"])}
    attrs = {
        "component": "total",
        "findings": "none",
        "box_lower_m": " ".join(map(str, BOX.lower)),
        "box_upper_m": " ".join(map(str, BOX.upper)),
        "photons_per_voxel": "1",
        "counting": "given",
    }
    weights, field = describe(simulated())
    tables = {name: np.zeros(shape, np.float32) for name in ("visibility", "visibility_std", "library_visibility", "counting_std")}
    judged = {"quality_mask": np.zeros(shape, np.int8), "relative_error": np.zeros((1, 1)), "bias": np.zeros((1, 1)), "loss": np.zeros(1)}
    dataset = product("visibility", {**tables, **judged, **sensors, "field_weights": weights}, coordinates, field=field, **attrs)
    write_product(dataset, folder / "visibility.nc", [], {}, "Visibility", "test")
    weights, field = describe(calibrated())
    light = {"track_pe_measured": np.zeros((1, 3)), "track_pe_predicted": np.zeros((1, 3)), "track_used": np.array([True])}
    light |= {"track_weight": np.ones(1), "track_run": np.zeros(1, int)}
    values = {
        "efficiency": EFFICIENCY,
        "efficiency_std": EFFICIENCY / 10,
        "efficiency_run": EFFICIENCY[None],
        "efficiency_run_std": EFFICIENCY[None] / 10,
        "saturation_pe": np.full(len(EFFICIENCY), np.nan),
        "visibility_calibrated": np.zeros(shape, np.float32),
        "visibility_calibrated_std": np.zeros(shape, np.float32),
        "dead": EFFICIENCY == 0,
        "channel_position": np.array(CENTRE),
    }
    dataset = product("calibration", {**values, **light, "field_weights": weights}, coordinates, field=field, **attrs)
    write_product(dataset, folder / "calibration.nc", [], {}, "Calibration", "test")
    return folder


def means(values: Callable[[torch.Tensor], torch.Tensor], divisions: tuple[int, int, int], parts: tuple[int, int, int]) -> np.ndarray:
    """(x, y, z, channel) means over voxels by a sum over Gauss points that is written out, in voxels cut into `parts`."""
    axes = []
    for low, high, n, m in zip(BOX.lower, BOX.upper, divisions, parts, strict=True):
        edge = (high - low) / (n * m)
        axes.append((low + (np.arange(n * m)[:, None] + 0.5 + GAUSS) * edge).ravel())
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    with torch.no_grad():
        found = values(torch.tensor(points, dtype=torch.float32)).double().numpy()
    nx, ny, nz = divisions
    mx, my, mz = (2 * m for m in parts)
    return np.minimum(found.reshape(nx, mx, ny, my, nz, mz, 3).mean((1, 3, 5)), 1)  # shares of photons


def read_larsoft(path: Path) -> tuple[np.ndarray, dict[str, float]]:
    """As LArSoft fills its table: Voxel = ix + iy NX + iz NX NY; the sum of both kinds of light, and the metadata."""
    with uproot.open(path) as file:
        room = file["pmtresponse"]
        told = {name.split(";")[0]: room[name].member("_value") for name in room.keys() if "Photon" not in name}
        rows = room["PhotonLibraryData"].arrays(library="np")
        assert list(rows) == ["Voxel", "OpChannel", "Visibility", "ReflVisibility"]
        assert all(rows[name].dtype == kind for name, kind in (("Voxel", "i4"), ("OpChannel", "i4"), ("Visibility", "f4"), ("ReflVisibility", "f4")))
    values = np.zeros((int(told["NDivX"]), int(told["NDivY"]), int(told["NDivZ"]), int(told["NChannels"])))
    for voxel, channel, direct, reflected in zip(*rows.values(), strict=True):
        iz, rest = divmod(int(voxel), int(told["NDivX"] * told["NDivY"]))
        iy, ix = divmod(rest, int(told["NDivX"]))
        values[ix, iy, iz, channel] = direct + reflected
    return values, told


def read_photonlib(path: Path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """As photonlib looks a point up: voxel = idx . (1, nx, nx ny)."""
    with h5py.File(path) as file:
        nx, ny, nz = file["numvox"][:]
        vis, eff = file["vis"][:], file["eff"][:] if "eff" in file else None
        corners = np.stack([file["min"][:], file["max"][:]])
    index = np.stack(np.meshgrid(np.arange(nx), np.arange(ny), np.arange(nz), indexing="ij"), -1)
    return vis[index @ np.array([1, nx, nx * ny])], eff, corners


@pytest.fixture(scope="module")
def tables(products: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    formats = ["larsoft", "larndsim_npz", "photonlib_h5", "numpy"]
    export_visibility(products / "visibility.nc", None, folder / "own", entry(formats=formats, of="simulated"))
    export_visibility(products / "visibility.nc", products / "calibration.nc", folder / "calibrated", entry(formats=formats))
    export_visibility(products / "visibility.nc", None, folder / "coarse", entry(formats=formats[:3], of="simulated", voxel_cm=[90, 40, 20]))
    return folder


CASES = [
    ("own", simulated, BOX.divisions, (1, 1, 1), None),
    ("calibrated", lambda: calibrated().arriving, BOX.divisions, (1, 1, 1), EFFICIENCY),
    ("coarse", simulated, (1, 3, 8), (3, 2, 1), None),
]


@pytest.mark.parametrize(("name", "field", "divisions", "parts", "efficiency"), CASES, ids=[case[0] for case in CASES])
class TestTables:
    def test_larsoft(self, tables: Path, name: str, field: Any, divisions: Any, parts: Any, efficiency: Any) -> None:
        found, told = read_larsoft(tables / name / "photon_library.root")
        np.testing.assert_allclose(found, means(field(), divisions, parts), rtol=3e-6)
        assert told["NVoxels"] == np.prod(divisions) and told["NChannels"] == 3
        assert [told[f"Min{a}"] for a in "XYZ"] == [0, -50, -20] and [told[f"Max{a}"] for a in "XYZ"] == [90, 70, 140]
        np.testing.assert_allclose([told[f"Step{a}"] for a in "XYZ"], np.array([90, 120, 160]) / divisions)

    def test_photonlib(self, tables: Path, name: str, field: Any, divisions: Any, parts: Any, efficiency: Any) -> None:
        found, eff, corners = read_photonlib(tables / name / "photonlib.h5")
        np.testing.assert_allclose(found, means(field(), divisions, parts), rtol=3e-6)
        np.testing.assert_allclose(corners, [[0, -50, -20], [90, 70, 140]])
        assert (eff is None) == (efficiency is None) and (eff is None or np.array_equal(eff, efficiency))

    def test_light_lut(self, tables: Path, name: str, field: Any, divisions: Any, parts: Any, efficiency: Any) -> None:
        lut = np.load(tables / name / "light_lut.npz", allow_pickle=False)["arr"]
        factor = 1 if efficiency is None else efficiency
        np.testing.assert_allclose(lut["vis"], means(field(), divisions, parts) * factor, rtol=3e-6)
        assert lut.dtype.names == ("vis", "t0", "time_dist") and lut.shape == (*divisions, 3)
        assert np.array_equal(lut["time_dist"].sum(-1), np.ones(lut.shape))  # larnd-sim divides by it
        # as larnd-sim looks a point up: every axis from its lower border
        point = np.array([0.8, 0.6, -0.1])
        i, j, k = ((point - BOX.lower) / (np.array(BOX.upper) - BOX.lower) * divisions).astype(int)
        edges = (np.array(BOX.upper) - BOX.lower) / divisions
        far = np.linalg.norm(BOX.lower + (np.array([i, j, k]) + 0.5) * edges - np.array(CENTRE), axis=1)
        np.testing.assert_allclose(lut["t0"][i, j, k], 7.46 * far, rtol=1e-3)
        assert np.array_equal(lut["time_dist"][i, j, k].argmax(-1), (7.46 * far).astype(int))


@pytest.mark.parametrize(("kind", "file"), [("larsoft", "photon_library.root"), ("larndsim_npz", "light_lut.npz"), ("photonlib_h5", "photonlib.h5")])
def test_the_readers_of_libraries_take_the_written_ones(tables: Path, kind: str, file: str) -> None:
    lower, upper = ([100 * v for v in corner] for corner in (BOX.lower, BOX.upper))
    for name, divisions, parts in (("own", BOX.divisions, (1, 1, 1)), ("coarse", (1, 3, 8), (3, 2, 1))):
        keys: dict[str, Any] = {"format": kind, "library": file, "channels": "c.json", "component": "total"}
        if kind == "larndsim_npz":  # the one without geometry
            keys["geometry"] = {"min_cm": lower, "max_cm": upper, "divisions": list(divisions)}
        given = load_entry("dune", keys)
        source = open_library(tables / name / file, given, 3)
        table = fill_table(source, given.quality, None, 10**9)
        np.testing.assert_allclose(np.moveaxis(table.values, 0, -1), means(simulated(), divisions, parts), rtol=3e-6)
        np.testing.assert_allclose(source.box.lower + source.box.upper, BOX.lower + BOX.upper, atol=1e-9)


@pytest.mark.parametrize(("component", "branch"), [("direct", "Visibility"), ("reflected", "ReflVisibility")])
def test_a_components_light_is_in_its_branch_and_zeros_are_absent(tmp_path: Path, component: str, branch: str) -> None:
    planes = np.random.default_rng(1).random((5, 4, 3, 2)).astype(np.float32)
    planes[2, 1, 0] = [0, 1]
    write_photon_library(tmp_path / "l.root", iter(planes), BOX, 2, component)
    with uproot.open(tmp_path / "l.root") as file:
        rows = file["pmtresponse/PhotonLibraryData"].arrays(library="np")
    assert ("ReflVisibility" in rows) == (component == "reflected")
    assert len(rows["Voxel"]) == 5 * 4 * 3 * 2 - 1 and rows[branch].max() == 1
    assert component == "direct" or not rows["Visibility"].any()
    missing = set(range(120)) - set((rows["Voxel"] * 2 + rows["OpChannel"]).tolist())
    assert missing == {2 * (2 * 12 + 1 * 3 + 0)}


def test_a_dark_last_channel_is_counted_by_larsoft(tmp_path: Path) -> None:
    """It takes the largest OpChannel of the rows for the last."""
    planes = np.ones((5, 4, 3, 2), np.float32) * np.array([0.5, 0], np.float32)
    write_photon_library(tmp_path / "l.root", iter(planes), BOX, 2, "direct")
    with uproot.open(tmp_path / "l.root") as file:
        channel = file["pmtresponse/PhotonLibraryData/OpChannel"].array(library="np")
    assert channel.max() == 1 and np.count_nonzero(channel) == 1 and len(channel) == 61


def test_roo_objects_are_read_where_their_classes_are_unknown(tables: Path, reference: Path) -> None:
    """By their streamer info alone, in a process that imports nothing of this package; names and versions as in the reference file."""
    program = """if True:
        import sys, uproot
        file = uproot.open(sys.argv[1])
        assert "RooInt" not in uproot.classes and "RooDouble" not in uproot.classes
        room = file["pmtresponse"]
        kinds = {name.split(";")[0]: kind for name, kind in room.classnames().items()}
        for name, kind in kinds.items():
            if kind.startswith("Roo"):
                value = room[name]
                assert value.class_version == 1 and value.member("fName") == name and value.member("fTitle"), name
                print(name, kind, value.member("_value"))
        for kind in ("RooInt", "RooDouble"):
            (info,) = file.file.streamers[kind].values()
            print(kind, info.class_version, [(e.classname, e.name, e.member("fType"), e.member("fSize"), e.typename) for e in info.elements])
        """

    def told(path: Path) -> list[str]:
        run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    ours, theirs = told(tables / "own/photon_library.root"), told(reference / "larsoft/photon_library.root")
    assert len(ours) == len(theirs) == 16
    assert {line.rsplit(" ", 1)[0] for line in ours[:14]} == {line.rsplit(" ", 1)[0] for line in theirs[:14]}
    assert ours[14:] == theirs[14:]
    assert "NVoxels RooInt 60" in ours and "MinY RooDouble -50.0" in ours


def hashed(*parts: str | int) -> int:
    """TClass::GetCheckSum: names and types letter by letter, base classes with their own checksums."""
    total = 0
    for part in parts:
        for number in [part] if isinstance(part, int) else part.encode():
            total = (total * 3 + number) % 2**32
    return total


def test_the_checksums_are_those_of_root() -> None:
    """The rule gives the checksum that ROOT's files have for TNamed, from that of TObject."""
    assert hashed("TNamed", "TObject", 0x901BC02D, "fName", "TString", "fTitle", "TString") == TNAMED_CHECKSUM
    assert checksum("RooInt", "int") == hashed("RooInt", "TNamed", TNAMED_CHECKSUM, "_value", "int")
    assert checksum("RooDouble", "double") == hashed("RooDouble", "TNamed", TNAMED_CHECKSUM, "_value", "double")


POINTS = np.random.default_rng(5).random((300, 3)) * (np.array(BOX.upper) - BOX.lower) + BOX.lower


@pytest.mark.parametrize(("folder", "name"), [("own", "visibility.nc"), ("calibrated", "calibration.nc")])
def test_the_evaluator_agrees_with_numpy_alone(products: Path, tables: Path, tmp_path: Path, folder: str, name: str) -> None:
    points = np.concatenate([POINTS, [CENTRE[0]], [[0.3, 0.1, 0.3]], [[2.0, 2.0, 2.0]]]).astype(np.float32)  # on a sensor, on its axis, outside
    np.save(tmp_path / "points.npy", points)
    program = """if True:
        import sys
        for module in ("torch", "fieldfit", "safetensors", "scipy", "xarray"):
            sys.modules[module] = None  # importing it is an error
        sys.path.insert(0, sys.argv[1])
        import numpy as np, evaluate
        points, field = np.load(sys.argv[2] + "/points.npy").astype(float), evaluate.load(sys.argv[1] + "/weights.safetensors")
        np.savez(sys.argv[2] + "/found.npz", value=evaluate.visibility(*field, points), slope=evaluate.gradient(*field, points))
        """
    subprocess.run([sys.executable, "-c", program, str(tables / folder), str(tmp_path)], check=True, cwd=tmp_path)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["value"], fieldfit.load_field(products / name)(points), rtol=1e-5, atol=1e-12)
    slope = fieldfit.load_gradient(products / name)(points)
    inside = np.delete(np.arange(len(points)), 300)  # the share of the disk jumps at its own centre
    length = np.linalg.norm(slope, axis=-1, keepdims=True).max(0, keepdims=True)
    assert np.isfinite(found["slope"]).all()
    assert np.abs(found["slope"] - slope)[inside].max() < 1e-4 * length.max()
    np.testing.assert_allclose(np.median(np.abs(found["slope"] - slope) / (length + 1e-30)), 0, atol=1e-6)


def test_the_evaluator_is_a_command(tables: Path, products: Path) -> None:
    folder = tables / "calibrated"
    run = subprocess.run(
        [sys.executable, "evaluate.py", "weights.safetensors", "0.3", "0.2", "0.5"], capture_output=True, text=True, cwd=folder, check=True
    )
    line = run.stdout.splitlines()[3]
    assert line.startswith("  channel 2:")
    value = fieldfit.load_field(products / "calibration.nc")([0.3, 0.2, 0.5])[0, 2]
    assert float(line.split()[2]) == pytest.approx(value, rel=1e-5)


def test_the_gradient_is_that_of_the_values(products: Path) -> None:
    value, slope = fieldfit.load_field(products / "calibration.nc"), fieldfit.load_gradient(products / "calibration.nc")(POINTS)
    step = 1e-3
    for axis in range(3):
        moved = step * np.eye(3)[axis]
        difference = (value(POINTS + moved) - value(POINTS - moved)) / (2 * step)
        assert np.median(np.abs(difference - slope[..., axis])) < 2e-3 * np.median(np.abs(slope))


@pytest.mark.parametrize("make", [simulated, pytest.param(calibrated, marks=pytest.mark.slow)])
def test_a_models_values_and_gradient_agree_for_any_number_of_points(tmp_path: Path, make: Callable[[], Any]) -> None:
    field = make()
    off = write_onnx(tmp_path / "model.onnx", field, (list(BOX.lower), list(BOX.upper)), {"points": "m"}, sloped=True)
    assert off < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 7, 300):
        points = torch.tensor(POINTS[:count], dtype=torch.float32)
        value, slope = session.run(["visibility", "gradient"], {"points": points.numpy()})
        assert value.shape == (count, 3) and slope.shape == (count, 3, 3) and value.dtype == slope.dtype == np.float32
        np.testing.assert_allclose(value, field(points).detach().numpy(), rtol=1e-5)
        expected = gradient(field, points).detach().numpy()
        assert np.abs(slope - expected).max() < 1e-5 * np.abs(expected).max()
    assert json.loads(session.get_modelmeta().custom_metadata_map["fieldfit"]) == {"points": "m"}


def test_a_model_of_the_simulation_is_written_by_the_step(products: Path, tmp_path: Path) -> None:
    export_visibility(products / "visibility.nc", None, tmp_path, entry(formats=["onnx"], of="simulated"))
    assert [path.name for path in tmp_path.iterdir()] == ["visibility.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "visibility.onnx", providers=["CPUExecutionProvider"])
    (value,) = session.run(None, {"points": POINTS.astype(np.float32)})
    np.testing.assert_allclose(value, fieldfit.load_field(products / "visibility.nc")(POINTS), rtol=1e-5)


def test_a_model_that_differs_is_an_error_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldfit.experiments.dune.onnx_model.TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="the ONNX model differs from the field by"):
        write_onnx(tmp_path / "model.onnx", simulated(), (list(BOX.lower), list(BOX.upper)), {}, sloped=False)
    assert not list(tmp_path.iterdir())


def test_efficiencies_lie_beside_the_calibrated_files_only(tables: Path) -> None:
    told = json.loads((tables / "calibrated/efficiency.json").read_text())
    np.testing.assert_allclose(told["efficiency"], EFFICIENCY)
    assert told["channel"] == [0, 1, 2] and not (tables / "own/efficiency.json").exists()
    assert not [path for folder in tables.iterdir() for path in folder.iterdir() if path.name.startswith(".")]


def broken(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    yield np.ones(shape, np.float32)
    raise OSError("the disk is full")


DISKS = Disks(np.array(CENTRE), np.array(NORMAL), np.array(RADIUS))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_photon_library(path, broken((4, 3, 3)), BOX, 3, "total"),
        lambda path: write_photonlib(path, broken((4, 3, 3)), BOX, 3, None),
        lambda path: write_light_lut(path, broken((4, 5, 3)), BOX, DISKS, None),
    ],
    ids=["larsoft", "photonlib", "larndsim"],
)
def test_an_interrupted_export_leaves_no_file(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "export").mkdir()
    with pytest.raises(OSError, match="the disk is full"):
        write(tmp_path / "export/file")
    with pytest.raises(OSError, match="the disk is full"), spooled(broken((4, 5, 3)), BOX, 3, tmp_path / "export"):
        pass
    assert not list((tmp_path / "export").iterdir())


@pytest.mark.parametrize("form", ["larsoft", "photonlib", "larndsim"])
def test_a_table_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The memory is that of some planes, not of the table."""
    monkeypatch.setattr("fieldfit.io.optical_export.photon_library.ROWS", 20_000)
    box = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (96, 96, 96))
    random = np.random.default_rng(0)
    planes = (random.random((96, 96, 3)).astype(np.float32) for _ in range(96))
    write: dict[str, Callable[[], None]] = {
        "larsoft": lambda: write_photon_library(tmp_path / "file", planes, box, 3, "direct"),
        "photonlib": lambda: write_photonlib(tmp_path / "file", planes, box, 3, None),
        "larndsim": lambda: write_light_lut(tmp_path / "file", planes, box, DISKS, None),
    }
    tracemalloc.start()
    write[form]()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    table = 4 * box.voxels * 3
    assert (tmp_path / "file").stat().st_size > table / 2
    assert peak < table / 2


def test_the_archive_is_a_stream_of_one_member(tables: Path) -> None:
    with zipfile.ZipFile(tables / "own/light_lut.npz") as archive:
        assert archive.namelist() == ["arr.npy"] and archive.testzip() is None


def test_the_plan_knows_the_files_of_each_entry() -> None:
    keys = {"format": "larsoft", "library": "l.root", "channels": "c.json"}

    def files(**more: Any) -> list[str]:
        return [Path(path).name for path in Plan(load_config({"dune": {"box": keys | more}})).exports("box")]

    assert files() == [name for names in EXPORTS.values() for name in names]
    assert files(tracks="t.h5")[-1] == "efficiency.json"
    assert files(tracks="t.h5", export={"of": "simulated", "formats": ["onnx"]}) == ["visibility.onnx"]
    assert files(tracks="t.h5", export={"formats": []}) == []
    with pytest.raises(InputError, match=r"dune.box: key 'export.of' is calibrated, and there are no 'tracks' to calibrate on"):
        files(export={"of": "calibrated"})
    with pytest.raises(InputError, match=r"'dune.box.export.voxel_cm"):
        files(export={"voxel_cm": 0})


def test_voxels_are_the_nearest_whole_number_along_each_axis() -> None:
    assert voxels_of(BOX, (0.31, 5.0, 0.1)).divisions == (3, 1, 16)
