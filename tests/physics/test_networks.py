"""Neural densities: encodings are what they say, and every family draws a donut that was traced photon by photon better than a Gaussian does."""

import math

import numpy as np
import pytest
import torch
from test_classical import DONUT, answered, error

from fieldfit.bridge import describe
from fieldfit.fields.field import set_weights
from fieldfit.fields.networks import COARSEST, FEATURES, Network
from fieldfit.fields.positive import positive

FAMILIES = ("fourier", "siren", "hash")
POINTS = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1


def unfitted(family, batch=2):
    field = Network(batch, 1e-3, family, 0.05, width=16, seed=3)
    field.envelope[:, 0] = math.log(1e6)
    field.envelope[:, 4:7] = math.log(3.0)
    return field


@pytest.mark.parametrize("family", FAMILIES)
def test_before_a_fit_the_envelope_is_drawn(family):
    field = unfitted(family)
    with torch.no_grad():
        found, base = field(1e-3 * POINTS), field.base(POINTS)
    gauss = 1e6 * 3e3**3 / (2 * math.pi) ** 1.5 * torch.exp(-0.5 * (3 * POINTS).square().sum(1))
    assert torch.allclose(base, gauss.expand(2, -1), rtol=1e-4)
    assert (found / base).mean() == pytest.approx(math.log(1 + math.exp(3)) / 3, abs=0.15)
    assert not torch.equal(found[0] / base[0], found[1] / base[1])  # members are independent


@pytest.mark.parametrize("family", FAMILIES)
def test_its_weights_make_the_field_again(family):
    field, other = unfitted(family), unfitted(family)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
        weights, _ = describe(field)
        layout = [(name, list(value.shape)) for name, value in field.state_dict().items()]
        set_weights(other, torch.from_numpy(weights), layout)
        assert torch.equal(other(1e-3 * POINTS), field(1e-3 * POINTS))


def test_tables_are_linear_between_nodes():
    """The coarsest grid is not hashed: a table that holds a linear function of the nodes' places gives it back everywhere."""
    field, side = unfitted("hash", batch=1), COARSEST + 1
    axis = torch.linspace(-1, 1, side)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    with torch.no_grad():
        field.tables[0, 0, : side**3, 0] = (x - 2 * y + 0.5 * z).flatten()
        found = field._features(0, field.encoded(POINTS)[0])[0, :, 0]
    assert torch.allclose(found, POINTS @ torch.tensor([1.0, -2.0, 0.5]), atol=1e-5)


def test_a_fourier_encoding_lies_on_circles():
    encoded = unfitted("fourier").encoded(POINTS)
    assert torch.allclose(encoded[..., :FEATURES].square() + encoded[..., FEATURES:].square(), torch.ones(()), atol=1e-5)


@pytest.fixture(scope="module")
def gaussian():
    return error(answered(DONUT, "gaussian"), DONUT)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_donut_is_drawn_and_the_field_is_the_networks_own(family, gaussian):
    found = answered(DONUT, family, steps=8)
    assert error(found, DONUT) < 0.5 * gaussian
    assert found.values["kept_step"][0] > 0
    assert np.isnan(found.values["density_std"]).all()
    assert isinstance(found.field, Network)
    axis = (np.arange(32) + 0.5) * 2.4e-3 / 32 - 1.2e-3
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)[16, 10:22:3, 10:22:3].reshape(-1, 3)
    with torch.no_grad():
        again = found.field.means(torch.from_numpy(points).float(), 2.4e-3 / 32)[0].numpy()
        x = torch.from_numpy(points).float() / found.field.half_width
        drawn = (found.field.base(x) * positive(found.field.drawn(found.field.encoded(x))))[0].numpy()
    means = found.values["density"][0][16, 10:22:3, 10:22:3].ravel()
    assert np.allclose(again, means, rtol=0, atol=1e-2 * again.max())
    assert np.linalg.norm(again - means) < 0.5 * np.linalg.norm(drawn - means)  # what is drawn at a point is no mean
