"""What the first mebibyte of a disk says of itself: enough to refuse before an appliance is launched.

Sources: UEFI 2.10 section 5.3 (GPT) and 5.2 (MBR); the superblocks as blkid(8) recognises them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from imgpatch.errors import RefusedError

HEAD_SIZE = 1 << 20  # bytes of a disk that `check_partition_table` wants to see

_SECTOR = 512
_PROTECTIVE = 0xEE
_CUT_SHORT = "the file was cut short when it was copied or downloaded: get it again, whole"


@dataclass(frozen=True, slots=True)
class _Gpt:
    """A primary GPT header; LBAs in its own sectors."""

    sector: int
    alternate: int
    last_usable: int
    entries_at: int
    entries: int
    entry_size: int


def check_partition_table(head: bytes, size: int, name: str = "the disk") -> str | None:
    """Tells what lies on a disk: `gpt`, `dos`, a file system in blkid's words, or None for nothing known.

    Args:
        head: the first `HEAD_SIZE` bytes of the disk, or all of a smaller one.
        size: bytes of the disk, not of the file it is kept in.
        name: the subject of messages.

    Raises:
        RefusedError: a partition, a backup header or a file system reaches past the end of the disk, or the
            sectors have another size than those of EC2.
    """
    partitions = list(_mbr_partitions(head))
    # Without its protective MBR a GPT is what an earlier use of the disk left, and no system reads it.
    stale = partitions and all(kind != _PROTECTIVE for _, kind, _, _ in partitions)
    gpt = None if stale else _gpt(head)
    if gpt is not None:
        _check_gpt(gpt, head, size, name)
        return "gpt"
    fstype = _file_system(head)
    if fstype is not None:
        _check_file_system(fstype, head, size, name)
        return fstype
    if not partitions:
        return None
    for number, kind, first, count in partitions:
        if kind == _PROTECTIVE:
            raise RefusedError(
                f"{name}: a protective MBR says that a GPT follows, and there is none; the disk is damaged",
                hint="get the image again, or restore the GPT from its backup (gdisk, recovery menu)",
                rule="R-32",
            )
        _check_end(f"{name}: partition {number} of its MBR", (first + count) * _SECTOR, size)
    return "dos"


def _check_end(subject: str, end: int, size: int) -> None:
    if end > size:
        raise RefusedError(
            f"{subject} ends at byte {end}, and the disk has only {size}; the image is truncated",
            hint=_CUT_SHORT,
            rule="R-32",
        )


def _gpt(head: bytes) -> _Gpt | None:
    for sector in (512, 4096):
        header = head[sector : sector + 92]
        if header.startswith(b"EFI PART") and len(header) == 92:
            alternate, _, last_usable = struct.unpack_from("<QQQ", header, 32)
            entries_at, entries, entry_size = struct.unpack_from("<QII", header, 72)
            return _Gpt(sector, alternate, last_usable, entries_at, entries, entry_size)
    return None


def _check_gpt(gpt: _Gpt, head: bytes, size: int, name: str) -> None:
    for number, last in _gpt_partitions(gpt, head):
        _check_end(f"{name}: partition {number} of its GPT", (last + 1) * gpt.sector, size)
    if (gpt.alternate + 1) * gpt.sector > size:
        raise RefusedError(
            f"{name}: the backup of its GPT should be at byte {gpt.alternate * gpt.sector}, and the disk "
            f"has only {size}; the image is truncated, or was shrunk",
            hint=f"{_CUT_SHORT}; if it was shrunk on purpose, move the backup with `sgdisk -e`",
        )
    if gpt.sector != _SECTOR:
        raise RefusedError(
            f"{name}: its GPT is made for sectors of {gpt.sector} bytes, and a disk on EC2 has {_SECTOR}",
            hint="copy the partitions into a new disk with sectors of 512 bytes, on the machine itself",
        )


def _gpt_partitions(gpt: _Gpt, head: bytes) -> Iterator[tuple[int, int]]:
    """Number and last LBA of each partition whose entry lies in the head."""
    if gpt.entry_size < 128:
        return
    start = gpt.entries_at * gpt.sector
    room = (len(head) - start) // gpt.entry_size
    for index in range(min(gpt.entries, max(room, 0))):
        entry = head[start + index * gpt.entry_size :][:128]
        if any(entry[:16]):
            yield index + 1, struct.unpack_from("<Q", entry, 40)[0]


def _mbr_partitions(head: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, type, first sector and sectors of each used entry; none where this is no MBR."""
    if len(head) < _SECTOR or head[510:512] != b"\x55\xaa":
        return
    entries = [head[446 + 16 * i : 462 + 16 * i] for i in range(4)]
    if any(entry[0] not in (0, 0x80) for entry in entries):
        return
    for number, entry in enumerate(entries, 1):
        first, count = struct.unpack_from("<II", entry, 8)
        if entry[4] and count:
            yield number, entry[4], first, count


