"""The headers of tar archives (POSIX.1-1988 ustar, GNU tar, pax): read and written one at a time.

An archive is never unpacked: its members are found by their headers alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from imgpatch.errors import FormatError

BLOCK = 512
RECORD = 20 * BLOCK  # what an archive is padded to
NAME_SIZE = 100
MAX_EXTENSION = 64 << 10
"""Bytes of a header that belongs to the next one: a long name, or pax records."""

MAX_NAME = 1024
MAX_SIZE = 1 << 62

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_CHECKSUM = slice(148, 156)
_OCTAL_SIZES = 8**11  # larger ones are written in base 256, as GNU tar and the exporters do


class Kind(StrEnum):
    """What a member is."""

    FILE = "file"
    LINK = "link"
    FOLDER = "folder"
    SPARSE = "sparse file"
    SPECIAL = "special file"


_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"1": Kind.LINK, b"2": Kind.LINK,
          b"5": Kind.FOLDER, b"S": Kind.SPARSE}  # fmt: skip
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"
_EXTENSIONS = (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an archive.

    Attributes:
        name: as it is written, less a leading `./` and the `/` behind a folder.
        offset: where its data begins in the archive.
        size: bytes of its data as they stand in the archive.
        time: when it was modified, in seconds since 1970.
    """

    name: str
    kind: Kind
    offset: int
    size: int
    time: int

    @property
    def end(self) -> int:
        """Where the next header stands."""
        return _after(self.offset, self.size)


def members(read: Callable[[int, int], bytes], size: int, limit: int) -> Iterator[Member]:
    """The members of an archive, in its order; only headers are read.

    Args:
        read: gives the bytes at an offset.
        size: of the archive.
        limit: of the number of members, and of the headers that extend them.

    Raises:
        FormatError: it is no archive, is cut short, or is beyond a limit.
    """
    at = headers = found = 0
    extended: dict[bytes, bytes] = {}
    common: dict[str, bytes] = {}
    while at < size and any(block := read(at, BLOCK)):
        headers += 1
        if found == limit or headers > 4 * limit:
            raise FormatError(f"the archive has more than {limit} members, or more than {4 * limit} headers")
        header = _header(block, at)
        if header.type in _EXTENSIONS:
            extended[header.type] = _extension(read, header, size)
            common |= _pax_records(extended.pop(_PAX_GLOBAL, b""), header.name)
            at = _after(header.offset, header.size)
            continue
        offset = header.offset if header.type != b"S" else _after_sparse_map(read, block, header.offset)
        member = _member(header, offset, extended, common)
        if offset + member.size > size:
            raise FormatError(
                f"the archive ends at {size} bytes, within its member {member.name}, "
                f"which would end at {offset + member.size}"
            )
        extended = {}
        found += 1
        at = member.end
        yield member
    if extended:
        raise FormatError(f"the archive ends at {at} bytes, where a member was wanted")


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    type: bytes
    offset: int
    size: int
    time: int


def _header(block: bytes, at: int) -> _Header:
    if len(block) < BLOCK:
        raise FormatError(f"the archive is cut short within the header at {at}")
    if not _sums_up(block):
        raise FormatError(f"no tar header is at {at}, where one was wanted: its checksum is wrong")
    name, _, _, _, size, time, _, kind, _, magic, *_, prefix = _HEADER.unpack(block)
    path = name.split(b"\0")[0]
    # GNU's old format has times where POSIX has the prefix.
    if magic == b"ustar\0" and prefix[0]:
        path = prefix.split(b"\0")[0] + b"/" + path
    return _Header(_text(path), kind, at + BLOCK, _number(size), max(_number(time, signed=True), 0))


def _sums_up(block: bytes) -> bool:
    """Old tars added up signed bytes (tar(5))."""
    rest = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    try:
        wanted = _octal(block[_CHECKSUM])
    except FormatError:
        return False
    return wanted in (sum(rest), sum(rest) - 256 * sum(byte > 127 for byte in rest))


def _octal(field: bytes) -> int:
    digits = field.split(b"\0")[0].strip(b" ")
    if not all(0x30 <= digit < 0x38 for digit in digits):
        raise FormatError(f"{field!r} in a tar header is no octal number")
    return int(digits or b"0", 8)


def _number(field: bytes, *, signed: bool = False) -> int:
    """Octal, or binary where the first bit is set (GNU tar's base 256)."""
    if field[0] not in (0x80, 0xFF):
        return _octal(field)
    value = int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        value -= 1 << 8 * (len(field) - 1)
    if not signed and not 0 <= value <= MAX_SIZE:
        raise FormatError(f"a member of {value} bytes is in the archive")
    return value


