"""What differs between two machines' disks outside the files: tables, volumes, and what is not mounted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from imgpatch.ranges import Ranges, Segment, Segments
from imgpatch.storage import Device, Storage

SECTOR = 512
GPT_SECTORS = 33
"""Header and entries as partitioning tools lay them out, at both ends of the disk (UEFI 2.10 section 5.3)."""

_FIELDS = ("parttype", "partuuid", "partlabel", "fstype", "uuid", "label", "size")
_LVM, _MD = "LVM2_member", "linux_raid_member"


@dataclass(frozen=True, slots=True)
class Outside:
    """One thing that is not the same; None: it is not there.

    Attributes:
        where: `disk 1 partition 2`, `disk 1, boot code of the MBR`.
        what: `uuid`, `size`, `sectors`.
    """

    where: str
    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """The disks of a machine.

    Attributes:
        segments: where its devices lie, as far as that is known.
        read: disk, offset, length -> bytes.
    """

    storage: Storage
    segments: Mapping[Device, Segments]
    read: Callable[[int, int, int], bytes]


def outside(before: Machine, after: Machine, changed: Sequence[Ranges]) -> Iterator[Outside]:
    """Everything that differs but the files that are mounted.

    Args:
        before: the original.
        after: what became of it.
        changed: for each disk that both have, where it differs.
    """
    old, new = before.storage, after.storage
    if len(old.disks) != len(new.disks):
        yield Outside("machine", "disks", str(len(old.disks)), str(len(new.disks)))
    for index, (one, other) in enumerate(zip(old.disks, new.disks, strict=False)):
        where = f"disk {index + 1}"
        yield from _row(where, "size", str(one.size), str(other.size))
        yield from _row(where, "partition table", one.table, other.table)
    yield from _devices(before, after)
    for index, ranges in enumerate(changed):
        if ranges:
            yield from _areas(index, before, after, ranges)


def _row(where: str, what: str, before: str | None, after: str | None) -> Iterator[Outside]:
    if before != after:
        yield Outside(where, what, before, after)


def _devices(before: Machine, after: Machine) -> Iterator[Outside]:
    old = {_key(device): device for device in before.storage.devices}
    new = {_key(device): device for device in after.storage.devices}
    for key in {**old, **new}:
        one, other = old.get(key), new.get(key)
        if one is None or other is None:
            name = (one or other or Device()).name
            yield Outside(name, "device", _kind(one), _kind(other))
            continue
        for field in _FIELDS:
            was, now = getattr(one, field), getattr(other, field)
            yield from _row(one.name, field, was and str(was), now and str(now))
        yield from _row(one.name, "first byte", _start(before, one), _start(after, other))
    was, now = ({point: d.name for point, d in m.storage.mounts.items()} for m in (before, after))
    for point in sorted({**was, **now}):
        yield from _row(point, "mounted device", was.get(point), now.get(point))


def _kind(device: Device | None) -> str | None:
    return None if device is None else device.fstype or "nothing known"


def _key(device: Device) -> tuple[object, ...]:
    return device.disk, device.partition, device.mapper, device.md_uuid


def _start(machine: Machine, device: Device) -> str | None:
    parts = machine.segments.get(device, ())
    return str(parts[0].at) if device.partition is not None and parts else None


@dataclass(frozen=True, slots=True)
class _Area:
    name: str
    start: int
    end: int


def _areas(index: int, before: Machine, after: Machine, changed: Ranges) -> Iterator[Outside]:
    """What differs on one disk; only of parts that lie at the same place on both machines' disks."""
    table = before.storage.disks[index].table
    if table is not None:
        yield from _mbr(index, before, after)
    layout, other = _partitions(index, before), _partitions(index, after)
    if [(area.start, area.end) for area in layout] != [(area.start, area.end) for area in other]:
        return
    size = min(before.storage.disks[index].size, after.storage.disks[index].size)
    mounted = _mounted(index, before)
    if mounted is None:
        return
    volumes = list(_volumes(index, before))
    told = Ranges(sorted([*mounted, *((v.start, v.end) for v in volumes)]))
    known = [*_tables(table, size), *layout]
    for area in (*_gaps(known, size), *(area for area in known if area.name)):
        yield from _sectors(f"disk {index + 1}{area.name}", area, changed, told)
    for area in volumes:
        yield from _sectors(area.name, area, changed, Ranges(sorted(mounted)))


