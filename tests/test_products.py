"""Products follow the contract, are written whole or not at all, and say where they come from."""

import numpy as np
import pytest
import xarray as xr

from fieldfit.contract.__main__ import reference_page
from fieldfit.contract.coordinates import COORDINATES
from fieldfit.contract.products import PRODUCTS
from fieldfit.io.products import open_product, product, write_product
from fieldfit.types import InputError


def toy(**changes) -> xr.Dataset:
    values = {name: np.zeros([3] * len(v.dims.split())) for name, v in PRODUCTS["toy"].items()} | changes
    return product("toy", values, {"estimator": ["a", "b", "c"], "parameter": ["p", "q", "r"]})


def write(dataset, path, **changes):
    write_product(dataset, path, **({"inputs": [], "config": {"k": 1}, "title": "a toy", "step": "test", "seed": 4} | changes))


def test_reference_page_is_in_step(checkout):
    assert (checkout / "docs/products.md").read_text() == reference_page(), "uv run python -m fieldfit.contract"


def test_every_dimension_of_the_contract_is_a_known_coordinate():
    used = {dim for table in PRODUCTS.values() for v in table.values() for dim in v.dims.split()}
    assert used <= set(COORDINATES)


def test_product_round_trips_with_units_and_provenance(tmp_path):
    source = tmp_path / "input.txt"
    source.write_text("x")
    write(toy(gradient=np.eye(3)), tmp_path / "toy.nc", inputs=[source])
    found = open_product(tmp_path / "toy.nc", "toy")
    assert (found.gradient.values == np.eye(3)).all()
    assert found.gradient.attrs["units"] == "1"
    assert found.estimator.values.tolist() == ["a", "b", "c"]
    assert found.attrs["seed"] == "4"
    assert "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" in found.attrs["inputs"]


def test_coordinates_carry_no_fill_value(tmp_path):
    write(toy(), tmp_path / "toy.nc")
    with xr.open_dataset(tmp_path / "toy.nc") as found:
        assert "_FillValue" not in found["scan"].encoding


def test_a_file_counts_its_text_labels_and_names_them_beside(tmp_path):
    write(toy(), tmp_path / "toy.nc")
    with xr.open_dataset(tmp_path / "toy.nc") as raw:
        assert raw.estimator.values.tolist() == [0, 1, 2]
        assert raw.estimator.attrs["units"] == "1"
        assert raw.estimator_label.values.tolist() == ["a", "b", "c"]
    assert open_product(tmp_path / "toy.nc", "toy").gradient.sel(estimator="b", parameter="q").ndim == 0


def test_killed_write_leaves_nothing(tmp_path, monkeypatch):
    def dies(self, path, **_):
        open(path, "w").write("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", dies)
    with pytest.raises(OSError, match="no space"):
        write(toy(), tmp_path / "toy.nc")
    assert list(tmp_path.iterdir()) == []


def test_missing_and_unknown_variables_are_refused():
    with pytest.raises(ValueError, match=r"unknown variables \['gradent'\]"):
        toy(gradent=np.zeros(3))
    with pytest.raises(ValueError, match="missing variables"):
        product("toy", {}, {})


def test_wrong_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), the contract says \(estimator parameter\)"):
        toy(gradient=np.zeros(3))


def test_absent_file_foreign_file_and_other_kind_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="no such file, expected a toy product"):
        open_product(tmp_path / "toy.nc", "toy")
    (tmp_path / "text.nc").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as NetCDF"):
        open_product(tmp_path / "text.nc", "toy")
    write(toy(), tmp_path / "toy.nc")
    with pytest.raises(InputError, match="is a product of kind 'toy', expected 'phase'"):
        open_product(tmp_path / "toy.nc", "phase")


def test_packed_variables_are_those_that_the_library_compresses(tmp_path):
    """By whoever packs them: the same values, attributes and filters, for both NetCDF libraries."""
    from fieldfit.io.products import Packed, pack

    random = np.random.default_rng(0)
    values = random.random((3, 5, 4, 6)).astype(np.float32)
    values[1, 2] = np.nan
    dims = ("channel", "x", "y", "z")
    ticks = {dim: np.arange(float(size)) for dim, size in zip(dims, values.shape, strict=True)}
    dataset = xr.Dataset({"visibility": (dims, values, {"long_name": "visibility", "units": "1"}), "other": ("x", np.arange(5.0))}, ticks)
    for name, packed in (("plain", None), ("packed", Packed(("visibility",), ({"visibility": pack(line)} for line in values)))):
        write_product(dataset.assign_attrs(product="library"), tmp_path / f"{name}.nc", [], {}, "A library", "a_step", packed=packed)
    for engine in ("h5netcdf", "netcdf4"):
        plain, packed = (xr.load_dataset(tmp_path / f"{name}.nc", engine=engine) for name in ("plain", "packed"))
        xr.testing.assert_identical(plain, packed)
        for key in ("chunksizes", "zlib", "shuffle", "complevel", "_FillValue"):
            np.testing.assert_equal(packed.visibility.encoding.get(key), plain.visibility.encoding.get(key))
