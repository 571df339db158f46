from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import RefusedError
from imgpatch.images.partition_table import check_partition_table
from tests.images.disks import MIB, gpt, mbr


def superblock(at: int, magic: bytes, *fields: tuple[int, bytes]) -> bytes:
    head = bytearray(MIB)
    head[at : at + len(magic)] = magic
    for offset, data in fields:
        head[offset : offset + len(data)] = data
    return bytes(head)


def ext4(blocks: int) -> bytes:
    return superblock(1080, b"\x53\xef", (1028, struct.pack("<I", blocks)), (1048, struct.pack("<I", 2)))


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (mbr(2048, 2048), "dos"),
        (gpt(8192, 4000), "gpt"),
        (ext4(1024), "ext4"),
        (superblock(0, b"XFSB", (4, struct.pack(">IQ", 4096, 1024))), "xfs"),
        (superblock(0x10040, b"_BHRfS_M", (0x100D1, struct.pack("<Q", 4 * MIB))), "btrfs"),
        (superblock(512, b"LABELONE"), "LVM2_member"),
        (superblock(0, b"LUKS\xba\xbe"), "crypto_LUKS"),
        (bytes(MIB), None),
        (bytes(510) + b"\x55\xaa", None),
        (b"", None),
    ],
)
def test_what_lies_on_a_disk_is_told(head: bytes, found: str | None) -> None:
    assert check_partition_table(head, 4 * MIB) == found


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (mbr(2048, 2048), "partition 1 of its MBR"),
        (gpt(8192, 8000), "partition 1 of its GPT"),
        (gpt(8192, 2000), "backup of its GPT"),
        (gpt(1024, 900, sector=4096), "partition 1 of its GPT"),
        (ext4(1024), "its ext4 file system"),
        (superblock(0, b"XFSB", (4, struct.pack(">IQ", 4096, 1024))), "its xfs file system"),
        (superblock(0x10040, b"_BHRfS_M", (0x100D1, struct.pack("<Q", 4 * MIB))), "its btrfs file system"),
        (superblock(3, b"NTFS    ", (11, struct.pack("<H", 512)), (40, struct.pack("<Q", 8192))), "its ntfs"),
    ],
)
def test_a_disk_that_was_cut_short_is_refused(head: bytes, said: str) -> None:
    with pytest.raises(RefusedError, match="truncated") as caught:
        check_partition_table(head, 2 * MIB - 512, "disk.img")
    assert said in str(caught.value)
    assert "disk.img" in str(caught.value)
    assert caught.value.hint


def test_a_partition_may_end_where_the_disk_ends() -> None:
    assert check_partition_table(mbr(2048, 2048), 2 * MIB) == "dos"


def test_a_protective_mbr_without_gpt_is_refused() -> None:
    with pytest.raises(RefusedError, match="protective MBR"):
        check_partition_table(mbr(1, 4095, 0xEE), 2 * MIB)


def test_an_old_superblock_below_a_partition_table_does_not_count() -> None:
    head = mbr(2048, 2048) + ext4(1 << 30)[512:]
    assert check_partition_table(head, 2 * MIB) == "dos"


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=2048), st.sampled_from([b"", b"\x55\xaa", b"EFI PART", b"XFSB"]))
def test_no_bytes_bring_it_down(data: bytes, magic: bytes) -> None:
    for at in (0, 510, 512):
        head = data[:at].ljust(at, b"\0") + magic + data[at:]
        with suppress(RefusedError):
            found = check_partition_table(head, 4 * MIB)
            assert found is None or found.isascii()


def test_a_gpt_for_larger_sectors_is_refused() -> None:
    """An appliance with sectors of 512 bytes would find nothing on the disk."""
    with pytest.raises(RefusedError, match="sectors of 4096 bytes"):
        check_partition_table(gpt(1024, 1000, sector=4096), 4 * MIB)


def test_what_is_left_of_an_earlier_gpt_is_none() -> None:
    head = mbr(2048, 2048).ljust(512, b"\0") + gpt(1 << 30, 1 << 29)[512:]
    assert check_partition_table(head, 4 * MIB) == "dos"
