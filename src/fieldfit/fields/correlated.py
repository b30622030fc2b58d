"""A random field on a lattice whose power spectrum the data teach: smooth where they are smooth, waves where they show waves.

    u = F^-1 [ A(k) z ],   z the modes of white noise: standard normal, one number a place of the box        (correlated field)
    A^2(k) <- A^2(k) ( a I(|k|) + sum |z|^2 ) / ( a + sum gamma ),   gamma = 1 - posterior variance of z

The sums run over neighbouring wave vectors, as far apart as the cloud's own extent blurs them; gamma is how much of a mode the data
have measured (MacKay, Neural Computation 4, 415 (1992)), so that power is learned from what is seen, in every direction on its own. A
direction that no view sees takes the power I of its shell, pooled over what is seen of it with outliers held down: one strong wave does not lend
its power to all directions. Ensslin and Frommert, Phys. Rev. D 83, 105014 (2011), call it the critical filter; NIFTy (Arras et al. 2019)
draws such fields.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from scipy.fft import next_fast_len
from torch import Tensor

PADDING = 0.15  # of the samples' extent: the box is periodic
FALL = 6.0  # power law that the spectrum starts with, beyond the inverse of its length
OUTLIER = 3.0  # of a shell's typical power
POOLED = 20.0  # modes that a shell's power counts for, beside a mode's own neighbourhood
NEAR = 0.7  # width of the neighbourhood, in inverse lengths
AXES = (1, 2, 3)  # of a batch of boxes
STEEPEST = 30.0  # largest change of a power in one go


@dataclass(frozen=True)
class Correlated:
    """size: places of the periodic box along each axis; step: between them [m]; place (sample): of each sample in the flattened box;
    layers: 1, or 2 where the samples are followed by as many half a step further along all axes; length [m]: over which the field is smooth;
    wave_number (i, j, k) [rad/m] and twin (i, j, k): 2 where a mode of the half spectrum stands for its mirror image too.

    White noise is held by its modes (batch, i, j, k), F[noise] sqrt(twin / places), so that products of modes are those of the noise in space."""

    size: tuple[int, int, int]
    step: float
    place: Int[Tensor, "sample"]
    layers: int
    length: float
    wave_number: Float[Tensor, "i j k"]
    twin: Float[Tensor, "i j k"]

    def modes(self, noise: Float[Tensor, "batch x y z"]) -> Complex[Tensor, "batch i j k"]:
        """Of noise at the places of the box."""
        return torch.fft.rfftn(noise, dim=AXES) * self._root

    def drawn(self, white: Complex[Tensor, "batch i j k"], amplitude: Float[Tensor, "batch i j k"]) -> Float[Tensor, "sample batch"]:
        """The field at the samples."""
        spectra = [white * (amplitude / self._root)]
        if self.layers == 2:
            spectra.append(spectra[0] * self._shift)
        return torch.cat([torch.fft.irfftn(one, s=self.size, dim=AXES).flatten(1)[:, self.place] for one in spectra], 1).T.contiguous()

    def adjoint(self, values: Float[Tensor, "sample batch"], amplitude: Float[Tensor, "batch i j k"]) -> Complex[Tensor, "batch i j k"]:
        """Adjoint of `drawn` in its white noise."""
        spectrum, *second = (torch.fft.rfftn(self._box(part), dim=AXES) for part in values.chunk(self.layers))
        for other in second:
            spectrum = spectrum + other * self._shift.conj()
        return spectrum * (amplitude * self._root)

    def boxed(self, values: Float[Tensor, "sample batch"]) -> Float[Tensor, "several x y z"]:
        """Values at the samples in the box, each layer one of its own; zero elsewhere."""
        return torch.cat([self._box(part) for part in values.chunk(self.layers)])

    def unboxed(self, box: Float[Tensor, "several x y z"]) -> Float[Tensor, "sample batch"]:
        """Undoes `boxed`."""
        return torch.cat(box.flatten(1)[:, self.place].T.chunk(self.layers, 1)).contiguous()

    def smoothed(self, values: Float[Tensor, "sample batch"], width: float) -> Float[Tensor, "sample batch"]:
        """Means over a Gaussian neighbourhood of rms `width` [m] of each sample, as far as there are samples in it."""
        root = torch.exp(-0.25 * (self.wave_number * width).square()).expand(values.shape[1], -1, -1, -1)
        ones = torch.ones_like(values[:, :1])
        return self.drawn(self.adjoint(values, root), root) / self.drawn(self.adjoint(ones, root[:1]), root[:1])

    def _box(self, layer: Float[Tensor, "sample batch"]) -> Float[Tensor, "batch x y z"]:
        """Of one layer's samples."""
        box = layer.new_zeros(layer.shape[1], math.prod(self.size))
        box[:, self.place] = layer.T
        return box.reshape(-1, *self.size)

    @property
    def _root(self) -> Float[Tensor, "i j k"]:
        """What makes modes of a spectrum."""
        return (self.twin / math.prod(self.size)).sqrt()

    @property
    def _shift(self) -> Complex[Tensor, "i j k"]:
        """Factors that move a spectrum to the second layer of samples."""
        angles = [torch.fft.fftfreq(n) * math.pi for n in self.size[:2]] + [torch.fft.rfftfreq(self.size[2]) * math.pi]
        angle = angles[0][:, None, None] + angles[1][:, None] + angles[2]
        return torch.polar(torch.ones_like(angle), angle)


