"""Which device of the machine a name in fstab(5) or on a kernel command line means.

Hardware names are resolved by place, never by what they are called: `/dev/sdb1`, `/dev/vdb1` and
`/dev/xvdb1` are each the first partition of the second disk, as long as all disks were given in the
guest's order. Nothing is ever looked up on the machine imgpatch runs on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from imgpatch.storage import Device, Storage


class Naming(StrEnum):
    """How a spec finds its device, and so whether it survives other hardware."""

    TAG = "tag"
    """`UUID=`, `LABEL=`, `PARTUUID=`, `PARTLABEL=`: what is written on the disk."""
    TAG_LINK = "tag link"
    """`/dev/disk/by-uuid/...` and its like: the same, as a path made by udev."""
    HARDWARE = "hardware"
    """`/dev/sda1`, `by-id`, `by-path`, `mapper/mpatha1`, `/dev/root`: depends on controllers and drivers."""
    VOLUME = "volume"
    """LVM, md, device mapper: the name is written on the disk or in the guest's configuration."""
    OTHER = "other"
    """No disk: `tmpfs`, `server:/path`, a file, `/dev/zram0`."""


_TAGS: dict[str, Callable[[Storage, str], Device | None]] = {
    "UUID": Storage.by_uuid,
    "LABEL": Storage.by_label,
    "PARTUUID": Storage.by_partuuid,
    "PARTLABEL": Storage.by_partlabel,
}

# What the kernel makes without any disk, and folders of /dev that are no volume groups.
_NO_DISK = re.compile(
    r"/dev/(?:(?:zram|loop|ram)[0-9]+(?:p[0-9]+)?|null|zero|fuse|cuse|(?:shm|pts|mqueue|hugepages|fd|bus|input)(?:/.*)?)"
)

_VOLUMES = ("/dev/md", "/dev/disk/by-id/md-", "/dev/disk/by-id/dm-uuid-")

_MD = re.compile(r"/dev/(?:md/.+|md[0-9]+|disk/by-id/md-(?:uuid|name)-.+)", re.DOTALL)
_LETTERS = re.compile(r"/dev/(?:sd|hd|vd|xvd|ubd)([a-z]{1,3})([0-9]{0,4})")
_NVME = re.compile(r"/dev/nvme([0-9]{1,4})n([1-9][0-9]{0,3})(?:p([0-9]{1,4}))?")
_CCISS = re.compile(r"/dev/cciss/c0d([0-9]{1,4})(?:p([0-9]{1,4}))?")
_BY_HARDWARE = re.compile(r"(/dev/disk/by-(?:id|path))/(.+?)(?:-part([0-9]{1,4}))?", re.DOTALL)
_MULTIPATH = re.compile(
    r"(/dev/mapper|/dev/disk/by-id/dm-name)[/-](mpath[a-z]{1,3}?|3(?:[0-9a-f]{32}|[0-9a-f]{16}))"
    r"(?:(?:[-_]?p(?:art)?)?([0-9]{1,4}))?"
)
"""A disk of several paths, by its number or its WWID, and its partition as kpartx(8) calls it."""
_MULTIPATH_UUID = re.compile(r"(/dev/disk/by-id/dm-uuid)-(?:part([0-9]{1,4})-)?mpath-(.+)", re.DOTALL)
_UDEV_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


def naming(spec: str) -> Naming:
    """How `spec` (decoded, as `resolve` takes it) names its device."""
    if _tag(spec) is not None:
        return Naming.TAG
    if not spec.startswith("/dev/") or spec == "/dev/" or _NO_DISK.fullmatch(spec):
        return Naming.OTHER
    if _tag_link(spec) is not None:
        return Naming.TAG_LINK
    if _MULTIPATH.fullmatch(spec) or _MULTIPATH_UUID.fullmatch(spec):
        return Naming.HARDWARE
    if _mapper_name(spec) is not None or spec.startswith(_VOLUMES):
        return Naming.VOLUME
    return Naming.HARDWARE


def is_device_name(spec: str) -> bool:
    """Whether the documents' "device name" (M-03) is meant: what is turned into `UUID=`.

    Not so the names of logical volumes, md arrays and other mappings: they do not depend on hardware.
    """
    return naming(spec) in (Naming.HARDWARE, Naming.TAG_LINK)


def resolve(spec: str, storage: Storage) -> Device | None:
    """The device that `spec` means, or None where there is none or where it cannot be told.

    Args:
        spec: an fs_spec with its octal escapes decoded, or the value of `root=` or `resume=`.
        storage: all disks of the machine in the guest's order.
    """
    tag = _tag(spec) or _tag_link(spec)
    if tag is not None:
        name, value = tag
        return _TAGS[name](storage, value) if value else None
    if spec == "/dev/root":
        return storage.mounts.get("/")
    mapper = _mapper_name(spec)
    if mapper is not None:
        return storage.by_mapper(mapper) or _on_the_only_disk(spec, storage)
    if spec.startswith("/dev/disk/by-id/dm-uuid-"):
        dm_uuid = spec.removeprefix("/dev/disk/by-id/dm-uuid-")
        volume = next((d for d in storage.devices if d.dm_uuid == dm_uuid), None)
        return volume or _on_the_only_disk(spec, storage)
    if _MD.fullmatch(spec):
        return _array(spec, storage)
    where = place(spec)
    return storage.at(*where) if where is not None else _on_the_only_disk(spec, storage)


