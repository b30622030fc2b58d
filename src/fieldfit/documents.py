"""JSON and YAML documents that a user writes: plain values, every key once, of a size that fits memory.

No tag makes an object. A key that is there twice is told, where a parser would take the last one. Aliases of YAML count as what they stand for,
so that a few lines cannot stand for gigabytes.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from fieldfit.types import InputError

LARGEST = 1 << 23  # bytes
MOST_VALUES = 1_000_000  # keys and values, aliases counted each time
MERGE = "tag:yaml.org,2002:merge"


def read_document(path: Path, expected: str) -> Any:
    """Content of a JSON file (by its suffix) or a YAML file. expected: what it should be, in words.

    Raises InputError when it is absent, no such document, too large or too deep, or has a key twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected {expected}")
    kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise InputError(f"{path}: {size} bytes, expected {expected} of {LARGEST} bytes at most")
        text = path.read_bytes().decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_once) if kind == "JSON" else _yaml(text)
    except RecursionError:
        raise InputError(f"{path}: nested too deeply, expected {expected}") from None
    except _Fault as fault:
        raise InputError(f"{path}: {fault}, expected {expected}") from None
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, yaml.YAMLError) as error:  # YAML's constructors raise many kinds
        if isinstance(error, InputError):
            raise
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not {kind} ({told}), expected {expected}") from None


def is_number(value: Any) -> bool:
    """Whether a value of a document is a finite number that fits a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


class _Fault(Exception):
    """What is wrong with a document that a parser would take."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Fault(f"key '{twice}' is there {keys.count(twice)} times in one mapping")
    return found


def _yaml(text: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_VALUES:
            raise _Fault(f"its aliases stand for more than {MOST_VALUES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many keys and values a node stands for. known: those of nodes seen before, 0 while one is being counted."""
    if id(node) in known:
        if not known[id(node)]:
            raise _Fault(f"line {node.start_mark.line + 1}: an alias stands for what it is part of")
        return known[id(node)]
    known[id(node)] = 0
    count = 1
    if isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                line = key.start_mark.line + 1
                if (key.tag, key.value) in first:
                    raise _Fault(f"key '{key.value}' is there twice in one mapping, in lines {first[key.tag, key.value]} and {line}")
                first[key.tag, key.value] = line
            count += _values(key, known) + _values(value, known)
    elif isinstance(node, yaml.SequenceNode):
        count += sum(_values(value, known) for value in node.value)
    known[id(node)] = count
    return count
