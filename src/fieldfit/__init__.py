"""fieldfit: neural fields fitted to experiment data through differentiable physics."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`load_field`, `load_gradient` and `load_arrival` are imported when they are asked for: torch takes seconds."""
    if name in ("load_field", "load_gradient", "load_arrival"):
        from fieldfit import bridge

        return getattr(bridge, name)
    raise AttributeError(f"module 'fieldfit' has no attribute {name!r}")
