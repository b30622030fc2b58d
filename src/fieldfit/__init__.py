"""fieldfit: neural fields fitted to experiment data through differentiable physics."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`load_field` is imported when it is asked for: torch takes seconds."""
    if name == "load_field":
        from fieldfit.bridge import load_field

        return load_field
    raise AttributeError(f"module 'fieldfit' has no attribute {name!r}")
