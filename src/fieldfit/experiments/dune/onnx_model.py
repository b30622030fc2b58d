"""A visibility field as an ONNX model: points (n, 3) [m] of float32 -> visibility (n, channel), and its gradient (n, channel, 3) [1/m].

The model is traced from the field itself, precisions as they are: the solid angle in float64, the network in float32.

ONNX has no differentiation, so the gradient is traced too. Its columns are products of the Jacobian J(x) with the three axes. Products
with J come from reverse mode alone when it is used twice: u -> J' u is linear, and its own pullback is t -> J t. The number of passes does
not grow with the channels.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from fieldfit.fields.field import Field, gradient
from fieldfit.io.whole import whole

TOLERANCE = 1e-5  # relative to the value, or to the gradient's length
POINTS = 512  # on which a written model is compared with the field
SMALL = 1e-30  # a value that is zero in both

Sloped = Callable[[Tensor], tuple[Tensor, Tensor]]


class _Values(nn.Module):
    """The field alone: the exporter wants the argument's name to be its own."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field

    def forward(self, points: Tensor) -> Tensor:
        values: Tensor = self.field(points)
        return values


def with_gradient(field: Field) -> Sloped:
    """points -> (values (n, channel), gradient (n, channel, 3))."""

    def evaluate(points: Tensor) -> tuple[Tensor, Tensor]:
        values: Tensor = field(points)
        along = torch.func.vjp(lambda u: torch.func.vjp(field, points)[1](u)[0], torch.zeros_like(values))[1]
        axes = torch.eye(3, dtype=points.dtype)[:, None, :] * torch.ones_like(points)
        slopes = torch.func.vmap(lambda t: along(t)[0])(axes)
        return values, slopes.movedim(0, -1)

    return evaluate


def write_onnx(path: Path, field: Field, box: tuple[list[float], list[float]], told: dict[str, Any], sloped: bool) -> float:
    """Write the model to `path`, whole or not at all, after comparing it with the field at points of `box` (lower, upper [m]).

    told: goes into the model's metadata `fieldfit`. Returns the largest relative difference. Raises RuntimeError when it is above TOLERANCE.
    """
    field = field.cpu().eval().requires_grad_(False)
    lower, upper = (torch.tensor(corner) for corner in box)
    points = lower + (upper - lower) * torch.rand(POINTS, 3, generator=torch.Generator("cpu").manual_seed(0), device="cpu")
    model: nn.Module = _Values(field)
    if sloped:  # the sensors are constants of the trace, which takes real ones among its symbolic tensors only when told so
        model = make_fx(with_gradient(field), tracing_mode="symbolic", _allow_non_fake_inputs=True)(points[:7])
        model.graph.eliminate_dead_code()
        model.recompile()
    names = ["visibility", "gradient"][: 1 + sloped]
    with _quiet():
        program = torch.onnx.export(
            model.eval(), (points[:7],), input_names=["points"], output_names=names, dynamic_shapes=({0: "n"},), dynamo=True, verbose=False
        )
    assert program is not None
    program.model.metadata_props["fieldfit"] = json.dumps(told)
    with whole(path) as unfinished:
        program.save(str(unfinished))
        found = onnxruntime.InferenceSession(str(unfinished), providers=["CPUExecutionProvider"]).run(None, {"points": points.numpy()})
        off = _difference(found, field, points)
        if not off <= TOLERANCE:
            raise RuntimeError(f"{path}: the ONNX model differs from the field by {off:.2g} of its value, expected at most {TOLERANCE:g}")
    return off


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells thousands of things about its own parts."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _difference(found: list[np.ndarray], field: Field, points: Tensor) -> float:
    values = field(points).numpy()
    off = float(np.max(np.abs(found[0] - values) / (np.abs(values) + SMALL)))
    if len(found) > 1:
        slopes = gradient(field, points).numpy()
        length = np.linalg.norm(slopes, axis=-1, keepdims=True).max(0, keepdims=True)
        off = max(off, float(np.max(np.abs(found[1] - slopes) / (length + SMALL))))
    return off
