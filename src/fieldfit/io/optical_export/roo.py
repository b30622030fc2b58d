"""RooInt and RooDouble in a ROOT file that is written without ROOT: the metadata of a LArSoft photon library.

Both classes have version 1 and consist of a TNamed and one member `_value` (Int_t, Double_t): roofit/roofitcore/inc/RooInt.h of ROOT 6.28,
RooDouble.h. A file describes them by their streamer info, so that ROOT without RooFit, uproot and others can read them:

    TStreamerInfo v9: TNamed, checksum, class version, TObjArray v3 of elements
    TStreamerBase v3 (TNamed) and TStreamerBasicType v2 (_value), each a TStreamerElement v4: TNamed, type, size, array, type name

An object is its byte count with bit 30 set, its version, its members; a class is named by 0xffffffff and its name (ROOT's TBufferFile).
The checksums are TClass::GetCheckSum, see `checksum`: with them ROOT takes the description for that of its own class.
"""

import struct
from typing import Any

import uproot
from uproot.model import Model
from uproot.writing._cascade import RawStreamerInfo

TNAMED_CHECKSUM = 0xDFB74A3C
ON_HEAP, NOT_DELETED, IN_INFO = 0x01000000, 0x02000000, 0x00010000  # bits of a TObject
BASE, INT, DOUBLE = 67, 3, 8  # element types: TNamed as a base class, Int_t, Double_t
KINDS = {"RooInt": ("int", INT, ">i"), "RooDouble": ("double", DOUBLE, ">d")}


class _Value(Model):  # type: ignore[misc]  # uproot has no types
    """What RooInt and RooDouble share: a TNamed with a number, as uproot's writing wants it. No class of it is registered with uproot."""

    class_version = 1
    writable = True
    _deeply_writable = True
    class_rawstreamers: tuple[Any, ...] = ()

    def _serialize(self, out: list[bytes], header: bool, name: str | None, tobject_flags: int) -> None:
        form = KINDS[self.classname][2]
        title = self._members["fTitle"]
        out.append(_object(1, _named(name or "", title, ON_HEAP | NOT_DELETED) + struct.pack(form, self._members["_value"])))


class Model_RooInt(_Value):
    """Written as a RooInt: uproot takes a class's name from its model's."""


class Model_RooDouble(_Value):
    """Written as a RooDouble."""


def roo(value: int | float, title: str) -> Model:
    """A RooInt of an int, a RooDouble of a float, to be assigned to a name of a writable directory."""
    made: _Value = (Model_RooInt if isinstance(value, int) else Model_RooDouble).empty()
    made._members.update({"fTitle": title, "_value": value})
    made.class_rawstreamers = (RawStreamerInfo(None, streamer_info(made.classname), made.classname, 1),)
    return made


def streamer_info(kind: str) -> bytes:
    """The TStreamerInfo of `RooInt` or `RooDouble`, as an entry of a file's list of them."""
    name, number, form = KINDS[kind]
    base = _element("TNamed", "The basis for a named object (name, title)", BASE, 0, "BASE", TNAMED_CHECKSUM)
    value = _element("_value", "Payload", number, struct.calcsize(form), name, 0)
    elements = _any("TStreamerBase", 3, base + struct.pack(">i", 1)) + _any("TStreamerBasicType", 2, value)
    array = _tobject(NOT_DELETED) + uproot.serialization.string("") + struct.pack(">ii", 2, 0) + elements
    info = _named(kind, "", ON_HEAP | NOT_DELETED | IN_INFO) + struct.pack(">Ii", checksum(kind, name), 1) + _any("TObjArray", 3, array)
    return _any("TStreamerInfo", 9, info) + b"\x00"


def checksum(kind: str, value: str) -> int:
    """TClass::GetCheckSum of a class that is a TNamed with one member `_value` of the type `value`."""
    total = _hashed(kind, 0)
    total = (_hashed("TNamed", total) * 3 + TNAMED_CHECKSUM) & 0xFFFFFFFF
    return _hashed(value, _hashed("_value", total))


def _hashed(text: str, total: int) -> int:
    for letter in text.encode():
        total = (total * 3 + letter) & 0xFFFFFFFF
    return total


def _object(version: int, members: bytes) -> bytes:
    head: bytes = uproot.serialization.numbytes_version(len(members), version)
    return head + members


def _any(kind: str, version: int, members: bytes) -> bytes:
    """An object with the name of its class in front."""
    body = b"\xff\xff\xff\xff" + kind.encode() + b"\x00" + _object(version, members)
    return struct.pack(">I", len(body) | 0x40000000) + body


def _tobject(bits: int) -> bytes:
    return struct.pack(">HII", 1, 0, bits)


def _named(name: str, title: str, bits: int) -> bytes:
    return _object(1, _tobject(bits) + uproot.serialization.string(name) + uproot.serialization.string(title))


def _element(name: str, title: str, number: int, size: int, kind: str, base_checksum: int) -> bytes:
    """A TStreamerElement; the first of its five array lengths holds a base class's checksum."""
    numbers = struct.pack(">iiiiI4i", number, size, 0, 0, base_checksum, 0, 0, 0, 0)
    return _object(4, _named(name, title, ON_HEAP | NOT_DELETED) + numbers + uproot.serialization.string(kind))
