"""Programs and drivers of Windows (PE/COFF): for which processor, linked to what, and how signed."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imgpatch.errors import FormatError

MACHINES = {0x14C: "i386", 0x8664: "x86_64", 0xAA64: "aarch64", 0x200: "ia64"}

_IMPORTS, _CERTIFICATES = 1, 4
_DIRECTORIES_AT = {0x10B: 96, 0x20B: 112}
"""Where the table of directories is in the optional header, by its magic number."""

_MOST_IMPORTS = 256
_LONGEST_NAME = 260
_DIGESTS = {bytes.fromhex("06052b0e03021a"): "SHA-1", bytes.fromhex("0609608648016503040201"): "SHA-256"}


def machine(data: bytes) -> str | None:
    """For which processor; None: it is no such program, or for one that is not known."""
    place = _header(data)
    return None if place is None else MACHINES.get(int.from_bytes(data[place + 4 : place + 6], "little"))


def imports(data: bytes) -> tuple[str, ...]:
    """The libraries and drivers it is linked to, in small letters.

    Raises:
        FormatError: a table of it lies outside the file.
    """
    return tuple(dict.fromkeys(_imports(data)))


def digest(data: bytes) -> str | None:
    """Of the signature within it: `SHA-1`, `SHA-256`; None where it has none, empty where it is another.

    Raises:
        FormatError: a table of it lies outside the file.
    """
    start, size = _directory(data, _CERTIFICATES)
    if not size:
        return None
    signature = data[start : start + size]
    if len(signature) != size:
        raise FormatError("the signature lies outside the file")
    places = {name: at for oid, name in _DIGESTS.items() if (at := signature.find(oid)) >= 0}
    return min(places, key=places.__getitem__, default="")  # the first is that of the signature itself


def _header(data: bytes) -> int | None:
    place = int.from_bytes(data[0x3C:0x40], "little")
    return place if data[:2] == b"MZ" and data[place : place + 4] == b"PE\0\0" else None


def _imports(data: bytes) -> Iterator[str]:
    start, size = _directory(data, _IMPORTS)
    for index in range(_MOST_IMPORTS if size else 0):
        row = _at(data, start + 20 * index, 20)
        if not any(row):
            return
        (name,) = struct.unpack_from("<I", row, 12)
        text, end, _ = _at(data, name, _LONGEST_NAME, short=True).partition(b"\0")
        if not end:
            raise FormatError("the name of what it is linked to has no end")
        yield text.decode("latin-1").lower()
    if size:
        raise FormatError(f"it is linked to more than {_MOST_IMPORTS} others")


def _directory(data: bytes, index: int) -> tuple[int, int]:
    """Place and size; nothing where the program has no such table."""
    header = _header(data)
    if header is None:
        raise FormatError("no program of Windows")
    optional = header + 24
    table = _DIRECTORIES_AT.get(int.from_bytes(data[optional : optional + 2], "little"))
    if table is None or optional + table + 8 * (index + 1) > len(data):
        return 0, 0
    (count,) = struct.unpack_from("<I", data, optional + table - 4)
    return struct.unpack_from("<II", data, optional + table + 8 * index) if index < count else (0, 0)


def _at(data: bytes, address: int, size: int, *, short: bool = False) -> bytes:
    """What is loaded at an address; `short`: as much as its section has."""
    header = _header(data)
    assert header is not None
    count, length = struct.unpack_from("<H12xH", data, header + 6)
    for index in range(count):
        section = data[header + 24 + length + 40 * index :][:40]
        if len(section) < 40:
            break
        _virtual, start, stored, place = struct.unpack_from("<IIII", section, 8)
        if start <= address < start + stored:
            found = data[place + address - start : min(place + stored, place + address - start + size)]
            if len(found) == size or short:
                return found
    raise FormatError("a table lies outside the file")
