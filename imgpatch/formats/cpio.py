"""cpio archives in the two forms the kernel unpacks: `newc` (070701) and `crc` (070702).

Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c. An entry is a place in the
unpacked bytes, not a copy of them: whoever edits an archive copies what lies between the entries that
change, so that nothing else can change.
"""

from __future__ import annotations

import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from imgpatch.errors import FormatError

TRAILER = "TRAILER!!!"
HEADER_SIZE = 110
MAX_NAME = 4096
"""PATH_MAX: the kernel passes over what has a longer name."""

_MAGICS = (b"070701", b"070702")
_NULS = re.compile(rb"\0*")
_FIELDS = (
    "ino",
    "mode",
    "uid",
    "gid",
    "nlink",
    "mtime",
    "filesize",
    "devmajor",
    "devminor",
    "rdevmajor",
    "rdevminor",
    "namesize",
    "check",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an honest initramfs never reaches.

    Attributes:
        unpacked: bytes of all segments together, unpacked.
        entries: in all archives together.
        kept: bytes of all contents that are kept.
    """

    unpacked: int = 2 << 30
    entries: int = 500_000
    kept: int = 64 << 20


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive.

    Attributes:
        name: as written, without the closing NUL.
        mode: type and permission bits.
        start: where its header begins in the unpacked bytes.
        end: where the next one begins.
        crc: CRC-32 of the contents, to see whether they changed.
        device: numbers of the device the inode is on; names with the same two are links of one file.
        data: the contents where the reader asked for them, and always a link's target.
    """

    name: str
    mode: int
    mtime: int
    nlink: int
    ino: int
    size: int
    start: int
    end: int
    checked: bool
    crc: int
    device: tuple[int, int] = (0, 0)
    data: bytes | None = None

    @property
    def path(self) -> str:
        """The name without `./` or `/` before it and `/` after it; `.` is empty."""
        return "/".join(part for part in self.name.split("/") if part not in ("", "."))

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


class Source:
    """Bytes that arrive in pieces, taken in the lengths that are wanted.

    Attributes:
        position: how many were taken.
        kept: how many of them somebody keeps.
    """

    def __init__(self, pieces: Iterable[bytes | memoryview], limit: int) -> None:
        self.position = 0
        self.kept = 0
        self._pieces = iter(pieces)
        self._limit = limit
        self._held = memoryview(b"")

    def peek(self) -> int | None:
        """The next byte; None at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return None
            self._held = memoryview(piece)
        return self._held[0]

    def parts(self, length: int) -> Iterator[memoryview]:
        """The next `length` bytes in parts, without a copy.

        Raises:
            FormatError: there are fewer, or the limit is passed.
        """
        if self.position + length > self._limit:
            raise FormatError(f"the archive unpacks to more than {self._limit} bytes")
        left = length
        while left:
            if self.peek() is None:
                raise FormatError(
                    f"the archive is cut off: {left} of {length} bytes are missing at {self.position}"
                )
            part = self._held[:left]
            self._held = self._held[left:]
            self.position += len(part)
            left -= len(part)
            yield part

    def take(self, length: int) -> bytes:
        return b"".join(self.parts(length))

    def skip_nuls(self) -> None:
        """Padding between archives.

        Raises:
            FormatError: the limit is passed.
        """
        while self.peek() == 0:
            padding = _NULS.match(self._held)
            length = 0 if padding is None else padding.end()
            self._held = self._held[length:]
            self.position += length
            if self.position > self._limit:
                raise FormatError(f"the archive unpacks to more than {self._limit} bytes")


def read_archive(
    source: Source, wanted: Callable[[str, int], bool] = lambda _name, _size: False, limits: Limits = LIMITS
) -> Iterator[Entry]:
    """Reads one archive from where the source stands; its trailer is the last entry.

    `wanted` says by name and size whose contents to keep.

    Raises:
        FormatError: it is no such archive, it is damaged, cut off, or outside the limits.
    """
    for _ in range(limits.entries):
        entry = _read_entry(source, wanted, limits)
        yield entry
        if entry.name == TRAILER:
            return
    raise FormatError(f"the archive has more than {limits.entries} entries")


def _read_entry(source: Source, wanted: Callable[[str, int], bool], limits: Limits) -> Entry:
    start = source.position
    magic, fields = _read_header(source)
    namesize = fields["namesize"]
    if not 0 < namesize <= MAX_NAME:
        raise FormatError(f"the archive is damaged: a name of {namesize} bytes at {start}")
    name = source.take(namesize).partition(b"\0")[0].decode("utf-8", "surrogateescape")
    _align(source)
    size = fields["filesize"]
    link = stat.S_ISLNK(fields["mode"])
    if link and size > MAX_NAME:
        raise FormatError(f"the archive is damaged: {name} links to a name of {size} bytes")
    keep = link or wanted(name, size)
    source.kept += size if keep else 0
    if source.kept > limits.kept:
        raise FormatError(f"the archive has more than {limits.kept} bytes of links and module indexes")
    crc = 0
    kept = []
    for part in source.parts(size):
        crc = zlib.crc32(part, crc)
        if keep:
            kept.append(bytes(part))
    if name != TRAILER:
        _align(source)
    return Entry(
        name=name,
        mode=fields["mode"],
        mtime=fields["mtime"],
        nlink=fields["nlink"],
        ino=fields["ino"],
        size=size,
        start=start,
        end=source.position,
        checked=magic == _MAGICS[1],
        crc=crc,
        device=(fields["devmajor"], fields["devminor"]),
        data=b"".join(kept) if keep else None,
    )


def _read_header(source: Source) -> tuple[bytes, dict[str, int]]:
    start = source.position
    header = source.take(HEADER_SIZE)
    if header[:6] not in _MAGICS:
        raise FormatError(f"there is no newc cpio header at {start}: found {header[:6]!r}")
    digits = header[6:]
    if not digits.isalnum():
        raise FormatError(f"the cpio header at {start} is damaged")
    try:
        numbers = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    except ValueError as error:
        raise FormatError(f"the cpio header at {start} is damaged: {error}") from error
    return header[:6], dict(zip(_FIELDS, numbers, strict=True))


def _align(source: Source) -> None:
    """Headers and contents begin at multiples of four; the last padding may be missing."""
    for _ in range(-source.position % 4):
        if source.peek() is None:
            return
        source.take(1)


def make_entry(
    name: str, data: bytes, *, mode: int, mtime: int, ino: int, nlink: int = 1, checked: bool = False
) -> bytes:
    """An entry of root's with its padding, to stand at a multiple of four."""
    encoded = name.encode("utf-8", "surrogateescape") + b"\0"
    values = {
        "ino": ino,
        "mode": mode,
        "nlink": nlink,
        "mtime": mtime,
        "filesize": len(data),
        "namesize": len(encoded),
        "check": sum(data) & 0xFFFFFFFF if checked else 0,
    }
    header = _MAGICS[checked] + b"".join(b"%08X" % values.get(field, 0) for field in _FIELDS)
    return _padded(header + encoded) + _padded(data)


def with_contents(raw: bytes, data: bytes) -> bytes:
    """An entry, given with its padding, with other contents; who it is and whose links it has stay."""
    head = _head_size(raw)
    check = b"%08X" % (sum(data) & 0xFFFFFFFF) if raw.startswith(_MAGICS[1]) else raw[102:110]
    return raw[:54] + b"%08X" % len(data) + raw[62:102] + check + raw[110:head] + _padded(data)


def contents(raw: bytes) -> bytes:
    """The contents of an entry."""
    head = _head_size(raw)
    return raw[head : head + int(raw[54:62], 16)]


def _head_size(raw: bytes) -> int:
    """How long the header and the name of an entry are, with their padding."""
    length = HEADER_SIZE + int(raw[94:102], 16)
    return length + -length % 4


def trailer(*, checked: bool = False) -> bytes:
    """The entry that ends an archive."""
    return make_entry(TRAILER, b"", mode=0, mtime=0, ino=0, checked=checked)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
