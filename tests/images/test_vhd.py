from __future__ import annotations

import json
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
from imgpatch.images import vhd
from imgpatch.images.block_table import BlockTable
from imgpatch.images.disk import FileDisk
from tests.images import disks

MIB = disks.MIB


@contextmanager
def opened(path: Path) -> Iterator[vhd.Vhd]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield vhd.Vhd(FileDisk(descriptor))
    finally:
        os.close(descriptor)


def as_libvhdi_reads(path: Path) -> bytes:
    file = pyvhdi.file()
    file.open(str(path))
    data: bytes = file.read_buffer_at_offset(file.get_media_size(), 0)
    file.close()
    return data


def size_in_qemu(path: Path, **options: str) -> int:
    node = {"driver": "vpc", "file": {"driver": "file", "filename": str(path)}, **options}
    answer = json.loads(disks.qemu_img("info", "--output=json", f"json:{json.dumps(node)}"))
    return int(answer["virtual-size"])


@disks.needs_qemu_img
@pytest.mark.parametrize("size", [17 * MIB, 5 * MIB + 3 * 512], ids=str)
@pytest.mark.parametrize("options", ["subformat=dynamic", "subformat=fixed"])
@pytest.mark.parametrize("forced", ["off", "on"])
def test_reads_what_qemu_wrote(tmp_path: Path, size: int, options: str, forced: str) -> None:
    data = disks.content(size + 4096)[:size]
    path = disks.make(tmp_path / "a.vhd", data, "vpc", "-o", f"{options},force_size={forced}")
    with opened(path) as disk:
        disk.check_whole()
        assert disk.footer_faults() == ()
        assert disk.variety == options.removeprefix("subformat=")
        assert disk.end == path.stat().st_size
        assert disk.size == size_in_qemu(path, force_size_calc="current_size")
        assert disk.read(0, disk.size + 1) == as_libvhdi_reads(path)
        assert disk.read(0, size) == data
        assert disk.read(70_001, 3 * MIB) == data[70_001 : 70_001 + 3 * MIB]
        assert disk.read(disk.size, 10) == b""


@disks.needs_qemu_img
def test_agrees_with_qemu_after_writes_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.vhd"
    disks.qemu_img("create", "-q", "-f", "vpc", "-o", "force_size=on", path, str(40 * MIB))
    chance = random.Random(6)
    for _ in range(12):
        length = chance.randrange(1, 64) * 512
        disks.write(
            path, chance.randrange(0, 40 * MIB - length) // 512 * 512, chance.randbytes(length), "vpc"
        )
    with opened(path) as disk:
        disk.check_whole()
        data = disk.read(0, disk.size)
        assert data == disks.guest_bytes(path, "vpc") == as_libvhdi_reads(path)
        assert b"".join(disk.read(*part) for part in disk.allocated()).strip(b"\0")
        stored = set(disk.allocated())
        blocks = {(at, 2 * MIB) for at in range(0, 40 * MIB, 2 * MIB)}
        assert stored < blocks
        assert not any(disk.read(*hole).strip(b"\0") for hole in blocks - stored)


@disks.needs_qemu_img
@pytest.mark.parametrize(
    ("creator", "believes_footer"),
    [
        *((creator, True) for creator in (b"win ", b"qem2", b"d2v ", b"CTXS", b"tap\0")),
        *((creator, None) for creator in (b"vbox", b"wa\0\0")),  # False before QEMU 10
        *((creator, False) for creator in (b"vpc ", b"qemu")),
    ],
)
def test_size_is_that_of_the_footer_whoever_made_it(
    tmp_path: Path, creator: bytes, believes_footer: bool | None
) -> None:
    foot = vhds.footer(10 * MIB, creator=creator, geometry=(100, 4, 17))
    path = vhds.dynamic_vhd(10 * MIB, {3: b"data"}, foot=foot).write(tmp_path / "a.vhd")
    with opened(path) as disk:
        assert (disk.size, disk.chs_size) == (10 * MIB, 100 * 4 * 17 * 512)
        assert size_in_qemu(path, force_size_calc="current_size") == disk.size
        if believes_footer is not None:
            assert size_in_qemu(path) == (disk.size if believes_footer else disk.chs_size)


