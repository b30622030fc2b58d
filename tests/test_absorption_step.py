"""From triplets on disk to the product and its pictures: real frames, simulated ones, and every fault by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fieldfit.config.load import load_config, load_entry
from fieldfit.contract.magis import PixelUse
from fieldfit.io.products import open_product
from fieldfit.metrics.pulls import pulls
from fieldfit.plan import Plan
from fieldfit.report.absorption import pictures
from fieldfit.steps.reduce_absorption import reduce_absorption
from fieldfit.steps.simulate_triplets import simulate_triplets
from fieldfit.types import InputError, Status

SIMULATED = {"format": "absorption", "raw": "raw", "simulate": {"shots": 8, "side": 128}}


def entry(raw: Path, **changes):
    return load_entry("magis", {"format": "absorption", "raw": str(raw)} | changes)


def reduce(raw: Path, output: Path, **changes):
    reduce_absorption(raw, output, entry(raw, **changes))
    return open_product(output, "optical_density")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of a simulated run, its truth)."""
    folder = tmp_path_factory.mktemp("triplets")
    simulate_triplets(folder / "raw", folder / "raw.truth.json", load_entry("magis", SIMULATED | {"seed": 5}))
    return folder / "raw", json.loads((folder / "raw.truth.json").read_text())


@pytest.fixture
def run(made, tmp_path):
    """A copy of the run that a test may spoil."""
    shutil.copytree(made[0], tmp_path / "raw")
    return tmp_path / "raw"


def test_a_simulated_run_gives_its_atoms_back(made, tmp_path):
    raw, truth = made
    found = reduce(raw, tmp_path / "o.nc", pixel_object_m=truth["pixel_object_m"], cross_section_m2=truth["cross_section_m2"])
    atoms = np.array([shot["atoms_in_frame"] for shot in truth["shots"]])
    assert (found.status == Status.good).all()
    assert np.abs(found.atom_number / atoms - 1).max() < 0.05
    assert pulls(found.atom_number, atoms, found.atom_number_std).width < 2
    centre = np.array([shot["centre_px"] for shot in truth["shots"]])
    assert np.abs(found.position - (centre - 63.5) * 5e-6).max() < 5e-6
    assert np.allclose(found["size"], found.width * 5e-6)
    density = found.column_density.where(found.pixel_use == PixelUse.atoms).sum(("row", "column")) * 25e-12
    assert np.allclose(density, found.atom_number, rtol=1e-4)
    assert found.time.values.tolist() == [10.0 * shot for shot in range(8)]
    assert found.attrs["not_given"] == "none"


def test_an_unknown_scale_leaves_the_atom_number_out_and_says_so(made, tmp_path):
    found = reduce(made[0], tmp_path / "o.nc", cross_section_m2=1e-13)
    assert np.isnan(found.atom_number).all()
    assert np.isnan(found.position).all()
    assert np.isfinite(found.optical_density_sum).all()
    assert found.attrs["not_given"].startswith("'pixel_object_m'")
    assert "column_density" in found


def test_names_region_components_and_noise_of_ones_own(run, tmp_path):
    for path in run.iterdir():
        member, _, number = path.stem.split("_")
        path.rename(run / f"run-{number}-{member[0]}.tif")
    keys = {
        "image": "run-*-I",
        "probe": "run-*-P",
        "background": "run-*-B",
        "region": [30, 98, 32, 100],
        "components": 5,
        "gain": 2.5,
        "read_noise": 6,
    }
    found = reduce(run, tmp_path / "o.nc", **keys)
    assert (found.pixel_use[30:98, 32:100] == PixelUse.atoms).all()
    assert (found.pixel_use == PixelUse.atoms).sum() == 68 * 68
    assert (found.components == 5).all()
    assert found.attrs["atoms_from"] == "the configuration"
    assert "gain given, read noise given" in found.attrs["noise"]


def spoil(path: Path, change) -> None:
    tifffile.imwrite(path, change(tifffile.imread(path)), datetime=tifffile.TiffFile(path).pages[0].tags["DateTime"].value)


