"""The block devices of the machine, found in an appliance with few calls.

`list_filesystems` and `inspect_os` would answer the same and more, at the price of a second launch:
here it is one call for the partitions and one blkid a device.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

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
    if any(device.fstype == LVM_MEMBER for device in found.values()):
        found |= _logical_volumes(appliance)
    return tuple(disks), found


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
