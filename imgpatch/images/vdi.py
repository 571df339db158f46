"""Reading VDI, version 1.1: the format of VirtualBox (its `VDICore.h`; `block/vdi.c` of QEMU)."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from imgpatch.errors import FormatError
from imgpatch.images.block_table import BlockTable, Claims, extent
from imgpatch.images.disk import SECTOR, Disk

MAGIC = b"\x7f\x10\xda\xbe"
MAGIC_AT = 64
HEADER_SIZE = SECTOR
BLOCK = 1 << 20

_VERSION = 0x0001_0001
_HEADER = struct.Struct("<4sIII4x256xII12xI4xQIIII16x16x16s16s")
_VARIETIES = {1: "dynamic", 2: "static", 3: "differencing", 4: "differencing"}  # the third: of undoable disks
_UNUSED, _DISCARDED = 0xFFFF_FFFF, 0xFFFF_FFFE  # both read as zeros
_MAX_BLOCKS = 1 << 24  # 16 TiB
_NO_UUID = bytes(16)


@dataclass(frozen=True, slots=True)
class Header:
    """The fields that matter here; sizes and offsets in bytes.

    Attributes:
        variety: `dynamic`, `static` or `differencing`.
        map_at: the block map.
        data_at: the first block.
        size: of the disk, in whole sectors, as QEMU rounds it.
        blocks: entries of the map; at least those that the disk needs.
        stored: blocks that are in the file: the next one to be written is put after so many.
    """

    variety: str
    map_at: int
    data_at: int
    size: int
    blocks: int
    stored: int


def parse_header(head: bytes) -> Header:
    """Reads the header from the first sector of a file.

    Raises:
        FormatError: it is none, or not one that QEMU reads too.
    """
    if not head.startswith(MAGIC, MAGIC_AT):
        raise FormatError("no VDI magic at byte 64")
    if len(head) < HEADER_SIZE:
        raise FormatError(f"the file ends at byte {len(head)}, within its header")
    unpacked = _HEADER.unpack_from(head, MAGIC_AT)
    _, version, _, kind, map_at, data_at, sector, size, block, extra, blocks, stored, *parents = unpacked
    if version != _VERSION:
        raise FormatError(f"VDI version {version >> 16}.{version & 0xFFFF}, and 1.1 was wanted")
    if kind not in _VARIETIES:
        raise FormatError(f"a VDI of kind {kind}, and 1 to 4 are known")
    if sector != SECTOR or block != BLOCK or extra:
        raise FormatError(
            f"sectors of {sector} bytes in blocks of {block} with {extra} more, "
            f"and {SECTOR} in {BLOCK} with 0 were wanted"
        )
    if blocks > _MAX_BLOCKS or size > blocks * BLOCK:
        raise FormatError(f"a map of {blocks} blocks cannot be that of {size} bytes")
    if map_at % SECTOR or data_at % SECTOR:
        raise FormatError(f"a map at byte {map_at} and data at byte {data_at}, which are no whole sectors")
    variety = _VARIETIES[kind] if parents == [_NO_UUID, _NO_UUID] else "differencing"
    return Header(variety, map_at, data_at, -(-size // SECTOR) * SECTOR, blocks, stored)


class Vdi:
    """A VDI file; blocks that are not in it read as zeros.

    Attributes:
        header: what it says of itself.
    """

    def __init__(self, file: Disk) -> None:
        """Reads the header.

        Raises:
            FormatError: it is none, or the file ends before its block map does.
        """
        self._file = file
        self.header = parse_header(file.read(0, HEADER_SIZE))
        needed = -(-self.size // BLOCK)  # of a larger map the rest is never looked at
        self._map = BlockTable(file, self.header.map_at, needed, width=4, byteorder="little")

    @property
    def size(self) -> int:
        return self.header.size

    @property
    def variety(self) -> str:
        return self.header.variety

    @cached_property
    def _highest(self) -> int:
        """The last block of the file, counted from 0; -1 where there is none."""
        return max((_largest(page) for _, page in self._map.pages(_UNUSED, _DISCARDED)), default=-1)

    @cached_property
    def end(self) -> int:
        """First byte of the file behind the map and all blocks; more than it has where it is cut short."""
        end = self.header.data_at + (self._highest + 1) * BLOCK
        if self._highest >= 0 and self._map[(self.size - 1) // BLOCK] == self._highest:
            # Of the block at the end of the disk only what the guest sees has to be there.
            end = max(end - -self.size % BLOCK, min(end, self._file.size))
        return max(end, self._map.end, HEADER_SIZE)

    def check_whole(self) -> None:
        """Follows the block map to the end of what it points to.

        Raises:
            FormatError: a block is cut off, overlaps something else, or is where the next new one would be.
        """
        claims = Claims(((0, HEADER_SIZE, "its header"), (self._map.offset, self._map.end, "its block map")))
        if self.end > self._file.size:
            raise FormatError(f"its map points to byte {self.end}, the file ends at {self._file.size}")
        if self._highest >= self.header.stored:
            raise FormatError(f"its map points to block {self._highest} of {self.header.stored} in the file")
        offsets = (self.header.data_at + entry * BLOCK for _, entry in self._blocks())
        claims.check_blocks(offsets, unit=SECTOR, length=BLOCK, end=self._file.size + BLOCK)

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Guest offset and length of each block that is there, in order."""
        for number, _ in self._blocks():
            yield number * BLOCK, min(BLOCK, self.size - number * BLOCK)

    def read(self, offset: int, length: int) -> bytes:
        """Guest bytes; fewer at the end of the disk.

        Raises:
            FormatError: they are in the parent of a differencing disk, or cut off.
        """
        if self.variety == "differencing":
            raise FormatError("a differencing disk: the rest of it is in its parent, which is never opened")
        end = min(offset + length, self.size)
        pieces = []
        while offset < end:
            number, inside = divmod(offset, BLOCK)
            count = min(BLOCK - inside, end - offset)
            pieces.append(self._block(number, inside, count))
            offset += count
        return b"".join(pieces)

    def _block(self, number: int, inside: int, count: int) -> bytes:
        entry = self._map[number]
        if entry >= _DISCARDED:
            return bytes(count)
        return extent(self._file, self.header.data_at + entry * BLOCK + inside, count, f"block {number}")

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Number of each block of the disk that is there, and which block of the file it is."""
        for first, page in self._map.pages(_UNUSED):
            for number, entry in enumerate(page, first):
                if entry < _DISCARDED:
                    yield number, entry


def _largest(page: array[int]) -> int:
    found = max(page)
    return found if found < _DISCARDED else max((entry for entry in page if entry < _DISCARDED), default=-1)
