"""Lets Windows start the drivers by which EC2's machines find the disk (documents M-13).

The documents name no key. Windows 8 on binds drivers in its driver database and keeps those that the present
hardware does not use from starting by a key `StartOverride`; older ones bind them in the critical device
database. Every control set is treated: Windows falls back to another one when a start fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.formats.registry import Key, Type, Value
from imgpatch.guest import Guest
from imgpatch.inspection.windows import Windows, control_sets
from imgpatch.inspection.windows.boot_drivers import (
    BOOT_START,
    CRITICAL_DEVICES,
    DISABLED,
    SERVICES,
    START_OVERRIDE,
    Need,
    read_service,
)
from imgpatch.plan import Context, Note, NoteKind, Reason
from imgpatch.target import Family
from imgpatch.transforms.windows import storage_drivers
from imgpatch.transforms.windows.hive_draft import HiveDraft, wide

RULE = "M-13"

CHAIN = (
    "intelide",
    "pciide",
    "atapi",
    "stornvme",
    "AWSNVMe",
    "xenvbd",
    "storahci",
    "msahci",
    "pci",
    "disk",
    "partmgr",
    "volmgr",
    "volume",
    "volsnap",
    "mountmgr",
)
"""What stands between EC2's firmware and the volume, of any generation; each only where it is installed."""

OPTIONAL = frozenset({"xenvbd", "storahci", "msahci"})
"""EC2 boots without them, from IDE or NVMe: who disabled one, perhaps since it fails elsewhere, is obeyed."""

HDC = "{4D36E96A-E325-11CE-BFC1-08002BE10318}"
CRITICAL = (
    ("primary_ide_channel", "atapi"),
    ("secondary_ide_channel", "atapi"),
    ("pci#ven_8086&dev_7010", "intelide"),
    ("pci#ven_8086&dev_7111", "intelide"),
    ("pci#cc_0101", "pciide"),
)
"""The emulated IDE controller of EC2's Xen machines and its channels (Microsoft KB 314082)."""

NT5_SERVICES = {
    "atapi": ("SCSI miniport", 0x19, "system32\\DRIVERS\\atapi.sys"),
    "intelide": ("System Bus Extender", 4, "system32\\DRIVERS\\intelide.sys"),
    "pciide": ("System Bus Extender", 3, "system32\\DRIVERS\\pciide.sys"),
}
"""Group, tag and file, as Windows Server 2003 registers them when it finds the hardware."""

IDE_LIBRARY = "pciidex.sys"
"""Without it the drivers of IDE controllers cannot be loaded."""

PROCESSORS = ("intelppm", "processor", "amdk6", "amdk7", "amdk8", "p3", "crusoe")
"""Stop Windows Server 2003 and XP on a processor of another maker (Microsoft KB 953356, of intelppm)."""


def ask(draft: HiveDraft, guest: Guest, context: Context) -> Iterator[Note]:
    windows = context.inspection.windows
    assert windows is not None
    notes: list[Note] = []
    for name in control_sets(draft.root):
        control = draft.root.at(name)
        if control is not None:
            _control_set(draft, control, guest, windows, notes)
    yield from dict.fromkeys(notes)
    yield from _missing(guest, context, windows)


def _control_set(draft: HiveDraft, control: Key, guest: Guest, windows: Windows, notes: list[Note]) -> None:
    if windows.release.version < (6, 0):
        _nt5(draft, control, guest, windows)
    if not windows.release.has_driver_database:
        _critical_devices(draft, control, guest, windows)
    services = control.at(SERVICES)
    if services is None:
        return
    for name in CHAIN:
        key = services.subkeys.get(name.lower())
        if key is not None:
            _start_at_boot(draft, key, guest, windows, notes)
    for key in services.subkeys.values():
        start, override = key.value("Start"), key.at(START_OVERRIDE)
        in_chain = key.name.lower() in {name.lower() for name in CHAIN}
        if override is not None and (in_chain or (start is not None and start.number == BOOT_START)):
            text = f"{override.path}: would keep the driver from starting at boot on other hardware"
            draft.drop_key(override, Reason(RULE, text))


