"""Sine networks: Sitzmann et al., Implicit neural representations with periodic activation functions, NeurIPS 2020, eq. 5 and section 3.2."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from fieldfit.fields.field import Field


class Siren(Field):
    """x -> W_n sin(w W_{n-1} ... sin(w0 W_0 x + b_0) ...) + b_n, with `x` scaled to [-1, 1] by centre and half width."""

    centre: Tensor
    half_width: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 128,
        depth: int = 3,
        omega_first: float = 12.0,
        omega: float = 6.0,
        centre: list[float] | None = None,
        half_width: list[float] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._settings = {"inputs": inputs, "outputs": outputs, "width": width, "depth": depth, "omega_first": omega_first, "omega": omega}
        self.register_buffer("centre", torch.tensor(centre or [0.0] * inputs))
        self.register_buffer("half_width", torch.tensor(half_width or [1.0] * inputs))
        self.omegas = [omega_first] + [omega] * (depth - 1)
        sizes = [inputs] + [width] * depth + [outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        for k, layer in enumerate(self.layers):
            bound = 1 / inputs if k == 0 else math.sqrt(6 / sizes[k]) / omega
            for parameter in (layer.weight, layer.bias):
                assert isinstance(parameter, Tensor)
                with torch.no_grad():
                    parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, points: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs)."""
        h = (points - self.centre) / self.half_width
        for omega, layer in zip(self.omegas, self.layers, strict=False):
            h = torch.sin(omega * layer(h))
        return self.layers[-1](h)

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)
