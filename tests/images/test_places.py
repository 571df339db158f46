from __future__ import annotations

import struct

import pytest

from imgpatch.images.places import Extent, parse_extents, place, trusted
from imgpatch.ranges import Ranges, Segment
from imgpatch.storage import Device

PRINTED = b"""Filesystem type is: ef53
File size of ./usr/bin/a is is 14712 (4 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       1:     153726..    153727:      2:
   1:        2..       3:        100..       101:      2:     153728: last,unwritten,eof
./usr/bin/a is: 2 extents found
File size of ./empty is 0 (0 blocks of 4096 bytes)
./empty: 0 extents found
File size of ./ext3: 1 extent found is 512 (1 block of 1024 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       0:          7..         7:      1:             merged,eof
./ext3: 1 extent found: 1 extent found
File size of ./odd is 512 (1 block of 1024 bytes)
 something that nobody knows
./odd: 1 extent found
""".split(b"\n")

WHOLE = (Segment(0, 1 << 30, 0, 1 << 20),)


def test_extents_are_read_from_what_filefrag_prints() -> None:
    found = dict(parse_extents(PRINTED))
    assert found[b"./usr/bin/a is"] == (
        Extent(0, 8192, 153726 * 4096, frozenset()),
        Extent(8192, 8192, 409600, frozenset({"last", "unwritten", "eof"})),
    )
    assert found[b"./empty"] == ()
    assert found[b"./ext3: 1 extent found"] == (Extent(0, 1024, 7168, frozenset({"merged", "eof"})),)
    assert found[b"./odd"] is None


def extent(physical: int = 0, *flags: str, logical: int = 0, length: int = 4096) -> Extent:
    return Extent(logical, length, physical, frozenset(flags))


def test_the_same_extents_are_one_place_and_others_are_not() -> None:
    places = [
        place(extents, WHOLE, (Ranges(),))
        for extents in (
            [extent()],
            [extent(4096)],
            [extent(logical=4096)],
            [extent(0, "unwritten")],
            [extent(length=8192)],
            [],
        )
    ]
    assert None not in places
    assert len(set(places)) == len(places)
    assert place([extent(0, "last", "eof")], WHOLE, (Ranges(),)) == places[0]


@pytest.mark.parametrize("flag", ["inline", "encoded", "encrypted", "unknown_loc", "delalloc", "not_aligned"])
def test_an_extent_that_does_not_lie_where_it_says_proves_nothing(flag: str) -> None:
    assert place([extent(0, flag)], WHOLE, (Ranges(),)) is None


def test_a_place_that_differs_proves_nothing() -> None:
    at = (1 << 20) + 4096
    assert place([extent(4096)], WHOLE, (Ranges([(at + 512, at + 1024)]),)) is None
    assert place([extent(8192)], WHOLE, (Ranges([(at + 512, at + 1024)]),)) is not None


def test_what_is_on_a_disk_that_the_other_machine_lacks_or_outside_the_device_proves_nothing() -> None:
    assert place([extent()], (Segment(0, 1 << 30, 1, 0),), (Ranges(),)) is None
    assert place([extent(length=8192)], (Segment(0, 4096, 0, 0),), (Ranges(),)) is None


def superblock(flags: int) -> bytes:
    head = bytearray(4096)
    struct.pack_into("<H", head, 1024 + 0x38, 0xEF53)
    struct.pack_into("<I", head, 1024 + 0x60, flags)
    return bytes(head)


@pytest.mark.parametrize(
    ("fstype", "head", "expected"),
    [
        ("ext4", superblock(0x2C2), True),
        ("ext3", superblock(0x2C2 | 0x4), False),
        ("ext4", bytes(4096), False),
        ("xfs", bytes(4096), True),
        ("btrfs", superblock(0), False),
        ("vfat", superblock(0), False),
    ],
)
def test_a_journal_that_was_replayed_makes_the_disk_another(fstype: str, head: bytes, expected: bool) -> None:
    data = bytes(1 << 20) + head
    device = Device(disk=0, partition=1, fstype=fstype)
    assert trusted(device, WHOLE, lambda _disk, at, length: data[at : at + length]) is expected
