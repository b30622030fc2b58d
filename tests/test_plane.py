"""A plane field is its raster at the nodes, linear in its grids between them, positive, and can be written and read back."""

import numpy as np
import pytest
import torch

from fieldfit.fields.field import set_weights, weights_of
from fieldfit.fields.grids import gathered
from fieldfit.fields.plane import Plane, joined
from fieldfit.forward.attenuation import raster


def some(batch: int = 2, seed: int = 0) -> Plane:
    field = Plane(batch, 7.5, [4, 8, 16], [0.5 + k for k in range(batch)])
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for level in field.levels:
            level.copy_(torch.randn(level.shape, generator=generator))
    return field


def test_the_raster_is_the_field_at_the_voxels_of_the_forward_model():
    field = some()
    assert torch.allclose(field(raster(16).float()).reshape(2, 16, 16), field.raster(), rtol=1e-5)


def test_values_are_positive_and_half_way_is_the_mean_of_the_sums():
    field = some(1)
    nodes = gathered(list(field.levels))[0]
    middle = field(torch.tensor([[0.0, 0.5]]))[0, 0]  # between columns 7 and 8, in row 8
    assert torch.isclose(middle, 0.5 * torch.nn.functional.softplus(0.5 * (nodes[8, 7] + nodes[8, 8])))
    assert (field.raster() > 0).all()


def test_starting_values_come_back_where_they_are_positive():
    field = some()
    values = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(3)) + 0.2
    field.start(values)
    assert torch.allclose(field.raster(), values, rtol=1e-4)


def test_gradients_of_the_field_are_exact():
    field = Plane(1, 1.0, [2, 3], [0.7]).double()
    points = torch.tensor([[0.1, -0.4], [0.9, 0.3]], dtype=torch.float64)
    levels = [torch.randn(1, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n), requires_grad=True) for n in (2, 3)]

    def values(*given: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(field, {f"levels.{k}": level for k, level in enumerate(given)}, points)

    assert torch.autograd.gradcheck(values, levels)


def test_weights_out_and_in_give_the_same_values():
    field = some()
    weights, layout = weights_of(field)
    again = Plane(**field.settings())
    set_weights(again, weights, layout)
    assert torch.equal(again.raster(), field.raster())


def test_joined_fields_keep_their_values_in_the_new_unit():
    first, second = some(2), some(1, seed=5)
    both = joined([first, second], 1e-6)
    points = torch.tensor([[1.3, -2.0], [6.1, 0.2]])
    expected = torch.cat([first(points), second(points)]) * 1e6
    assert torch.allclose(both(points * 1e-6), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="different grids"):
        joined([first, Plane(1, 3.0, [4, 8, 16], [1.0])], 1.0)


def test_a_scale_for_each_member_is_needed():
    with pytest.raises(ValueError, match="1 scales for 2 members"):
        Plane(2, 1.0, [4], [1.0])
    assert np.isfinite(some().raster().detach().numpy()).all()
