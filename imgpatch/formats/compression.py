"""The compressions of an initramfs and of module files: told apart, unpacked within limits, packed.

Unpacking goes piece by piece and says where the compressed part ends, since an initramfs is several
of them one after another. Packing gives the same bytes for the same input: no times, no names, a
fixed number of threads.

What the kernel can read decides how it is packed (Documentation/driver-api/early-userspace/buffer-format,
lib/decompress_*.c): one gzip member, one xz stream checked by CRC32, legacy lz4 frames, one zstd frame.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from typing import Protocol, TypeVar

import lz4.block
import zstandard

from imgpatch.errors import FormatError

PIECE = 1 << 20
"""How much is unpacked at a time."""

MAX_WINDOW = 1 << 27
"""The kernel's own limit for zstd, and more than any preset of xz asks for."""

THREADS = 2
"""Fixed, so that the result is the same on every machine."""

ZSTD_LEVEL = 7
"""Twice as fast as the 9 that mkinitramfs takes for one part in fifty more bytes."""

XZ_PRESET = 1
"""Seven times as fast as xz's default for an eighth more bytes; SLES's dracut takes 0."""

LZ4_LEGACY_BLOCK = 8 << 20
_LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"
_LZ4_LARGEST_BLOCK = LZ4_LEGACY_BLOCK + LZ4_LEGACY_BLOCK // 255 + 16
_MOST_SHORT_BLOCKS = 1000  # only the last one of a frame is short
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
_DEFLATE_WINDOW = 32 << 10
_FEED = 64 << 10

_T = TypeVar("_T")


class Compression(StrEnum):
    NONE = "uncompressed"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"
    LZ4 = "lz4"
    LZMA = "lzma"
    BZIP2 = "bzip2"
    LZO = "lzo"


# init/initramfs.c hands the same first bytes to lib/decompress.c
_MAGICS = (
    (b"\x1f\x8b", Compression.GZIP),
    (b"\x1f\x9e", Compression.GZIP),
    (b"BZh", Compression.BZIP2),
    (b"\x5d\x00", Compression.LZMA),
    (b"\xfd7zXZ\x00", Compression.XZ),
    (b"\x89LZO", Compression.LZO),
    (b"\x02\x21", Compression.LZ4),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
)


def detect(head: bytes) -> Compression | None:
    """Tells by the first bytes; None: none of the compressions the kernel knows."""
    return next((kind for magic, kind in _MAGICS if head.startswith(magic)), None)


class Unpacked:
    """The contents of one compressed part, piece by piece; iterate once.

    Attributes:
        end: where the part ends in the data, once the pieces are used up.
    """

    def __init__(self, data: bytes, start: int, kind: Compression) -> None:
        if kind not in _READERS:
            raise FormatError(
                f"{kind} compression cannot be read here",
                hint="make the initramfs anew in the guest with another compression",
            )
        self.end = start
        self._data = memoryview(data)
        self._start = start
        self._kind = kind

    def __iter__(self) -> Iterator[bytes]:
        reader = _READERS[self._kind]
        try:
            yield from reader(self, self._data, self._start)
        except (
            zlib.error,
            lzma.LZMAError,
            OSError,
            zstandard.ZstdError,
            lz4.block.LZ4BlockError,
            struct.error,
        ) as error:
            raise FormatError(f"{self._kind} data is damaged: {error}") from error


