from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.vhds import Pieces
from imgpatch.errors import FormatError
from imgpatch.images import vdi
from imgpatch.images.disk import FileDisk
from tests.images import disks

MIB = disks.MIB
UNUSED, DISCARDED = 0xFFFF_FFFF, 0xFFFF_FFFE


@contextmanager
def opened(path: Path) -> Iterator[vdi.Vdi]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield vdi.Vdi(FileDisk(descriptor))
    finally:
        os.close(descriptor)


def made(entries: list[int], *, size: int | None = None, stored: int | None = None) -> Pieces:
    """Blocks of one byte each, the number of the block in the file and one."""
    live = [entry for entry in entries if entry < DISCARDED]
    stored = len(live) if stored is None else stored
    header = bytearray(1024)
    header[:28] = b"<<< Oracle VM VirtualBox Disk"
    struct.pack_into("<4sIII", header, 64, vdi.MAGIC, 0x10001, 400, 1)
    struct.pack_into("<II", header, 340, 512, 1024)
    struct.pack_into("<I", header, 360, 512)
    struct.pack_into(
        "<QIIII", header, 368, len(entries) * MIB if size is None else size, MIB, 0, len(entries), stored
    )
    struct.pack_into(f"<{len(entries)}I", header, 512, *entries)
    blocks = {1024 + number * MIB: bytes([number + 1]) * MIB for number in range(len(live))}
    return Pieces(1024 + len(live) * MIB, {0: bytes(header), **blocks})


@disks.needs_qemu_img
@pytest.mark.parametrize("size", [4 * MIB, 2 * MIB + 7 * 512], ids=str)
@pytest.mark.parametrize("variety", ["dynamic", "static"])
def test_reads_what_qemu_wrote(tmp_path: Path, size: int, variety: str) -> None:
    data = bytes(MIB) + disks.content(size)[: size - MIB]
    data = data[:size].ljust(size, b"\1")
    static = "on" if variety == "static" else "off"
    path = disks.make(tmp_path / "a.vdi", data, "vdi", "-o", f"static={static}")
    with opened(path) as disk:
        disk.check_whole()
        assert disk.variety == variety
        assert disk.end == path.stat().st_size
        assert disk.read(0, size + 1) == data
        assert disk.read(1_000_001, 200_000) == data[1_000_001:1_200_001]


