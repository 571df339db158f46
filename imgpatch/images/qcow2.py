"""Reading qcow2 (docs/interop/qcow2.txt of QEMU): the header, which clusters are there, guest bytes.

Only one file is ever opened: a backing file or an external data file named in a header is hostile
input and is refused before anything follows it.
"""

from __future__ import annotations

import itertools
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

from imgpatch.errors import FormatError
from imgpatch.images.disk import Disk

MAGIC = b"QFI\xfb"
HEADER_SIZE = 112

DIRTY, CORRUPT, EXTERNAL_DATA, COMPRESSION_TYPE, EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2

_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQIIB")  # features, refcount order, header length, compression type
_OFFSET = 0x00FF_FFFF_FFFF_FE00  # bits 9 to 55 of an L1 or L2 entry
_COMPRESSED = 1 << 62
_ZERO = 1
_MAX_SIZE = 64 << 40
_MAX_L1 = 1 << 20  # entries; QEMU takes four times as many, and a terabyte in clusters of 64 KiB needs 2048
_MAX_STATE = 4 << 40
"""Bytes behind the end of the disk: the memory of a running machine, while a snapshot is made of it."""

_MAX_SNAPSHOTS = 1000  # QEMU takes 65536, and a time that grows with their square to check them


@dataclass(frozen=True, slots=True)
class Header:
    """The fields that matter here; offsets and sizes in bytes unless named otherwise.

    Attributes:
        l1_size: entries of the active L1 table.
        zstd: compressed clusters are zstd, not deflate.
    """

    version: int
    backing: bool
    cluster_bits: int
    size: int
    encrypted: bool
    l1_size: int
    l1_offset: int
    refcount_offset: int
    snapshots: int
    incompatible: int
    zstd: bool

    @property
    def cluster_size(self) -> int:
        return 1 << self.cluster_bits

    @property
    def l2_entry_size(self) -> int:
        return 16 if self.incompatible & EXTENDED_L2 else 8

    @property
    def l2_entries(self) -> int:
        return self.cluster_size // self.l2_entry_size


def parse_header(head: bytes) -> Header:
    """Reads the header from the first bytes of a file.

    Raises:
        FormatError: it is not one QEMU could have written.
    """
    head = head.ljust(HEADER_SIZE, b"\0")
    magic, version, backing, _, bits, size, crypt, l1, l1_at, refs, _, snapshots, _ = _V2.unpack_from(head)
    if magic != MAGIC:
        raise FormatError("no qcow2 magic at the start")
    if version not in (2, 3):
        raise FormatError(f"qcow2 version {version}, and only 2 and 3 exist")
    features, compression = 0, 0
    if version == 3:
        features, _, _, _, length, compression = _V3.unpack_from(head, _V2.size)
        compression = compression if length > _V2.size + 32 else 0
    header = Header(
        version=version,
        backing=backing != 0,
        cluster_bits=bits,
        size=size,
        encrypted=crypt != 0,
        l1_size=l1,
        l1_offset=l1_at,
        refcount_offset=refs,
        snapshots=snapshots,
        incompatible=features,
        zstd=compression == 1,
    )
    _check_arithmetic(header, compression)
    return header


def _check_arithmetic(header: Header, compression: int) -> None:
    if not 9 <= header.cluster_bits <= 21:
        raise FormatError(f"clusters of 2^{header.cluster_bits} bytes, and QEMU has 2^9 to 2^21")
    if header.incompatible & ~_KNOWN:
        raise FormatError(f"unknown incompatible features {header.incompatible & ~_KNOWN:#x}")
    if compression not in (0, 1):
        raise FormatError(f"unknown compression type {compression}")
    if header.l1_size > _MAX_L1:
        raise FormatError(f"an L1 table of {header.l1_size} entries, and {_MAX_L1} are the most that is read")
    if header.snapshots > _MAX_SNAPSHOTS:
        raise FormatError(
            f"{header.snapshots} internal snapshots, and {_MAX_SNAPSHOTS} are the most that is taken"
        )
    if header.size > _MAX_SIZE:
        raise FormatError(f"a disk of {header.size} bytes, and {_MAX_SIZE} are the most that is read")
    if header.l1_size * header.l2_entries * header.cluster_size < header.size:
        raise FormatError(f"an L1 table of {header.l1_size} entries cannot map {header.size} bytes")