def place(spec: str) -> tuple[int, int | None] | None:
    """Disk index and partition number of a name that counts disks (`/dev/sdb1`); None of any other."""
    if found := _LETTERS.fullmatch(spec):
        return _letters(found[1]), _number(found[2])
    if found := _CCISS.fullmatch(spec):
        return int(found[1]), _number(found[2])
    if found := _NVME.fullmatch(spec):
        controller, namespace = int(found[1]), int(found[2]) - 1
        # One controller a disk (QEMU, EC2) or one namespace a disk (VMware); a mixture cannot be told.
        return None if controller and namespace else (controller + namespace, _number(found[3]))
    return None


def hardware(spec: str) -> tuple[str, str] | None:
    """The way and the disk of a name that says which disk it is (by-id, multipath); None of any other."""
    found = _hardware(spec)
    return found[:2] if found is not None and naming(spec) is Naming.HARDWARE else None


def same_tag(device: Device, storage: Storage) -> tuple[Device, ...]:
    """The other devices with this one's file system UUID: clones, LVM snapshots.

    Not so for Btrfs, whose UUID stands on each of its devices.
    """
    if device.uuid is None or device.fstype == "btrfs":
        return ()
    uuid = device.uuid.lower()
    return tuple(d for d in storage.devices if d != device and d.uuid is not None and d.uuid.lower() == uuid)


def _tag(spec: str) -> tuple[str, str] | None:
    """`LABEL="a b"` -> ("LABEL", "a b"); either quote, as blkid_parse_tag_string has it."""
    name, equals, value = spec.partition("=")
    if not equals or name not in _TAGS:
        return None
    if len(value) >= 2 and value[0] in "\"'" and value[-1] == value[0]:
        value = value[1:-1]
    return name, value


def _tag_link(spec: str) -> tuple[str, str] | None:
    """The tag behind a path of udev, whose escapes (a backslash, `x20`) are undone."""
    for name in _TAGS:
        folder = f"/dev/disk/by-{name.lower()}/"
        if spec.startswith(folder):
            raw = spec.removeprefix(folder).encode("utf-8", "surrogateescape")
            value = _UDEV_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), raw)
            return name, value.decode("utf-8", "surrogateescape")
    return None


def _mapper_name(spec: str) -> str | None:
    """The device mapper name of a logical volume: hyphens doubled, the group's name before a single one."""
    for prefix in ("/dev/mapper/", "/dev/disk/by-id/dm-name-"):
        if spec.startswith(prefix):
            return spec.removeprefix(prefix)
    group, slash, volume = spec.removeprefix("/dev/").partition("/")
    if not spec.startswith("/dev/") or not slash or not volume or "/" in volume:
        return None
    if group in ("disk", "md", "cciss", "block", "char", "ida", "rd"):
        return None
    return f"{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _array(spec: str, storage: Storage) -> Device | None:
    """An md array by UUID or name; where there is one alone, a number is its too, since those change."""
    found = [device for device in storage.devices if device.md_uuid is not None]
    named = [device for device in found if spec in device.md_names]
    if spec.startswith("/dev/disk/by-id/md-uuid-"):
        uuid = spec.removeprefix("/dev/disk/by-id/md-uuid-").replace(":", "").lower()
        named = [device for device in found if device.md_uuid == uuid]
    elif len(found) == 1 and not spec.startswith("/dev/disk/"):
        named = found
    return named[0] if len(named) == 1 else None


def _letters(text: str) -> int:
    """`a` is 0, `z` 25, `aa` 26, as the kernel's sd_format_disk_name counts."""
    index = 0
    for letter in text:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _on_the_only_disk(spec: str, storage: Storage) -> Device | None:
    """by-id, by-path and multipath say a disk that imgpatch cannot know, and a partition number that it can.

    So the name is resolved where only one disk of the machine has such a partition.
    """
    found = _hardware(spec)
    if found is None or naming(spec) is not Naming.HARDWARE:
        return None
    partition = _number(found[2])
    devices = [d for d in storage.devices if d.disk is not None and d.partition == partition]
    if partition is None:
        devices = [d for d in devices if d.fstype is not None]
    return devices[0] if len(devices) == 1 else None


def _hardware(spec: str) -> tuple[str, str, str | None] | None:
    """By which way, which disk and which partition a name says."""
    if found := _MULTIPATH_UUID.fullmatch(spec):
        return found[1], found[3], found[2]
    found = _MULTIPATH.fullmatch(spec) or _BY_HARDWARE.fullmatch(spec)
    return (found[1], found[2], found[3]) if found else None
