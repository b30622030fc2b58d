"""From a simulated scan to the product, its field and its pictures; the reference scan; every refusal by its message."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import fieldfit
from fieldfit.config.gallery import Tomography
from fieldfit.config.load import load_config, load_entry
from fieldfit.io.products import open_product
from fieldfit.plan import Plan
from fieldfit.report.gallery import pictures
from fieldfit.steps.fit_tomogram import fit_tomogram
from fieldfit.steps.simulate_tomography import simulate_tomography
from fieldfit.types import InputError

PIXEL = 2e-6


def entry_of(raw: Path, **changes: Any) -> Tomography:
    keys = {"model": "tomography", "raw": str(raw), "simulate": {"views": 40, "columns": 64, "rows": 2}}
    found: Tomography = load_entry("gallery", keys | {"every": [1, 4], "fit": {"steps": 12, "variation": [2.0, 8.0]}} | changes)
    return found


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    simulate_tomography(folder / "scan.h5", folder / "scan.truth.json", entry_of(folder / "scan.h5"))
    return folder / "scan.h5"


@pytest.fixture(scope="module")
def tomogram(raw: Path) -> Path:
    fit_tomogram(raw, raw.parent / "tomogram.nc", entry_of(raw, pixel_um=PIXEL * 1e6))
    return raw.parent / "tomogram.nc"


def test_lengths_are_in_metres_where_the_pixel_is_known(tomogram: Path) -> None:
    found = open_product(tomogram, "tomogram")
    assert float(found.x.diff("x").mean()) == pytest.approx(PIXEL)
    assert found.attenuation.attrs["units"] == "m-1"
    bench = json.loads((tomogram.parent / "scan.truth.json").read_text())["bench"]
    skull = bench["depth"] / bench["radius"] / PIXEL  # the largest attenuation of the phantom
    assert 0.5 * skull < float(found.attenuation.sel({"method": "field", "every": 1}).max()) < 2 * skull


def test_lengths_are_in_pixels_where_it_is_not(raw: Path, tomogram: Path) -> None:
    fit_tomogram(raw, raw.parent / "pixels.nc", entry_of(raw))
    pixels, metres = open_product(raw.parent / "pixels.nc", "tomogram"), open_product(tomogram, "tomogram")
    assert [pixels[name].attrs["units"] for name in ("attenuation", "fringe", "x", "y")] == ["1"] * 4
    assert pixels.attrs["length_unit"] == "detector pixel"
    assert np.allclose(pixels.attenuation, metres.attenuation * PIXEL, rtol=1e-5, atol=1e-7)


def test_the_products_field_gives_its_own_raster(tomogram: Path) -> None:
    found = open_product(tomogram, "tomogram")
    x, y = np.meshgrid(found.x, found.y)
    values = fieldfit.load_field(tomogram)(np.stack([x.ravel(), y.ravel()], 1))
    expected = found.attenuation.sel({"method": "field"}).values
    assert values.reshape(expected.shape) == pytest.approx(expected, rel=1e-3, abs=1e-3 * expected.max())
    with pytest.raises(InputError, match=r"points of shape \(1, 3\), expected \(n, 2\)"):
        fieldfit.load_field(tomogram)([[0.0, 0.0, 0.0]])


def test_distances_are_to_the_most_views(tomogram: Path) -> None:
    found = open_product(tomogram, "tomogram")
    assert (found.relative_to_fbp.sel({"method": "fbp", "every": 1}) == 0).all()
    assert (found.relative_to_sirt.sel({"method": "sirt", "every": 1}) == 0).all()
    assert (found.relative_to_fbp.sel({"method": "fbp", "every": 4}) > 0.05).all()
    assert "references and not the truth" in found.attrs["comment"]


def test_the_same_entry_gives_the_same_tomogram(raw: Path, tomogram: Path) -> None:
    fit_tomogram(raw, raw.parent / "again.nc", entry_of(raw, pixel_um=PIXEL * 1e6))
    with xr.open_dataset(tomogram) as first, xr.open_dataset(raw.parent / "again.nc") as second:
        assert np.array_equal(first.attenuation, second.attenuation)


def test_the_order_of_the_views_in_the_key_does_not_matter(raw: Path) -> None:
    fit_tomogram(raw, raw.parent / "swapped.nc", entry_of(raw, every=[4, 1], rows=[1], axis=30.9))
    found = open_product(raw.parent / "swapped.nc", "tomogram")
    assert found.every.values.tolist() == [1, 4]
    assert found.row.values.tolist() == [1]
    assert float(found.rotation_axis) == 30.9
    assert found.attrs["axis_from"] == "the configuration"


def test_pictures_show_every_method_and_say_what_is_no_truth(tomogram: Path) -> None:
    drawn = pictures(tomogram)
    assert [picture.title for picture in drawn] == ["Slices", "Detail", "Views that no method saw"]
    assert "not with truth" in drawn[2].caption
    assert len(drawn[2].figures) == 7  # a line a method and number of views, and the prior's weight


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [5]}, "row 5 of key 'rows' does not exist, expected 0 to 1"),
        ({"every": [1, 30]}, "key 'every' is 30, which leaves 2 of 40 views"),
        ({"axis": 70.0}, "key 'axis' is 70, expected a column of the detector, 0 to 63"),
    ],
)
def test_impossible_keys_are_refused_and_nothing_is_written(raw: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_tomogram(raw, tmp_path / "tomogram.nc", entry_of(raw, **changes))
    assert list(tmp_path.iterdir()) == []


def test_keys_are_checked_by_name() -> None:
    scan = {"model": "tomography", "raw": "scan.h5"}
    for changes, message in (
        ({"axs": 3}, "unknown key 'gallery.tooth.axs'; did you mean 'axis'?"),
        ({"model": "tomograpy"}, "'gallery.tooth.model' is 'tomograpy': Input should be 'tomography'"),
        ({"every": [2, 2]}, r"key 'every' is \[2, 2\], expected different numbers"),
        ({"fit": {"step": 3}}, "unknown key 'gallery.tooth.fit.step'; did you mean 'steps'?"),
    ):
        with pytest.raises(InputError, match=message):
            load_config({"gallery": {"tooth": scan | changes}})
    assert Plan(load_config({"gallery": {"tooth": scan}})).everything() == ["results/gallery/tooth/tomogram.nc", "results/report.html"]


@pytest.mark.slow
def test_field_predicts_unseen_views_of_the_tooth_best(reference: Path, tmp_path: Path) -> None:
    raw = reference / "tomography/tooth.h5"
    fit_tomogram(raw, tmp_path / "tooth.nc", load_entry("gallery", {"model": "tomography", "raw": str(raw), "rows": [0]}))
    found = open_product(tmp_path / "tooth.nc", "tomogram")
    chi2 = found.held_out_chi2.isel(row=0)
    for every, share in ((1, 0.8), (8, 0.5)):
        one = chi2.sel(every=every)
        assert float(one.sel({"method": "field"})) < share * min(float(one.sel({"method": method})) for method in ("fbp", "sirt"))
    assert float(found.rotation_axis) == pytest.approx(296, abs=1)  # as the manifest says
    # The distances of the field from few views to the classical answers from all of them: references, not truth.
    assert float(found.relative_to_sirt.sel({"method": "field", "every": 8}).isel(row=0)) < 0.17