class Qcow2:
    """The active layer of an open qcow2 file; what is not allocated in it reads as zeros."""

    variety = ""

    def __init__(self, file: Disk) -> None:
        """Reads the header and the L1 table.

        Raises:
            FormatError: the header is none, or the L1 table is cut off.
        """
        self._file = file
        self.header = parse_header(file.read(0, HEADER_SIZE))
        self.size = self.header.size
        self._l1 = self._table(self.header.l1_offset, self.header.l1_size)
        self._l2: tuple[int, array[int]] = (-1, array("Q"))

    def check_whole(self) -> None:
        """Follows every table to the end of what it points to.

        The last cluster may be short: QEMU does not write out its tail.

        Raises:
            FormatError: a table points past the end of the file, or serves twice.
        """
        end = -(-self._file.size // self.header.cluster_size) * self.header.cluster_size
        tables = sorted(entry & _OFFSET for entry in self._l1 if entry & _OFFSET)
        self._check_below(end, [self.header.refcount_offset, *tables[-1:]])
        # One table for every part of the disk would be a disk of terabytes in a small file.
        shared = next((one for one, other in itertools.pairwise(tables) if one == other), None)
        if shared is not None:
            raise FormatError(f"its L2 table at byte {shared} serves for two parts of the disk")
        # `savevm` takes the memory out of the active tables again, and leaves them, empty.
        mapped = self.header.l2_entries * self.header.cluster_size
        behind = sum(map(bool, self._l1[-(-self.size // mapped) :])) * mapped
        if behind > _MAX_STATE + mapped:
            raise FormatError(f"its L1 table tells of {behind} bytes behind the end of the disk")
        for index in range(len(self._l1)):
            entries = self._entries(index)
            if entries.tobytes().strip(b"\0"):
                self._check_below(end, map(self._host_offset, entries))

    def _check_below(self, end: int, offsets: Iterable[int]) -> None:
        last = max(offsets, default=0)
        if last >= end:
            raise FormatError(f"its tables point to byte {last}, the file ends at {self._file.size}")

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Guest offset and length of each cluster this layer answers for, in order."""
        size, cluster = self.header.size, self.header.cluster_size
        for index in range(len(self._l1)):
            base = index * self.header.l2_entries
            for number, entry in enumerate(self._entries(index)):
                offset = (base + number) * cluster
                if entry & (_OFFSET | _COMPRESSED | _ZERO) and offset < size:
                    yield offset, min(cluster, size - offset)

    def read(self, offset: int, length: int) -> bytes:
        """Guest bytes; fewer at the end of the disk."""
        cluster = self.header.cluster_size
        end = min(offset + length, self.header.size)
        pieces = []
        while offset < end:
            inside = offset % cluster
            count = min(cluster - inside, end - offset)
            pieces.append(self._cluster(offset // cluster)[inside : inside + count])
            offset += count
        return b"".join(pieces)

    def _table(self, offset: int, entries: int) -> array[int]:
        data = self._file.read(offset, entries * 8)
        if len(data) < entries * 8:
            raise FormatError(
                f"its tables reach to byte {offset + entries * 8}, the file ends at {self._file.size}"
            )
        table = array("Q", data)
        if sys.byteorder == "little":
            table.byteswap()
        return table

    def _l2_table(self, index: int) -> array[int]:
        if self._l2[0] != index:
            at = self._l1[index] & _OFFSET
            words = self.header.cluster_size // 8
            self._l2 = (index, self._table(at, words) if at else array("Q"))
        return self._l2[1]

    def _entries(self, index: int) -> array[int]:
        table = self._l2_table(index)
        return table[::2] if self.header.incompatible & EXTENDED_L2 else table

    def _host_offset(self, entry: int) -> int:
        if entry & _COMPRESSED:
            return self._compressed_at(entry)[0]
        return entry & _OFFSET

    def _compressed_at(self, entry: int) -> tuple[int, int]:
        """Host offset and length; the length counts 512-byte sectors and may reach past the data."""
        bits = 62 - (self.header.cluster_bits - 8)
        offset = entry & ((1 << bits) - 1)
        sectors = ((entry & (_COMPRESSED - 1)) >> bits) + 1
        return offset, sectors * 512 - offset % 512

    def _cluster(self, number: int) -> bytes:
        index, slot = divmod(number, self.header.l2_entries)
        table = self._l2_table(index)
        cluster = self.header.cluster_size
        if not table:
            return bytes(cluster)
        extended = bool(self.header.incompatible & EXTENDED_L2)
        entry = table[slot * 2] if extended else table[slot]
        if entry & _COMPRESSED:
            return self._inflate(*self._compressed_at(entry))
        if not entry & _OFFSET or (entry & _ZERO and not extended):
            return bytes(cluster)
        data = self._file.read(entry & _OFFSET, cluster).ljust(cluster, b"\0")
        return _only_allocated(data, table[slot * 2 + 1]) if extended else data

    def _inflate(self, offset: int, length: int) -> bytes:
        cluster = self.header.cluster_size
        data = self._file.read(offset, length)
        try:
            if self.header.zstd:
                found = zstandard.ZstdDecompressor().stream_reader(data).read(cluster)
            else:
                found = zlib.decompressobj(-15).decompress(data, cluster)
        except (zlib.error, zstandard.ZstdError) as error:
            raise FormatError(f"a compressed cluster at byte {offset} cannot be unpacked: {error}") from error
        if len(found) < cluster:
            raise FormatError(
                f"a compressed cluster at byte {offset} unpacks to {len(found)} of {cluster} bytes"
            )
        return found


def _only_allocated(data: bytes, bitmap: int) -> bytes:
    """A cluster with the subclusters that are not allocated (bits 0 to 31) as zeros."""
    size = len(data) // 32
    return b"".join(data[i * size : (i + 1) * size] if bitmap >> i & 1 else bytes(size) for i in range(32))