def _ext_size(head: bytes) -> int:
    block = 1024 << (struct.unpack_from("<I", head, 1024 + 24)[0] & 15)
    low, high = struct.unpack_from("<I", head, 1024 + 4)[0], 0
    if struct.unpack_from("<I", head, 1024 + 96)[0] & 0x80:  # 64bit
        high = struct.unpack_from("<I", head, 1024 + 0x150)[0]
    return int((high << 32 | low) * block)


def _xfs_size(head: bytes) -> int:
    block, blocks = struct.unpack_from(">IQ", head, 4)
    return int(block * blocks)


def _btrfs_size(head: bytes) -> int:
    """The bytes this device gives to the file system: dev_item.total_bytes."""
    return int(struct.unpack_from("<Q", head, 0x10000 + 0xC9 + 8)[0])


def _ntfs_size(head: bytes) -> int:
    sector, sectors = struct.unpack_from("<H", head, 11)[0], struct.unpack_from("<Q", head, 40)[0]
    return int(sector * sectors)


# (type, where its magic is, the magic, its size in bytes where it is easily told)
_Signature = tuple[str, int, bytes, Callable[[bytes], int] | None]
_SIGNATURES: tuple[_Signature, ...] = (
    ("crypto_LUKS", 0, b"LUKS\xba\xbe", None),
    ("BitLocker", 3, b"-FVE-FS-", None),
    ("LVM2_member", 512, b"LABELONE", None),
    ("LVM2_member", 0, b"LABELONE", None),
    ("LVM2_member", 1024, b"LABELONE", None),
    ("LVM2_member", 1536, b"LABELONE", None),
    ("xfs", 0, b"XFSB", _xfs_size),
    ("btrfs", 0x10040, b"_BHRfS_M", _btrfs_size),
    ("ntfs", 3, b"NTFS    ", _ntfs_size),
    ("vfat", 82, b"FAT32   ", None),
    ("vfat", 54, b"FAT1", None),
    ("linux_raid_member", 4096, b"\xfc\x4e\x2b\xa9", None),
    ("linux_raid_member", 0, b"\xfc\x4e\x2b\xa9", None),
    ("swap", 4086, b"SWAPSPACE2", None),
    ("jfs", 0x8000, b"JFS1", None),
    ("ext4", 1024 + 56, b"\x53\xef", _ext_size),
)


def _file_system(head: bytes) -> str | None:
    """The file system or volume that fills a disk without a partition table."""
    for fstype, at, magic, _ in _SIGNATURES:
        if head.startswith(magic, at) and len(head) >= at + 512 and not _looks_partitioned(fstype, head):
            return fstype
    return None


def _looks_partitioned(fstype: str, head: bytes) -> bool:
    """Whether a file system's remains lie below a partition table made later.

    A boot sector of NTFS or FAT ends with 55 AA as well, and its code is seldom four valid entries.
    """
    return fstype not in ("ntfs", "vfat", "BitLocker") and any(_mbr_partitions(head))


def _check_file_system(fstype: str, head: bytes, size: int, name: str) -> None:
    measure = next((m for t, at, magic, m in _SIGNATURES if t == fstype and head.startswith(magic, at)), None)
    if measure is not None:
        _check_end(f"{name}: its {fstype} file system", measure(head), size)
