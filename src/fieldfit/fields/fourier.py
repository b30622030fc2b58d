"""Fourier-feature networks: Tancik et al., Fourier features let networks learn high frequency functions in low dimensional domains,
NeurIPS 2020, eq. 4:  gamma(x) = [cos(2 pi B x), sin(2 pi B x)],  B ~ N(0, bandwidth^2)."""

import math
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fieldfit.fields.field import Field


class FourierMaterial(Field):
    """Share of full density on a disc: sigmoid(MLP(gamma(x / radius))) inside, 0 outside; one independent field for each of `batch` seeds."""

    def __init__(
        self,
        batch: int,
        radius: float,
        features: int = 32,
        bandwidth: float = 1.0,
        width: int = 64,
        depth: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.batch = batch
        self._settings = {"batch": batch, "radius": radius, "features": features, "bandwidth": bandwidth, "width": width, "depth": depth}
        self.frequencies: Tensor
        self.register_buffer("frequencies", bandwidth * torch.randn(batch, 2, features, generator=generator))
        sizes = [2 * features] + [width] * depth + [1]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for k, (a, b) in enumerate(pairwise(sizes)):
            scale = math.sqrt(2 / a) if k < depth else 0.1 / math.sqrt(a)  # the last layer starts small: half density everywhere
            self.weights.append(nn.Parameter(scale * torch.randn(batch, a, b, generator=generator)))
            self.biases.append(nn.Parameter(torch.zeros(batch, 1, b)))

    def logit(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "batch n"]:
        """The network before the sigmoid, at points in the disc's length unit."""
        phase = 2 * math.pi * (points / float(self._settings["radius"])) @ self.frequencies
        h = torch.cat([torch.cos(phase), torch.sin(phase)], -1)
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if k + 1 < len(self.weights):
                h = nn.functional.silu(h)
        return h[..., 0]

    def forward(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "batch n"]:
        """Material in [0, 1] at points in the disc's length unit; 0 outside the disc."""
        inside = points.square().sum(-1) < float(self._settings["radius"]) ** 2
        return torch.sigmoid(self.logit(points)) * inside

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)


def joined(fields: list[FourierMaterial]) -> FourierMaterial:
    """Fields of the same settings as one batch, in their order. Raises ValueError when their settings differ."""
    settings = [{**field.settings(), "batch": None} for field in fields]
    if any(other != settings[0] for other in settings):
        raise ValueError(f"fields of different settings cannot be one batch: {settings}")
    states = [field.state_dict() for field in fields]
    whole = FourierMaterial(**{**settings[0], "batch": sum(field.settings()["batch"] for field in fields)})
    whole.load_state_dict({name: torch.cat([state[name] for state in states]) for name in states[0]})
    return whole