def _sectors(where: str, area: _Area, changed: Ranges, told: Ranges) -> Iterator[Outside]:
    """How much of an area differs, without what is told elsewhere."""
    pieces = [piece for a, b in changed.within(area.start, area.end) for piece in _without(a, b, told)]
    if pieces:
        sectors = sum(b - a for a, b in pieces) // SECTOR
        first = f"{sectors} differ, the first at byte {pieces[0][0]} of the disk"
        yield Outside(where, "sectors", None, first)


def _mbr(index: int, before: Machine, after: Machine) -> Iterator[Outside]:
    """The first sector by its parts; UEFI 2.10 section 5.2."""
    old, new = before.read(index, 0, SECTOR), after.read(index, 0, SECTOR)
    where = f"disk {index + 1}, MBR"
    if old[:440] != new[:440]:
        count = sum(a != b for a, b in zip(old[:440], new[:440], strict=True))
        yield Outside(where, "boot code", None, f"{count} bytes differ")
    yield from _row(where, "signature", old[440:444][::-1].hex(), new[440:444][::-1].hex())
    for entry in range(4):
        at = 446 + 16 * entry
        yield from _row(where, f"entry {entry + 1}", old[at : at + 16].hex(" "), new[at : at + 16].hex(" "))


def _partitions(index: int, machine: Machine) -> list[_Area]:
    areas = []
    for device, parts in machine.segments.items():
        if device.disk != index or not parts:
            continue
        name = "" if device.partition is None else f" partition {device.partition}"
        areas.append(_Area(f"{name} ({device.fstype or 'nothing known'})", *_ends(parts[0])))
    return sorted(areas, key=lambda area: area.start)


def _mounted(index: int, machine: Machine) -> list[tuple[int, int]] | None:
    """What the files of a disk account for; None: a mounted volume lies where nobody knows."""
    found = []
    for device in machine.storage.mounts.values():
        if device not in machine.segments:
            return None
        found += [_ends(part) for part in machine.segments[device] if part.disk == index]
    return found


def _volumes(index: int, machine: Machine) -> Iterator[_Area]:
    for device, parts in machine.segments.items():
        if device.mapper is not None:
            yield from (_Area(device.name, *_ends(part)) for part in parts if part.disk == index)


def _ends(part: Segment) -> tuple[int, int]:
    return part.at, part.at + part.length


def _tables(table: str | None, size: int) -> Iterator[_Area]:
    """Without a name: told elsewhere."""
    if table is not None:
        yield _Area("", 0, SECTOR)
    if table == "gpt":
        yield _Area(", GPT", SECTOR, (1 + GPT_SECTORS) * SECTOR)
        yield _Area(", backup of the GPT", size - GPT_SECTORS * SECTOR, size)


def _gaps(areas: Sequence[_Area], size: int) -> Iterator[_Area]:
    """What lies in no partition; before the first one GRUB keeps its core image."""
    at, after = 0, ""
    for area in sorted(areas, key=lambda area: area.start):
        if area.start > at:
            name = (
                f", between{after} and{area.name}" if "partition" in after else ", before the first partition"
            )
            yield _Area(name, at, area.start)
        if area.end > at:
            at, after = area.end, area.name
    if at < size:
        yield _Area(f", behind{after}" if after else "", at, size)


def _without(start: int, end: int, skipped: Ranges) -> Iterator[tuple[int, int]]:
    for first, last in skipped.within(start, end):
        if start < first:
            yield start, first
        start = max(start, last)
    if start < end:
        yield start, end
