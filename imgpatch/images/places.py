"""Where a guest's files lie on its disks, as the appliance's kernel tells it: a proof of the same contents.

A file that lies at the same places of both machines' disks, where these are the same, has the same contents
and need not be read. To read all files takes minutes under emulation, to ask where they lie takes seconds.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from imgpatch.images.appliance import Appliance
from imgpatch.images.disk import SECTOR
from imgpatch.ranges import Ranges, Segment, Segments, on_disks
from imgpatch.storage import Device, Storage

EXT = frozenset({"ext2", "ext3", "ext4"})
TOLD = EXT | {"xfs"}
"""File systems whose addresses are those of the device: Btrfs has its own, and NTFS's driver gives none."""

_SUPERBLOCK, _MAGIC_AT, _INCOMPATIBLE_AT = 1024, 0x38, 0x60
_NEEDS_RECOVERY = 0x4

_HARMLESS = frozenset({"last", "eof", "merged", "shared", "unwritten"})
"""Flags of extents that lie where they say; with any other (inline, encoded, encrypted) nothing is known."""

Read = Callable[[int, int, int], bytes]
"""Disk, offset, length -> bytes."""


def segments(appliance: Appliance, storage: Storage) -> Mapping[Device, Segments]:
    """Where devices lie: partitions, whole disks and linear logical volumes; others are left out."""
    names = [name.removeprefix("/dev/") for name in appliance.list_devices()[: len(storage.disks)]]
    script = (
        "cd /sys/class/block && for d in *; do"
        " echo $d $(cat $d/dev) $(cat $d/size) $(cat $d/start 2>/dev/null); done;"
        " echo; dmsetup table 2>/dev/null || true"
    )
    blocks, _, table = appliance.debug("sh", [script]).partition("\n\n")
    found: dict[Device, Segments] = {}
    numbers: dict[str, Segment] = {}
    for line in blocks.split("\n"):
        name, number, size, *start = line.split()
        match = re.fullmatch(r"([a-z]+)(\d*)", name)
        if match is None or match[1] not in names:
            continue
        disk = names.index(match[1])
        segment = Segment(0, int(size) * SECTOR, disk, int(start[0]) * SECTOR if start else 0)
        numbers[number] = segment
        device = storage.at(disk, int(match[2]) if match[2] else None)
        if device is not None:
            found[device] = (segment,)
    for mapper, parts in _linear(table, numbers).items():
        device = storage.by_mapper(mapper)
        if device is not None:
            found[device] = parts
    return found


def _linear(table: str, numbers: Mapping[str, Segment]) -> Mapping[str, Segments]:
    """The mapped devices that are linear in all their parts (dmsetup(8))."""
    found: dict[str, Segments] = {}
    others: set[str] = set()
    for line in filter(None, table.split("\n")):
        name, _, rest = line.partition(": ")
        words = rest.split()
        under = numbers.get(words[3]) if len(words) == 5 and words[2] == "linear" else None
        if under is None:
            others.add(name)
            continue
        start, length, offset = (int(words[i]) * SECTOR for i in (0, 1, 4))
        found[name] = (*found.get(name, ()), Segment(start, length, under.disk, under.at + offset))
    return {name: parts for name, parts in found.items() if name not in others}


def trusted(device: Device, parts: Segments, read: Read) -> bool:
    """Whether the disk holds what the mounted file system shows: no journal with data in it was replayed."""
    if device.fstype not in TOLD:
        return False
    if device.fstype not in EXT:
        return True
    pieces = on_disks(parts, _SUPERBLOCK, SECTOR)
    head = b"".join(read(disk, start, end - start) for disk, start, end in pieces)
    if len(head) < SECTOR or head[_MAGIC_AT : _MAGIC_AT + 2] != b"\x53\xef":
        return False
    flags: int = struct.unpack_from("<I", head, _INCOMPATIBLE_AT)[0]
    return not flags & _NEEDS_RECOVERY


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of a file: where in the file, how many, where on the device."""

    logical: int
    length: int
    physical: int
    flags: frozenset[str]


def place(extents: Iterable[Extent], parts: Segments, changed: Sequence[Ranges]) -> bytes | None:
    """Stands for where a file lies, if that is known and the same on both machines; else None."""
    digest = hashlib.blake2b(digest_size=16)
    for extent in extents:
        if not extent.flags <= _HARMLESS:
            return None
        unwritten = "unwritten" in extent.flags
        covered = 0
        for disk, start, end in on_disks(parts, extent.physical, extent.length):
            if disk >= len(changed) or changed[disk].touches(start, end):
                return None
            digest.update(f"{extent.logical + covered} {end - start} {disk} {start} {unwritten}\n".encode())
            covered += end - start
        if covered != extent.length:
            return None
    return digest.digest()


_FILE = re.compile(rb"File size of (.*) is \d+ \(\d+ blocks? of (\d+) bytes\)")
_EXTENT = re.compile(rb" *\d+: +(\d+)\.\. *(\d+): +(\d+)\.\. *(\d+): +(\d+): *(?:\d+:)? *(.*)")


def parse_extents(lines: Iterable[bytes]) -> Iterator[tuple[bytes, tuple[Extent, ...] | None]]:
    """Path and extents of each file from what `filefrag -e` prints; None: they could not be told.

    A path must be one line. What follows the extents of a file (`PATH: 2 extents found`) ends it.
    """
    name: bytes | None = None
    block = 0
    found: list[Extent] | None = []
    for line in lines:
        file = _FILE.fullmatch(line)
        if file is not None:
            name, block, found = file[1], int(file[2]), []
            continue
        extent = _EXTENT.fullmatch(line)
        if name is None:
            continue
        if extent is not None:
            if found is not None:
                first, _, physical, _, length = (int(extent[i]) * block for i in range(1, 6))
                words = extent[6].decode("ascii", "replace").split(",")
                flags = frozenset(filter(None, (word.strip() for word in words)))
                found.append(Extent(first, length, physical, flags))
        elif line.startswith(name + b": "):
            yield name, None if found is None else tuple(found)
            name = None
        elif not line.startswith(b" ext:"):
            found = None
