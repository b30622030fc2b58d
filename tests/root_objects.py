"""Objects of ROOT that uproot does not write by itself, with their streamers: RooInt, RooDouble and TVectorT<double>."""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import uproot
from uproot.serialization import numbytes_version, string
from uproot.writing._cascade import RawStreamerInfo

TOBJECT = struct.pack(">hII", 1, 0, 0x03000000)
BASE_OBJECT, BASE_NAMED, INT, COUNTER, DOUBLE = 66, 67, 3, 6, 8
POINTER = 40


def _wrapped(data: bytes, version: int) -> bytes:
    return numbytes_version(len(data), version) + data


def _named(name: str, title: str = "") -> bytes:
    return _wrapped(TOBJECT + string(name) + string(title), 1)


def _any(kind: str, data: bytes) -> bytes:
    """An object behind a pointer, its class new."""
    body = b"\xff\xff\xff\xff" + kind.encode() + b"\x00" + data
    return struct.pack(">I", len(body) | 0x40000000) + body


def _element(kind: str, name: str, title: str, code: int, size: int, typename: str, version: int, extra: bytes = b"") -> bytes:
    inner = _named(name, title) + struct.pack(">iiii5i", code, size, 0, 0, 0, 0, 0, 0, 0) + string(typename)
    return _any(kind, _wrapped(_wrapped(inner, 4) + extra, version))


def _info(kind: str, version: int, elements: list[bytes]) -> bytes:
    array = TOBJECT + string("") + struct.pack(">ii", len(elements), 0) + b"".join(elements)
    inner = _named(kind) + struct.pack(">Ii", 0x1234, version) + _any("TObjArray", _wrapped(array, 3))
    return _any("TStreamerInfo", _wrapped(inner, 9)) + b"\x00"


def _base(name: str, code: int) -> bytes:
    return _element("TStreamerBase", name, "", code, 0, "BASE", 3, struct.pack(">i", 1))


def _number(name: str, code: int, size: int, typename: str) -> bytes:
    return _element("TStreamerBasicType", name, "", code, size, typename, 2)


STREAMERS = {
    "RooInt": _info("RooInt", 1, [_base("TNamed", BASE_NAMED), _number("_value", INT, 4, "int")]),
    "RooDouble": _info("RooDouble", 1, [_base("TNamed", BASE_NAMED), _number("_value", DOUBLE, 8, "double")]),
    "TVectorT<double>": _info(
        "TVectorT<double>",
        4,
        [
            _base("TObject", BASE_OBJECT),
            _number("fNrows", COUNTER, 4, "int"),
            _number("fRowLwb", INT, 4, "int"),
            _element(
                "TStreamerBasicPointer",
                "fElements",
                "[fNrows]",
                POINTER + DOUBLE,
                8,
                "double*",
                2,
                struct.pack(">i", 4) + string("fNrows") + string("TVectorT<double>"),
            ),
        ],
    ),
}
VERSIONS = {"RooInt": 1, "RooDouble": 1, "TVectorT<double>": 4}


def _bytes(kind: str, name: str, value: Any) -> bytes:
    if kind == "RooInt":
        data = _named(name) + struct.pack(">i", value)
    elif kind == "RooDouble":
        data = _named(name) + struct.pack(">d", value)
    else:
        data = TOBJECT + struct.pack(">ii", len(value), 0) + b"\x01" + np.asarray(value, ">f8").tobytes()
    return _wrapped(data, VERSIONS[kind])


def write_objects(directory: Any, objects: Mapping[str, Any]) -> None:
    """int: RooInt; float: RooDouble; a list: TVectorT<double>."""
    for name, value in objects.items():
        kind = "TVectorT<double>" if isinstance(value, list) else "RooDouble" if isinstance(value, float) else "RooInt"
        data = _bytes(kind, name, value)
        file = directory.file
        packed = uproot.compression.compress(data, file.compression)
        directory._cascading.add_object(file.sink, kind, name, "", packed, len(data))
        file._cascading.streamers.update_streamers(file.sink, [RawStreamerInfo(None, STREAMERS[kind], kind, VERSIONS[kind])])