def unpack(data: bytes, limit: int) -> bytes:
    """Unpacks a file of one compressed part, a module for instance; as it is where it has none.

    Raises:
        FormatError: it is damaged, or more than `limit` bytes.
    """
    kind = detect(data)
    if kind is None:
        return data
    unpacked = Unpacked(data, 0, kind)
    pieces, size = [], 0
    for piece in unpacked:
        size += len(piece)
        if size > limit:
            raise FormatError(f"{kind} data unpacks to more than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _read_gzip(part: Unpacked, data: memoryview, start: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    position = start
    while not decoder.eof:
        feed = decoder.unconsumed_tail
        if not feed:
            feed = bytes(data[position : position + _FEED])
            position += len(feed)
        if not feed:
            raise FormatError("gzip data is cut off")
        piece = decoder.decompress(feed, PIECE)
        if piece:
            yield piece
    part.end = position - len(decoder.unused_data)


class _Decoder(Protocol):
    """What lzma's and bz2's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _read_by(make: Callable[[], _Decoder]) -> _Reader:
    def read(part: Unpacked, data: memoryview, start: int) -> Iterator[bytes]:
        decoder = make()
        position = start
        while not decoder.eof:
            feed = bytes(data[position : position + _FEED]) if decoder.needs_input else b""
            position += len(feed)
            if decoder.needs_input and not feed:
                raise FormatError("compressed data is cut off")
            piece = decoder.decompress(feed, PIECE)
            if piece:
                yield piece
        part.end = position - len(decoder.unused_data)

    return read


def _read_zstd(part: Unpacked, data: memoryview, start: int) -> Iterator[bytes]:
    end = _zstd_frame_end(data, start)
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    with decoder.stream_reader(data[start:end]) as reader:
        while piece := reader.read(PIECE):
            yield piece
    part.end = end


def _zstd_frame_end(data: memoryview, start: int) -> int:
    """Walks the blocks of one frame: RFC 8878, 3.1.1."""
    head = bytes(data[start : start + 18])
    frame = zstandard.get_frame_parameters(head)
    position = start + zstandard.frame_header_size(head)
    last = False
    while not last:
        block = int.from_bytes(data[position : position + 3], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        if position + 3 > len(data) or kind == 3:
            raise FormatError("zstd data is damaged or cut off")
        position += 3 + (1 if kind == 1 else size)
    position += 4 if frame.has_checksum else 0
    if position > len(data):
        raise FormatError("zstd data is cut off")
    return position


def _read_lz4_legacy(part: Unpacked, data: memoryview, start: int) -> Iterator[bytes]:
    """Blocks until the data ends or something stands there that is no block; nothing marks the end."""
    if data[start : start + 4] != _LZ4_LEGACY_MAGIC:
        raise FormatError("lz4 data is not in the legacy format, the only one the kernel reads")
    position = start + 4
    short = 0
    while position + 4 <= len(data):
        size = int.from_bytes(data[position : position + 4], "little")
        if size == int.from_bytes(_LZ4_LEGACY_MAGIC, "little"):
            position += 4
            continue
        if size == 0 or size > _LZ4_LARGEST_BLOCK:
            break
        if position + 4 + size > len(data):
            raise FormatError("lz4 data is cut off")
        block = data[position + 4 : position + 4 + size]
        piece: bytes = lz4.block.decompress(block, uncompressed_size=LZ4_LEGACY_BLOCK)
        short += len(piece) < LZ4_LEGACY_BLOCK
        if short > _MOST_SHORT_BLOCKS:
            raise FormatError("lz4 data is made of too many small blocks")
        position += 4 + size
        yield piece
    part.end = position


_Reader = Callable[[Unpacked, memoryview, int], Iterator[bytes]]

_READERS: dict[Compression, _Reader] = {
    Compression.GZIP: _read_gzip,
    Compression.XZ: _read_by(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * MAX_WINDOW)),
    Compression.LZMA: _read_by(lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=2 * MAX_WINDOW)),
    Compression.BZIP2: _read_by(bz2.BZ2Decompressor),
    Compression.ZSTD: _read_zstd,
    Compression.LZ4: _read_lz4_legacy,
}


def pack(pieces: Iterable[bytes], kind: Compression) -> Iterator[bytes]:
    """Packs the pieces, joined, into one compressed part, which comes in pieces too.

    Raises:
        FormatError: this compression is not written here (lzo).
    """
    if kind not in _WRITERS:
        raise FormatError(f"{kind} compression cannot be written here")
    return _WRITERS[kind](pieces)


def _write_gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """One member of blocks packed at the same time, each with the end of the one before as dictionary."""
    checksum = size = 0
    before = b""

    def blocks() -> Iterator[tuple[bytes, bytes]]:
        nonlocal checksum, size, before
        for block in _blocks(pieces, PIECE):
            checksum = zlib.crc32(block, checksum)
            size += len(block)
            yield before, block
            before = block[-_DEFLATE_WINDOW:]

    yield _GZIP_HEADER
    yield from _in_threads(_deflated, blocks())
    yield zlib.compressobj(wbits=-15).flush()  # an empty last block
    yield struct.pack("<II", checksum, size & 0xFFFFFFFF)


def _deflated(block: tuple[bytes, bytes]) -> bytes:
    dictionary, data = block
    encoder = zlib.compressobj(6, zlib.DEFLATED, -15, zlib.DEF_MEM_LEVEL, zdict=dictionary)
    return encoder.compress(data) + encoder.flush(zlib.Z_SYNC_FLUSH)


def _write_xz(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """One stream of blocks packed at the same time: the .xz file format, 2 and 4.

    liblzma makes a whole stream of each block; its block and its index record are taken out of it.
    """
    header = b""
    records = bytearray()
    count = 0
    for stream in _in_threads(_xz_stream, _blocks(pieces, LZ4_LEGACY_BLOCK)):
        index_size = (int.from_bytes(stream[-8:-4], "little") + 1) * 4
        index = stream[-12 - index_size : -12]
        if not header:
            header = stream[:12]
            yield header
        yield stream[12 : -12 - index_size]
        records += index[2 : 2 + _xz_record_size(index, 2)]
        count += 1
    if not header:
        yield lzma.compress(b"", check=lzma.CHECK_CRC32)
        return
    index = b"\x00" + _xz_number(count) + records
    index += b"\x00" * (-len(index) % 4)
    index += struct.pack("<I", zlib.crc32(index))
    tail = struct.pack("<I", len(index) // 4 - 1) + header[6:8]
    yield index + struct.pack("<I", zlib.crc32(tail)) + tail + b"YZ"


def _xz_stream(block: bytes) -> bytes:
    return lzma.compress(block, check=lzma.CHECK_CRC32, preset=XZ_PRESET)


def _xz_number(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(digits) + bytes((value,))


def _xz_record_size(index: bytes, start: int) -> int:
    """Two numbers, each ending with a byte below 0x80."""
    position = start
    for _ in range(2):
        while index[position] >= 0x80:
            position += 1
        position += 1
    return position - start


def _write_zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    encoder = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=THREADS, write_checksum=True).compressobj()
    for piece in pieces:
        yield encoder.compress(piece)
    yield encoder.flush()


def _write_lz4_legacy(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield _LZ4_LEGACY_MAGIC
    for block in _in_threads(_lz4_block, _blocks(pieces, LZ4_LEGACY_BLOCK)):
        yield len(block).to_bytes(4, "little") + block


def _lz4_block(data: bytes) -> bytes:
    block: bytes = lz4.block.compress(data, mode="high_compression", compression=9, store_size=False)
    return block


def _write_lzma(pieces: Iterable[bytes]) -> Iterator[bytes]:
    encoder = lzma.LZMACompressor(lzma.FORMAT_ALONE, preset=XZ_PRESET)
    for piece in pieces:
        yield encoder.compress(piece)
    yield encoder.flush()


def _write_bzip2(pieces: Iterable[bytes]) -> Iterator[bytes]:
    encoder = bz2.BZ2Compressor(9)
    for piece in pieces:
        yield encoder.compress(piece)
    yield encoder.flush()


_WRITERS: dict[Compression, Callable[[Iterable[bytes]], Iterator[bytes]]] = {
    Compression.NONE: iter,
    Compression.GZIP: _write_gzip,
    Compression.XZ: _write_xz,
    Compression.LZMA: _write_lzma,
    Compression.BZIP2: _write_bzip2,
    Compression.ZSTD: _write_zstd,
    Compression.LZ4: _write_lz4_legacy,
}


def _blocks(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of `size`, the last one shorter."""
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        position = 0
        while length + len(piece) - position >= size:
            cut = position + size - length
            held.append(piece[position:cut])
            yield b"".join(held)
            held, length, position = [], 0, cut
        held.append(piece[position:])
        length += len(piece) - position
    if length:
        yield b"".join(held)


def _in_threads(work: Callable[[_T], bytes], items: Iterable[_T]) -> Iterator[bytes]:
    """`map` in threads, in order, with no more items in hand than keep the threads busy."""
    with ThreadPoolExecutor(THREADS) as threads:
        waiting: deque[Future[bytes]] = deque()
        for item in items:
            waiting.append(threads.submit(work, item))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