@disks.needs_qemu_img
@pytest.mark.parametrize(("size", "seed"), [(3 * MIB, 1), (70 * MIB + 3 * 512, 2), (10 << 30, 3)])
def test_reads_random_writes(tmp_path: Path, size: int, seed: int) -> None:
    chance = random.Random(seed)
    path, seen = tmp_path / "a.vdi", tmp_path / "seen.raw"
    disks.qemu_img("create", "-q", "-f", "vdi", path, str(size))
    writes = [(chance.randrange(size // 512) * 512, chance.randrange(1, 200) * 512) for _ in range(12)]
    commands = [f"write -P {at // 512 % 255 + 1} {at} {min(length, size - at)}" for at, length in writes]
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", "vdi", *words, str(path)], check=True, capture_output=True)
    disks.qemu_img("convert", "-f", "vdi", "-O", "raw", path, seen)
    with opened(path) as disk, seen.open("rb") as raw:
        disk.check_whole()
        end = 0
        for at, length in [*disk.allocated(), (size, 0)]:
            assert at >= end
            assert not os.pread(raw.fileno(), min(at - end, MIB), end).strip(b"\0")
            assert disk.read(at, length) == os.pread(raw.fileno(), length, at)
            end = at + length
        assert sum(length for _, length in disk.allocated()) <= 24 * MIB


def test_reads_blocks_in_any_order_and_discarded_ones() -> None:
    disk = vdi.Vdi(made([1, UNUSED, 0, DISCARDED], size=3 * MIB + 512))
    disk.check_whole()
    assert disk.read(MIB - 1, 3) == b"\2\0\0"
    assert disk.read(2 * MIB, MIB + 600) == b"\1" * MIB + bytes(512)
    assert list(disk.allocated()) == [(0, MIB), (2 * MIB, MIB)]


def test_a_size_between_sectors_is_rounded_up_as_qemu_does() -> None:
    assert vdi.Vdi(made([0], size=1000)).size == 1024


def test_of_the_last_block_only_what_the_guest_sees_must_be_there() -> None:
    whole = made([0, 1], size=MIB + 512)
    for length in (512, 4096):
        disk = vdi.Vdi(whole.cut(1024 + MIB + length))
        disk.check_whole()
        assert disk.read(MIB, 4096) == b"\2" * 512
        assert disk.end == 1024 + MIB + length
    with pytest.raises(FormatError, match="points to byte"):
        vdi.Vdi(whole.cut(1024 + MIB + 511)).check_whole()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (made([0, 0]), "two blocks overlap"),
        (made([0, 1], stored=1), "points to block 1 of 1 in the file"),
        (made([0, 5], stored=9), "points to byte"),
        (made([0, 1]).cut(1024 + MIB + 5), "points to byte"),
        (made([0, 1]).cut(514), "ends at 514"),
        (made([0]).put(344, struct.pack("<I", 512)), "overlaps its block map"),
        (made([0]).put(344, struct.pack("<I", 0)), "overlaps its header"),
        (made([0]).put(340, struct.pack("<I", 0)), "its block map and its header overlap"),
        (made([0]).put(340, struct.pack("<I", 1 << 31)), "block table reaches to byte"),
        (made([0]).put(340, struct.pack("<I", 700)), "no whole sectors"),
        (made([0]).put(344, struct.pack("<I", 1025)), "no whole sectors"),
        (made([0]).put(64, b"\0"), "no VDI magic"),
        (made([0]).put(68, struct.pack("<I", 0x10000)), "VDI version 1.0"),
        (made([0]).put(76, struct.pack("<I", 5)), "a VDI of kind 5"),
        (made([0]).put(360, struct.pack("<I", 4096)), "sectors of 4096 bytes"),
        (made([0]).put(376, struct.pack("<I", 0)), "blocks of 0"),
        (made([0]).put(376, struct.pack("<I", 1 << 31)), "blocks of 2147483648"),
        (made([0]).put(380, struct.pack("<I", 512)), "with 512 more"),
        (made([0]).put(384, struct.pack("<I", 0)), "a map of 0 blocks cannot be that of 1048576 bytes"),
        (made([0]).put(384, struct.pack("<I", 1 << 31)), "a map of 2147483648 blocks"),
        (made([0]).put(368, struct.pack("<Q", 1 << 60)), "cannot be that of 1152921504606846976 bytes"),
        (made([0]).cut(500), "ends at byte 500, within its header"),
    ],
)
def test_refuses_what_cannot_be(file: Pieces, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        vdi.Vdi(file).check_whole()


@pytest.mark.parametrize(("at", "data"), [(76, b"\4"), (76, b"\3"), (424, b"\1" * 16), (440, b"\1" * 16)])
def test_a_disk_with_a_parent_is_told_and_not_read(at: int, data: bytes) -> None:
    disk = vdi.Vdi(made([0]).put(at, data))
    assert disk.variety == "differencing"
    with pytest.raises(FormatError, match="its parent"):
        disk.read(0, 1)


def test_a_map_of_a_sparse_file_costs_no_memory() -> None:
    blocks = 1 << 22
    file = made([UNUSED], size=blocks * MIB).put(384, struct.pack("<I", blocks)).put(512, b"\xff" * 512)
    disk = vdi.Vdi(Pieces(1 << 50, file.data))
    with pytest.raises(FormatError, match=r"overlap|points to block"):
        disk.check_whole()


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.integers(0, 530), st.binary(min_size=1, max_size=12))
def test_a_damaged_header_is_refused_or_read(at: int, patch: bytes) -> None:
    with suppress(FormatError):
        disk = vdi.Vdi(made([1, UNUSED, 0], size=3 * MIB - 512).put(at, patch))
        disk.check_whole()
        assert len(disk.read(0, MIB)) == min(MIB, disk.size)
        assert sum(length for _, length in disk.allocated()) <= disk.size