@disks.needs_qemu_img
def test_sectors_that_the_bitmap_calls_unused_are_read_as_others_read_them(tmp_path: Path) -> None:
    path = vhds.dynamic_vhd(4 * MIB, {1: b"abcd" * (MIB // 2)}, bitmap=b"\xf0").write(tmp_path / "a.vhd")
    with opened(path) as disk:
        assert disk.read(0, 4 * MIB) == disks.guest_bytes(path, "vpc") == as_libvhdi_reads(path)


def test_the_guest_of_a_fixed_disk_cannot_pose_as_a_header() -> None:
    guest = vhds.dynamic_vhd(10 * MIB, {0: b"EVIL"}).read(0, 2 * MIB)
    disk = vhd.Vhd(vhds.fixed_vhd(guest))
    disk.check_whole()
    assert (disk.variety, disk.size, disk.footer_faults()) == ("fixed", 2 * MIB, ())
    assert disk.read(0, 2 * MIB) == guest


def test_a_fixed_disk_is_read_though_its_first_sector_is_a_footer_of_nothing_known() -> None:
    guest = vhds.footer(MIB, kind=77).ljust(MIB, b"\0")
    assert vhd.Vhd(vhds.fixed_vhd(guest)).read(0, MIB) == guest


def test_the_copy_counts_where_the_footer_is_damaged() -> None:
    file = vhds.dynamic_vhd(4 * MIB, {0: b"data"})
    broken = file.put(file.size - 512, vhds.footer(MIB)[:-1] + b"x")
    assert vhd.Vhd(broken).size == 4 * MIB


@pytest.mark.parametrize("name", [name for name in vhds.UNREADABLE if name.endswith("vhd")])
def test_says_what_is_broken(name: str) -> None:
    file, message = vhds.UNREADABLE[name]
    with pytest.raises(FormatError, match=message):
        vhd.Vhd(file).check_whole()


@pytest.mark.parametrize("name", vhds.FAULTY_FOOTERS)
def test_says_what_is_wrong_with_the_footers(name: str) -> None:
    file, message = vhds.FAULTY_FOOTERS[name]
    disk = vhd.Vhd(file)
    disk.check_whole()
    assert message in "; ".join(disk.footer_faults())
    assert disk.read(0, 5) in (b"first", b"xxxxx")


def test_end_is_behind_the_footer_and_before_the_slack() -> None:
    plain = vhds.dynamic_vhd(4 * MIB, {0: b"first", 1: b"second"})
    assert vhd.Vhd(plain).end == plain.size
    assert vhd.Vhd(plain.cut(plain.size - 512)).end == plain.size - 512
    assert vhd.Vhd(vhds.Pieces(plain.size + 4096, plain.data)).end == plain.size


def test_the_parent_of_a_differencing_disk_is_not_guessed() -> None:
    disk = vhd.Vhd(vhds.DIFFERENCING["differencing.vhd"])
    disk.check_whole()
    assert disk.variety == "differencing"
    assert list(disk.allocated()) == [(0, 2 * MIB), (2 * MIB, 2 * MIB)]
    with pytest.raises(FormatError, match="in its parent"):
        disk.read(0, 512)


def test_a_terabyte_of_nothing_is_checked_at_once() -> None:
    size = 2040 << 30
    disk = vhd.Vhd(vhds.dynamic_vhd(size, {1 << 19: b"data"}))
    disk.check_whole()
    assert list(disk.allocated()) == [(1 << 40, 2 * MIB)]
    assert disk.read(1 << 40, 4) == b"data"
    assert disk.read(size - 4, 5) == bytes(4)


def test_an_empty_disk_of_one_sector_is_read() -> None:
    disk = vhd.Vhd(vhds.dynamic_vhd(512))  # documents, import failure A19
    disk.check_whole()
    assert (disk.size, disk.read(0, 4096), list(disk.allocated())) == (512, bytes(512), [])


changes = st.lists(
    st.tuples(
        st.integers(0, 1600) | st.integers(-600, -1),
        st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 8) | st.just(bytes(8)),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(changes, st.booleans(), st.booleans())
def test_changed_headers_never_end_in_anything_but_a_format_error(
    changed: list[tuple[int, bytes]], summed: bool, fixed: bool
) -> None:
    block = 1 << 16
    plain = vhds.dynamic_vhd(8 * block, {2: b"data", 5: b"more"}, block=block)
    plain = vhds.fixed_vhd(b"x" * 4096) if fixed else plain
    data = bytearray(plain.read(0, plain.size))
    for offset, value in changed:
        at = offset % len(data)
        data[at : at + len(value)] = value[: len(data) - at]
    if summed:
        data[512:1536] = vhds.with_sum(bytes(data[512:1536]), 36)
        data[-512:] = vhds.with_sum(bytes(data[-512:]), 64)
    try:
        disk = vhd.Vhd(vhds.Pieces(len(data), {0: bytes(data)}))
        disk.footer_faults()
        assert 0 <= disk.end <= len(data)
        assert len(disk.read(0, 10 * block)) <= 10 * block
        disk.check_whole()
    except FormatError:
        return
    assert sum(length for _, length in disk.allocated()) <= max(len(data), disk.size)


def test_the_largest_entry_of_a_table_is_found_page_by_page(tmp_path: Path) -> None:
    """A hostile table has millions: looking at each by itself took seconds before the file was refused."""
    path = tmp_path / "table"
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in (*[7] * 300_000, 9, 0xFFFF_FFFF)))
    with path.open("rb") as file:
        table = BlockTable(FileDisk(file.fileno()), 0, 300_002, width=4, byteorder="big")
        assert table.largest(0xFFFF_FFFF) == 9
        assert table.largest(7, 9, 0xFFFF_FFFF) is None
