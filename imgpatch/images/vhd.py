"""Reading VHD (Microsoft's specification 1.0 of the format): footers, which blocks are there, guest bytes.

The size of the disk is the current size of the footer: what Hyper-V, VirtualBox, Xen and Azure take.
QEMU's driver `vpc` takes cylinders x heads x sectors instead, which is less in most files, where the
creator application is `vpc ` or `qemu` (before QEMU 10: any but `win `, `qem2`, `d2v `, `CTXS` and `tap`),
unless the geometry is the largest there is (65535 x 16 x 255) or its option `force_size_calc` says
`current_size`.

A parent locator is never followed: only one file is ever opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from imgpatch.errors import FormatError
from imgpatch.images.block_table import BlockTable, Claims, extent
from imgpatch.images.disk import SECTOR, Disk

MAGIC = b"conectix"
SPARSE_MAGIC = b"cxsparse"
SPARSE_HEADER_SIZE = 1024
OLD_FOOTER_SIZE = 511
"""Versions of Virtual PC before 2004 left out the last byte."""

_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB")
_SPARSE = struct.Struct(">8sQQIIII")
_FOOTER_SUM_AT, _SPARSE_SUM_AT = 64, 36
_VARIETIES = {2: "fixed", 3: "dynamic", 4: "differencing"}
_UNUSED = 0xFFFF_FFFF
_LARGEST = 1 << 41  # an entry of the table counts sectors in 32 bits
_BLOCK_SIZES = range(1 << 16, (1 << 31) + 1)


def checksum(data: bytes, at: int) -> int:
    """Of a footer or header whose own checksum is at this place: the inverted sum of all other bytes."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFF_FFFF


def _checksum_fault(data: bytes, at: int) -> str:
    stored, computed = int.from_bytes(data[at : at + 4], "big"), checksum(data, at)
    return "" if computed == stored else f"{stored:#010x} stored, {computed:#010x} computed"


@dataclass(frozen=True, slots=True)
class Footer:
    """What a footer, or the copy of it at the start, says.

    Attributes:
        variety: `fixed`, `dynamic` or `differencing`.
        size: bytes of the guest's disk.
        chs_size: cylinders x heads x sectors, in bytes.
        creator: the application that made it: `win `, `vbox`, `qemu`.
        header_at: first byte of the sparse header; means nothing in a fixed disk.
        checksum_fault: how the checksum is wrong; empty where it is right.
    """

    variety: str
    size: int
    chs_size: int
    creator: str
    header_at: int
    checksum_fault: str


def parse_footer(data: bytes) -> Footer:
    """Reads 512 bytes; a wrong checksum is told, not raised.

    Raises:
        FormatError: it is no footer, or one of a version or a type that is not defined.
    """
    if len(data) != SECTOR or not data.startswith(MAGIC):
        raise FormatError("no VHD footer")
    fields = _FOOTER.unpack_from(data)
    _, _, version, header_at, _, creator, _, _, _, size, cylinders, heads, sectors, kind, *_ = fields
    if version >> 16 != 1:
        raise FormatError(f"VHD version {version:#010x}, and only 0x00010000 exists")
    if kind not in _VARIETIES:
        raise FormatError(f"VHD disk type {kind}, and 2, 3 and 4 are defined")
    if size % SECTOR:
        raise FormatError(f"its disk of {size} bytes is no whole number of {SECTOR}-byte sectors")
    return Footer(
        variety=_VARIETIES[kind],
        size=size,
        chs_size=cylinders * heads * sectors * SECTOR,
        creator=creator.decode("ascii", "backslashreplace"),
        header_at=header_at,
        checksum_fault=_checksum_fault(data, _FOOTER_SUM_AT),
    )