def test_each_fault_flags_its_shot_and_leaves_the_others_unharmed(run, made, tmp_path):
    def name(member: str, shot: int) -> Path:
        return run / f"{member}_simulated_{shot:04d}.tiff"

    def saturate(frame):
        frame[5, 6] = 65535
        return frame

    name("Background", 1).unlink()
    spoil(name("Probe", 2), lambda frame: frame[:100])
    spoil(name("Probe", 3), saturate)
    shutil.copy(name("Background", 4), name("Probe", 4))
    name("Image", 5).write_bytes(name("Image", 5).read_bytes()[:2000])
    tifffile.imwrite(name("Image", 6), tifffile.imread(name("Image", 6)), datetime="2019:12:31 00:00:00")
    found = reduce(run, tmp_path / "o.nc")
    names = [Status(int(flag)).name for flag in found.status]
    assert names == ["good", "missing", "corrupt", "saturated", "empty", "corrupt", "mistimed", "good"]
    lines = found.attrs["flagged"].split("\n")
    for shot, told in (
        (1, "Background_simulated_0001.tif: the background is missing"),
        (2, "the probe has shape (100, 128), expected (128, 128)"),
        (3, "the probe has 1 pixels at or above 65535 DN"),
        (4, "the probe has no light beyond the background"),
        (5, "truncated"),
        (6, "its time"),
    ):
        assert any(line.startswith(f"shot {shot} is") and told in line for line in lines), told
    for variable in ("optical_density", "optical_density_raw", "optical_density_sum", "atom_number", "background_rms", "centre"):
        assert np.isnan(found[variable][1:7]).all(), variable
    assert np.isfinite(found.optical_density[[0, 7]]).all()
    clean = reduce(made[0], tmp_path / "clean.nc")
    difference = (found.optical_density_sum - clean.optical_density_sum)[[0, 7]]
    assert (np.abs(difference) < 4 * found.optical_density_sum_std[[0, 7]]).all()
    assert len(pictures(tmp_path / "o.nc")) == 4


