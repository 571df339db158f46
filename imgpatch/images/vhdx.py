"""Reading VHDX (MS-VHDX): headers, regions, metadata, which blocks are there, guest bytes.

The log is not replayed and a parent locator is never followed: only one file is ever opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from uuid import UUID

import google_crc32c

from imgpatch.errors import FormatError
from imgpatch.images.block_table import BlockTable, Claims, extent
from imgpatch.images.disk import Disk

MAGIC = b"vhdxfile"
MIB = 1 << 20

HEADERS_AT = (64 << 10, 128 << 10)
HEADER_SIZE = 4 << 10
REGION_TABLES_AT = (192 << 10, 256 << 10)
TABLE_SIZE = 64 << 10

BAT_REGION = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA_REGION = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")

FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
VIRTUAL_DISK_ID = UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
LOGICAL_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
PHYSICAL_SECTOR_SIZE = UUID("cda348c7-445d-4471-9cc9-e9885251c556")
PARENT_LOCATOR = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")

_ITEM_SIZES = {
    FILE_PARAMETERS: 8,
    VIRTUAL_DISK_SIZE: 8,
    VIRTUAL_DISK_ID: 16,
    LOGICAL_SECTOR_SIZE: 4,
    PHYSICAL_SECTOR_SIZE: 4,
}
_LEAVE_ALLOCATED, _HAS_PARENT = 1, 2
_IS_USER, _IS_REQUIRED = 1, 4

_HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
_TABLE = struct.Struct("<4sI")
_REGION = struct.Struct("<16sQII")
_ITEM = struct.Struct("<16sIII")
_MAX_ENTRIES = 2047

_LARGEST = 64 << 40
_FARTHEST = 2 * _LARGEST
"""No file is longer: what a disk, its bitmaps and its tables can take at most, and far more."""

NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED = range(4)
FULLY_PRESENT, PARTIALLY_PRESENT = 6, 7
_STATE = 7
_OFFSET = 0xFFFF_FFFF_FFF0_0000


def crc32c(data: bytes) -> int:
    """Of a header or table, whose own checksum is in bytes 4 to 7 and counts as zeros."""
    return int(google_crc32c.value(data[:4] + bytes(4) + data[8:]))


def _is_sound(data: bytes, magic: bytes) -> bool:
    return data.startswith(magic) and crc32c(data) == int.from_bytes(data[4:8], "little")


@dataclass(frozen=True, slots=True)
class Header:
    """One of the two headers.

    Attributes:
        sequence: the larger one is current.
        log_id: zeros where no log waits to be replayed.
        log_at: first byte of the log.
        log_size: bytes of it.
    """

    sequence: int
    log_id: bytes
    log_at: int
    log_size: int


def parse_header(data: bytes) -> Header | None:
    """Reads one of the headers; None where it is damaged, as the other may be while a program writes it.

    Raises:
        FormatError: it is sound, and says what cannot be.
    """
    if len(data) < HEADER_SIZE or not _is_sound(data, b"head"):
        return None
    _, _, sequence, _, _, log_id, log_version, version, log_size, log_at = _HEADER.unpack_from(data)
    if version != 1 or (log_version and any(log_id)):
        raise FormatError(f"VHDX version {version} with a log of version {log_version}; only 1 and 0 exist")
    return Header(sequence, log_id, log_at, log_size)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the file: first byte, and bytes."""

    offset: int
    length: int


