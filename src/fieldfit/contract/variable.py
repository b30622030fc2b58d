"""A variable of a product: its dimensions, units, meaning and flags."""

from dataclasses import dataclass
from enum import IntEnum


class Sign(IntEnum):
    """A yes-or-no variable."""

    no = 0
    yes = 1


@dataclass(frozen=True)
class Variable:
    """One variable of a product. `flags` replaces `units` for quality variables; `text` marks strings."""

    dims: str
    units: str
    meaning: str
    required: bool = True
    flags: type[IntEnum] | None = None
    text: bool = False


def number(dims: str, units: str, meaning: str) -> Variable:
    return Variable(dims, units, meaning)


def maybe(dims: str, units: str, meaning: str) -> Variable:
    return Variable(dims, units, meaning, required=False)


def flag(dims: str, flags: type[IntEnum], meaning: str) -> Variable:
    return Variable(dims, "", meaning, flags=flags)


def text(dims: str, meaning: str) -> Variable:
    return Variable(dims, "", meaning, text=True)


def maybe_text(dims: str, meaning: str) -> Variable:
    return Variable(dims, "", meaning, required=False, text=True)
