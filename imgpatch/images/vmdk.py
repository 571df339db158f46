"""Reading VMDK (Virtual Disk Format 5.0 of VMware): sparse extents that hold a whole disk in one file.

These are `monolithicSparse` and `streamOptimized`. Whatever lies in other files, or needs a parent, is
told apart (`obstacle`, `Vmdk.obstacle`) and not for reading: no other file is ever opened.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from imgpatch.errors import FormatError
from imgpatch.images.block_table import Claims
from imgpatch.images.disk import SECTOR, Disk
from imgpatch.images.vmdk_descriptor import (
    Descriptor,
    Extent,
    Obstacle,
    describe,
    embedded,
    embedded_obstacle,
    hints_at_parent,
    obstacle,
)
from imgpatch.images.vmdk_header import (
    AT_END,
    COMPRESSED,
    DEFLATE,
    MAGIC,
    MARKERS,
    ZERO_GRAINS,
    Header,
    parse_header,
)

__all__ = [
    "MAGIC",
    "Descriptor",
    "Extent",
    "GrainFault",
    "Header",
    "Obstacle",
    "Vmdk",
    "describe",
    "obstacle",
    "parse_header",
]

_MARKER = struct.Struct("<QII")  # a value, bytes of data, and without data the type
_GRAIN = struct.Struct("<QI")  # the sector of the guest, bytes of data
_FOOTER, _END_OF_STREAM = 3, 0
_AT_ONCE = 32  # grain tables
_ZEROED = 1  # a grain that reads as zeros, where the header allows it


@dataclass(frozen=True, slots=True)
class GrainFault:
    """A grain that cannot be read, or not without doubt.

    Attributes:
        guest: offset in the disk, in bytes.
        offset: offset in the file, in bytes.
        what: what is wrong with it.
        length: bytes it unpacks to where that is the fault (one more than there may be stands for any more).
    """

    guest: int
    offset: int
    what: str
    length: int | None = None


class _BadGrainError(FormatError):
    def __init__(self, what: str, length: int | None = None) -> None:
        super().__init__(what)
        self.length = length


class Vmdk:
    """The disk in a sparse extent; what is not allocated in it reads as zeros.

    Attributes:
        header: as it stands at the start of the file.
        footer: the one at the end, which counts where there is one.
        descriptor: the embedded one.
        obstacle: why it is no whole disk, and must not be treated as one.
        size: bytes of the disk.
    """

    def __init__(self, file: Disk) -> None:
        """Reads headers, descriptor and grain directory.

        Raises:
            FormatError: a header is none, the footer is missing, or the grain directory is cut off.
        """
        self._file = file
        self.header = parse_header(file.read(0, SECTOR))
        self.footer = self._read_footer() if self.header.directory == AT_END else None
        self._live = self.footer or self.header
        self.descriptor = embedded(file, self.header)
        self.obstacle = embedded_obstacle(self.header, self.descriptor, hints_at_parent(file))
        self.size = self._live.capacity * SECTOR
        self._grain = self._live.grain * SECTOR
        self._directory = self._words(self._live.directory, self._live.tables)
        self._table: tuple[int, array[int]] = (-1, array("I"))
        self._unpacked: tuple[int, bytes] = (-1, b"")

    @property
    def variety(self) -> str:
        """The `createType` as far as the header bears it out; `extent` where there is no descriptor."""
        if self.descriptor is None:
            return "extent"
        said = self.descriptor.create_type
        if said in ("", "streamOptimized"):
            return "streamOptimized" if self.compressed else "monolithicSparse"
        return said

    @property
    def compressed(self) -> bool:
        """The flag of compressed grains is set; what they are compressed with says `algorithm`."""
        return bool(self.header.flags & self._live.flags & COMPRESSED)

    @property
    def markers(self) -> bool:
        """The flag is set that says that markers stand before grains and tables."""
        return bool(self.header.flags & self._live.flags & MARKERS)

    @property
    def algorithm(self) -> int:
        """1 for deflate; 0 where header or footer says so."""
        return min(self.header.algorithm, self._live.algorithm)

    @cached_property
    def end(self) -> int:
        """Bytes of the file that belong to the disk; more than it has where it is cut short."""
        reach = self._reach()
        return reach if self.footer is None else max(reach, self._file.size)

    def read(self, offset: int, length: int) -> bytes:
        """Guest bytes; fewer at the end of the disk.

        Raises:
            FormatError: it is no whole disk, the header contradicts itself, or a grain is cut off or cannot
                be unpacked.
        """
        self._refuse_ambiguous()
        end = min(offset + length, self.size)
        pieces = []
        while offset < end:
            number, inside = divmod(offset, self._grain)
            count = min(self._grain - inside, end - offset)
            pieces.append(self._part(number, inside, count))
            offset += count
        return b"".join(pieces)

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Guest offset and length of each grain with something in it, in order."""
        for guest, _ in self._grains():
            yield guest, min(self._grain, self.size - guest)

    def check_whole(self) -> None:
        """Looks at headers and tables; grains are not unpacked (see `bad_grains`).

        Raises:
            FormatError: it is no whole disk, the header contradicts itself, a table points past the end of
                the file, or two things are in one place.
        """
        self._refuse_ambiguous()
        if self.size == 0:
            raise FormatError("a disk of no size")
        claims = Claims((at * SECTOR, (at + length) * SECTOR, what) for at, length, what in self._parts())
        end = max(claims.end, self.end)
        if end > self._file.size:
            raise FormatError(f"its tables reach to byte {end}, the file ends at {self._file.size}")
        if self.compressed:
            self._refuse_shared_grains()
        else:
            offsets = (sector * SECTOR for _, sector in self._grains())
            end = self._file.size + self._grain  # the last one may be short, as `end` tells
            claims.check_blocks(offsets, unit=SECTOR, length=self._grain, end=end)

    def bad_grains(self) -> Iterator[GrainFault]:
        """Unpacks each grain, one at a time, and gives those that cannot be read."""
        self._refuse_ambiguous()
        for guest, sector in self._grains():
            try:
                self._check_grain(guest, sector)
            except _BadGrainError as error:
                yield GrainFault(guest, sector * SECTOR, str(error), error.length)

    def _read_footer(self) -> Header:
        """The last three sectors: a marker, the header again, the end of the stream."""
        at = -(-self._file.size // SECTOR) * SECTOR - 3 * SECTOR
        data = self._file.read(max(at, 0), 3 * SECTOR).ljust(3 * SECTOR, b"\0")
        _, size, kind = _MARKER.unpack_from(data)
        is_end = _MARKER.unpack_from(data, 2 * SECTOR) == (0, 0, _END_OF_STREAM)
        if (size, kind) != (0, _FOOTER) or not data.startswith(MAGIC, SECTOR) or not is_end:
            raise FormatError(f"no footer at its end, at byte {at}: it is cut short or something follows it")
        footer = parse_header(data[SECTOR : 2 * SECTOR])
        pairs = (
            ("sectors of the disk", self.header.capacity, footer.capacity),
            ("sectors of a grain", self.header.grain, footer.grain),
            ("entries of a grain table", self.header.entries, footer.entries),
        )
        for name, first, last in pairs:
            if first != last:
                raise FormatError(f"{first} {name} in its header, {last} in its footer")
        return footer

    def _refuse_ambiguous(self) -> None:
        """What readers would take in different ways is not guessed at."""
        if self.obstacle is not None:
            raise FormatError(f"no whole disk: {self.obstacle.value}")
        for header in filter(None, (self.header, self.footer)):
            if bool(header.flags & COMPRESSED) != (header.algorithm == DEFLATE):
                flag = "compressed" if header.flags & COMPRESSED else "not compressed"
                raise FormatError(
                    f"grains are {flag} by its flags, with compression algorithm {header.algorithm}"
                )
            if header.flags & COMPRESSED and not header.flags & MARKERS:
                raise FormatError("compressed grains without markers")

    def _words(self, sector: int, count: int) -> array[int]:
        data = self._file.read(sector * SECTOR, count * 4)
        if len(data) < count * 4:
            reach = sector * SECTOR + count * 4
            raise FormatError(f"its tables reach to byte {reach}, the file ends at {self._file.size}")
        table = array("I", data)
        if sys.byteorder == "big":
            table.byteswap()
        return table

    def _grain_table(self, index: int) -> array[int]:
        """The sector of each grain within the disk; 0 where it reads as zeros."""
        if self._table[0] != index:
            count = min(
                self._live.entries, -(-self._live.capacity // self._live.grain) - index * self._live.entries
            )
            at = self._directory[index]
            table = self._words(at, count) if at else array("I", bytes(4 * count))
            if self._live.flags & ZERO_GRAINS and _ZEROED in table:
                table = array("I", (0 if sector == _ZEROED else sector for sector in table))
            self._table = (index, table)
        return self._table[1]

    def _rows(self, directory: array[int]) -> Iterator[tuple[int, int]]:
        """Index and number of grain tables that follow each other in the file, or are not there."""
        first = 0
        while first < len(directory):
            stride = self._live.table_sectors if directory[first] else 0
            last = min(first + _AT_ONCE, len(directory))
            count = 1
            while first + count < last and directory[first + count] == directory[first] + count * stride:
                count += 1
            yield first, count
            first += count

    def _tables(self) -> Iterator[tuple[int, array[int]]]:
        """Each grain table with something in it."""
        for first, count in self._rows(self._directory):
            at, length = self._directory[first], count * self._live.table_sectors * SECTOR
            if at and self._file.read(at * SECTOR, length) != bytes(length):
                for index in range(first, first + count):
                    yield index, self._grain_table(index)

    def _grains(self) -> Iterator[tuple[int, int]]:
        """Guest offset in bytes and sector of the file of each grain that is there, in order of the guest."""
        for index, table in self._tables():
            for number, sector in enumerate(table, index * self._live.entries):
                if sector:
                    yield number * self._grain, sector

    def _redundant(self) -> array[int]:
        live = self._live
        return self._words(live.redundant, live.tables) if live.has_redundant else array("I")

    def _reach(self) -> int:
        """Where the last of all that the tables tell of ends, in bytes."""
        parts = max(at + length for at, length, _ in self._parts())
        last = max((max(table) for _, table in self._tables()), default=0)
        return max(max(parts, self._live.overhead) * SECTOR, self._grain_end(last) if last else 0)

    def _grain_end(self, sector: int) -> int:
        """Where a grain ends that no other one follows in the file; at least what the guest sees is there."""
        at = sector * SECTOR
        if self.compressed:
            return self._packed_end(at + _GRAIN.size + self._marker(sector)[1])
        number = max(self.size - 1, 0) // self._grain
        index, slot = divmod(number, self._live.entries)
        is_last = self._grain_table(index)[slot] == sector
        end = at + (self._visible(number * self._grain) if is_last else self._grain)
        return max(end, min(at + self._grain, self._file.size))

    def _packed_end(self, end: int) -> int:
        """Data is padded to a sector; QEMU leaves what it had set apart for a whole grain, as zeros."""
        size = self._file.size
        padding = self._file.read(end, self._grain)
        if size < end + self._grain and not padding.strip(b"\0"):
            return max(end, size)
        return min(-(-end // SECTOR) * SECTOR, size)

    def _visible(self, guest: int) -> int:
        """Bytes of a grain that are within the disk."""
        return min(self._grain, self.size - guest)

    def _parts(self) -> Iterator[tuple[int, int, str]]:
        """Sector, length and name of all that is no grain."""
        live = self._live
        yield 0, 1, "its header"
        if live.descriptor and live.descriptor_size:
            yield live.descriptor, live.descriptor_size, "its descriptor"
        yield live.directory, live.directory_sectors, "its grain directory"
        if live.has_redundant:
            yield live.redundant, live.directory_sectors, "its redundant grain directory"
        if self.footer is not None:
            yield -(-self._file.size // SECTOR) - 3, 3, "its footer"
        for directory in (self._directory, self._redundant()):
            for first, count in self._rows(directory):
                if directory[first]:
                    yield directory[first], count * live.table_sectors, "a grain table"

    def _refuse_shared_grains(self) -> None:
        seen = bytearray((self._file.size // SECTOR >> 3) + 1)  # a bit for each sector
        for _, sector in self._grains():
            byte, bit = sector >> 3, 1 << (sector & 7)
            if seen[byte] & bit:
                raise FormatError(f"two grains are at byte {sector * SECTOR}")
            seen[byte] |= bit

    def _part(self, number: int, inside: int, count: int) -> bytes:
        index, slot = divmod(number, self._live.entries)
        sector = self._grain_table(index)[slot]
        if not sector:
            return bytes(count)
        if self.compressed:
            return self._grain_data(number, sector)[inside : inside + count]
        data = self._file.read(sector * SECTOR + inside, count)
        if len(data) < count:
            raise FormatError(f"the grain at byte {sector * SECTOR} lies beyond the end of the file")
        return data

    def _grain_data(self, number: int, sector: int) -> bytes:
        if self._unpacked[0] != number:
            try:
                self._unpacked = (number, self._unpack(number * self._grain, sector))
            except _BadGrainError as error:
                raise FormatError(f"the grain at byte {sector * SECTOR} {error}", rule="R-09") from error
        return self._unpacked[1]

    def _marker(self, sector: int) -> tuple[int, int]:
        """The sector of the guest and the bytes of data that stand before a compressed grain."""
        head = self._file.read(sector * SECTOR, _GRAIN.size)
        if len(head) < _GRAIN.size:
            return 0, 0
        guest, length = _GRAIN.unpack(head)
        return guest, length

    def _check_grain(self, guest: int, sector: int) -> None:
        if not self.compressed:
            if sector * SECTOR + self._visible(guest) > self._file.size:
                raise _BadGrainError("lies beyond the end of the file")
            return
        said = self._marker(sector)[0]
        if said != guest // SECTOR:
            raise _BadGrainError(f"says it is of sector {said} of the disk, and {guest // SECTOR} was wanted")
        self._unpack(guest, sector)

    def _unpack(self, guest: int, sector: int) -> bytes:
        _, length = self._marker(sector)
        if not 0 < length <= 2 * self._grain:  # QEMU reads no more than two grains
            raise _BadGrainError(f"has {length} bytes of compressed data")
        packed = self._file.read(sector * SECTOR + _GRAIN.size, length)
        if len(packed) < length:
            raise _BadGrainError("lies beyond the end of the file")
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(packed, self._grain + 1)
        except zlib.error as error:
            raise _BadGrainError(f"cannot be unpacked: {error}") from error
        if len(data) > self._grain:
            raise _BadGrainError(f"unpacks to more than {self._grain} bytes", len(data))
        if not stream.eof:
            raise _BadGrainError("cannot be unpacked: its compressed data is cut off")
        if len(data) < self._visible(guest):
            raise _BadGrainError(f"unpacks to {len(data)} instead of {self._grain} bytes", len(data))
        return data
