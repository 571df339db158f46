"""Registry hives as bytes: the base block, and a check of the whole structure (REGF, versions 1.3 to 1.6).

Nothing is read for its meaning here. A hive that passes `check` can be given to readers that trust their
input: every cell they can reach lies inside a bin, is in use, is reached once, and leads nowhere else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from imgpatch.errors import FormatError

SIGNATURE = b"regf"
HEADER = 4096
"""Bytes before the first bin; every offset in a hive counts from here."""

SECTOR = 512
BASE_BLOCK = 512
"""The bytes of the base block that the checksum covers, itself included, and that a log begins with."""

BIN = 4096
BIN_HEADER = 32
NONE = 0xFFFFFFFF

MAX_SIZE = 512 << 20
"""Bytes of a hive; Windows allows 2 GiB, the largest real ones have a quarter of this."""

MAX_DEPTH = 512
"""Windows has the same limit of keys below each other."""

SEGMENT = 16_344
"""A value longer than this is kept in segments from version 1.4 on."""

_LISTS = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}
"""Kinds of lists of subkeys and the bytes of an element; `ri` lists lists."""

_NO_UPPER = "\xb5\u0131\u017f"
"""Letters to which Unicode gives an upper case of another alphabet, and Windows none."""

_COMPRESSED_NAME = 0x20
_SEQUENCES_AT = 4
_CHECKSUM_AT = 508


@dataclass(frozen=True, slots=True)
class BaseBlock:
    """The first sector of a hive or of its log.

    Attributes:
        primary, secondary: sequence numbers; they differ while a write is under way.
        written: when, in 100 ns since 1601.
        kind: 0 a hive, 1 or 2 a log of the old format, 6 one of the new.
        root: offset of the root key's cell.
        size: bytes of all bins.
        intact: whether the checksum is right.
    """

    primary: int
    secondary: int
    written: int
    major: int
    minor: int
    kind: int
    root: int
    size: int
    intact: bool

    @property
    def dirty(self) -> bool:
        """Whether what the logs hold may not be in the hive yet."""
        return not self.intact or self.primary != self.secondary


def base_block(data: bytes) -> BaseBlock | None:
    """None: this is neither a hive nor a log."""
    if len(data) < BASE_BLOCK or data[:4] != SIGNATURE:
        return None
    primary, secondary, written, major, minor, kind, _format, root, size = struct.unpack_from(
        "<IIQIIIIII", data, _SEQUENCES_AT
    )
    stored = int.from_bytes(data[_CHECKSUM_AT:BASE_BLOCK], "little")
    return BaseBlock(primary, secondary, written, major, minor, kind, root, size, stored == checksum(data))


def checksum(data: bytes) -> int:
    """The XOR of the first 127 words, which is never 0 nor all ones."""
    total = 0
    for word in struct.unpack_from(f"<{_CHECKSUM_AT // 4}I", data):
        total ^= word
    return {0: 1, NONE: NONE - 1}.get(total, total)


def with_base(data: bytes, *, sequence: int, size: int | None = None, kind: int = 0) -> bytes:
    """The data with both sequence numbers set, perhaps another size of all bins, and a new checksum."""
    block = bytearray(data[:BASE_BLOCK])
    struct.pack_into("<II", block, _SEQUENCES_AT, sequence, sequence)
    struct.pack_into("<I", block, 28, kind)
    if size is not None:
        struct.pack_into("<I", block, 40, size)
    struct.pack_into("<I", block, _CHECKSUM_AT, checksum(bytes(block)))
    return bytes(block) + data[BASE_BLOCK:]


def has_segments(data: bytes) -> bool:
    """Whether long values are kept in segments."""
    return int.from_bytes(data[24:28], "little") >= 4


def check(data: bytes) -> None:
    """Goes over every bin, every cell and every key.

    Raises:
        FormatError: says what is wrong and at which offset of the file.
    """
    block = base_block(data)
    if block is None:
        raise FormatError("not a registry hive: it does not begin with `regf`")
    if not block.intact:
        raise FormatError("the checksum of its base block is wrong")
    if block.major != 1 or block.minor not in (2, 3, 4, 5, 6):
        raise FormatError(f"version {block.major}.{block.minor} of the hive format is not known")
    if len(data) > MAX_SIZE:
        raise FormatError(f"a hive of {len(data)} bytes is larger than the {MAX_SIZE} that are read")
    _Walk(data, _cells(data, block)).keys(block.root)


def _cells(data: bytes, block: BaseBlock) -> dict[int, int]:
    """Every cell in use, offset -> bytes of contents."""
    end = HEADER + block.size
    if end > len(data) or block.size % BIN or not block.size:
        raise FormatError(f"its bins should have {block.size} bytes; the file has {len(data) - HEADER}")
    used: dict[int, int] = {}
    place = HEADER
    while place < end:
        signature, offset, size = struct.unpack_from("<4sII", data, place)
        if signature != b"hbin" or offset != place - HEADER or size % BIN or not 0 < size <= end - place:
            raise FormatError(f"no bin begins at {place:#x}, where one should")
        cell = place + BIN_HEADER
        while cell < place + size:
            (length,) = struct.unpack_from("<i", data, cell)
            whole = abs(length)
            if whole < 8 or whole % 8 or cell + whole > place + size:
                raise FormatError(f"the cell at {cell:#x} has an impossible size of {length}")
            if length < 0:
                used[cell - HEADER] = whole - 4
            cell += whole
        place += size
    return used


class _Walk:
    """Reaches every cell that a reader would, each once but the security descriptors, which keys share."""

    def __init__(self, data: bytes, cells: dict[int, int]) -> None:
        self._data = data
        self._cells = cells
        self._segments = has_segments(data)
        self._reached: set[int] = set()
        self._descriptors: set[int] = set()

    def keys(self, root: int) -> None:
        """All keys; without recursion, since a hostile hive may be deep."""
        todo: list[tuple[int, int | None, int]] = [(root, None, 0)]
        while todo:
            offset, parent, depth = todo.pop()
            if depth > MAX_DEPTH:
                raise _wrong(offset, f"keys lie more than {MAX_DEPTH} deep")
            todo.extend((child, offset, depth + 1) for child in self._key(offset, parent))

    def _key(self, offset: int, parent: int | None) -> list[int]:
        """The offsets of its subkeys."""
        cell = self._cell(offset, 76, b"nk")
        above, count, _volatile, subkeys, _volatiles, values, listed, security, klass = struct.unpack_from(
            "<9I", cell, 16
        )
        _name, class_length = struct.unpack_from("<HH", cell, 72)
        _checked_name(cell, offset)
        if parent is not None and above != parent:
            raise _wrong(offset, "the key names another parent than the one it stands under")
        if class_length and klass != NONE:
            self._cell(klass, class_length)
        if security != NONE:
            self._descriptor(security)
        if values:
            self._values(listed, values)
        if not count:
            return []
        found = list(self._subkeys(subkeys))
        if len(found) != count:
            raise _wrong(offset, f"the key should have {count} subkeys and has {len(found)}")
        self._sorted(found)
        return found

    def _subkeys(self, offset: int, *, nested: bool = False) -> Iterator[int]:
        cell = self._cell(offset, 4)
        kind, count = cell[:2], int.from_bytes(cell[2:4], "little")
        width = _LISTS.get(kind)
        if width is None or (nested and kind == b"ri"):
            raise _wrong(offset, "a list of subkeys was wanted here")
        if 4 + count * width > len(cell):
            raise _wrong(offset, f"a list of {count} subkeys is longer than its cell")
        for place in range(4, 4 + count * width, width):
            (child,) = struct.unpack_from("<I", cell, place)
            if kind == b"ri":
                yield from self._subkeys(child, nested=True)
            else:
                yield child

    def _sorted(self, keys: list[int]) -> None:
        """Windows finds a subkey by halving: one out of order is lost to it."""
        names = [_upper(_checked_name(self._peek(offset, 76), offset)) for offset in keys]
        for before, after, offset in zip(names, names[1:], keys[1:], strict=False):
            if before >= after:
                raise _wrong(offset, f"the subkey {after!r} is not in order")

    def _values(self, listed: int, count: int) -> None:
        cell = self._cell(listed, 4 * count)
        for offset in struct.unpack_from(f"<{count}I", cell):
            self._value(offset)

    def _value(self, offset: int) -> None:
        cell = self._cell(offset, 20, b"vk")
        name_length, size, place = struct.unpack_from("<HII", cell, 2)
        if 20 + name_length > len(cell):
            raise _wrong(offset, "the value's name is longer than its cell")
        if size & 0x80000000:  # at most four bytes, kept in the offset itself
            if (size & 0x7FFFFFFF) > 4:
                raise _wrong(offset, "the value is too long to be kept where it is said to be")
        elif size > SEGMENT and self._segments:
            self._segmented(place, size)
        elif size:
            self._cell(place, size)

    def _segmented(self, offset: int, size: int) -> None:
        cell = self._cell(offset, 8, b"db")
        count, listed = struct.unpack_from("<HI", cell, 2)
        if count < 2 or count * SEGMENT < size:
            raise _wrong(offset, f"{count} segments cannot hold a value of {size} bytes")
        for index, place in enumerate(struct.unpack_from(f"<{count}I", self._cell(listed, 4 * count))):
            self._cell(place, min(SEGMENT, max(0, size - index * SEGMENT)))

    def _descriptor(self, offset: int) -> None:
        if offset in self._descriptors:
            return
        self._descriptors.add(offset)
        cell = self._cell(offset, 20, b"sk")
        (size,) = struct.unpack_from("<I", cell, 16)
        if 20 + size > len(cell):
            raise _wrong(offset, "the security descriptor is longer than its cell")

    def _cell(self, offset: int, least: int, signature: bytes = b"") -> bytes:
        if offset in self._reached:
            raise _wrong(offset, "two places lead to the same cell")
        self._reached.add(offset)
        cell = self._peek(offset, least)
        if not cell.startswith(signature):
            raise _wrong(offset, f"a cell that begins with {signature!r} was wanted here")
        return cell

    def _peek(self, offset: int, least: int) -> bytes:
        size = self._cells.get(offset)
        if size is None or size < least:
            raise _wrong(offset, f"no cell of {least} bytes in use begins here, and one is referred to")
        start = HEADER + offset + 4
        return self._data[start : start + size]


def key_name(cell: bytes) -> str:
    """The name in a key's cell; a hive that was checked has a whole one."""
    (length,) = struct.unpack_from("<H", cell, 72)
    raw = cell[76 : 76 + length]
    if int.from_bytes(cell[2:4], "little") & _COMPRESSED_NAME:
        return raw.decode("latin-1")
    return raw[: length & ~1].decode("utf-16-le", "surrogatepass")


