"""The keys and values of a registry hive, read exactly: each value's type and bytes as they stand.

Made over a hive that `regf.check` has gone through, so every reference can be followed.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from imgpatch.formats import regf


class Type(IntEnum):
    """Of values, as winnt.h has them; a hive may hold any other number too."""

    NONE = 0
    SZ = 1
    EXPAND_SZ = 2
    BINARY = 3
    DWORD = 4
    MULTI_SZ = 7
    QWORD = 11


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Attributes:
        type: a `Type`, or a number that has no name.
        data: its bytes; strings are UTF-16, little-endian, ended by a zero.
    """

    name: str
    type: int
    data: bytes

    @property
    def text(self) -> str:
        """A string, up to its end; what is no UTF-16 survives as surrogates."""
        whole = self.data[: len(self.data) & ~1].decode("utf-16-le", "surrogatepass")
        return whole.partition("\0")[0]

    @property
    def texts(self) -> tuple[str, ...]:
        """The strings of a list, up to the empty one that ends it."""
        whole = self.data[: len(self.data) & ~1].decode("utf-16-le", "surrogatepass")
        return tuple(whole.partition("\0\0")[0].strip("\0").split("\0")) if whole.strip("\0") else ()

    @property
    def number(self) -> int:
        """Little-endian, however many bytes there are."""
        return int.from_bytes(self.data[:8], "little")


class Key:
    """One key; its values and subkeys are looked for without regard to case, and keep their own."""

    def __init__(self, data: bytes, offset: int, path: str) -> None:
        self._data = data
        self._cell = _cell(data, offset)
        self.path = path
        """From the root, whose own name does not count: `ControlSet001\\Services`; the root is empty."""

    @property
    def name(self) -> str:
        return regf.key_name(self._cell)

    @property
    def has_class(self) -> bool:
        """Whether it has a class name, which a key made anew would lose."""
        return bool(struct.unpack_from("<H", self._cell, 74)[0])

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """By name in small letters; the default value has none."""
        count, listed = struct.unpack_from("<II", self._cell, 36)
        if not count:
            return {}
        offsets = struct.unpack_from(f"<{count}I", _cell(self._data, listed))
        found = (_value(self._data, offset) for offset in offsets)
        values: dict[str, Value] = {}
        for value in found:
            values.setdefault(value.name.lower(), value)  # of two alike, Windows finds the first
        return values

    @cached_property
    def subkeys(self) -> Mapping[str, Key]:
        """By name in small letters, in the hive's order."""
        count, _volatile, listed = struct.unpack_from("<III", self._cell, 20)
        found = {}
        for offset in regf.subkey_offsets(self._data, listed) if count else ():
            name = regf.key_name(_cell(self._data, offset))
            found[name.lower()] = Key(self._data, offset, f"{self.path}\\{name}".lstrip("\\"))
        return found

    def value(self, name: str) -> Value | None:
        return self.values.get(name.lower())

    def at(self, path: str) -> Key | None:
        """The key of that path below this one."""
        here: Key | None = self
        for name in filter(None, path.split("\\")):
            here = here.subkeys.get(name.lower()) if here is not None else None
        return here

    def walk(self) -> Iterator[Key]:
        """This key and all below it."""
        todo = [self]
        while todo:
            here = todo.pop()
            yield here
            todo.extend(reversed(list(here.subkeys.values())))


@functools.lru_cache(maxsize=4)
def read(data: bytes) -> Key:
    """The root key; of the last few hives it is remembered, since reading a large one takes seconds.

    Raises:
        FormatError: the hive is damaged.
    """
    regf.check(data)
    base = regf.base_block(data)
    assert base is not None  # checked just now
    return Key(data, base.root, "")


def _cell(data: bytes, offset: int) -> bytes:
    start = regf.HEADER + offset
    (length,) = struct.unpack_from("<i", data, start)
    return data[start + 4 : start - length]


def _value(data: bytes, offset: int) -> Value:
    cell = _cell(data, offset)
    name_length, size, place, kind, flags = struct.unpack_from("<HIIIH", cell, 2)
    raw = cell[20 : 20 + name_length]
    name = raw.decode("latin-1") if flags & 1 else raw[: len(raw) & ~1].decode("utf-16-le", "surrogatepass")
    if size & 0x80000000:
        return Value(name, kind, place.to_bytes(4, "little")[: size & 0x7FFFFFFF])
    if not size:
        return Value(name, kind, b"")
    body = _cell(data, place)
    if size > regf.SEGMENT and regf.has_segments(data):
        count, listed = struct.unpack_from("<HI", body, 2)
        parts = struct.unpack_from(f"<{count}I", _cell(data, listed))
        body = b"".join(_cell(data, part)[: regf.SEGMENT] for part in parts)
    return Value(name, kind, body[:size])