def _text(name: bytes) -> str:
    if len(name) > MAX_NAME:
        raise FormatError(f"a name of {len(name)} bytes is in the archive, and {MAX_NAME} are the most")
    return name.decode("utf-8", "surrogateescape")


def _after(offset: int, size: int) -> int:
    return offset + -(-size // BLOCK) * BLOCK


def _extension(read: Callable[[int, int], bytes], header: _Header, size: int) -> bytes:
    if header.size > MAX_EXTENSION or header.offset + header.size > size:
        raise FormatError(f"a tar header of {header.size} bytes is at {header.offset - BLOCK}")
    return read(header.offset, header.size)


def _pax_records(data: bytes, name: str) -> Mapping[str, bytes]:
    """`LENGTH KEY=VALUE` lines (pax(1)); of them the path, the size, and whether it is sparse."""
    records = {}
    at = 0
    while at < len(data) and data[at]:
        digits, blank, _ = data[at : at + 8].partition(b" ")
        length = int(digits) if blank and digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or at + length > len(data):
            raise FormatError(f"the pax header {name} has a record that is none")
        if key in (b"path", b"size"):
            records[key.decode()] = value[:-1]
        elif key.startswith(b"GNU.sparse."):
            records["sparse"] = b""
        at += length
    return records


def _after_sparse_map(read: Callable[[int, int], bytes], block: bytes, at: int) -> int:
    """A map too long for GNU tar's header of a sparse file goes on in blocks before the data."""
    more, count = block[482], 0
    while more:
        block = read(at, BLOCK)
        count += 1
        if len(block) < BLOCK or count > MAX_EXTENSION // BLOCK:
            raise FormatError("the archive has a sparse file whose map does not end")
        more = block[504]
        at += BLOCK
    return at


def _member(
    header: _Header, offset: int, extended: Mapping[bytes, bytes], common: Mapping[str, bytes]
) -> Member:
    records = {**common, **_pax_records(extended.get(_PAX, b""), header.name)}
    name, size = header.name, header.size
    kind = _KINDS.get(header.type, Kind.SPECIAL)
    if _LONG_NAME in extended:
        name = _text(extended[_LONG_NAME].split(b"\0")[0])
    if "path" in records:
        name = _text(records["path"])
    if "size" in records:
        size = _decimal(records["size"])
    if "sparse" in records:
        kind = Kind.SPARSE
    if kind is Kind.FILE and name.endswith("/"):
        kind = Kind.FOLDER  # so told by tars older than POSIX
        if size:
            raise FormatError(f"the member {name} of the archive is named as a folder and has data")
    if header.type in (b"1", b"2", b"3", b"4", b"5", b"6"):
        size = 0  # none of these has data, whatever it tells
    while name.startswith("./"):
        name = name[2:]
    return Member(name.rstrip("/"), kind, offset, size, header.time)


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 19 or int(value) > MAX_SIZE:
        raise FormatError(f"{value[:40]!r} is the size of a member in a pax header")
    return int(value)


def header(name: str, size: int, time: int) -> bytes:
    """The header of a regular file that belongs to root, with a long name before it where it needs one."""
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) <= NAME_SIZE:
        return _ustar(raw, size, time, b"0")
    long = raw + b"\0"
    extension = _ustar(b"././@LongLink", len(long), 0, _LONG_NAME)
    return extension + padded(long) + _ustar(raw[:NAME_SIZE], size, time, b"0")


def _ustar(name: bytes, size: int, time: int, kind: bytes) -> bytes:
    digits = b"%011o\0" % size if size < _OCTAL_SIZES else b"\x80" + size.to_bytes(11, "big")
    modified = b"%011o\0" % min(time, _OCTAL_SIZES - 1)
    block = _HEADER.pack(name, b"0000644\0", b"0000000\0", b"0000000\0", digits, modified,
                         b" " * 8, kind, b"", b"ustar\0", b"00", b"", b"", b"0000000\0", b"0000000\0",
                         b"")  # fmt: skip
    return block[: _CHECKSUM.start] + b"%06o\0 " % sum(block) + block[_CHECKSUM.stop :]


def padded(data: bytes) -> bytes:
    """Data filled up to whole blocks."""
    return data + bytes(-len(data) % BLOCK)
