"""Fourier-feature materials stay in [0, 1], end at the disc, and survive a product."""

import numpy as np
import pytest
import torch
import xarray as xr

from fieldfit.bridge import describe, field_of
from fieldfit.fields.fourier import FourierMaterial, joined
from fieldfit.fitting.fit import generator_of

POINTS = 10 * torch.rand(200, 2, generator=generator_of(0)) - 5


def material(seed: int, **settings: float) -> FourierMaterial:
    return FourierMaterial(**{"batch": 1, "radius": 4.0, "features": 8, "width": 16, **settings}, generator=generator_of(seed))


def test_material_is_a_share_inside_the_disc_and_nothing_outside():
    values = material(1)(POINTS)
    inside = POINTS.square().sum(1) < 16
    assert values.shape == (1, 200)
    assert ((values[0, inside] > 0) & (values[0, inside] < 1)).all()
    assert (values[0, ~inside] == 0).all()


def test_joined_fields_are_the_fields_one_by_one():
    parts = [material(seed) for seed in (1, 2, 3)]
    assert torch.allclose(joined(parts)(POINTS), torch.cat([part(POINTS) for part in parts]), atol=1e-6)


def test_joining_different_networks_is_refused():
    with pytest.raises(ValueError, match="different settings"):
        joined([material(1), material(2, width=8)])


def test_a_product_gives_the_same_field_back(tmp_path):
    field = joined([material(1), material(2)])
    weights, text = describe(field)
    dataset = xr.Dataset({"field_weights": (("seed", "weight"), weights)}, attrs={"field": text})
    with torch.no_grad():
        assert np.array_equal(field_of(dataset, tmp_path)(POINTS).numpy(), field(POINTS).numpy())


def test_the_same_generator_gives_the_same_field():
    assert torch.equal(material(5)(POINTS), material(5)(POINTS))
    assert not torch.equal(material(5)(POINTS), material(6)(POINTS))