def parse_regions(data: bytes) -> Mapping[UUID, Region] | None:
    """Reads a region table; None where it is damaged.

    Raises:
        FormatError: it is sound, and says what cannot be or asks for what is not known here.
    """
    if len(data) < TABLE_SIZE or not _is_sound(data, b"regi"):
        return None
    (count,) = struct.unpack_from("<I", data, 8)
    if count > _MAX_ENTRIES:
        raise FormatError(f"a region table of {count} entries, and {_MAX_ENTRIES} fit in")
    regions: dict[UUID, Region] = {}
    for index in range(count):
        raw, offset, length, required = _REGION.unpack_from(data, 16 + index * _REGION.size)
        name = UUID(bytes_le=raw)
        if name in regions:
            raise FormatError(f"region {name} is there twice")
        if required & 1 and name not in (BAT_REGION, METADATA_REGION):
            raise FormatError(f"region {name} is required and unknown")
        regions[name] = Region(offset, length)
    if not {BAT_REGION, METADATA_REGION} <= regions.keys():
        raise FormatError("no region of block table or of metadata")
    return regions


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the disk is.

    Attributes:
        size: bytes of the guest's disk.
        block_size: bytes of it in a block.
        sector_size: 512 or 4096, as the guest sees the disk.
        physical_sector_size: 512 or 4096.
        leaves_allocated: every block stays in the file: a fixed disk.
        has_parent: a differencing disk.
    """

    size: int
    block_size: int
    sector_size: int
    physical_sector_size: int
    leaves_allocated: bool
    has_parent: bool

    @property
    def chunk_ratio(self) -> int:
        """Blocks before each entry of a sector bitmap in the block table."""
        return (self.sector_size << 23) // self.block_size

    @property
    def entries(self) -> int:
        """Of the block table that the disk needs (MS-VHDX 2.5)."""
        blocks = -(-self.size // self.block_size)
        if self.has_parent:
            return -(-blocks // self.chunk_ratio) * (self.chunk_ratio + 1)
        return blocks + max(blocks - 1, 0) // self.chunk_ratio


def parse_metadata(region: bytes) -> Mapping[UUID, tuple[int, int]]:
    """Reads the table that a metadata region begins with: where each item is in the region, and its bytes.

    Raises:
        FormatError: it is none, or asks for what is not known here.
    """
    if not region.startswith(b"metadata"):
        raise FormatError("no VHDX metadata where the region table says")
    (count,) = struct.unpack_from("<H", region, 10)
    if count > _MAX_ENTRIES:
        raise FormatError(f"a metadata table of {count} entries, and {_MAX_ENTRIES} fit in")
    items: dict[UUID, tuple[int, int]] = {}
    for index in range(count):
        raw, offset, length, flags = _ITEM.unpack_from(region, 32 + index * 32)
        name = UUID(bytes_le=raw)
        known = not flags & _IS_USER and (name in _ITEM_SIZES or name == PARENT_LOCATOR)
        if flags & _IS_REQUIRED and not known:
            raise FormatError(f"metadata item {name} is required and unknown")
        if known and name in items:
            raise FormatError(f"metadata item {name} is there twice")
        if known:
            items[name] = (offset, length)
    return items


class Vhdx:
    """A VHDX file; blocks that are not in it read as zeros."""

    def __init__(self, file: Disk) -> None:
        """Reads the headers, the regions and the metadata.

        Raises:
            FormatError: one of them is damaged in every copy, says what cannot be, or asks for what is
                not known here.
        """
        self._file = file
        if file.read(0, len(MAGIC)) != MAGIC:
            raise FormatError("no VHDX signature at the start")
        headers = [parse_header(file.read(at, HEADER_SIZE)) for at in HEADERS_AT]
        tables = [parse_regions(file.read(at, TABLE_SIZE)) for at in REGION_TABLES_AT]
        self.header = _current(headers)
        regions = next((table for table in tables if table is not None), None)
        if regions is None:
            raise FormatError("both region tables are damaged")
        self._claims = Claims(self._parts(regions))
        self.metadata = self._read_metadata(regions[METADATA_REGION])
        self._table = self._block_table(regions[BAT_REGION])
        self.damaged_copies = tuple(
            f"{what} {number}"
            for what, copies in (("header", headers), ("region table", tables))
            for number, copy in enumerate(copies, 1)
            if copy is None
        )

    @property
    def size(self) -> int:
        return self.metadata.size

    @property
    def sector_size(self) -> int:
        return self.metadata.sector_size

    @property
    def variety(self) -> str:
        if self.metadata.has_parent:
            return "differencing"
        return "fixed" if self.metadata.leaves_allocated else "dynamic"

    @property
    def log_pending(self) -> bool:
        """Writes wait in the log: the file is in use, or was not closed; what is read here may be torn."""
        return any(self.header.log_id)

    def _parts(self, regions: Mapping[UUID, Region]) -> list[tuple[int, int, str]]:
        parts = [(0, MIB, "the headers")]
        names = {BAT_REGION: "the block table", METADATA_REGION: "the metadata"}
        places = [(names.get(key, f"region {key}"), region) for key, region in regions.items()]
        log = Region(self.header.log_at, self.header.log_size)
        for name, region in (*places, *([("the log", log)] if log.length else [])):
            end = region.offset + region.length
            if region.offset % MIB or region.length % MIB or not region.length:
                raise FormatError(
                    f"{name} is at byte {region.offset} with {region.length} bytes, no whole MiB"
                )
            if end > self._file.size:
                raise FormatError(f"{name} reaches to byte {end}, the file ends at {self._file.size}")
            parts.append((region.offset, end, name))
        return parts

    def _read_metadata(self, region: Region) -> Metadata:
        items = parse_metadata(extent(self._file, region.offset, TABLE_SIZE, "its metadata"))
        values = {}
        for name, wanted in _ITEM_SIZES.items():
            offset, length = items.get(name, (0, 0))
            if length != wanted or offset < TABLE_SIZE or offset + length > region.length:
                raise FormatError(f"metadata item {name} is missing or {length} bytes at {offset}")
            values[name] = extent(self._file, region.offset + offset, length, "its metadata")
        return _make_metadata(values)

    def _block_table(self, region: Region) -> BlockTable:
        count = self.metadata.entries
        if count * 8 > region.length:
            raise FormatError(f"a block table of {region.length} bytes cannot map {self.size} bytes")
        longest = replace(self.metadata, size=_LARGEST, has_parent=True).entries * 8
        if region.length > -(-longest // MIB) * MIB:  # QEMU holds all of it in memory
            raise FormatError(
                f"a block table of {region.length} bytes, and no disk needs more than {longest}"
            )
        return BlockTable(self._file, region.offset, count, width=8, byteorder="little")

    @cached_property
    def end(self) -> int:
        """First byte of the file behind all parts and blocks."""
        last = max((offset for _, offset in self._blocks()), default=0)
        block = self.metadata.block_size if last else 0
        return min(max(last + block, self._claims.end), self._file.size)

    def check_whole(self) -> None:
        """Follows the block table to the end of what it points to.

        The last block of the disk may be short: QEMU wrote such files.

        Raises:
            FormatError: a block is in an unknown state, cut off, or overlaps something else.
        """
        block = self.metadata.block_size
        limit = min(max(self._file.size, self._end_of_short_block()), _FARTHEST)
        offsets = (offset for _, offset in self._blocks())
        self._claims.check_blocks(offsets, unit=MIB, length=block, end=limit)

    def _end_of_short_block(self) -> int:
        """Where the last block of the disk would end if it were not cut off behind the end of the disk."""
        block = self.metadata.block_size
        last = (self.size - 1) // block
        entry = self._entry(last) if self.size else NOT_PRESENT
        if not self._is_present(entry) or (entry & _OFFSET) + self.size - last * block > self._file.size:
            return 0
        return (entry & _OFFSET) + block

    def _entry(self, number: int) -> int:
        """Of a block; its chunk's sector bitmap comes after the last block of each chunk."""
        return self._table[number + number // self.metadata.chunk_ratio]

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Number of each block that is there, wholly or partly, and its file offset."""
        ratio = self.metadata.chunk_ratio
        for first, page in self._table.pages(NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED):
            for index, entry in enumerate(page, first):
                if entry & _STATE <= UNMAPPED:
                    continue
                chunk, inside = divmod(index, ratio + 1)
                if inside == ratio:
                    continue  # a sector bitmap: means something in a differencing disk only
                if self._is_present(entry):
                    yield chunk * ratio + inside, entry & _OFFSET

    def _is_present(self, entry: int) -> bool:
        state = entry & _STATE
        if state in (4, 5) or (state == PARTIALLY_PRESENT and not self.metadata.has_parent):
            raise FormatError(f"a block in state {state}, which a {self.variety} VHDX does not have")
        return state > UNMAPPED

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Guest offset and length of each block that is there, in order."""
        block = self.metadata.block_size
        for number, _ in self._blocks():
            if number * block < self.size:
                yield number * block, min(block, self.size - number * block)

    def read(self, offset: int, length: int) -> bytes:
        """Guest bytes; fewer at the end of the disk.

        Raises:
            FormatError: they are in the parent of a differencing disk, cut off, or in an unknown state.
        """
        if self.metadata.has_parent:
            raise FormatError("a differencing disk: the rest of it is in its parent, which is never opened")
        end = min(offset + length, self.size)
        block = self.metadata.block_size
        pieces = []
        while offset < end:
            number, inside = divmod(offset, block)
            count = min(block - inside, end - offset)
            entry = self._entry(number)
            if self._is_present(entry):
                pieces.append(extent(self._file, (entry & _OFFSET) + inside, count, f"block {number}"))
            else:
                pieces.append(bytes(count))
            offset += count
        return b"".join(pieces)


def _current(headers: list[Header | None]) -> Header:
    sound = [header for header in headers if header is not None]
    if not sound:
        raise FormatError("both headers are damaged")
    if len(sound) == 2 and sound[0].sequence == sound[1].sequence and sound[0] != sound[1]:
        raise FormatError(f"two different headers with the same sequence number {sound[0].sequence}")
    return max(sound, key=lambda header: header.sequence)


def _make_metadata(values: Mapping[UUID, bytes]) -> Metadata:
    block, flags = struct.unpack("<II", values[FILE_PARAMETERS])
    found = Metadata(
        size=int.from_bytes(values[VIRTUAL_DISK_SIZE], "little"),
        block_size=block,
        sector_size=int.from_bytes(values[LOGICAL_SECTOR_SIZE], "little"),
        physical_sector_size=int.from_bytes(values[PHYSICAL_SECTOR_SIZE], "little"),
        leaves_allocated=bool(flags & _LEAVE_ALLOCATED),
        has_parent=bool(flags & _HAS_PARENT),
    )
    if not MIB <= block <= 256 * MIB or block & (block - 1):
        raise FormatError(f"blocks of {block} bytes, and VHDX has 1 MiB to 256 MiB in powers of two")
    if {found.sector_size, found.physical_sector_size} - {512, 4096}:
        raise FormatError(
            f"sectors of {found.sector_size} and {found.physical_sector_size} bytes, and 512 and 4096 exist"
        )
    if found.size > _LARGEST or found.size % found.sector_size:
        raise FormatError(
            f"a disk of {found.size} bytes, and sectors of {found.sector_size} up to 64 TiB are possible"
        )
    return found
