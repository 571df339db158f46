from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pyvhdi
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import vhds
from imgpatch.errors import FormatError
from imgpatch.images import vhdx
from imgpatch.images.block_table import Claims
from imgpatch.images.disk import FileDisk
from tests.images import disks

MIB = disks.MIB


@contextmanager
def opened(path: Path) -> Iterator[vhdx.Vhdx]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield vhdx.Vhdx(FileDisk(descriptor))
    finally:
        os.close(descriptor)


def as_libvhdi_reads(path: Path) -> bytes:
    file = pyvhdi.file()
    file.open(str(path))
    data: bytes = file.read_buffer_at_offset(file.get_media_size(), 0)
    file.close()
    return data


def changed(file: vhds.Pieces, *changes: tuple[int, bytes]) -> vhds.Pieces:
    for offset, data in changes:
        file = file.put(offset, data)
    return file


@disks.needs_qemu_img
@pytest.mark.parametrize("size", [5 * MIB + 3 * 512], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        "subformat=dynamic",
        "subformat=fixed",
        "subformat=dynamic,block_size=1M",
        "subformat=dynamic,block_size=256M",
        "subformat=dynamic,block_size=2M,block_state_zero=off,log_size=3M",
    ],
)
def test_reads_what_qemu_wrote(tmp_path: Path, size: int, options: str) -> None:
    data = disks.content(size + 4096)[:size]
    path = disks.make(tmp_path / "a.vhdx", data, "vhdx", "-o", options)
    with opened(path) as disk:
        disk.check_whole()
        assert disk.variety == options.partition(",")[0].removeprefix("subformat=")
        assert (disk.size, disk.sector_size) == (size, 512)
        assert (disk.log_pending, disk.damaged_copies) == (False, ())
        assert disk.end <= path.stat().st_size
        assert disk.read(0, size + 1) == data
        assert disk.read(70_001, 3 * MIB) == data[70_001 : 70_001 + 3 * MIB]
        assert disk.read(disk.size, 10) == b""
    assert as_libvhdi_reads(path) == data


@disks.needs_qemu_img
def test_agrees_with_qemu_after_writes_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.vhdx"
    disks.qemu_img("create", "-q", "-f", "vhdx", "-o", "block_size=1M", path, str(40 * MIB))
    chance = random.Random(6)
    for _ in range(12):
        length = chance.randrange(1, 64) * 512
        disks.write(
            path, chance.randrange(0, 40 * MIB - length) // 512 * 512, chance.randbytes(length), "vhdx"
        )
    disks.qemu_img("check", "-q", "-f", "vhdx", path)
    with opened(path) as disk:
        disk.check_whole()
        assert not disk.log_pending
        data = disk.read(0, disk.size)
        assert data == disks.guest_bytes(path, "vhdx") == as_libvhdi_reads(path)
        stored = set(disk.allocated())
        blocks = {(at, MIB) for at in range(0, 40 * MIB, MIB)}
        assert stored < blocks
        assert not any(disk.read(*hole).strip(b"\0") for hole in blocks - stored)