def test_dark_edges_of_a_beam_are_left_out(run, tmp_path):
    rows, columns = np.indices((128, 128)) - 63.5
    beam = np.hypot(rows, columns) < 55
    for path in run.iterdir():
        if not path.name.startswith("Background"):
            dark = tifffile.imread(run / path.name.replace(path.name.split("_")[0], "Background"))
            spoil(path, lambda frame, dark=dark: np.where(beam, frame, dark))
    found = reduce(run, tmp_path / "o.nc")
    assert ((found.pixel_use == PixelUse.dark) == ~beam).all()
    assert (np.isnan(found.optical_density[0]) == ~beam).all()
    assert (found.background_rms < 1.1 * found.background_floor).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": [0, 200, 0, 10]}, r"key 'region' is \[0, 200, 0, 10\], expected rows and columns within 128 x 128"),
        ({"region": [1, 127, 1, 127]}, r"lit pixels without atoms are left to fit .* give a smaller 'region'"),
        ({"components": 9}, r"key 'components' is 9, expected at most 8"),
        ({"image": "Img_*"}, "none of the 8 shots can be used:\nshot 0 is missing: .*Img_simulated_0000.tif: the image is missing"),
        ({"saturation": 1000}, r"none of the 8 shots can be used:\nshot 0 is saturated"),
    ],
)
def test_keys_that_cannot_be_met_are_named(made, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        reduce(made[0], tmp_path / "o.nc", **changes)
    assert not (tmp_path / "o.nc").exists()


def test_a_run_without_atoms_asks_for_the_region(tmp_path):
    keys = SIMULATED | {"simulate": {"shots": 3, "side": 96, "atoms": 0}}
    simulate_triplets(tmp_path / "raw", tmp_path / "truth.json", load_entry("magis", keys))
    with pytest.raises(InputError, match="no atoms stand out of the mean of 3 shots: expected key 'region'"):
        reduce(tmp_path / "raw", tmp_path / "o.nc")
    found = reduce(tmp_path / "raw", tmp_path / "o.nc", region=[32, 64, 32, 64])
    assert (np.abs(found.optical_density_sum) < 4 * found.optical_density_sum_std).all()


def test_one_shot_is_enough_where_the_noise_is_given(run, made, tmp_path):
    for path in run.iterdir():
        if not path.stem.endswith("0003"):
            path.unlink()
    with pytest.raises(InputError, match="only one good shot"):
        reduce(run, tmp_path / "o.nc")
    truth = made[1]["shots"][3]["atoms_in_frame"]
    for bands in ([], [2, 4]):
        keys = {"gain": 2.5, "read_noise": 6.0, "pixel_object_m": 5e-6, "cross_section_m2": made[1]["cross_section_m2"], "bands_px": bands}
        found = reduce(run, tmp_path / "o.nc", **keys)
        assert found.shot.values.tolist() == [3]
        assert abs(float(found.atom_number[0]) - truth) < 4 * float(found.atom_number_std[0])
        assert float(found.structure_std[0]) > 0.02  # its own probe's fringes have moved


def test_simulating_without_the_key_is_refused(tmp_path):
    with pytest.raises(InputError, match="key 'simulate' is missing"):
        simulate_triplets(tmp_path / "raw", tmp_path / "truth.json", entry(tmp_path))


def test_names_need_one_star():
    with pytest.raises(InputError, match=r"'magis.a.image' is 'Image'"):
        load_config({"magis": {"a": {"format": "absorption", "raw": "raw", "image": "Image"}}})


def test_the_plan_knows_the_product_and_reruns_for_a_new_frame(run):
    def plan():
        return Plan(load_config({"magis": {"a": {"format": "absorption", "raw": str(run)}}}))

    assert plan().everything() == ["results/magis/a/optical_density.nc", "results/report.html"]
    before = plan().shots.digest("a")
    assert before == plan().shots.digest("a")
    shutil.copy(run / "Image_simulated_0001.tiff", run / "Image_simulated_0009.tiff")
    assert plan().shots.digest("a") != before
    with pytest.raises(InputError, match="nowhere: no such folder, expected three TIFF files a shot"):
        Plan(load_config({"magis": {"a": {"format": "absorption", "raw": "nowhere"}}})).shots.digest("a")


@pytest.fixture(scope="module")
def real(reference, tmp_path_factory):
    return reduce(reference / "frames", tmp_path_factory.mktemp("real") / "o.nc")


def test_real_triplets_are_cleaned(real):
    """Six Andor shots: fringes and the probe's own noise leave the pixels that no fit has seen, nearly to the photon noise."""
    assert real.shot.values.tolist() == [145, 150, 156, 160, 161, 168]
    assert (real.status == Status.good).all()
    assert (real.background_rms < 0.8 * real.background_rms_scaled).all()
    assert (real.background_rms < 1.1 * real.background_floor).all()
    assert (real.background_rms_scaled > 1.03 * real.background_floor_raw).all()
    assert (real.background_rms_raw >= 0.99 * real.background_rms_scaled).all()


def test_real_atoms_are_a_ring_in_one_place(real):
    assert np.isnan(real.atom_number).all()
    assert "'pixel_object_m' and 'cross_section_m2'" in real.attrs["not_given"]
    bright = real.sel(shot=[150, 156, 160, 168])
    assert (bright.optical_density_sum > 50 * bright.optical_density_sum_std).all()
    assert np.abs(bright.centre - bright.centre.mean("shot")).max() < 5
    assert np.abs(bright.width - bright.width.mean("shot")).max() < 1.5
    assert abs(real.optical_density_sum.sel(shot=145)) < 3 * real.optical_density_sum_std.sel(shot=145)
    assert real.time.values.tolist() == [0.0, 521.0, 760.0, 919.0, 958.0, 1237.0]


def test_a_faint_ring_under_the_fringes_is_seen_after_cleaning_only(real):
    """Shot 161 where the bright shots have their ring: hidden by fringes in the raw picture."""
    ring = (real.optical_density.sel(shot=[156, 160, 168]).mean("shot") > 0.5).values
    around = (real.pixel_use == PixelUse.fitted).values

    def excess(name: str) -> float:
        picture = real[name].sel(shot=161).values
        cells = np.where(around, picture - picture[around].mean(), np.nan).reshape(8, 64, 8, 64).transpose(0, 2, 1, 3)
        scatter = np.std(np.nanmean(cells[np.isfinite(cells).mean((2, 3)) > 0.7], (1, 2)))
        return float((picture[ring].mean() - picture[around].mean()) / scatter)

    assert excess("optical_density") > 4
    assert excess("optical_density") > 1.5 * excess("optical_density_raw")