@dataclass(frozen=True, slots=True)
class SparseHeader:
    """What the second header of a dynamic or differencing disk says.

    Attributes:
        table_at: first byte of the block table.
        entries: of the block table.
        block_size: bytes of the guest's disk in a block.
        checksum_fault: how the checksum is wrong; empty where it is right.
    """

    table_at: int
    entries: int
    block_size: int
    checksum_fault: str

    @property
    def bitmap_size(self) -> int:
        """Bytes before the data of a block: a bit for each sector, in whole sectors."""
        return -(-self.block_size // (SECTOR * 8 * SECTOR)) * SECTOR

    @property
    def stored_size(self) -> int:
        """Bytes a block takes in the file."""
        return self.bitmap_size + self.block_size


def parse_sparse_header(data: bytes, size: int) -> SparseHeader:
    """Reads the header of a dynamic disk of this size; a wrong checksum is told, not raised.

    Raises:
        FormatError: it is none, or its numbers do not fit the disk.
    """
    magic, _, table_at, version, entries, block, _ = _SPARSE.unpack_from(data)
    if magic != SPARSE_MAGIC:
        raise FormatError("no VHD sparse header where the footer says")
    if version >> 16 != 1:
        raise FormatError(f"a sparse header of version {version:#010x}, and only 0x00010000 exists")
    if block not in _BLOCK_SIZES or block & (block - 1):
        raise FormatError(f"blocks of {block} bytes, and 2^16 to 2^31 are taken, 2^19 and 2^21 in use")
    if size > _LARGEST or entries * block > _LARGEST:
        raise FormatError(f"{entries} blocks of {block} bytes for {size} bytes, and a VHD ends at 2 TiB")
    if entries * block < size:
        raise FormatError(f"a table of {entries} blocks of {block} bytes cannot map {size} bytes")
    return SparseHeader(table_at, entries, block, _checksum_fault(data, _SPARSE_SUM_AT))


class Vhd:
    """A VHD file; blocks that are not in a dynamic one read as zeros."""

    def __init__(self, file: Disk) -> None:
        """Reads the footers and the sparse header.

        The footer at the end counts, and the copy at the start where that is missing or damaged.
        QEMU reads the copy alone if there is one, so what has `footer_faults` is not for it.

        Raises:
            FormatError: there is no footer, or it or the header says what cannot be.
        """
        self._file = file
        self._tail_at, self._tail = _footer_at_end(file)
        head = file.read(0, SECTOR)
        self._copy = head if head.startswith(MAGIC) else b""
        self.footer = _footer_that_counts(self._tail, self._copy)
        self.header: SparseHeader | None = None
        self._table: BlockTable | None = None
        if self.footer.variety != "fixed":
            at = self.footer.header_at
            header = parse_sparse_header(extent(file, at, SPARSE_HEADER_SIZE, "its sparse header"), self.size)
            self.header = header
            self._table = BlockTable(file, header.table_at, header.entries, width=4, byteorder="big")

    @property
    def size(self) -> int:
        return self.footer.size

    @property
    def variety(self) -> str:
        return self.footer.variety

    @property
    def chs_size(self) -> int:
        """What QEMU takes for the size where it believes the geometry."""
        return self.footer.chs_size

    @property
    def end(self) -> int:
        """First byte of the file behind the footer at the end, or behind all else where that is missing."""
        if self._tail:
            return self._file.size
        return min(self._stored_end + (SECTOR if self._has_slack else 0), self._file.size)

    @cached_property
    def _has_slack(self) -> bool:
        """The footer stands where it belongs, and something follows it."""
        return not self._tail and self._file.read(self._stored_end, len(MAGIC)) == MAGIC

    @cached_property
    def _stored_end(self) -> int:
        """First byte behind the headers, the table and all blocks, in whole sectors."""
        if self.header is None or self._table is None:
            return self.size
        last = self._table.largest(_UNUSED)
        blocks = 0 if last is None else last * SECTOR + self.header.stored_size
        headers = self.footer.header_at + SPARSE_HEADER_SIZE
        return -(-max(blocks, headers, self._table.end) // SECTOR) * SECTOR

    def footer_faults(self) -> tuple[str, ...]:
        """Why the footers are not what a reader of both would accept (documents E-09)."""
        return (*self._faults_at_end(), *self._faults_of_copy())

    def _faults_at_end(self) -> Iterator[str]:
        if self._file.size % SECTOR:
            yield f"the file of {self._file.size} bytes is no whole number of {SECTOR}-byte sectors"
        if not self._tail:
            found = (
                f"the footer is at byte {self._stored_end}, and not" if self._has_slack else "no footer is"
            )
            yield f"{found} in the last {SECTOR} bytes of the file"
            return
        if self._file.size - self._tail_at == OLD_FOOTER_SIZE:
            yield f"the footer has {OLD_FOOTER_SIZE} bytes, as before Virtual PC 2004, and not {SECTOR}"
        fault = _checksum_fault(self._tail, _FOOTER_SUM_AT)
        if fault:
            yield f"the checksum of the footer is wrong: {fault}"

    def _faults_of_copy(self) -> Iterator[str]:
        if self.variety == "fixed":
            return
        if not self._copy:
            yield f"no copy of the footer in the first {SECTOR} bytes"
            return
        fault = _checksum_fault(self._copy, _FOOTER_SUM_AT)
        if fault:
            yield f"the checksum of the footer's copy is wrong: {fault}"
        if self._tail and self._tail != self._copy:
            at = next(i for i in range(SECTOR) if self._tail[i] != self._copy[i])
            yield f"the footer and its copy at the start differ from byte {at} on"

    def check_whole(self) -> None:
        """Follows the block table to the end of what it points to.

        Raises:
            FormatError: data, a header or a block is cut off, or overlaps something else.
        """
        limit = self._tail_at if self._tail else self._file.size
        if self.header is None or self._table is None:
            if self.size > limit:
                raise FormatError(f"a fixed disk of {self.size} bytes, and {limit} are before its footer")
            return
        if self.header.checksum_fault:
            raise FormatError(f"the checksum of the sparse header is wrong: {self.header.checksum_fault}")
        at = self.footer.header_at
        parts = [
            (at, at + SPARSE_HEADER_SIZE, "the sparse header"),
            (self._table.offset, self._table.end, "the block table"),
        ]
        if self._copy:
            parts.append((0, SECTOR, "the footer's copy"))
        if self._tail:
            parts.append((limit, self._file.size, "the footer"))
        offsets = (offset for _, offset in self._blocks())
        stored = self.header.stored_size
        limit = min(limit, _LARGEST + stored)  # a sparse file may pretend to be larger than any can be
        Claims(parts).check_blocks(offsets, unit=SECTOR, length=stored, end=limit)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Number of each block that is there and the file offset of its bitmap."""
        if self._table is not None:
            for first, page in self._table.pages(_UNUSED):
                for number, entry in enumerate(page, first):
                    if entry != _UNUSED:
                        yield number, entry * SECTOR

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Guest offset and length of each block that is there, in order; a fixed disk is one."""
        if self.header is None:
            yield from ((0, self.size),) if self.size else ()
            return
        block = self.header.block_size
        for number, _ in self._blocks():
            if number * block < self.size:
                yield number * block, min(block, self.size - number * block)

    def read(self, offset: int, length: int) -> bytes:
        """Guest bytes; fewer at the end of the disk.

        Raises:
            FormatError: they are in the parent of a differencing disk, or cut off.
        """
        if self.variety == "differencing":
            raise FormatError("a differencing disk: the rest of it is in its parent, which is never opened")
        end = min(offset + length, self.size)
        if self.header is None:
            return extent(self._file, offset, end - offset, "its data") if offset < end else b""
        block = self.header.block_size
        pieces = []
        while offset < end:
            number, inside = divmod(offset, block)
            count = min(block - inside, end - offset)
            pieces.append(self._block(number, inside, count))
            offset += count
        return b"".join(pieces)

    def _block(self, number: int, inside: int, count: int) -> bytes:
        assert self.header is not None
        assert self._table is not None
        entry = self._table[number]
        if entry == _UNUSED:
            return bytes(count)
        return extent(self._file, entry * SECTOR + self.header.bitmap_size + inside, count, f"block {number}")


def _footer_at_end(file: Disk) -> tuple[int, bytes]:
    """Where the footer at the end begins, and 512 bytes of it; no bytes where there is none."""
    tail_at = max(file.size - SECTOR, 0)
    tail = file.read(tail_at, SECTOR)
    if tail.startswith(MAGIC, 1) and not tail.startswith(MAGIC):
        return tail_at + 1, tail[1:] + b"\0"
    found = tail.startswith(MAGIC) and len(tail) == SECTOR
    return tail_at, tail if found else b""


def _footer_that_counts(tail: bytes, copy: bytes) -> Footer:
    """The sound one at the end, else the sound copy, else what there is.

    What stands at the start of a fixed disk is the guest's and may be anything.
    """
    sound = [data for data in (tail, copy) if data and not _checksum_fault(data, _FOOTER_SUM_AT)]
    data = (*sound, tail or copy)[0]
    if not data:
        raise FormatError("no VHD footer at the end and no copy of one at the start")
    footer = parse_footer(data)
    if footer.variety == "fixed" and not tail:
        raise FormatError("a fixed VHD that begins with a footer and does not end with one")
    return footer
