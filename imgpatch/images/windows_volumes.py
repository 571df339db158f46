"""Finds Windows and mounts its volumes: the one with Windows at `/C:`, the one firmware starts from at `/S:`.

An NTFS volume that Windows left hibernated or with an unfinished journal is not touched unless asked for:
ntfs-3g would throw away what they hold.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imgpatch.errors import RefusedError, UnsupportedGuestError
from imgpatch.images import ntfs
from imgpatch.images.appliance import Appliance, ApplianceError
from imgpatch.inspection.boot_mode import ESP_TYPES
from imgpatch.inspection.windows.hives import FOLDERS, SYSTEM_PARTITION, VOLUME
from imgpatch.storage import Device

FAT = frozenset({"vfat", "msdos"})
LINUX_POINT = "/L:"
LINUX_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "jfs"})

DYNAMIC_TYPES = frozenset(
    {"0x42", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "af9b60a0-1431-4f62-bc68-3311714a69ad"}
)
"""Partitions of the Logical Disk Manager: dynamic disks."""

STORAGE_SPACES = "e75caf8f-f680-4cee-afa3-b001e56efc2d"

INCONSISTENT, HIBERNATED, UNCLEAN = 13, 14, 15
"""What ntfs-3g.probe(8) ends with."""

_CURE = "start it once more and shut it down with `shutdown /s /t 0` (Fast Startup off: `powercfg /h off`)"

BOOT_FLAGS_AT, ENTRY = 446, 16
ACTIVE = 0x80
BOOT_PROGRAMS = ("bootmgr", "ntldr")


@dataclass(frozen=True, slots=True)
class Opening:
    """How volumes of Windows are opened.

    Attributes:
        look: read-only, as they stand: what nobody may rely on for a plan.
        force_hibernated: delete the hibernated session; what was not saved in it is lost.
        force_unclean: reset an unfinished journal; what it holds of files and folders is lost.
    """

    look: bool = False
    force_hibernated: bool = False
    force_unclean: bool = False


SHUT_DOWN = Opening()
"""Windows must have been shut down."""


@dataclass(frozen=True, slots=True)
class Volumes:
    """Mount point -> the device's name in the appliance."""

    points: Mapping[str, str]
    messages: tuple[str, ...]


def mount_windows(appliance: Appliance, devices: Mapping[str, Device], opening: Opening) -> Volumes | None:
    """Mounts the volumes of the one Windows there is; None: there is none.

    Raises:
        UnsupportedGuestError: there are several systems, or Windows lies where it cannot be read.
        RefusedError: it was not shut down, and nothing is to be lost of it.
    """
    candidates = [name for name, device in devices.items() if device.fstype == "ntfs"]
    candidates.sort(key=lambda name: -devices[name].size)
    if not candidates and not any(_of_windows(device) for device in devices.values()):
        return None
    messages: list[str] = []
    found: list[str] = []
    mounted: str | None = None
    for name in candidates:
        if mounted is not None:
            _unmount(appliance, VOLUME)
        if not _mount_to_look(appliance, name, VOLUME):
            mounted = None
            continue
        mounted = name
        if _has_windows(appliance, VOLUME):
            found.append(name)
    if mounted is not None:
        _unmount(appliance, VOLUME)
    if not found:
        _refuse_unreadable(devices)
        return None
    _refuse_several(appliance, devices, found)
    messages += _other_volumes(devices)
    points = {VOLUME: found[0]}
    messages += _mount(appliance, found[0], devices[found[0]], VOLUME, opening)
    system = _system_partition(appliance, devices, found[0])
    if system is None:
        messages.append(
            "no partition that starts Windows was found, neither an EFI system partition with its manager "
            "nor an active one with bootmgr or ntldr: the import fails without one (documents R-32)"
        )
    elif system != found[0]:
        messages += _mount(appliance, system, devices[system], SYSTEM_PARTITION, opening)
        points[SYSTEM_PARTITION] = system
    return Volumes(points, tuple(messages))


