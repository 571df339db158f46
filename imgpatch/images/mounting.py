"""Finds the root file system and mounts the guest as its own fstab says.

Everything is mounted writable, since the drives are overlays or snapshots: that is what replays a
journal, in a preview as in apply, without the image being touched.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imgpatch import devices as device_names
from imgpatch.errors import UnsupportedGuestError
from imgpatch.formats import fstab, mdadm_conf
from imgpatch.guest import MAX_TEXT
from imgpatch.images import windows_volumes
from imgpatch.images.appliance import Appliance, ApplianceError
from imgpatch.images.layout import MD_MEMBER, incomplete_arrays, incomplete_groups, with_md_names
from imgpatch.images.windows_volumes import SHUT_DOWN, Opening
from imgpatch.storage import Device, Disk, Storage

LINUX_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "jfs"})
"""What a root may be (documents R-40)."""

ENCRYPTED_TYPES = frozenset({"crypto_LUKS", "BitLocker"})
NEEDED_BELOW = ("/boot", "/efi", "/etc", "/usr", "/var")
"""Mount points whose files are read or written; /home and data disks stay unmounted."""

NEEDED_TYPES = LINUX_TYPES | {"vfat", "msdos"}
OPTIONS = "noatime"
MAX_MOUNTS = 50
TOP_LEVEL = 5
"""The subvolume that is the whole of a Btrfs (btrfs-subvolume(8))."""

REPLAYED = re.compile(r"(EXT4-fs|XFS|BTRFS)[^(]*\([^)]+\):? .*(?:recovery|log.replay)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mounted:
    """What is mounted where.

    Attributes:
        points: mount point -> the device's name in the appliance.
        devices: the devices by that name, arrays with the names the guest gives them.
    """

    points: Mapping[str, str]
    devices: Mapping[str, Device]
    messages: tuple[str, ...]


def mount_guest(
    appliance: Appliance,
    disks: tuple[Disk, ...],
    devices: Mapping[str, Device],
    opening: Opening = SHUT_DOWN,
) -> Mounted:
    """Mounts the one root there is, and below it what its fstab names; of a Windows, its two volumes.

    Raises:
        UnsupportedGuestError: there is no root, there are several, or it is encrypted.
        RefusedError: a Windows was not shut down, and nothing is to be lost of it.
    """
    found = windows_volumes.mount_windows(appliance, devices, opening)
    if found is not None:
        return Mounted(found.points, devices, found.messages)
    failures: dict[str, str] = {}
    root = _find_root(appliance, disks, devices, failures)
    devices = _named(appliance, devices)
    points = {"/": root}
    messages = list(incomplete_arrays(appliance, devices))
    for point, device, options in _wanted(appliance, Storage(disks, tuple(devices.values()))):
        name = next(n for n, d in devices.items() if d == device)
        try:
            appliance.mount_options(options, name, point)
            points[point] = name
        except ApplianceError as error:
            messages.append(f"{point}: {device.name} could not be mounted there: {error}")
    messages += _replayed(appliance)
    return Mounted(points, devices, tuple(messages))


def _find_root(
    appliance: Appliance, disks: tuple[Disk, ...], devices: Mapping[str, Device], failures: dict[str, str]
) -> str:
    """Mounts the root and gives its name in the appliance.

    Every other file system is looked into as well, since a second root must be refused; but not what the
    first one's fstab mounts at a place of its own (/boot, /var): each look costs half a second.
    """
    candidates = [name for name, device in devices.items() if device.fstype in LINUX_TYPES]
    candidates.sort(key=lambda name: -devices[name].size)  # the root is seldom the smaller one
    roots: list[str] = []
    mounted = None
    parts: set[Device] = set()
    for name in candidates:
        if devices[name] in parts:
            continue
        if mounted is not None:
            appliance.umount("/")
        mounted = name if _mounts(appliance, name, failures) else None
        if mounted is not None and _is_root(appliance, devices[name]):
            roots.append(name)
            named = _named(appliance, devices)
            storage = Storage(disks, tuple(named.values()))
            wanted = [device for _, device, _ in _wanted(appliance, storage)]
            parts |= {devices[n] for n, device in named.items() if device in wanted and n != name}
    roots = [name for name in roots if devices[name] not in parts]  # a /usr with an etc of its own (SUSE)
    if not roots:
        groups = incomplete_groups(appliance, devices)
        raise _incomplete(groups) if groups and not failures else _no_root(devices, failures)
    if len(roots) > 1:
        names = ", ".join(devices[name].name for name in sorted(roots))
        raise UnsupportedGuestError(
            f"several file systems look like the root of a Linux system: {names}",
            hint="the service refuses such a machine too (documents R-28): give the disks of one system only",
            rule="R-28",
        )
    if mounted != roots[0]:
        if mounted is not None:
            appliance.umount("/")
        appliance.mount_options(OPTIONS, roots[0], "/")
    return roots[0]


def _mounts(appliance: Appliance, name: str, failures: dict[str, str]) -> bool:
    try:
        appliance.mount_options(OPTIONS, name, "/")
    except ApplianceError as error:
        failures[name] = str(error)
        return False
    return True


def _is_root(appliance: Appliance, device: Device) -> bool:
    here = _present(appliance, "/", ["etc", "usr", "bin", "@", "@rootfs", "root"])
    is_root = "etc" in here and bool({"usr", "bin"} & here)
    if device.fstype == "btrfs" and "etc" not in here:
        _refuse_subvolumes(appliance, device, here)
    if device.fstype == "btrfs" and is_root and appliance.btrfs_subvolume_get_default("/") != TOP_LEVEL:
        raise _subvolume(device, "the default one")
    return is_root


def _named(appliance: Appliance, devices: Mapping[str, Device]) -> Mapping[str, Device]:
    """The devices as the guest calls them whose root is mounted: mdadm.conf names md arrays."""
    if all(device.md_uuid is None for device in devices.values()):
        return devices
    for path in mdadm_conf.PATHS:
        with contextlib.suppress(ApplianceError):
            text = _text(appliance, path)
            return with_md_names(devices, tuple(mdadm_conf.arrays(text)))
    return devices


def _text(appliance: Appliance, path: str) -> str:
    """A file of configuration; empty where something else stands there, that could be read for ever."""
    status = appliance.statns(path)
    if not stat.S_ISREG(status["st_mode"]):
        return ""
    if status["st_size"] > MAX_TEXT:
        raise UnsupportedGuestError(
            f"{path}: a file of {status['st_size']} bytes in the guest, and {MAX_TEXT} are the most that is "
            "read of it",
            hint="look at the file in the guest: no system writes one so large there",
        )
    data: bytes = appliance.read_file(path)
    return data.decode("utf-8", "surrogateescape")


def _refuse_subvolumes(appliance: Appliance, device: Device, here: set[str]) -> None:
    for name in sorted(here & {"@", "@rootfs", "root"}):
        if "etc" in _present(appliance, f"/{name}", ["etc"]):
            raise _subvolume(device, repr(name))


def _subvolume(device: Device, name: str) -> UnsupportedGuestError:
    return UnsupportedGuestError(
        f"{device.name}: the root is a Btrfs subvolume, {name}",
        hint="the service does not support Btrfs subvolumes (documents R-41): move the system to the "
        "top level, to ext4 or to XFS, or use import-snapshot, which changes nothing in the disk",
        rule="R-41",
    )


def _present(appliance: Appliance, folder: str, names: list[str]) -> set[str]:
    stats = appliance.lstatnslist(folder, names)
    return {name for name, stat in zip(names, stats, strict=True) if stat["st_ino"] != -1}


def _incomplete(groups: tuple[str, ...]) -> UnsupportedGuestError:
    return UnsupportedGuestError(
        f"volume group {', '.join(groups)}: physical volumes are missing, and no root is on the rest",
        hint="give all disks of the machine (documents R-44)",
        rule="R-44",
    )


def _no_root(devices: Mapping[str, Device], failures: Mapping[str, str]) -> UnsupportedGuestError:
    encrypted = [d.name for d in devices.values() if d.fstype in ENCRYPTED_TYPES]
    if encrypted:
        return UnsupportedGuestError(
            f"{', '.join(encrypted)}: encrypted, and no root file system can be read outside it",
            hint="the service does not support encrypted volumes (documents R-43): decrypt it in the guest",
            rule="R-43",
        )
    if any(d.fstype == "ntfs" for d in devices.values()):
        return UnsupportedGuestError(
            "there is NTFS, but neither a Windows with its registry nor the root of a Linux system",
            hint="give all disks of the machine, the one it boots from first",
            rule="R-60",
        )
    if failures:
        name, error = next(iter(failures.items()))
        if "unknown filesystem type" in error:
            return UnsupportedGuestError(
                f"{devices[name].name}: the appliance's kernel has no {devices[name].fstype}",
                hint="it is this machine's own kernel: install one with that file system (on Debian "
                "linux-image-amd64, not linux-image-cloud-amd64), or name one in SUPERMIN_KERNEL",
            )
        return UnsupportedGuestError(
            f"{devices[name].name}: the {devices[name].fstype} file system could not be mounted: {error}",
            hint="repair it with its own fsck in the guest or a rescue system, then try again",
            rule="R-60",
        )
    members = [d.name for d in devices.values() if d.fstype == MD_MEMBER]
    if members and all(d.md_uuid is None for d in devices.values()):
        return UnsupportedGuestError(
            f"{', '.join(members)}: of an md array that cannot be put together from the disks given",
            hint="give all disks of the machine; a mirror that has lost a disk must know it: boot it once so",
        )
    held = ", ".join(f"{d.name} holds {d.fstype or 'nothing known'}" for d in devices.values())
    linux = any(d.fstype in LINUX_TYPES for d in devices.values())
    ostree = "; an ostree image (CoreOS, bootc) has no /etc at its top: use import-snapshot" if linux else ""
    return UnsupportedGuestError(
        f"no root file system of a Linux system found: {held or 'the disks hold nothing'}",
        hint=f"give all disks of the machine, the one it boots from first{ostree}",
        rule="R-60" if linux else "R-40",
    )


def _wanted(appliance: Appliance, storage: Storage) -> Iterable[tuple[str, Device, str]]:
    """The mounts that are needed with options, outermost first; of a mount point the first line counts."""
    found: dict[str, tuple[Device, str]] = {}
    text = ""
    if _present(appliance, "/etc", ["fstab"]):
        with contextlib.suppress(ApplianceError):  # a link that leads nowhere, as of NixOS
            text = _text(appliance, "/etc/fstab")
    for entry in fstab.entries(text):
        point = posixpath.normpath(entry.fs_file)
        if point == "/" or not any(point == p or point.startswith(f"{p}/") for p in NEEDED_BELOW):
            continue
        device = device_names.resolve(entry.fs_spec, storage)
        if device is not None and device.fstype in NEEDED_TYPES:
            chosen = [option for option in entry.options if option.startswith(("subvol=", "subvolid="))]
            found.setdefault(point, (device, ",".join((OPTIONS, *chosen))))
    points = sorted(found, key=lambda point: point.count("/"))
    return [(point, *found[point]) for point in points[:MAX_MOUNTS]]


def _replayed(appliance: Appliance) -> Iterable[str]:
    """What the kernel says of journals it replayed; where its log cannot be had, nothing is said.

    Of which device is left out: the kernel's names are not those that libguestfs gives.
    """
    output = ""
    with contextlib.suppress(ApplianceError):
        output = appliance.debug("sh", ["dmesg"])
    for kind in sorted({match[1] for match in map(REPLAYED.search, output.split("\n")) if match}):
        yield (
            f"a file system was not cleanly unmounted ({kind}): its journal was replayed in an overlay, "
            "the image itself is untouched"
        )
