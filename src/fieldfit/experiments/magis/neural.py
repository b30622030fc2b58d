"""Free densities by neural networks: Poisson likelihood, Adam, each shot stopped by the photons that are never fitted.

theta = argmin  sum_p -log Poisson(counts_p | share (pedestal + A n_theta)_p),   n_theta: fields.networks on each shot's Gaussian envelope
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fieldfit.experiments.magis.iterative import Classical, joined
from fieldfit.experiments.magis.shape import Photons, fitted_loss, held_out_loss
from fieldfit.experiments.magis.volume import Volume
from fieldfit.fields.networks import Family, Network
from fieldfit.fields.positive import positive
from fieldfit.fitting.fit import Schedule, fit

RATES: dict[Family, float] = {"fourier": 1e-2, "siren": 3e-3, "hash": 3e-3}
STEPS = 25  # of Adam for each of `fit.steps`
TOGETHER = 4  # shots fitted at once: networks on all samples fill the memory


def network(
    volume: Volume, photons: Photons, envelopes: Float[Tensor, "shot 10"], family: Family, steps: int, seed: int
) -> tuple[Classical, Network]:
    """(densities at the samples of the fine lattice, the field of all shots). photons: in the fine lattice's pixels; steps: `fit.steps`."""
    shots, edge = len(envelopes), volume.fine.projector.pitch / volume.half_width
    whole = Network(shots, volume.half_width, family, edge, seed=seed)
    whole = whole.to(volume.fine.x.device)
    whole.envelope.copy_(envelopes)
    parts = []
    for at in torch.arange(shots).split(TOGETHER):
        field = Network(**{**whole.settings(), "batch": len(at)}).to(volume.fine.x.device)
        state = whole.state_dict()
        field.load_state_dict({name: value[at] for name, value in state.items()})
        some = Photons(photons.fitted[:, at], photons.held_out[:, at], photons.share, photons.good[:, at])
        parts.append(_fitted(volume, some, field, family, steps))
        for name, value in field.state_dict().items():
            state[name][at] = value
    return joined(parts), whole


def _fitted(volume: Volume, photons: Photons, field: Network, family: Family, steps: int) -> Classical:
    """Fit one batch of fields, in place."""
    projector, x = volume.fine.projector, volume.fine.x
    encoded, base = field.encoded(x), field.base(x)

    def density() -> Float[Tensor, "sample shot"]:
        return (base * positive(field.drawn(encoded))).T.contiguous()

    schedule = Schedule(steps=STEPS * steps, rate=RATES[family])
    found = fit(
        [(list(field.parameters()), 1.0)],
        lambda step: fitted_loss(projector, photons, density()),
        schedule,
        lambda: held_out_loss(projector, photons, density()),
        family,
    )
    with torch.no_grad():
        last = density()
        return Classical(last, found.kept_step.to(last.device), held_out_loss(projector, photons, last))
