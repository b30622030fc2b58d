"""A visibility field is bounded, differentiable, and its voxel means are exact where they must be."""

import math

import pytest
import torch

from fieldfit.fields.calibrated import CalibratedField, box_terms, degrees
from fieldfit.fields.visibility import VisibilityField
from fieldfit.fitting.fit import generator_of
from fieldfit.forward.visibility import expected_counts, photoelectrons, voxel_mean


def field(width: int = 8, factor: list[bool] | None = None) -> VisibilityField:
    centre, normal = [[-0.05, 0.1, 0.2], [0.5, 0.55, 0.5]], [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
    return VisibilityField(centre, normal, [0.1, 0.08], [0.5, 0.0, 0.5], [0.5, 0.5, 0.5], width, 2, factor, members=2, generator=generator_of(0))


def points(n: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, 3, generator=generator_of(seed), dtype=torch.float64) * torch.tensor([1.0, 1.0, 1.0]) - torch.tensor([0.0, 0.5, 0.0])


def test_gradient_of_the_forward_model_is_exact() -> None:
    f = field().double()
    x = points(3)
    share = f.geometric(x)
    network, photons = f.networks[0], torch.full((3, 2), 1000.0, dtype=torch.float64)
    names, weights = zip(*network.named_parameters(), strict=True)

    def counts(*values: torch.Tensor) -> torch.Tensor:
        direct, diffuse = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,)).split(2, 1)
        return expected_counts(share, direct - 3, diffuse - 3, photons)

    assert torch.autograd.gradcheck(counts, tuple(w.detach().requires_grad_() for w in weights))


def test_values_stay_between_zero_and_one() -> None:
    f = field()
    with torch.no_grad():
        f.networks[0].layers[-1].bias.fill_(20.0)
    values = f(points(50).float())
    assert (values >= 0).all() and (values <= 1).all()


def test_light_is_direct_and_diffuse_and_the_mean_of_the_members() -> None:
    f = field(factor=[True, False])
    x = points(5).float()
    both = [f.logarithms(member, x) for member in (0, 1)]
    diffuse = sum(b.exp() for _, b in both) / 2
    direct = f.geometric(x) * sum(a.exp() for a, _ in both) / 2
    assert torch.allclose(f(x), (direct + diffuse).clamp(max=1))
    assert (direct[:, 0] > 0).all() and (direct[:, 1] == 0).all()


def test_channels_of_one_head_are_mirror_images() -> None:
    centre, normal = [[-0.05, 0.1, 0.2], [-0.05, -0.1, 0.2], [0.5, 0.55, 0.5]], [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
    sign = [[1, 1, 1], [1, -1, 1], [1, 1, 1]]
    f = VisibilityField(centre, normal, [0.1] * 3, [0.5, 0.0, 0.5], [0.5] * 3, 8, 2, head=[0, 0, 1], sign=sign, generator=generator_of(0)).double()
    x = points(20)
    mirrored = x * torch.tensor([1.0, -1.0, 1.0])
    assert torch.allclose(f(x)[:, 0], f(mirrored)[:, 1]) and not torch.allclose(f(x)[:, 0], f(x)[:, 1])
    assert torch.autograd.gradcheck(f, x.requires_grad_())


@pytest.mark.parametrize("power", [1, 2, 3])
def test_the_voxel_mean_of_a_polynomial_is_exact_up_to_cubics(power: int) -> None:
    centres, edges = points(4), torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    mean = voxel_mean(lambda x: x**power, centres, edges)
    low, high = centres - edges / 2, centres + edges / 2
    assert torch.allclose(mean, (high ** (power + 1) - low ** (power + 1)) / ((power + 1) * edges))


def test_the_factored_voxel_mean_approaches_the_mean_of_the_product_as_voxels_shrink() -> None:
    f, x = field(16).double(), points(40)
    worst = []
    for edge in (0.1, 0.05, 0.025):
        edges = torch.full((3,), edge, dtype=torch.float64)
        factored = f.value(x, voxel_mean(f.geometric, x, edges))
        worst.append((factored / voxel_mean(f, x, edges) - 1).abs().mean().item())
    assert worst[0] < 0.02 and worst[1] < worst[0] / 3 and worst[2] < worst[1] / 3


def test_photoelectrons_and_their_gradient_are_adjoint() -> None:
    track = torch.tensor([0, 0, 1, 1, 1])
    v, q = torch.rand(5, 2, dtype=torch.float64, requires_grad=True), torch.rand(5, dtype=torch.float64)
    data = torch.rand(2, 2, dtype=torch.float64)
    inner = (photoelectrons(v, q, track, 2) * data).sum()
    inner.backward()
    assert v.grad is not None and torch.allclose((v.grad * v).sum(), inner)
    assert torch.allclose(photoelectrons(v, q, track, 2)[0], (q[:2, None] * v[:2]).sum(0))


def test_box_terms_are_orthogonal_over_the_box() -> None:
    x = torch.rand(200_000, 3, generator=generator_of(3), dtype=torch.float64) * 2 - 1
    phi = box_terms(x, torch.zeros(3), torch.ones(3), 3)
    gram = phi.T @ phi / len(x)
    norm = torch.tensor([math.prod(1 / (2 * k + 1) for k in d) for d in degrees(3)], dtype=torch.float64)
    assert torch.allclose(gram, torch.diag(norm), atol=0.01)


def test_a_fresh_calibration_is_the_simulation() -> None:
    f = field()
    calibrated = CalibratedField(f.settings())
    calibrated.base.load_state_dict(f.state_dict())
    x = points(6).float()
    assert torch.allclose(calibrated(x), f(x))
