"""The block devices of the machine, found in an appliance with few calls.

`list_filesystems` and `inspect_os` would answer the same and more, at the price of a second launch:
here it is one call for the partitions and one blkid a device.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from imgpatch.formats.mdadm_conf import ArrayLine, plain_uuid
from imgpatch.images.appliance import Appliance, ApplianceError
from imgpatch.storage import Device, Disk

SECTOR = 512
LVM_MEMBER = "LVM2_member"
MD_MEMBER = "linux_raid_member"


def find_devices(appliance: Appliance, sizes: Sequence[int]) -> tuple[tuple[Disk, ...], dict[str, Device]]:
    """The disks, and the devices by their name in the appliance (not the guest's name for them).

    Args:
        appliance: with the disks attached in order.
        sizes: virtual size of each disk in bytes.
    """
    names = appliance.list_devices()[: len(sizes)]
    partitions: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for partition in appliance.list_partitions():
        parent, number = _split(partition)
        if parent in partitions:
            partitions[parent].append((number, partition))
    disks = []
    found: dict[str, Device] = {}
    for index, (name, size) in enumerate(zip(names, sizes, strict=True)):
        tags = _blkid(appliance, name)
        disks.append(Disk(table=tags.get("PTTYPE"), size=size))
        if not partitions[name]:
            found[name] = _device(tags, disk=index, partition=None, size=size)
        for number, partition in sorted(partitions[name]):
            part_tags = _blkid(appliance, partition)
            part_size = int(part_tags.get("PART_ENTRY_SIZE", "0")) * SECTOR
            found[partition] = _device(part_tags, disk=index, partition=number, size=part_size)
    if any(device.fstype == MD_MEMBER for device in found.values()):
        found |= _arrays(appliance)
    if any(device.fstype == LVM_MEMBER for device in found.values()):
        found |= _logical_volumes(appliance)
    return tuple(disks), found


def _arrays(appliance: Appliance) -> dict[str, Device]:
    """The md arrays, which the appliance has put together as it started."""
    found = {}
    for path in appliance.list_md_devices():
        detail = appliance.md_detail(path)
        device = _device(_blkid(appliance, path), size=appliance.blockdev_getsize64(path))
        names = tuple(_superblock_names(detail.get("name", ""))) or (path,)
        found[path] = replace(device, md_uuid=plain_uuid(detail["uuid"]), md_names=names)
    return found


def _superblock_names(name: str) -> Iterator[str]:
    """What udev makes of `host:root` and `host:0`; a superblock of version 0.90 has no name."""
    short = name.rpartition(":")[2]
    if short:
        yield from _both_names(f"/dev/md/{short}")
        yield f"/dev/md/{name}"
        yield _link(name)


def with_md_names(devices: Mapping[str, Device], lines: Sequence[ArrayLine]) -> dict[str, Device]:
    """The devices with the names that the guest's mdadm.conf gives to its arrays, which come first."""
    found = dict(devices)
    for path, device in devices.items():
        if device.md_uuid is not None:
            mine = [li for li in lines if li.uuid == device.md_uuid or _link(li.name) in device.md_names]
            names = [name for line in mine if line.path for name in _both_names(line.path)]
            found[path] = replace(device, md_names=tuple(dict.fromkeys((*names, *device.md_names))))
    return found


def _both_names(path: str) -> Sequence[str]:
    """`/dev/md0` and `/dev/md/0` are one; a name that is no number has one path only."""
    number = path.removeprefix("/dev/md/").removeprefix("/dev/md")
    return (f"/dev/md{number}", f"/dev/md/{number}") if number.isascii() and number.isdigit() else (path,)


def _link(name: str | None) -> str:
    return f"/dev/disk/by-id/md-name-{name}"


def incomplete_arrays(appliance: Appliance, devices: Mapping[str, Device]) -> Iterator[str]:
    """The arrays that lack members, for people."""
    for path, device in devices.items():
        if device.md_uuid is None:
            continue
        wanted, there = int(appliance.md_detail(path).get("devices", "0")), len(appliance.md_stat(path))
        if there < wanted:
            yield f"{device.name}: {there} of the array's {wanted} devices are on the disks given"


def incomplete_groups(appliance: Appliance, devices: Mapping[str, Device]) -> tuple[str, ...]:
    """The volume groups that lack physical volumes: `p` as the fourth attribute, vgs(8)."""
    if all(device.fstype != LVM_MEMBER for device in devices.values()):
        return ()
    return tuple(group["vg_name"] for group in appliance.vgs_full() if group["vg_attr"][3:4] == "p")


def _logical_volumes(appliance: Appliance) -> dict[str, Device]:
    found = {}
    groups: dict[str, str] = {}
    volumes = appliance.lvs_full()
    for path in appliance.lvs():
        group, volume = path.removeprefix("/dev/").split("/")
        if group not in groups:
            groups[group] = appliance.vguuid(group)
        same_name = [v for v in volumes if v["lv_name"] == volume]
        if len(same_name) == 1:
            uuid, size = same_name[0]["lv_uuid"], same_name[0]["lv_size"]
        else:  # lvs_full does not tell the group
            uuid, size = appliance.lvuuid(path), appliance.blockdev_getsize64(path)
        dm_uuid = f"LVM-{groups[group]}{uuid}".replace("-", "").replace("LVM", "LVM-", 1)
        mapper = f"{group.replace('-', '--')}-{volume.replace('-', '--')}"
        found[path] = replace(_device(_blkid(appliance, path), mapper=mapper, size=size), dm_uuid=dm_uuid)
    return found


def _blkid(appliance: Appliance, name: str) -> Mapping[str, str]:
    """The tags of one device; none where blkid finds nothing or contradicting signatures."""
    tags: Mapping[str, str] = {}
    with contextlib.suppress(ApplianceError):
        tags = appliance.blkid(name)
    return tags


def _device(
    tags: Mapping[str, str],
    *,
    disk: int | None = None,
    partition: int | None = None,
    mapper: str | None = None,
    size: int,
) -> Device:
    return Device(
        disk=disk,
        partition=partition,
        mapper=mapper,
        fstype=tags.get("TYPE"),
        uuid=tags.get("UUID"),
        label=_unescape(tags.get("LABEL")),
        partuuid=tags.get("PART_ENTRY_UUID"),
        partlabel=_unescape(tags.get("PART_ENTRY_NAME")),
        parttype=tags.get("PART_ENTRY_TYPE"),
        size=size,
    )


def _unescape(value: str | None) -> str | None:
    r"""`blkid -o export` puts a backslash before blanks and writes others as \xHH."""
    if value is None:
        return None
    value = re.sub(r"\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), value)
    return re.sub(r"\\(.)", r"\1", value)


def _split(partition: str) -> tuple[str, int]:
    match = re.fullmatch(r"(/dev/[a-z]+)(\d+)", partition)
    return (match[1], int(match[2])) if match else (partition, 0)