@disks.needs_qemu_img
@pytest.mark.parametrize("block", [16 * MIB, 256 * MIB], ids=str)
def test_finds_blocks_behind_the_entries_of_sector_bitmaps(tmp_path: Path, block: int) -> None:
    path = tmp_path / "a.vhdx"
    size = 9 << 30
    disks.qemu_img("create", "-q", "-f", "vhdx", "-o", f"block_size={block}", path, str(size))
    places = [(4 << 30) - 512, 4 << 30, (8 << 30) + 512, size - 512]
    for number, place in enumerate(places):
        disks.write(path, place, bytes([65 + number]) * 512, "vhdx")
    with opened(path) as disk:
        disk.check_whole()
        assert [disk.read(place, 512) for place in places] == [bytes([65 + i]) * 512 for i in range(4)]
        starts = sorted({place // block * block for place in places})
        assert list(disk.allocated()) == [(start, min(block, size - start)) for start in starts]


def test_sectors_of_4096_bytes_halve_the_entries_of_sector_bitmaps(tmp_path: Path) -> None:
    path = vhds.vhdx(64 * MIB, {1: b"one", 63: b"last"}, sector=4096).write(tmp_path / "a.vhdx")
    with opened(path) as disk:
        disk.check_whole()
        assert disk.sector_size == 4096
        assert disk.read(0, disk.size) == as_libvhdi_reads(path)


@pytest.mark.parametrize("name", [name for name in vhds.UNREADABLE if name.endswith("vhdx")])
def test_says_what_is_broken(name: str) -> None:
    file, message = vhds.UNREADABLE[name]
    with pytest.raises(FormatError, match=message):
        vhdx.Vhdx(file).check_whole()


def test_one_sound_copy_of_each_is_enough() -> None:
    file = vhds.vhdx(4 * MIB, {1: b"data"})
    disk = vhdx.Vhdx(changed(file, (128 << 10, b"x"), (192 << 10, b"x")))
    assert disk.damaged_copies == ("header 2", "region table 1")
    assert disk.read(MIB, 4) == b"data"


def test_the_header_with_the_larger_number_is_current() -> None:
    file = vhds.vhdx(4 * MIB)
    pending = vhds.header(9, log_id=b"\1" * 16)
    assert vhdx.Vhdx(file.put(64 << 10, pending)).log_pending
    assert vhdx.Vhdx(vhds.LOG_PENDING).log_pending
    older = changed(file, (64 << 10, pending), (128 << 10, vhds.header(10)))
    assert not vhdx.Vhdx(older).log_pending


def test_two_equal_headers_are_what_disk2vhd_writes() -> None:
    file = changed(vhds.vhdx(4 * MIB), (64 << 10, vhds.header(7)), (128 << 10, vhds.header(7)))
    assert not vhdx.Vhdx(file).log_pending


@pytest.mark.parametrize("state", [0, 1, 2, 3])
def test_blocks_without_data_are_zeros_wherever_they_once_were(state: int) -> None:
    disk = vhdx.Vhdx(vhds.vhdx(4 * MIB, {1: b"data"}, entries={2: 4 * MIB | state}))
    disk.check_whole()
    assert disk.read(2 * MIB, MIB) == bytes(MIB)
    assert list(disk.allocated()) == [(MIB, MIB)]


def test_the_last_block_may_end_with_the_disk() -> None:
    file = vhds.vhdx(MIB + 4096, {0: b"data", 1: b"x" * 4096})
    for size in (file.size, file.size - MIB + 4096):
        disk = vhdx.Vhdx(file.cut(size))
        disk.check_whole()
        assert disk.read(MIB, MIB) == b"x" * 4096
    with pytest.raises(FormatError, match="does not end before"):
        vhdx.Vhdx(file.cut(file.size - MIB + 4095)).check_whole()


def test_the_parent_of_a_differencing_disk_is_not_guessed() -> None:
    disk = vhdx.Vhdx(vhds.DIFFERENCING["differencing.vhdx"])
    disk.check_whole()
    assert disk.variety == "differencing"
    with pytest.raises(FormatError, match="in its parent"):
        disk.read(0, 512)


def test_an_item_that_is_not_required_may_be_unknown() -> None:
    items = {**vhds.items(4 * MIB), vhds.UNKNOWN: b"x"}
    file = vhds.vhdx(4 * MIB, {1: b"data"}, meta=vhds.metadata(items, flags={vhds.UNKNOWN: 0}))
    assert vhdx.Vhdx(file).read(MIB, 4) == b"data"


def test_a_table_of_half_a_gibibyte_is_checked_at_once() -> None:
    file, _ = vhds.UNREADABLE["table-in-hole.vhdx"]
    disk = vhdx.Vhdx(file.put(4 * MIB, bytes(64)))
    disk.check_whole()
    assert disk.size == 64 << 40
    assert disk.read((64 << 40) - 4, 5) == bytes(4)


def recrced(data: bytearray) -> None:
    for at, length in ((64 << 10, 4096), (128 << 10, 4096), (192 << 10, 65536), (256 << 10, 65536)):
        data[at : at + length] = vhds.with_crc(bytes(data[at : at + length]))


places = st.one_of(
    st.integers(0, 80),
    *(
        st.integers(base, base + 112)
        for base in (64 << 10, 128 << 10, 192 << 10, vhds.METADATA_AT, vhds.METADATA_AT + 65536, vhds.BAT_AT)
    ),
)
changes = st.lists(
    st.tuples(places, st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 8) | st.just(bytes(8))),
    min_size=1,
    max_size=4,
)


@settings(max_examples=120, derandomize=True, deadline=None)
@given(changes)
def test_changed_headers_never_end_in_anything_but_a_format_error(edits: list[tuple[int, bytes]]) -> None:
    plain = vhds.vhdx(4 * MIB, {0: b"first", 2: b"third"})
    data = bytearray(plain.read(0, plain.size))
    for at, value in edits:
        data[at : at + len(value)] = value
    recrced(data)
    try:
        disk = vhdx.Vhdx(vhds.Pieces(len(data), {0: bytes(data)}))
        assert 0 <= disk.end <= len(data)
        assert len(disk.read(0, 5 * MIB)) <= 5 * MIB
        disk.check_whole()
    except FormatError:
        return
    assert sum(length for _, length in disk.allocated()) <= max(len(data), disk.size)


@pytest.mark.parametrize("end", [1 << 40, 1 << 62])
def test_blocks_are_told_apart_however_large_a_file_pretends_to_be(end: int) -> None:
    """Found by fuzzing: a number for each place of 2^62 bytes is more than can be mapped."""
    claims = Claims([(0, MIB, "the headers")])
    claims.check_blocks([MIB, 5 * MIB, end - MIB], unit=MIB, length=MIB, end=end)
    with pytest.raises(FormatError, match="overlap"):
        claims.check_blocks([end - MIB, MIB, end - MIB], unit=MIB, length=MIB, end=end)
    with pytest.raises(FormatError, match="the headers"):
        claims.check_blocks([0], unit=MIB, length=MIB, end=end)