def _of_windows(device: Device) -> bool:
    types = DYNAMIC_TYPES | {STORAGE_SPACES}
    return device.parttype in types or device.fstype in ("BitLocker", "ReFS")


def _refuse_unreadable(devices: Mapping[str, Device]) -> None:
    """Where Windows may be that cannot be found."""
    rows = (
        (
            [d for d in devices.values() if d.fstype == "BitLocker"],
            "encrypted by BitLocker, and no Windows was found outside it",
            (
                "the service does not support encrypted volumes (documents R-43): decrypt it in Windows with "
                "`manage-bde -off C:`, wait for the end, and shut it down"
            ),
            "R-43",
        ),
        (
            [d for d in devices.values() if d.parttype in DYNAMIC_TYPES],
            "of a dynamic disk, and no Windows was found outside it",
            (
                "imgpatch does not read dynamic disks, and the service never converts them (documents R-34): "
                "make it a basic disk, or take a copy of the volume"
            ),
            None,
        ),
        (
            [d for d in devices.values() if d.parttype == STORAGE_SPACES],
            "of Storage Spaces, and no Windows was found outside it",
            "the volumes of Windows must be plain NTFS (documents R-42)",
            "R-42",
        ),
        (
            [d for d in devices.values() if d.fstype == "ReFS"],
            "ReFS, and no Windows was found outside it",
            "the volumes of Windows must be NTFS (documents R-42)",
            "R-42",
        ),
    )
    for found, what, hint, rule in rows:
        if found:
            raise UnsupportedGuestError(f"{', '.join(d.name for d in found)}: {what}", hint=hint, rule=rule)


def _other_volumes(devices: Mapping[str, Device]) -> Iterator[str]:
    """Volumes beside Windows that the import may not take."""
    for device in devices.values():
        if device.fstype == "BitLocker":
            yield f"{device.name}: BitLocker; the service does not support encrypted volumes (documents R-43)"
        elif device.fstype == "ReFS" or device.parttype == STORAGE_SPACES:
            yield f"{device.name}: not plain NTFS, which volumes of Windows must be (documents R-42)"
        elif device.parttype in DYNAMIC_TYPES:
            yield f"{device.name}: of a dynamic disk, which is left as it is (documents R-34)"


def _refuse_several(appliance: Appliance, devices: Mapping[str, Device], found: list[str]) -> None:
    names = [devices[name].name for name in sorted(found)]
    for name, device in devices.items():
        if device.fstype in LINUX_TYPES and _mount_to_look(appliance, name, LINUX_POINT):
            here = _present(appliance, LINUX_POINT, ("etc", "usr", "bin"))
            if "etc" in here and {"usr", "bin"} & here:
                names.append(device.name)
            _unmount(appliance, LINUX_POINT)
    if len(names) > 1:
        raise UnsupportedGuestError(
            f"several systems are installed: {', '.join(names)}",
            hint="the service does not support machines with more than one (documents R-28): "
            "give the disks of one system only",
            rule="R-35" if len(names) == len(found) else "R-28",
        )


def _mount_to_look(appliance: Appliance, name: str, point: str) -> bool:
    """Read-only: a hibernated volume can be looked into, too."""
    appliance.mkmountpoint(point)
    try:
        appliance.mount_options("ro", name, point)
    except ApplianceError:
        appliance.rmmountpoint(point)
        return False
    return True


def _unmount(appliance: Appliance, point: str) -> None:
    appliance.umount(point)
    appliance.rmmountpoint(point)


def _has_windows(appliance: Appliance, point: str) -> bool:
    return any(_exists(appliance, f"{point}/{folder}/System32/config/SYSTEM") for folder in FOLDERS)


def _exists(appliance: Appliance, path: str) -> bool:
    """In whatever case; libguestfs raises where a folder on the way is missing."""
    with contextlib.suppress(ApplianceError):
        real = appliance.case_sensitive_path(path)
        return bool(_present(appliance, posixpath.dirname(real), (posixpath.basename(real),)))
    return False