def subkey_offsets(data: bytes, offset: int) -> Iterator[int]:
    """The keys in a list of subkeys, and in the lists it names, of a hive that was checked."""
    start = HEADER + offset + 4
    kind, count = struct.unpack_from("<2sH", data, start)
    width = _LISTS[kind]
    for place in range(start + 4, start + 4 + count * width, width):
        (child,) = struct.unpack_from("<I", data, place)
        if kind == b"ri":
            yield from subkey_offsets(data, child)
        else:
            yield child


def _checked_name(cell: bytes, offset: int) -> str:
    (length,) = struct.unpack_from("<H", cell, 72)
    if 76 + length > len(cell):
        raise _wrong(offset, "the key's name is longer than its cell")
    if length % 2 and not int.from_bytes(cell[2:4], "little") & _COMPRESSED_NAME:
        raise _wrong(offset, "the key's name ends within a character")
    return key_name(cell)


def _upper(name: str) -> str:
    """As Windows compares names: each character by itself (`ß` has no upper case there).

    Nor have those that are of no alphabet of their own there: the dotless i of Turkish is no I.
    """
    if name.isascii():
        return name.upper()
    return "".join(
        upper if char not in _NO_UPPER and len(upper := char.upper()) == 1 else char for char in name
    )


def _wrong(offset: int, what: str) -> FormatError:
    return FormatError(f"at {HEADER + offset:#x}: {what}")
