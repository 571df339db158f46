"""Packing and unpacking: what the kernel's decoders and the real tools take, and hostile data."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
import zlib
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.formats import compression
from imgpatch.formats.compression import Compression, Unpacked, detect, pack, unpack

WRITTEN = (
    Compression.GZIP,
    Compression.XZ,
    Compression.ZSTD,
    Compression.LZ4,
    Compression.LZMA,
    Compression.BZIP2,
)
TOOLS = {
    Compression.GZIP: ["gzip", "-dc"],
    Compression.XZ: ["xz", "-dc", "--single-stream"],
    Compression.ZSTD: ["zstd", "-dqc"],
    Compression.LZ4: ["lz4", "-dc"],
    Compression.LZMA: ["xz", "-dc", "--format=lzma"],
    Compression.BZIP2: ["bzip2", "-dc"],
}
PLAIN = b"".join(b"%d lines, and then some more of them\n" % number for number in range(60_000))


def packed(data: bytes, kind: Compression) -> bytes:
    pieces = (data[at : at + 700_001] for at in range(0, len(data), 700_001))
    return b"".join(pack(pieces, kind))


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("data", [b"", b"x", PLAIN * 4], ids=["empty", "one byte", "9 MB"])
def test_what_is_packed_is_unpacked_by_us_and_by_the_real_tool(kind: Compression, data: bytes) -> None:
    out = packed(data, kind)
    assert detect(out) is kind
    assert unpack(out, len(data)) == data
    if shutil.which(TOOLS[kind][0]) is None:
        pytest.skip(f"needs {TOOLS[kind][0]}")
    assert subprocess.run(TOOLS[kind], input=out, capture_output=True, check=True).stdout == data


@pytest.mark.parametrize("kind", WRITTEN)
def test_packing_is_the_same_every_time(kind: Compression) -> None:
    assert packed(PLAIN, kind) == b"".join(pack([PLAIN], kind))


def test_xz_is_one_stream_of_several_blocks_checked_by_crc32() -> None:
    """The kernel's xz_dec reads one stream, and CRC32 only."""
    out = packed(PLAIN * 4, Compression.XZ)
    assert out[6:8] == b"\0\x01"
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    assert decoder.decompress(out) == PLAIN * 4
    assert decoder.eof
    assert decoder.unused_data == b""


@pytest.mark.parametrize("kind", [k for k in WRITTEN if k is not Compression.LZ4])
def test_the_end_of_a_part_is_found(kind: Compression) -> None:
    data = b"before" + packed(PLAIN, kind)
    unpacked = Unpacked(data + b"after", 6, kind)
    assert b"".join(unpacked) == PLAIN
    assert unpacked.end == len(data)


def test_lz4_ends_where_no_block_begins() -> None:
    out = packed(PLAIN, Compression.LZ4)
    unpacked = Unpacked(out + b"\0" * 512, 0, Compression.LZ4)
    assert b"".join(unpacked) == PLAIN
    assert unpacked.end == len(out)


@pytest.mark.parametrize("kind", WRITTEN)
@settings(max_examples=15, derandomize=True, deadline=None)
@given(place=st.integers(1, 10_000))
def test_what_is_cut_off_is_refused(kind: Compression, place: int) -> None:
    out = packed(PLAIN[:50_000], kind)
    cut = out[: place % (len(out) - 5)]
    if kind is Compression.LZ4 and len(cut) < 8:
        return  # a magic and no block is an empty frame
    with pytest.raises(FormatError):
        for _ in Unpacked(cut, 0, kind):
            pass


@pytest.mark.parametrize("kind", WRITTEN)
@settings(max_examples=15, derandomize=True, deadline=None)
@given(place=st.integers(0, 100_000), byte=st.integers(0, 255))
def test_damage_is_refused_or_read_within_the_limit(kind: Compression, place: int, byte: int) -> None:
    out = bytearray(packed(PLAIN[:50_000], kind))
    out[place % len(out)] = byte
    with suppress(FormatError):
        assert len(unpack(bytes(out), 20_000_000)) <= 20_000_000


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(bytes(16 << 20), mtime=0),
        lzma.compress(bytes(16 << 20), preset=0),
        bz2.compress(bytes(16 << 20)),
        zstandard.ZstdCompressor().compress(bytes(16 << 20)),
    ],
    ids=["gzip", "xz", "bzip2", "zstd"],
)
def test_a_bomb_stops_at_the_limit(bomb: bytes) -> None:
    with pytest.raises(FormatError, match="more than 1000000 bytes"):
        unpack(bomb, 1_000_000)


def test_pieces_are_small_however_much_is_packed() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    data = bomb.compress(bytes(32 << 20)) + bomb.flush()
    assert max(len(piece) for piece in Unpacked(data, 0, Compression.GZIP)) <= compression.PIECE


def test_what_the_kernel_would_not_read_is_refused() -> None:
    with pytest.raises(FormatError, match="lzo"):
        Unpacked(b"\x89LZO\0", 0, Compression.LZO)
    with pytest.raises(FormatError, match="legacy"):
        list(Unpacked(b"\x02\x21\0\0\0\0", 0, Compression.LZ4))
    assert detect(b"\x04\x22\x4d\x18") is None  # lz4's own frame
    huge = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=28, format=0)
    ).compressobj()
    with pytest.raises(FormatError, match="zstd"):
        list(Unpacked(huge.compress(PLAIN) + huge.flush(), 0, Compression.ZSTD))


def test_a_file_without_compression_is_left_as_it_is() -> None:
    assert unpack(b"\x7fELF...", 1) == b"\x7fELF..."
