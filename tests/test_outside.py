from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgpatch.outside import SECTOR, Machine, Outside, outside
from imgpatch.ranges import Ranges, Segment
from imgpatch.storage import Device, Disk, Storage

MIB = 1 << 20
ROOT = Device(disk=0, partition=1, fstype="ext4", uuid="a", size=4 * MIB)
SWAP = Device(disk=0, partition=2, fstype="swap", uuid="b", size=2 * MIB)
PLACES = {ROOT: (Segment(0, 4 * MIB, 0, MIB),), SWAP: (Segment(0, 2 * MIB, 0, 5 * MIB),)}


def machine(data: bytes | bytearray = b"", table: str = "dos", size: int = 8 * MIB) -> Machine:
    storage = Storage((Disk(table, size),), (ROOT, SWAP), {"/": ROOT})
    return Machine(
        storage, PLACES, lambda _disk, at, length: bytes(data)[at : at + length].ljust(length, b"\0")
    )


def found(
    one: Machine, other: Machine, changed: Sequence[tuple[int, int]] = ()
) -> list[tuple[str, str, str | None]]:
    return [(o.where, o.what, o.after) for o in outside(one, other, (Ranges(changed),))]


def test_nothing_differs() -> None:
    assert found(machine(), machine()) == []


def test_blocks_of_a_mounted_file_system_are_told_by_its_files() -> None:
    assert found(machine(), machine(), [(2 * MIB, 2 * MIB + 4096)]) == []


def test_what_is_not_mounted_is_told_by_its_sectors() -> None:
    rows = found(machine(), machine(), [(4 * MIB, 5 * MIB + SECTOR), (6 * MIB, 6 * MIB + SECTOR)])
    text = f"2 differ, the first at byte {5 * MIB} of the disk"
    assert rows == [("disk 1 partition 2 (swap)", "sectors", text)]


def test_what_is_in_no_partition() -> None:
    assert [row[0] for row in found(machine(), machine(), [(1024, 2048), (7 * MIB, 7 * MIB + SECTOR)])] == [
        "disk 1, before the first partition",
        "disk 1, behind partition 2 (swap)",
    ]


def test_the_first_sector_is_told_by_its_parts() -> None:
    mbr = bytearray(SECTOR)
    mbr[0:3] = b"\xeb\x63\x90"
    mbr[440:444] = (0xDEADBEEF).to_bytes(4, "little")
    mbr[446] = 0x80
    assert found(machine(bytes(SECTOR)), machine(mbr), [(0, SECTOR)]) == [
        ("disk 1, MBR", "boot code", "3 bytes differ"),
        ("disk 1, MBR", "signature", "deadbeef"),
        ("disk 1, MBR", "entry 1", "80" + " 00" * 15),
    ]


def test_a_gpt_and_its_backup() -> None:
    rows = found(machine(table="gpt"), machine(table="gpt"), [(SECTOR, 1024), (8 * MIB - SECTOR, 8 * MIB)])
    assert [row[0] for row in rows] == ["disk 1, GPT", "disk 1, backup of the GPT"]


def test_devices_are_compared_by_all_that_is_known_of_them() -> None:
    one = machine()
    other_root = replace(ROOT, uuid="c", label="new")
    storage = Storage((Disk("dos", 9 * MIB),), (other_root,), {"/": other_root})
    other = Machine(storage, {other_root: (Segment(0, 4 * MIB, 0, 2 * MIB),)}, one.read)
    assert list(outside(one, other, (Ranges([(7 * MIB, 8 * MIB)]),))) == [
        Outside("disk 1", "size", str(8 * MIB), str(9 * MIB)),
        Outside("disk 1 partition 1", "uuid", "a", "c"),
        Outside("disk 1 partition 1", "label", None, "new"),
        Outside("disk 1 partition 1", "first byte", str(MIB), str(2 * MIB)),
        Outside("disk 1 partition 2", "device", "swap", None),
    ]


def test_a_volume_that_is_not_mounted_is_told_and_its_group_without_it() -> None:
    group = Device(disk=0, partition=1, fstype="LVM2_member", size=6 * MIB)
    root, home = (Device(mapper=f"vg-{name}", fstype="xfs", size=MIB) for name in ("root", "home"))
    storage = Storage((Disk("dos", 8 * MIB),), (group, root, home), {"/": root})
    places = {
        group: (Segment(0, 6 * MIB, 0, MIB),),
        root: (Segment(0, MIB, 0, 2 * MIB),),
        home: (Segment(0, MIB, 0, 3 * MIB),),
    }
    one = Machine(storage, places, machine().read)
    changed = [(MIB, MIB + SECTOR), (2 * MIB, 3 * MIB + 2 * SECTOR)]
    assert [(row[0], str(row[2]).split(" ")[0]) for row in found(one, one, changed)] == [
        ("disk 1 partition 1 (LVM2_member)", "1"),
        ("/dev/mapper/vg-home", "2"),
    ]


def test_of_another_layout_only_the_table_is_told() -> None:
    other = replace(machine(), segments={**PLACES, SWAP: (Segment(0, MIB, 0, 6 * MIB),)})
    rows = found(machine(), other, [(5 * MIB, 7 * MIB)])
    assert rows == [("disk 1 partition 2", "first byte", str(6 * MIB))]
