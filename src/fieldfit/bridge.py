"""The only crossing between Datasets and tensors: fields in and out of products, and `load_field`."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from fieldfit.fields.field import Field, gradient, set_weights, weights_of
from fieldfit.forward.visibility import in_chunks
from fieldfit.io.products import attributes_of, open_product
from fieldfit.types import InputError

VISIBILITIES = ("visibility", "calibration")

_ROOM = "fieldfit.fields."


def describe(field: Field) -> tuple[np.ndarray, str]:
    """(weights, description): the variable `field_weights` of a product and its attribute `field`, from which `field_of` makes the field again."""
    family = f"{type(field).__module__.removeprefix(_ROOM)}.{type(field).__name__}"
    weights, layout = weights_of(field)
    text = json.dumps({"family": family, "batch": field.batch, "settings": field.settings(), "layout": layout})
    return weights.cpu().numpy(), text


def field_of(dataset: xr.Dataset, path: Path, name: str = "field") -> Field:
    """The field that a product describes in the attribute `name`, with its weights in the variable `{name}_weights`.

    Raises InputError when the description is absent or unknown.
    """
    try:
        told = json.loads(dataset.attrs[name])
        field = _family(told["family"])(**told["settings"])
        layout = [(str(part), [int(size) for size in shape]) for part, shape in told["layout"]]
        weights = np.array(dataset[f"{name}_weights"].values, np.float32)
        weights = weights if field.batch is None else weights.reshape(field.batch, -1)  # a batch can have several dimensions
        set_weights(field, torch.from_numpy(weights), layout)
    except (AttributeError, ImportError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the attribute `{name}` does not describe a field of this version ({error!r})") from None
    return field.eval()


def _family(name: str) -> type[Field]:
    """The class that a product names as `module.Class`: a Field of the fields room and nothing else, imported only now, so that
    a step's code does not depend on the families of other experiments."""
    module, _, kind = name.partition(".")
    if not module.isidentifier():
        raise ImportError(f"{name!r} is not a field family")
    found = getattr(importlib.import_module(_ROOM + module), kind)
    if not (isinstance(found, type) and issubclass(found, Field)):
        raise TypeError(f"{name!r} is not a field family")
    return found


def load_field(path: str | Path) -> Callable[[Any], np.ndarray]:
    """A fitted field as a function of points (n, d) in metres, NumPy in and out.

    visibility.nc -> (n, channel); calibration.nc -> (n, channel), detected photo-electrons per photon;
    density/{block}.nc -> (shot, n) [m-3], NaN for a flagged shot; design.nc -> (seed, n), in the study's length unit;
    tomogram.nc -> (every, row, n) [m-1], lengths in pixels where the pixel was not given.
    Raises InputError when the file is none of these, or the points have other dimensions.
    """
    kind, dataset, field = _opened(Path(path), (*VISIBILITIES, "density", "design", "material", "tomogram"))
    dimensions = 2 if kind in ("design", "material", "tomogram") else 3

    def evaluate(points: Any) -> np.ndarray:
        x = _points(points, dimensions)
        with torch.no_grad():
            values: np.ndarray = (in_chunks(field, x) if kind in VISIBILITIES else field(x)).numpy()
        if "status" in dataset:
            values[dataset.status.values != 0] = np.nan
        return values if field.batch is None else values.reshape(*dataset.field_weights.shape[:-1], len(x))

    return evaluate


def load_gradient(path: str | Path) -> Callable[[Any], np.ndarray]:
    """The gradient of a visibility.nc or calibration.nc at points (n, 3) in metres: (n, channel, 3) of `load_field`'s values, per metre."""
    _, _, field = _opened(Path(path), VISIBILITIES)

    def evaluate(points: Any) -> np.ndarray:
        x = _points(points, 3)
        with torch.no_grad():
            along: np.ndarray = gradient(field, x).numpy()
        return along

    return evaluate


def load_arrival(path: str | Path) -> Callable[[Any], np.ndarray]:
    """The arrival times of a visibility.nc at points (n, 3) in metres: (timing, n, channel) [ns], in the order of its coordinate `timing_label`;
    NaN for a channel whose times the library does not have.

    Raises InputError when the file holds none: the key `times: true` fits them.
    """
    path = Path(path)
    product = open_product(path, "visibility", chunks={})
    if "arrival_field_weights" not in product:
        raise InputError(f"{path}: holds no arrival times, expected a visibility that was fitted with the key times: true")
    field = field_of(product[["arrival_field_weights"]].load(), path, "arrival_field")
    product.close()

    def evaluate(points: Any) -> np.ndarray:
        with torch.no_grad():
            values: np.ndarray = in_chunks(field, _points(points, 3)).transpose(0, 1).numpy()
        return values

    return evaluate


def _opened(path: Path, kinds: tuple[str, ...]) -> tuple[str, xr.Dataset, Field]:
    kind = str(attributes_of(path, "a product with a field").get("product"))
    if kind not in kinds:
        wanted = [name for name in kinds if name != "material"]
        raise InputError(f"{path}: a product of kind {kind!r} holds no field, expected {', '.join(wanted[:-1])} or {wanted[-1]}")
    product = open_product(path, kind, chunks={})
    dataset = product[[name for name in ("field_weights", "status") if name in product]].load()  # tables may be larger than memory
    product.close()
    return kind, dataset, field_of(dataset, path)


def _points(points: Any, dimensions: int) -> torch.Tensor:
    x = np.atleast_2d(np.asarray(points, np.float32))
    if x.ndim != 2 or x.shape[1] != dimensions:
        raise InputError(f"points of shape {x.shape}, expected (n, {dimensions}) in metres")
    return torch.from_numpy(x)
