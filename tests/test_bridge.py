"""Fields travel inside products and come back as functions of points; nothing else is imported on a file's word."""

import json

import numpy as np
import pytest
import torch

import fieldfit
from fieldfit.bridge import describe
from fieldfit.contract.products import PRODUCTS
from fieldfit.fields.siren import Siren
from fieldfit.fitting.fit import generator_of
from fieldfit.io.products import product, write_product
from fieldfit.types import InputError

NAMES = {"method": ["a", "b"], "axis": ["x", "y"]}


def visibility_file(path, **changed):
    field = Siren(3, 2, width=8, depth=2, generator=generator_of(0))
    weights, text = describe(field)
    values = {
        n: np.full([2] * len(v.dims.split()), "a", object) if v.text else np.zeros([2] * len(v.dims.split()))
        for n, v in PRODUCTS["visibility"].items()
    }
    told = json.loads(text) | changed
    write_product(product("visibility", values | {"field_weights": weights}, NAMES, field=json.dumps(told)), path, [], {}, "t", "test")
    return field


def test_a_field_comes_back_with_the_same_values(tmp_path):
    field = visibility_file(tmp_path / "v.nc")
    points = np.random.default_rng(0).random((5, 3))
    found = fieldfit.load_field(tmp_path / "v.nc")(points)
    assert found.shape == (5, 2)
    assert np.array_equal(found, field(torch.tensor(points, dtype=torch.float32)).detach().numpy())


def test_points_of_another_dimension_are_refused(tmp_path):
    visibility_file(tmp_path / "v.nc")
    with pytest.raises(InputError, match=r"points of shape \(5, 2\), expected \(n, 3\)"):
        fieldfit.load_field(tmp_path / "v.nc")(np.zeros((5, 2)))


@pytest.mark.parametrize("family", ["os.system", "..config.Config", "siren.Tensor", "siren.absent", "absent.Siren"])
def test_only_fields_are_imported_on_a_files_word(tmp_path, family):
    visibility_file(tmp_path / "v.nc", family=family)
    with pytest.raises(InputError, match="does not describe a field of this version"):
        fieldfit.load_field(tmp_path / "v.nc")


def test_a_product_without_a_field_is_refused(tmp_path):
    values = {name: np.zeros([3] * len(v.dims.split())) for name, v in PRODUCTS["toy"].items()}
    write_product(product("toy", values, {"estimator": list("abc"), "parameter": list("pqr")}), tmp_path / "toy.nc", [], {}, "t", "test")
    with pytest.raises(InputError, match="a product of kind 'toy' holds no field"):
        fieldfit.load_field(tmp_path / "toy.nc")
    with pytest.raises(InputError, match="no such file"):
        fieldfit.load_field(tmp_path / "absent.nc")