def _present(appliance: Appliance, folder: str, names: tuple[str, ...]) -> set[str]:
    stats = appliance.lstatnslist(folder, list(names))
    return {name for name, stat in zip(names, stats, strict=True) if stat["st_ino"] != -1}


def _mount(appliance: Appliance, name: str, device: Device, point: str, opening: Opening) -> Iterator[str]:
    """Mounts for good; yields what the user must know of it."""
    appliance.mkmountpoint(point)
    if device.fstype != "ntfs":
        appliance.mount_options("ro" if opening.look else ntfs.OPTIONS, name, point)
        return
    state = appliance.ntfs_3g_probe(True, name)
    if opening.look:
        if state in _STATES:
            yield f"{device.name}: {_STATES[state][0]}"
        appliance.mount_vfs("ro", ntfs.DRIVER, name, point)
        return
    yield from _allowed(state, device, opening)
    options = f"{ntfs.OPTIONS},remove_hiberfile" if state == HIBERNATED else ntfs.OPTIONS
    appliance.mount_vfs(options, ntfs.DRIVER, name, point)


_STATES = {
    INCONSISTENT: (
        "the NTFS file system is inconsistent",
        f"let `chkdsk /f` repair it in Windows: {_CURE}",
    ),
    HIBERNATED: (
        "Windows is hibernated, or was shut down by Fast Startup, which hibernates its kernel",
        (
            f"{_CURE}; or delete the hibernated session with --force-hibernated: "
            "what was not saved in it is lost, and `revert` cannot bring it back"
        ),
    ),
    UNCLEAN: (
        "the NTFS journal is not finished: Windows was not shut down",
        (
            f"{_CURE}; or reset the journal with --force-unclean: "
            "changes to files and folders that stand in it alone are lost"
        ),
    ),
}
"""What is found, and what to do."""


def _allowed(state: int, device: Device, opening: Opening) -> Iterator[str]:
    if state == 0:
        return
    if state == HIBERNATED and opening.force_hibernated:
        yield f"{device.name}: the hibernated session is deleted, as asked for, with what was not saved in it"
    elif state == UNCLEAN and opening.force_unclean:
        yield f"{device.name}: the unfinished NTFS journal is reset, as asked for, with what only it held"
    else:
        found, hint = _STATES.get(state, (f"NTFS that cannot be mounted (ntfs-3g.probe says {state})", _CURE))
        raise RefusedError(f"{device.name}: {found}", hint=hint)


def _system_partition(appliance: Appliance, devices: Mapping[str, Device], windows: str) -> str | None:
    """The partition that starts this Windows: an ESP with its boot manager, else the active one with one.

    An ESP counts first, as in `firmware`.
    """
    for name, device in devices.items():
        if (
            device.parttype in ESP_TYPES
            and device.fstype in FAT
            and _mount_to_look(appliance, name, LINUX_POINT)
        ):
            found = _exists(appliance, f"{LINUX_POINT}/EFI/Microsoft/Boot/BCD")
            _unmount(appliance, LINUX_POINT)
            if found:
                return name
    for name in _active(appliance, devices):
        if name == windows:
            return name if _boot_program(appliance, VOLUME) else None
        if _mount_to_look(appliance, name, LINUX_POINT):
            found = _boot_program(appliance, LINUX_POINT)
            _unmount(appliance, LINUX_POINT)
            if found:
                return name
    return None


def _boot_program(appliance: Appliance, point: str) -> bool:
    return any(_exists(appliance, f"{point}/{name}") for name in BOOT_PROGRAMS)


def _active(appliance: Appliance, devices: Mapping[str, Device]) -> Iterator[str]:
    """The active primary partition of the first disk, where BIOS starts."""
    first = [name for name, d in devices.items() if d.disk == 0 and d.partition in range(1, 5)]
    if not first or (devices[first[0]].parttype or "").count("-"):
        return
    disk = first[0].rstrip("0123456789")
    table = bytes(appliance.pread_device(disk, 4 * ENTRY, BOOT_FLAGS_AT))
    for name in first:
        if table[((devices[name].partition or 1) - 1) * ENTRY] == ACTIVE:
            yield name