def _start_at_boot(draft: HiveDraft, key: Key, guest: Guest, windows: Windows, notes: list[Note]) -> None:
    service = read_service(key, guest, windows.folder)
    if service.start is None or service.start == BOOT_START:
        return
    if service.present is False:
        return  # a driver that cannot be loaded is of no use at boot
    if service.start == DISABLED and key.name.lower() in OPTIONAL:
        return
    if service.start == DISABLED:
        text = (
            f"{key.path}: the driver was disabled on purpose, and EC2's disks need it: it starts at boot now"
        )
        notes.append(Note(NoteKind.WARNING, RULE, text))
    text = f"{key.path}: Start {service.start} becomes {BOOT_START}: EC2's machines have the disk behind it"
    draft.set_number(key, "Start", BOOT_START, Reason(RULE, text))


def _nt5(draft: HiveDraft, control: Key, guest: Guest, windows: Windows) -> None:
    """The drivers of the IDE controller where they were never needed, and processors' off."""
    for name, (group, tag, path) in NT5_SERVICES.items():
        where = f"{control.path}\\{SERVICES}\\{name}"
        files = [path.rpartition("\\")[2], *([] if name == "atapi" else [IDE_LIBRARY])]
        folder = f"{windows.folder}/system32/drivers"
        if draft.root.at(where) is not None or not all(guest.exists(f"{folder}/{file}") for file in files):
            continue
        reason = Reason(
            RULE, f"{where}: registered, since EC2's Xen machines have the disk on an IDE controller"
        )
        for value in (
            Value("Type", Type.DWORD, _dword(1)),
            Value("Start", Type.DWORD, _dword(BOOT_START)),
            Value("ErrorControl", Type.DWORD, _dword(1)),
            Value("Tag", Type.DWORD, _dword(tag)),
            Value("Group", Type.SZ, wide(group)),
            Value("ImagePath", Type.EXPAND_SZ, wide(path)),
        ):
            draft.set_value(where, value, reason)
    for name in PROCESSORS:
        key = control.at(f"{SERVICES}\\{name}")
        start = None if key is None else key.value("Start")
        if key is not None and start is not None and start.number != DISABLED:
            text = f"{key.path}: Start {start.number} becomes {DISABLED}: it stops other processors"
            draft.set_number(key, "Start", DISABLED, Reason(RULE, text))


def _critical_devices(draft: HiveDraft, control: Key, guest: Guest, windows: Windows) -> None:
    """Added only where no entry is: what the generation wrote itself is longer and stays."""
    database = control.at(CRITICAL_DEVICES)
    if database is None and windows.release.version >= (6, 0):
        return
    for device, service in CRITICAL:
        known = None if database is None else database.subkeys.get(device)
        installed = draft.root.at(f"{control.path}\\{SERVICES}\\{service}") is not None
        file = guest.exists(f"{windows.folder}/System32/drivers/{service}.sys")
        if known is not None or not (installed or file):
            continue
        where = f"{control.path}\\{CRITICAL_DEVICES}\\{device}"
        reason = Reason(RULE, f"{where}: binds {service} to the disk controller of EC2's Xen machines")
        draft.set_value(where, Value("ClassGUID", Type.SZ, wide(HDC)), reason)
        draft.set_value(where, Value("Service", Type.SZ, wide(service)), reason)


def _missing(guest: Guest, context: Context, windows: Windows) -> Iterator[Note]:
    """What no edit can cure: drivers that are not there, and that nobody gives."""
    given = storage_drivers.supplied(guest, context) is not None
    for need in windows.needs:
        supplied = given and storage_drivers.disk_of_nitro(need)
        if not supplied and not any(service.present for service in need.found):
            yield Note(NoteKind.WARNING, RULE, _missing_text(need, windows, "does not find its disk"))
    for need in windows.network_drivers:
        if not need.found:
            yield Note(NoteKind.WARNING, "M-23", _missing_text(need, windows, "is not reached"))


def _missing_text(need: Need, windows: Windows, loss: str) -> str:
    names = " or ".join(need.services)
    cure = {
        Family.XEN: "the AWS PV drivers",
        Family.NITRO: "the AWS NVMe and ENA drivers",
    }[need.family]
    return (
        f"{windows.release.generation} has no {names} for the {need.purpose}: "
        f"on {need.family} instances it {loss}; "
        f"install {cure} before the import, or after it on another instance family"
    )


def _dword(number: int) -> bytes:
    return number.to_bytes(4, "little")
