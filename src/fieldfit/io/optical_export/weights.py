"""A visibility field for an evaluator of one's own: `weights.safetensors`, and `evaluate.py` beside it, which needs NumPy alone.

A safetensors file is the length of its header (8 bytes, little-endian), the header (JSON: type, shape and place of each tensor), the tensors.
Its metadata has one key, `field`, JSON: the field's family and settings (sensors, box, sizes), the constants of its formula, what it gives.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from fieldfit.io.optical_export import evaluate
from fieldfit.io.whole import whole


def write_weights(path: Path, tensors: dict[str, NDArray[np.float32]], told: dict[str, Any]) -> None:
    """Write the tensors of a field by name, with what `evaluate.py` needs beside them, whole or not at all."""
    with whole(path) as unfinished:
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, unfinished, {"field": json.dumps(told)})


def write_evaluator(path: Path) -> None:
    """A copy of `evaluate.py`."""
    with whole(path) as unfinished:
        shutil.copyfile(evaluate.__file__, unfinished)


def named_tensors(weights: NDArray[np.floating], layout: list[tuple[str, list[int]]]) -> dict[str, NDArray[np.float32]]:
    """The tensors in a product's `field_weights`, by the (name, shape) of each in its description. Raises ValueError when they do not fit."""
    sizes = [int(np.prod(shape)) for _, shape in layout]
    if sum(sizes) != weights.size:
        raise ValueError(f"{weights.size} weights, expected {sum(sizes)}")
    parts = np.split(np.asarray(weights, np.float32), np.cumsum(sizes)[:-1])
    return {name: part.reshape(shape) for part, (name, shape) in zip(parts, layout, strict=True)}
