"""Writing stream-optimized VMDK (Virtual Disk Format 5.0 of VMware), as VMware's own tools lay it out.

Header, descriptor, compressed grains with their tables after them, the grain directory, a footer and an
end mark. QEMU writes this kind too, without a footer and on one processor only; what an import service
was tested with is what VMware writes.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from imgpatch.errors import RefusedError
from imgpatch.images.disk import SECTOR, StoredDisk
from imgpatch.images.layers import merged, pieces
from imgpatch.images.vmdk_header import AT_END, COMPRESSED, DEFLATE, MAGIC, MARKERS, NEWLINES

GRAIN = 1 << 16
_ENTRIES = 512
_OVERHEAD = 128  # sectors before the first grain
_DESCRIPTOR_SECTORS = 20
_LIMIT = SECTOR << 32  # a grain table counts sectors in 32 bits
_TABLE, _DIRECTORY, _FOOTER = 1, 2, 3
_PIECE = 16 * GRAIN

_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
_MARKER = struct.Struct("<QII496x")
_GRAIN_MARKER = struct.Struct("<QI")

_DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID={content:08x}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW {sectors} SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.virtualHWVersion = "7"
"""


def write_stream_optimized(
    disk: StoredDisk, file: BinaryIO, progress: Callable[[float], None] | None = None
) -> None:
    """Writes a disk to an empty file, in order and without going back.

    Args:
        disk: whose stored parts are read; zeros among them are left out.
        file: open for writing.
        progress: told which fraction of what is stored has been read.

    Raises:
        RefusedError: the result would be too large for the format.
    """
    sectors = -(-disk.size // SECTOR)
    header = _header(sectors, AT_END)
    stream = _Stream(file)
    stream.write((header + _descriptor(sectors)).ljust(_OVERHEAD * SECTOR, b"\0"))
    directory = array("I", bytes(4 * -(-sectors * SECTOR // (GRAIN * _ENTRIES))))
    index, table = -1, array("I", bytes(4 * _ENTRIES))
    for number, packed in _packed(disk, progress or (lambda _: None)):
        if number // _ENTRIES != index:
            if index >= 0:
                directory[index] = stream.write_marked(_TABLE, _bytes(table))
            index, table = number // _ENTRIES, array("I", bytes(4 * _ENTRIES))
        table[number % _ENTRIES] = stream.sector
        stream.write(_GRAIN_MARKER.pack(number * (GRAIN // SECTOR), len(packed)) + packed)
    if index >= 0:
        directory[index] = stream.write_marked(_TABLE, _bytes(table))
    at = stream.write_marked(_DIRECTORY, _bytes(directory))
    stream.write_marked(_FOOTER, _header(sectors, at))
    stream.write(bytes(SECTOR))  # the end of the stream is a marker of zeros


class _Stream:
    """A file that is written in whole sectors."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sector = 0

    def write(self, data: bytes) -> None:
        sectors = -(-len(data) // SECTOR)
        if (self.sector + sectors) * SECTOR > _LIMIT:
            raise RefusedError(
                "more than 2 TiB of compressed data, and a VMDK ends there",
                hint="write another format: --output-format raw or vhdx",
            )
        self._file.write(data.ljust(sectors * SECTOR, b"\0"))
        self.sector += sectors

    def write_marked(self, kind: int, data: bytes) -> int:
        """Writes metadata with its marker; gives the sector where the data begins."""
        self.write(_MARKER.pack(-(-len(data) // SECTOR), 0, kind))
        begins = self.sector
        self.write(data)
        return begins


def _header(sectors: int, directory: int) -> bytes:
    flags = NEWLINES | COMPRESSED | MARKERS
    fields = (3, flags, sectors, GRAIN // SECTOR, 1, _DESCRIPTOR_SECTORS, _ENTRIES, 0, directory, _OVERHEAD)
    return _HEADER.pack(MAGIC, *fields, 0, b"\n \r\n", DEFLATE)


def _descriptor(sectors: int) -> bytes:
    # A content id only tells a parent from its children; one that is the same each time keeps files equal.
    content = zlib.crc32(b"%d" % sectors) & 0x7FFF_FFFF
    cylinders = max(1, min(sectors // (255 * 63), 65535))
    text = _DESCRIPTOR.format(content=content, sectors=sectors, cylinders=cylinders)
    return text.encode("ascii").ljust(_DESCRIPTOR_SECTORS * SECTOR, b"\0")


def _bytes(table: array[int]) -> bytes:
    if sys.byteorder == "big":
        table.byteswap()
    return table.tobytes()


def _packed(disk: StoredDisk, progress: Callable[[float], None]) -> Iterator[tuple[int, bytes]]:
    """The number of each grain that is not all zeros and its compressed bytes, in order.

    All processors compress; a few pieces ahead of the file are in memory.
    """
    extents = list(merged(_in_grains(disk.allocated(), disk.size)))
    total = sum(length for _, length in extents) or 1
    done = 0
    workers = min(len(os.sched_getaffinity(0)), 16)
    waiting: deque[Future[list[tuple[int, bytes]]]] = deque()
    with ThreadPoolExecutor(workers, "vmdk") as pool:
        for offset, length in pieces(extents, _PIECE):
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
            waiting.append(pool.submit(_compress, offset // GRAIN, disk.read(offset, length)))
            done += length
            progress(done / total)
        while waiting:
            yield from waiting.popleft().result()


def _compress(first: int, data: bytes) -> list[tuple[int, bytes]]:
    grains = []
    for number, at in enumerate(range(0, len(data), GRAIN), first):
        grain = data[at : at + GRAIN]
        if grain.count(0) != len(grain):
            # A whole one at the end of the disk too: a length of its own is taken for damage by some.
            grains.append((number, zlib.compress(grain.ljust(GRAIN, b"\0"))))
    return grains


def _in_grains(extents: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    for offset, length in extents:
        start, end = offset // GRAIN * GRAIN, -(-(offset + length) // GRAIN) * GRAIN
        yield start, min(end, size) - start
