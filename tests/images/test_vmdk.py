from __future__ import annotations

import io
import os
import random
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import pyvmdk
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import vmdks
from fixtures.vhds import Pieces
from imgpatch.errors import FormatError
from imgpatch.images import vmdk
from imgpatch.images.disk import FileDisk
from tests.images import disks

MIB = disks.MIB
GRAIN = 65536
STREAM = ("-o", "subformat=streamOptimized")


@contextmanager
def opened(path: Path) -> Iterator[vmdk.Vmdk]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield vmdk.Vmdk(FileDisk(descriptor))
    finally:
        os.close(descriptor)


def disk_of(data: bytes) -> vmdk.Vmdk:
    return vmdk.Vmdk(Pieces(len(data), {0: data}))


def as_libvmdk_reads(data: bytes) -> bytes:
    handle = pyvmdk.handle()
    handle.open_file_object(io.BytesIO(data))
    handle.open_extent_data_files_as_file_objects([io.BytesIO(data)])  # whatever name it has in there
    seen: bytes = handle.read_buffer_at_offset(handle.get_media_size(), 0)
    handle.close()
    return seen


def noise(seed: int, length: int = GRAIN) -> bytes:
    """It neither packs to nothing nor fails to pack."""
    return random.Random(seed).randbytes(length // 2) + bytes([seed % 255 + 1]) * (length - length // 2)


def content_of(grains: Mapping[int, bytes], sectors: int, grain: int = 128) -> bytes:
    size = grain * 512
    whole = bytearray(-(-sectors // grain) * size)
    for number, data in grains.items():
        whole[number * size : number * size + len(data)] = data
    return bytes(whole[: sectors * 512])


@disks.needs_qemu_img
@pytest.mark.parametrize(
    ("size", "options"),
    [
        (2 * MIB, ()),
        (MIB + 7 * 512, ()),
        (33 * MIB + 512, ()),
        (2 * MIB, STREAM),
        (MIB + 7 * 512, STREAM),
        (33 * MIB + 512, STREAM),
        (MIB + 7 * 512, ("-o", "zeroed_grain=on")),
        (2 * MIB, ("-S", "0")),
    ],
    ids=str,
)
def test_reads_what_qemu_wrote(tmp_path: Path, size: int, options: tuple[str, ...]) -> None:
    data = bytes(size - MIB) + disks.content(MIB + 4096)[:MIB]
    path = disks.make(tmp_path / "a.vmdk", data, "vmdk", *options)
    with opened(path) as disk:
        disk.check_whole()
        assert disk.obstacle is None
        assert disk.variety == ("streamOptimized" if options == STREAM else "monolithicSparse")
        assert (disk.compressed, disk.markers, disk.algorithm == 1) == (options == STREAM,) * 3
        assert disk.end == path.stat().st_size
        assert disk.read(0, size + 1) == data == as_libvmdk_reads(path.read_bytes())
        assert disk.read(size - 270_001, 200_000) == data[-270_001:-70_001]
        assert list(disk.bad_grains()) == []


@disks.needs_qemu_img
@pytest.mark.parametrize(("size", "seed"), [(3 * MIB, 1), (37 * MIB + 3 * 512, 2), (10 << 30, 3)])
def test_reads_random_writes(tmp_path: Path, size: int, seed: int) -> None:
    chance = random.Random(seed)
    path, seen = tmp_path / "a.vmdk", tmp_path / "seen.raw"
    disks.qemu_img("create", "-q", "-f", "vmdk", "-o", "zeroed_grain=on", path, str(size))
    writes = [(chance.randrange(size // 512) * 512, chance.randrange(1, 200) * 512) for _ in range(30)]
    commands = [f"write -P {at // 512 % 255 + 1} {at} {min(length, size - at)}" for at, length in writes]
    words = [word for command in [*commands, f"write -z {GRAIN} {GRAIN}"] for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", "vmdk", *words, str(path)], check=True, capture_output=True)
    disks.qemu_img("convert", "-f", "vmdk", "-O", "raw", path, seen)
    with opened(path) as disk, seen.open("rb") as raw:
        disk.check_whole()
        end = 0
        for at, length in [*disk.allocated(), (size, 0)]:
            assert at >= end
            assert not os.pread(raw.fileno(), min(at - end, MIB), end).strip(b"\0")
            assert disk.read(at, length) == os.pread(raw.fileno(), length, at)
            end = at + length
        assert sum(length for _, length in disk.allocated()) <= 30 * 3 * GRAIN


@disks.needs_qemu_img
@pytest.mark.parametrize("capacity", [128 * 3, 128 * 513 - 3], ids=str)
@pytest.mark.parametrize("layout", ["footer", "header", "plain", "lazy", "small"])
def test_reads_what_other_writers_lay_out(tmp_path: Path, layout: str, capacity: int) -> None:
    size = 16 if layout == "small" else 128
    last = (capacity - 1) // size
    numbers = {0, 2, last // 2 + 1, last}
    grains = {number: noise(number, min(size, capacity - number * size) * 512) for number in numbers}
    if layout in ("footer", "header"):
        data = vmdks.stream(grains, capacity, footer=layout == "footer")
    else:
        data = vmdks.sparse(grains, capacity, lazy=layout == "lazy", grain=size, entries=size * 4)
    disk = disk_of(data)
    disk.check_whole()
    wanted = content_of(grains, capacity, size)
    assert disk.read(0, capacity * 512) == wanted
    assert list(disk.bad_grains()) == []
    assert disk.end == len(data)
    path = tmp_path / "a.vmdk"
    path.write_bytes(data)
    assert disks.guest_bytes(path, "vmdk") == wanted
    if layout != "small":  # libvmdk wants grain tables of 512 entries
        assert as_libvmdk_reads(data) == wanted


def test_grains_of_zeros_count_only_with_their_flag() -> None:
    flags = vmdks.NEWLINES | vmdks.ZERO_GRAINS
    disk = disk_of(vmdks.sparse({0: noise(1), 1: b""}, 256, flags=flags))
    disk.check_whole()
    assert disk.read(0, 256 * 512) == noise(1) + bytes(GRAIN)
    assert list(disk.allocated()) == [(0, GRAIN)]
    with pytest.raises(FormatError, match="overlaps its"):
        disk_of(vmdks.sparse({0: noise(1), 1: b""}, 256)).check_whole()


@pytest.mark.parametrize(
    ("damage", "what", "length"),
    [
        ("short", "unpacks to 65024 instead of 65536 bytes", GRAIN - 512),
        ("long", "unpacks to more than 65536 bytes", GRAIN + 1),
        ("bomb", "unpacks to more than 65536 bytes", GRAIN + 1),
        ("noise", "cannot be unpacked: .*incorrect header check", None),
        ("sum", "cannot be unpacked: .*incorrect data check", None),
        ("half", "its compressed data is cut off", None),
        ("empty", "has 0 bytes of compressed data", None),
        ("huge", "has 4294967295 bytes of compressed data", None),
        ("moved", "says it is of sector 384 of the disk, and 128 was wanted", None),
    ],
)
def test_bad_grains_are_told_and_never_read(damage: str, what: str, length: int | None) -> None:
    good = zlib.compress(noise(1))
    pieces = {
        "short": vmdks.packed(128, zlib.compress(noise(1, GRAIN - 512))),
        "long": vmdks.packed(128, zlib.compress(noise(1, GRAIN + 512))),
        "bomb": vmdks.packed(128, zlib.compress(bytes(16 * MIB))),
        "noise": vmdks.packed(128, noise(5)),
        "sum": vmdks.packed(128, good[:-1] + bytes([good[-1] ^ 1])),
        "half": vmdks.packed(128, good[: len(good) // 2]),
        "empty": vmdks.packed(128, b""),
        "huge": struct.pack("<QI", 128, 0xFFFF_FFFF).ljust(512, b"\0"),
        "moved": vmdks.packed(384, good),
    }
    disk = disk_of(vmdks.stream({0: noise(0), 1: pieces[damage], 2: noise(2)}, 640, raw={1}))
    disk.check_whole()
    (fault,) = disk.bad_grains()
    assert re.search(what, fault.what)
    assert (fault.guest, fault.length) == (GRAIN, length)
    assert disk.read(0, GRAIN) == noise(0)
    assert disk.read(2 * GRAIN, GRAIN) == noise(2)
    if damage != "moved":  # QEMU does not look at this
        with pytest.raises(FormatError, match=f"the grain at byte {fault.offset} "):
            disk.read(GRAIN, 1)


def test_the_last_grain_may_unpack_to_what_is_left_of_the_disk() -> None:
    for length in (512, 600, GRAIN):
        disk = disk_of(vmdks.stream({1: noise(1, length)}, 129))
        assert list(disk.bad_grains()) == []
        assert disk.read(GRAIN, 512) == noise(1, length)[:512]
    (fault,) = disk_of(vmdks.stream({1: noise(1, 511)}, 129)).bad_grains()
    assert fault.length == 511


GRAINS = {0: noise(0), 1: noise(1), 5: noise(5)}
FILES = {
    "footer": vmdks.stream(GRAINS, 1024),
    "header": vmdks.stream(GRAINS, 1024, footer=False),
    "plain": vmdks.sparse(GRAINS, 1024),
    "lazy": vmdks.sparse(GRAINS, 1024, lazy=True),
}


@pytest.mark.parametrize("layout", FILES)
def test_every_cut_that_loses_something_is_seen(layout: str) -> None:
    data = FILES[layout]
    lost = [*range(len(data) - 1024 if layout == "header" else len(data) - 512, 0, -5 * 512), 1000, 100, 4]
    for end in lost:
        with pytest.raises(FormatError, match=r"ends at|cut short"):
            disk_of(data[:end]).check_whole()


@pytest.mark.parametrize("layout", ["header", "plain", "lazy"])
def test_what_follows_the_disk_is_not_its_own(layout: str) -> None:
    disk = disk_of(FILES[layout] + bytes(512) + b"slack" + bytes(2 * GRAIN))
    disk.check_whole()
    assert len(FILES[layout]) - 512 <= disk.end <= len(FILES[layout])


def test_a_footer_has_to_be_at_the_very_end() -> None:
    with pytest.raises(FormatError, match="no footer at its end"):
        disk_of(FILES["footer"] + bytes(512))


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        ("plain", {"version": 4}, "VMDK version 4"),
        ("plain", {"version": 0}, "VMDK version 0"),
        ("plain", {"newlines": b"\n \n\n"}, "transferred as text"),
        ("plain", {"entries": 0}, "grain tables of 0 entries"),
        ("plain", {"entries": 1 << 30}, "grain tables of 1073741824 entries"),
        ("plain", {"grain": 0}, "grains of 0 sectors"),
        ("plain", {"grain": 96}, "grains of 96 sectors"),
        ("plain", {"grain": 1 << 62}, "grains of 4611686018427387904 sectors"),
        ("plain", {"capacity": 1 << 60}, "larger than any"),
        ("plain", {"capacity": 8 << 31}, "reach to byte"),
        ("plain", {"directory": 1 << 62}, "reach to byte"),
        ("plain", {"directory": 0}, "overlap"),
        ("plain", {"directory": 1}, "overlap"),
        ("plain", {"redundant": 20}, "overlap"),
        ("plain", {"redundant": 1 << 40}, "reach to byte"),
        ("plain", {"redundant": 128}, "overlap|reach to byte"),
        ("plain", {"overhead": 1 << 40}, "reach to byte"),
        ("plain", {"descriptor_size": 21}, "overlap"),
        ("plain", {"algorithm": 1}, "not compressed by its flags, with compression algorithm 1"),
        ("footer", {"algorithm": 0}, "compressed by its flags, with compression algorithm 0"),
        ("header", {"algorithm": 2}, "compressed by its flags, with compression algorithm 2"),
        ("header", {"flags": 0x10001}, "compressed grains without markers"),
        ("footer", {"capacity": 1025}, "1025 sectors of the disk in its header, 1024 in its footer"),
        ("footer", {"grain": 64}, "64 sectors of a grain in its header, 128 in its footer"),
    ],
)  # fmt: skip
def test_refuses_headers_that_cannot_be(layout: str, changes: dict[str, int | bytes], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        disk_of(vmdks.changed(FILES[layout], 0, **changes)).check_whole()


@pytest.mark.parametrize("at", [0, -1024])
def test_tells_of_compression_algorithm_0(at: int) -> None:
    disk = disk_of(vmdks.changed(FILES["footer"], at, algorithm=0))
    assert (disk.compressed, disk.markers, disk.algorithm) == (True, True, 0)
    with pytest.raises(FormatError, match="with compression algorithm 0"):
        disk.read(0, 512)
    with pytest.raises(FormatError, match="with compression algorithm 0"):
        list(disk.bad_grains())


def with_word(data: bytes, sector: int, index: int, word: int) -> bytes:
    copy = bytearray(data)
    struct.pack_into("<I", copy, sector * 512 + index * 4, word)
    return bytes(copy)


@pytest.mark.parametrize(
    ("layout", "slot", "word", "message"),
    [
        ("plain", 3, 129, "two blocks overlap"),
        ("plain", 3, 128, "two blocks overlap"),
        ("plain", 3, 20, "overlaps its"),
        ("plain", 3, 27, "overlaps a grain table"),
        ("plain", 3, 0xFFFF_FFFF, "reach to byte 2199023"),
        ("lazy", 3, 126, "overlaps its grain table|overlaps a grain table|overlaps its"),
        ("header", 3, 0xFFFF_FFFF, "reach to byte 2199023"),
        ("header", 3, 128, "two grains are at byte 65536"),
    ],
)
def test_refuses_tables_that_lead_astray(layout: str, slot: int, word: int, message: str) -> None:
    data = FILES[layout]
    live = disk_of(data).header
    (table,) = struct.unpack_from("<I", data, live.directory * 512)
    with pytest.raises(FormatError, match=message):
        disk_of(with_word(data, table, slot, word)).check_whole()


def test_refuses_grain_tables_in_one_place() -> None:
    data = vmdks.sparse({}, 128 * 600)
    live = disk_of(data).header
    first = struct.unpack_from("<I", data, live.directory * 512)[0]
    for word in (first, first + 3, live.directory, 0, live.redundant):
        broken = disk_of(with_word(data, live.directory, 1, word))
        if word:
            with pytest.raises(FormatError, match="overlap"):
                broken.check_whole()
        else:
            broken.check_whole()


def test_a_table_shared_by_a_whole_directory_is_no_bomb() -> None:
    """Two megabytes of directory over one table would be 16 TiB of one grain."""
    tables = 1 << 19
    head = {
        "flags": 0x30001,
        "capacity": tables * 65536,
        "grain": 128,
        "descriptor": 1,
        "descriptor_size": 20,
    }
    grain = vmdks.packed(0, zlib.compress(bytes(GRAIN)))
    pieces = {
        0: vmdks.header(**head, entries=512, directory=128, overhead=8192, algorithm=1),
        512: vmdks.descriptor(),
        128 * 512: struct.pack("<I", 8192) * tables,
        8192 * 512: struct.pack("<I", 8196) * 512 + grain,
    }
    disk = vmdk.Vmdk(Pieces(8197 * 512, pieces))
    assert disk.size == 16 << 40
    with pytest.raises(FormatError, match="overlap"):
        disk.check_whole()


class Counted:
    def __init__(self, file: Pieces) -> None:
        self.file, self.size, self.reads = file, file.size, 0

    def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        return self.file.read(offset, length)


def test_empty_tables_of_a_huge_disk_are_read_in_rows() -> None:
    tables = 1 << 14
    head = {"flags": 1, "capacity": tables * 65536, "grain": 128, "descriptor": 1, "descriptor_size": 20}
    pieces = {
        0: vmdks.header(**head, entries=512, directory=128, overhead=8192),
        512: vmdks.descriptor("monolithicSparse"),
        128 * 512: struct.pack(f"<{tables}I", *range(8192, 8192 + 4 * tables, 4)),
    }
    file = Counted(Pieces((8192 + 4 * tables) * 512, pieces))
    disk = vmdk.Vmdk(file)
    disk.check_whole()
    assert list(disk.allocated()) == []
    assert disk.size == 512 << 30
    assert file.reads < tables // 8


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.integers(0, 90), st.binary(min_size=1, max_size=12), st.booleans())
def test_a_damaged_header_is_refused_or_read(layout: str, at: int, patch: bytes, at_end: bool) -> None:
    data = bytearray(FILES[layout])
    at += len(data) - 1024 if at_end and layout == "footer" else 0
    data[at : at + len(patch)] = patch
    with suppress(FormatError):
        disk = disk_of(bytes(data))
        vmdk.obstacle(Pieces(len(data), {0: bytes(data)}))
        disk.check_whole()
        assert len(disk.read(0, MIB)) == min(MIB, disk.size)
        assert sum(length for _, length in disk.allocated()) <= disk.size
        assert all(fault.what for fault in disk.bad_grains())
