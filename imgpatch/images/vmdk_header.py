"""The header of a VMDK's sparse extent (Virtual Disk Format 5.0 of VMware)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

from imgpatch.errors import FormatError
from imgpatch.images.disk import SECTOR

MAGIC = b"KDMV"
DEFLATE = 1
AT_END = 0xFFFF_FFFF_FFFF_FFFF
"""Where the grain directory is, says the footer."""

NEWLINES, REDUNDANT, ZERO_GRAINS = 1, 2, 4
COMPRESSED, MARKERS = 1 << 16, 1 << 17

_HEADER = struct.Struct("<IIQQQQIQQQB4sH")
_LINE_ENDS = b"\n \r\n"
_MAX_GRAIN = 4096  # sectors: 2 MiB; VMware and all others write 64 KiB
_MAX_TABLES = 1 << 19  # 16 TiB in grains of 64 KiB


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a sparse extent; sizes and offsets in sectors.

    Attributes:
        grain: size of a grain.
        entries: grains a grain table tells of.
        redundant: where the second grain directory is, which counts only with the flag `REDUNDANT`.
        directory: where the grain directory is; all ones: as the footer says.
        overhead: where the first grain may be.
        unclean: 1 where it was not closed after writing.
        algorithm: 1 for deflate.
    """

    version: int
    flags: int
    capacity: int
    grain: int
    descriptor: int
    descriptor_size: int
    entries: int
    redundant: int
    directory: int
    overhead: int
    unclean: int
    newlines: bytes
    algorithm: int

    @property
    def per_table(self) -> int:
        """Sectors of the guest that one grain table tells of."""
        return self.grain * self.entries

    @property
    def tables(self) -> int:
        return -(-self.capacity // self.per_table)

    @property
    def has_redundant(self) -> bool:
        return self.flags & REDUNDANT != 0 and self.redundant not in (0, self.directory)

    @property
    def table_sectors(self) -> int:
        return -(-self.entries * 4 // SECTOR)

    @property
    def directory_sectors(self) -> int:
        return -(-self.tables * 4 // SECTOR)


def parse_header(head: bytes) -> Header:
    """Reads the header from the first sector of a file.

    Raises:
        FormatError: it is not that of a sparse extent.
    """
    if not head.startswith(MAGIC):
        raise FormatError("no VMDK magic at the start")
    if len(head) < SECTOR:
        raise FormatError(f"the file ends at byte {len(head)}, within its header")
    names = (field.name for field in fields(Header))
    header = Header(**dict(zip(names, _HEADER.unpack_from(head, len(MAGIC)), strict=True)))
    if not 1 <= header.version <= 3:
        raise FormatError(f"VMDK version {header.version}, and only 1 to 3 are known")
    if header.flags & NEWLINES and header.newlines != _LINE_ENDS:
        raise FormatError("its line ends were changed: it was transferred as text")
    if not 1 <= header.entries <= 512:
        raise FormatError(f"grain tables of {header.entries} entries, and 512 were wanted")
    if not 1 <= header.grain <= _MAX_GRAIN or header.grain & (header.grain - 1):
        raise FormatError(f"grains of {header.grain} sectors, and a power of 2 up to {_MAX_GRAIN} was wanted")
    if header.tables > _MAX_TABLES:
        raise FormatError(f"a disk of {header.capacity} sectors is larger than any")
    return header