def correlated(index: Int[Tensor, "sample 3"], layers: int, step: float, length: float) -> Correlated:
    """For samples at `index` (of the first layer) of a cubic lattice."""
    at = index - index.amin(0)
    reach = at.amax(0) + 1
    size = tuple(next_fast_len(math.ceil((1 + PADDING) * float(n)) + 2, real=True) for n in reach)
    place = (at[:, 0] * size[1] + at[:, 1]) * size[2] + at[:, 2]
    k = [2 * np.pi * np.fft.fftfreq(n, step) for n in size[:2]] + [2 * np.pi * np.fft.rfftfreq(size[2], step)]
    wave_number = np.sqrt(k[0][:, None, None] ** 2 + k[1][:, None] ** 2 + k[2] ** 2)
    half = np.fft.rfftfreq(size[2])
    twin = np.broadcast_to(np.where((half == 0) | (half == 0.5), 1.0, 2.0), wave_number.shape).copy()
    return Correlated((size[0], size[1], size[2]), step, place, layers, length, torch.from_numpy(wave_number).float(), torch.from_numpy(twin).float())


def smooth_amplitude(field: Correlated, rms: float) -> Float[Tensor, "i j k"]:
    """Square root of a spectrum that falls as k^-FALL beyond 1 / length, with `rms` in all."""
    power = (1 + (field.wave_number * field.length) ** 2) ** (-FALL / 2)
    return (power * math.prod(field.size) * rms**2 / (power * field.twin).sum()).sqrt()


def learned(
    field: Correlated,
    white: Complex[Tensor, "batch i j k"],
    probe: Complex[Tensor, "batch i j k"],
    drawn: Complex[Tensor, "batch i j k"],
    amplitude: Float[Tensor, "batch i j k"],
) -> tuple[Complex[Tensor, "batch i j k"], Float[Tensor, "batch i j k"]]:
    """(white noise, amplitude) after one update of the spectra, the field itself unchanged.

    drawn: samples of the posterior of the white noise; probe: the prior's part of what they were drawn from. Their correlation tells
    how much of a mode is not measured, with little noise where that is nearly all of it.
    """
    modes, power = _near(field, white.abs().square() / field.twin)
    _, measured = _near(field, (probe.conj() * (probe - drawn)).real / field.twin)
    gamma = (measured / modes).clamp(0, 1)
    own, seen = power, modes * gamma
    shell = torch.round(field.wave_number * field.length).long().flatten()
    factors = []
    for had, of in zip(own, seen, strict=True):
        ratio = ((1 + had) / (1 + of)).log()
        weight = (of + 1e-3) * field.twin
        typical = (_summed(shell, ratio * weight) / _summed(shell, weight))[shell].reshape(ratio.shape)
        # Only what stands far out is held down: weights that fell with every fluctuation would make the power sink, step by step.
        held = field.twin / (1 + ((ratio - typical).exp() / OUTLIER) ** 4)
        pooled = (_summed(shell, had * held) / (_summed(shell, of * held) + 1e-6))[shell].reshape(ratio.shape)
        factor = (POOLED * pooled.clamp(1 / STEEPEST, STEEPEST) + had) / (POOLED + of)
        factors.append(factor.clamp(1 / STEEPEST, STEEPEST))
    root = torch.stack(factors).sqrt()
    return white / root, amplitude * root


def information(field: Correlated, white: Complex[Tensor, "batch i j k"], response: Complex[Tensor, "batch i j k"]) -> Float[Tensor, "batch i j k"]:
    """Of the data on each mode of the field: the diagonal, a mean over neighbours, of the operator that made `response` from random `white`."""
    modes, found = _near(field, (white.conj() * response).real / field.twin)
    return found / modes


def _near(field: Correlated, values: Float[Tensor, "batch i j k"]) -> tuple[float, Float[Tensor, "batch i j k"]]:
    """(modes in a neighbourhood, sums over Gaussian neighbourhoods in the space of wave vectors), by a window in space."""
    widths = [NEAR / field.length * n * field.step / (2 * math.pi) for n in field.size]  # in modes
    window = torch.ones(())
    for width, n in zip(widths, field.size, strict=True):
        window = window[..., None] * torch.exp(-0.5 * (2 * math.pi * width * torch.fft.fftfreq(n)) ** 2)
    spread = torch.fft.irfftn(values.to(torch.complex64), s=field.size, dim=AXES) * window
    number = (2 * math.pi) ** 1.5 * math.prod(max(width, (2 * math.pi) ** -0.5) for width in widths)  # modes in a neighbourhood, one at least
    return number, torch.fft.rfftn(spread, dim=AXES).real.clamp_min(0) * number


def _summed(shell: Int[Tensor, "mode"], values: Tensor) -> Tensor:
    return torch.bincount(shell, values.flatten().double()).float()
