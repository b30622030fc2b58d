"""A second device where there is only one: tensors that are said to live on it, and complaints where they meet others.

Torch calls every tensor of the CPU's one of device `cpu`, whatever index it was asked for. `Elsewhere` marks those that were sent to THERE or made
there, and what comes of them; an operation between them and others is refused as it would be on a GPU.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

THERE = torch.device("cpu", 0)
MOVES = {"torch.Tensor.to", "torch.Tensor.cpu"}
# What a GPU allows between devices: copies, numbers without an axis, and indices of the CPU into a tensor there.
COPIES = {"torch.Tensor.copy_", "torch.Tensor.__setitem__"}
SWAPS = {"torch.Tensor.data.__set__", "_has_compatible_shallow_copy_type"}  # how a module's parameters move
INDEXING = {"torch.Tensor.__getitem__"}
TO_NUMPY = {"torch.Tensor.numpy", "torch.Tensor.__array__"}
LSTSQ = "torch.linalg.lstsq"  # has one driver there, gels, which is not asked for by default on the CPU


class Elsewhere(TorchFunctionMode):
    """made: how many results have lived there."""

    made = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = resolve_name(func) or getattr(func, "__name__", "")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [hasattr(tensor, "lives_there") for tensor in tensors]
        if name == "torch.Tensor.device.__get__":
            return THERE if any(there) else func(*args, **kwargs)
        if any(there) and name in TO_NUMPY:
            raise TypeError(f"{name}: the tensor lives elsewhere")
        if any(there) and name == LSTSQ and kwargs.get("driver", "gels") != "gels":
            raise RuntimeError(f"{name}: a GPU has no other driver than gels")
        if name == "torch.Tensor.data.__set__":
            if there[-1]:
                args[0].lives_there = True
            elif there[0]:
                del args[0].lives_there
        going_back = torch._C._current_graph_task_id() != -1  # gradients are made where no mode sees it, on the device of what they are of
        like = name == "torch.Tensor.to" and len(tensors) == 2  # goes where the second is
        if any(there) and not going_back and not like and name not in COPIES | SWAPS and not (name in INDEXING and there[0]):
            strangers = [tuple(tensor.shape) for tensor, lives in zip(tensors, there, strict=True) if not lives and tensor.ndim]
            if strangers:
                raise RuntimeError(f"{name}: expected all tensors on one device, those of {strangers} are not")
        result = func(*args, **kwargs)
        asked = [leaf for leaf in (*args, *kwargs.values()) if isinstance(leaf, (torch.device, str))]
        if like or (name in MOVES and (asked or name == "torch.Tensor.cpu")):
            goes = there[1] if like else asked == [THERE] and asked[0].index == 0
            result = result.clone() if goes != there[0] else result
        elif name in COPIES:
            goes = there[0]
        else:
            goes = any(there) or (not tensors and any(isinstance(one, torch.device) and one.index == 0 for one in asked))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and goes:
                leaf.lives_there = True
                self.made += 1
        return result
