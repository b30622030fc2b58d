"""A field: coordinates -> values, with weights that can be written to a product and read back."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class Field(nn.Module, ABC):
    """Base of all fields.

    `batch` independent fields (shots, seeds) are fitted together: every parameter then has a leading axis of that length,
    and so have the values. `batch` is None for a single field.
    """

    batch: int | None = None

    @abstractmethod
    def forward(self, points: Tensor) -> Tensor:
        """Values at `points` (n, d) [m]: (n, channel) for a single field, (batch, n) for a batch of them."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Constructor arguments as plain values: with the weights they make the field again."""


def gradient(field: Field, points: Tensor) -> Tensor:
    """(n, channel, 3) derivatives of a single field's values along the axes at `points` (n, 3), by forward mode: its cost is that of three values."""
    axes = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    return torch.stack([torch.func.jvp(field, (points,), (axis.expand_as(points),))[1] for axis in axes], -1)


def weights_of(field: Field) -> tuple[Tensor, list[tuple[str, list[int]]]]:
    """All weights and buffers as one float tensor, (weight,) or (batch, weight), with the (name, shape) of each part."""
    parts = [(name, value.detach()) for name, value in field.state_dict().items()]
    lead = [] if field.batch is None else [field.batch]
    flat = [value.to(torch.float32).reshape(*lead, -1) for _, value in parts]
    return torch.cat(flat, -1), [(name, list(value.shape)) for name, value in parts]


def set_weights(field: Field, weights: Tensor, layout: list[tuple[str, list[int]]]) -> None:
    """Put the weights of `weights_of` back. Raises ValueError when their number does not fit the layout."""
    lead = [] if field.batch is None else [field.batch]
    sizes = [int(torch.Size(shape).numel()) // (field.batch or 1) for _, shape in layout]
    if weights.shape[-1] != sum(sizes):
        raise ValueError(f"{weights.shape[-1]} weights, expected {sum(sizes)}")
    parts = torch.split(weights, sizes, -1)
    field.load_state_dict({name: part.reshape(shape) for (name, shape), part in zip(layout, parts, strict=True)})
    assert weights.shape[:-1] == torch.Size(lead)
