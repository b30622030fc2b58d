"""Correlated fields: their operator has its adjoint, their spectra are learned from what is seen, in every direction on its own."""

import math

import pytest
import torch

from fieldfit.fields.correlated import Correlated, correlated, information, learned, smooth_amplitude

STEP, SIDE = 50e-6, 18


def cube(side: int = SIDE, layers: int = 1, length: float = 2e-4) -> Correlated:
    axis = torch.arange(side)
    return correlated(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3), layers, STEP, length)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_adjoint_is_the_adjoint(layers: int) -> None:
    field = cube(layers=layers)
    generator = torch.Generator().manual_seed(0)
    amplitude = torch.rand(2, *field.wave_number.shape, dtype=torch.float64, generator=generator)
    white = torch.randn(2, *field.size, dtype=torch.float64, generator=generator)
    values = torch.randn(layers * SIDE**3, 2, dtype=torch.float64, generator=generator)
    modes = field.modes(white)
    forward = (field.drawn(modes, amplitude) * values).sum(0)
    assert torch.allclose(forward, (modes.conj() * field.adjoint(values, amplitude)).real.sum((1, 2, 3)))


def test_products_of_modes_are_those_of_the_noise() -> None:
    field = cube(17)
    one, other = torch.randn(2, *field.size, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    of_modes = field.modes(one[None]).conj() * field.modes(other[None])
    assert float(of_modes.real.sum()) == pytest.approx(float((one * other).sum()))


def test_the_second_layer_is_half_a_step_further_along_all_axes() -> None:
    """A wave of eight steps along x, its phase an eighth of a turn further there."""
    field = cube(layers=2)
    x = torch.arange(field.size[0]) * 2 * math.pi * 3 / field.size[0]
    white = x.cos()[None, :, None, None].expand(1, *field.size).contiguous()
    first, second = field.drawn(field.modes(white), torch.ones(1, *field.wave_number.shape)).chunk(2)
    at = torch.arange(SIDE).repeat_interleave(SIDE**2) * 2 * math.pi * 3 / field.size[0]
    assert torch.allclose(first[:, 0], at.cos(), atol=1e-5)
    assert torch.allclose(second[:, 0], (at + math.pi * 3 / field.size[0]).cos(), atol=1e-5)


def test_a_smooth_spectrum_has_the_rms_that_is_asked_for() -> None:
    field = cube()
    white = torch.randn(20, *field.size, generator=torch.Generator().manual_seed(1))
    drawn = field.drawn(field.modes(white), smooth_amplitude(field, 0.7).expand(20, -1, -1, -1))
    assert float(drawn.square().mean().sqrt()) == pytest.approx(0.7, rel=0.1)


def measured(field: Correlated, truth: torch.Tensor, noise: float, seen: torch.Tensor, rounds: int) -> torch.Tensor:
    """Amplitude learned from the field itself with white noise, in the modes that are `seen`: there all is in closed form."""
    generator = torch.Generator().manual_seed(3)
    data = field.modes(truth + noise * torch.randn(truth.shape, generator=generator))
    amplitude = smooth_amplitude(field, 1.0)[None].clone()
    for _ in range(rounds):
        information = seen * amplitude.square() / noise**2
        white = seen * amplitude * data / noise**2 / (1 + information)
        probe, other = (field.modes(torch.randn(1, *field.size, generator=generator)) for _ in range(2))
        drawn = (probe + information.sqrt() * other) / (1 + information)
        before = field.drawn(white, amplitude)
        white, amplitude = learned(field, white, probe, drawn, amplitude)
        assert torch.allclose(field.drawn(white, amplitude), before, atol=1e-3 * float(before.abs().max()))
    return amplitude[0].square()


def test_the_spectrum_is_learned() -> None:
    field = cube(40)
    true = smooth_amplitude(field, 0.3) * (1 + (field.wave_number * field.length) ** 2) ** 0.5  # falls as k^-2 less steeply than the start
    truth = torch.fft.irfftn(
        torch.fft.rfftn(torch.randn(1, *field.size, generator=torch.Generator().manual_seed(2)), dim=(1, 2, 3)) * true, s=field.size, dim=(1, 2, 3)
    )
    power = measured(field, truth, 0.01, torch.ones_like(true), 8)
    k = field.wave_number * field.length
    for low, high in ((0.5, 1.5), (1.5, 3.0), (3.0, 5.0)):
        shell = (k > low) & (k < high)
        assert float((power / true.square()).log()[shell].mean()) == pytest.approx(0, abs=0.25)


def test_one_strong_wave_does_not_lend_its_power_to_directions_that_nobody_sees() -> None:
    field = cube(40)
    k = 2 * math.pi * 6 / (field.size[0] * STEP)
    x = torch.arange(field.size[0]) * STEP
    smooth = torch.fft.irfftn(
        torch.fft.rfftn(torch.randn(1, *field.size, generator=torch.Generator().manual_seed(2)), dim=(1, 2, 3)) * smooth_amplitude(field, 0.2),
        s=field.size,
        dim=(1, 2, 3),
    )
    truth = smooth + 0.8 * (k * x).cos()[None, :, None, None]
    axes = torch.fft.fftfreq(field.size[0])[:, None, None] + 0 * field.wave_number
    unseen = axes.abs() * 2 * math.pi / STEP < 0.5 * field.wave_number  # nobody sees what is far from x
    power = measured(field, truth, 0.05, (~unseen).float(), 6)
    ring = (field.wave_number - k).abs() < 0.5 / field.length
    assert float(power[ring & ~unseen].max()) > 100 * float(power[ring & unseen].mean())


def test_information_is_the_diagonal_of_the_operator_in_wave_numbers() -> None:
    """An operator that weighs every mode by a smooth function of its wave vector."""
    field = cube(40)
    weight = 3 * torch.exp(-0.5 * (torch.fft.fftfreq(field.size[0])[:, None, None] + 0 * field.wave_number) ** 2 / 0.2**2)[None]
    white = field.modes(torch.randn(1, *field.size, generator=torch.Generator().manual_seed(6)))
    found = information(field, white, white * weight)
    assert float((found / weight).mean()) == pytest.approx(1, abs=0.05)
    assert float((found / weight).std()) < 0.4  # a dozen modes a neighbourhood
