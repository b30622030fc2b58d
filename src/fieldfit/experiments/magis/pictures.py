"""Fringe phase of single pictures: starts from the picture's own spectrum, then the best of several Poisson likelihood fits."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fieldfit.fitting.fisher import Scored, fit_poisson, propagate
from fieldfit.forward.fringes import PARAMETERS, QUANTITIES, Raster, picture_and_slopes, quantities, raster
from fieldfit.types import Status

STARTS = 5  # peaks of the spectrum from which a fit is tried
FINALISTS = 2  # of them, the ones that are fitted to the end
SIGNIFICANT = 5.0  # standard deviations of contrast below which there is no fringe: some 1e4 wave vectors were searched
MEMBERS = 10  # fits held in memory together


@dataclass(frozen=True)
class Fringes:
    """Fitted pictures. values, std: (shot, quantity) in the order of forward.fringes.QUANTITIES, NaN where status is not good."""

    values: Float[Tensor, "shot quantity"]
    std: Float[Tensor, "shot quantity"]
    chi2_reduced: Float[Tensor, "shot"]
    status: Int[Tensor, "shot"]

    def of(self, quantity: str) -> tuple[Tensor, Tensor]:
        """(value, standard deviation), each (shot,)."""
        column = QUANTITIES.index(quantity)
        return self.values[:, column], self.std[:, column]


def fit_fringes(
    frames: Float[Tensor, "shot row column"], status: Int[Tensor, "shot"], pitch: float, pedestal: float, integrated: bool = False
) -> Fringes:
    """Fit every picture whose status is good so far.

    frames: photo-electrons with their pedestal in. Further flags: empty without light above the pedestal, weak without a significant
    fringe, not_converged when no start led to an optimum.
    """
    shots, rows, columns = frames.shape
    on = raster(rows, columns, pitch, integrated, frames.device)
    values = torch.full((shots, len(QUANTITIES)), torch.nan, dtype=torch.float64, device=frames.device)
    std, chi2, flags = values.clone(), values[:, 0].clone(), status.clone()
    light = frames.flatten(1).sum(-1) - pedestal * rows * columns
    dark = light < SIGNIFICANT * frames.flatten(1).sum(-1).clamp(min=1).sqrt()
    flags[(flags == Status.good) & dark] = int(Status.empty)
    good = torch.nonzero(flags == Status.good)[:, 0]
    for block in good.split(max(1, MEMBERS // STARTS)):
        found = _best(frames[block].to(torch.float64), on, pedestal)
        value, error = propagate(lambda p: quantities(p, pitch), found.parameters, found.covariance)
        sound = found.converged & torch.isfinite(error).all(-1) & (error > 0).all(-1)
        contrast = QUANTITIES.index("contrast")
        seen = value[:, contrast] > SIGNIFICANT * error[:, contrast]
        flags[block] = torch.where(sound, torch.where(seen, int(Status.good), int(Status.weak)), int(Status.not_converged)).to(flags.dtype)
        kept = sound & seen
        values[block[kept]], std[block[kept]], chi2[block[kept]] = value[kept], error[kept], found.chi2_reduced[kept]
    return Fringes(values, std, chi2, flags)


def starts(frames: Float[Tensor, "shot row column"], on: Raster, pedestal: float, count: int = STARTS) -> Float[Tensor, "shot start 8"]:
    """Parameters to start from: envelope by moments, wave vectors at the highest peaks of the spectrum of what the envelope leaves.

    Peaks nearer to zero than two inverse widths of the cloud belong to the envelope and are not taken.
    """
    light = frames - pedestal
    centre_y, centre_x, size = _moments(light, on)
    y, x = on.rows.mean(-1)[None, :, None], on.columns.mean(-1)[None, None, :]
    envelope = torch.exp(-((y - centre_y[:, None, None]) ** 2 + (x - centre_x[:, None, None]) ** 2) / (2 * size[:, None, None] ** 2))
    amplitude = ((light * envelope).sum((1, 2)) / envelope.square().sum((1, 2))).clamp(min=1e-6)
    weight = envelope / (envelope + pedestal / amplitude[:, None, None])  # inverse variance times signal, up to a factor
    residual = weight * (light - amplitude[:, None, None] * envelope)
    padded = (2 * frames.shape[1], 2 * frames.shape[2])
    spectrum = torch.fft.fft2(residual, s=padded)
    wave_y = 2 * torch.pi * torch.fft.fftfreq(padded[0], on.pitch, dtype=torch.float64, device=frames.device)
    wave_x = 2 * torch.pi * torch.fft.fftfreq(padded[1], on.pitch, dtype=torch.float64, device=frames.device)
    spectrum = spectrum * torch.exp(-1j * (wave_y[:, None] * on.rows.mean(-1)[0] + wave_x * on.columns.mean(-1)[0]))
    power = spectrum.abs()
    around = torch.nn.functional.max_pool2d(torch.nn.functional.pad(power[:, None], (1, 1, 1, 1), mode="circular"), 3, 1)[:, 0]
    allowed = (torch.hypot(wave_y[:, None], wave_x)[None] * size[:, None, None] > 2) & (wave_y >= 0)[:, None]
    score = torch.where((power >= around) & allowed, power, -1.0).flatten(1)
    place = score.topk(count, dim=1).indices
    ky, kx = wave_y[place // padded[1]], wave_x[place % padded[1]]
    z = 2 * spectrum.flatten(1).gather(1, place) / (amplitude * (weight * envelope).sum((1, 2)))[:, None]
    z = z * (0.9 / z.abs().clamp(min=0.9))  # a contrast above 1 would make the mean negative
    same = [amplitude.log(), centre_y, centre_x, size.log()]
    assert PARAMETERS[4:] == ("cosine", "sine", "wave_y", "wave_x")
    return torch.stack([*(v[:, None].expand_as(ky) for v in same), z.real, z.imag, ky, kx], -1)


def _best(frames: Tensor, on: Raster, pedestal: float) -> Scored:
    """The best fit of each picture among its starts."""
    counts = frames.flatten(1)
    begin = starts(frames, on, pedestal)
    shots, count = begin.shape[:2]

    def model(parameters: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
        return picture_and_slopes(parameters, on, pedestal)

    tried = fit_poisson(model, counts.repeat_interleave(count, 0), begin.flatten(0, 1), steps=4)
    order = tried.loss.reshape(shots, count).argsort(1)[:, :FINALISTS]
    ahead = tried.parameters.reshape(shots, count, -1).gather(1, order[..., None].expand(-1, -1, begin.shape[-1]))
    final = fit_poisson(model, counts.repeat_interleave(FINALISTS, 0), ahead.flatten(0, 1))
    losses = torch.where(final.converged, final.loss, torch.inf).reshape(shots, FINALISTS)
    best = torch.arange(shots, device=frames.device) * FINALISTS + losses.argmin(1)
    return Scored(final.parameters[best], final.covariance[best], final.loss[best], final.chi2_reduced[best], final.converged[best])


def _moments(light: Tensor, on: Raster) -> tuple[Tensor, Tensor, Tensor]:
    """Centre and isotropic size by moments inside a window that follows the cloud, each (shot,)."""
    y, x = on.rows.mean(-1)[None, :, None], on.columns.mean(-1)[None, None, :]
    extent = max(float(y.abs().max()), float(x.abs().max()), on.pitch)
    centre_y, centre_x = torch.zeros_like(light[:, 0, 0]), torch.zeros_like(light[:, 0, 0])
    size = torch.full_like(centre_y, extent)
    for _ in range(12):
        inside = (y - centre_y[:, None, None]) ** 2 + (x - centre_x[:, None, None]) ** 2 < (3 * size[:, None, None]) ** 2
        part = light * inside
        total = part.sum((1, 2)).clamp(min=1)
        centre_y = ((part * y).sum((1, 2)) / total).clamp(-extent, extent)
        centre_x = ((part * x).sum((1, 2)) / total).clamp(-extent, extent)
        spread = (part * ((y - centre_y[:, None, None]) ** 2 + (x - centre_x[:, None, None]) ** 2)).sum((1, 2)) / (2 * total)
        size = spread.clamp(min=on.pitch**2).sqrt().clamp(max=extent)
    return centre_y, centre_x, size
