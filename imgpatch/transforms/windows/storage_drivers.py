r"""Binds the driver of EC2's NVMe disks that the user gives, where Windows has none of its own (M-11, M-13).

What Windows starts from must be known before its set-up of devices runs, so laying the driver down is not
enough. The file goes to System32\drivers, its service starts at boot, and the disks' hardware ids lead to
it: in the critical device database up to Windows 7, in the driver database from Windows 8 on, by an entry
without date or version, which any installed one beats (the form in which virt-v2v has bound drivers for
years). A driver that Windows would not load stops it on every machine, so one that may not be is left.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from imgpatch.errors import FormatError
from imgpatch.formats import pe
from imgpatch.formats.registry import Key, Type, Value
from imgpatch.guest import Guest
from imgpatch.inspection.windows import Windows, control_sets
from imgpatch.inspection.windows.boot_drivers import BOOT_START, CRITICAL_DEVICES, SERVICES, Need
from imgpatch.inspection.windows.hives import open_hive
from imgpatch.inspection.windows.release import Release
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason
from imgpatch.target import Family
from imgpatch.transforms.windows.driver_package import (
    STORAGE_CLASSES,
    BootDriver,
    RegistryLine,
    boot_driver,
    device_class,
)
from imgpatch.transforms.windows.hive_draft import HiveDraft, wide, wide_list

RULE = "M-11"
DATABASE = "DriverDatabase"
PACKAGES = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages"
SHA2_UPDATES = ("kb4474419", "kb3033929")
"""With one of them Windows 7 and older of 64 bit take signatures with SHA-256."""

_INSTALLED = frozenset({0x50, 0x70, 0x80})
"""States of an update: superseded by a newer one, installed, installed for good."""

_VERSION = bytes.fromhex("00ff090000000000")
_DEVICE_ID = bytes.fromhex("01ff0000")


def ask(draft: HiveDraft, guest: Guest, context: Context) -> Iterator[Edit | Note]:
    windows = context.inspection.windows
    assert windows is not None
    driver = supplied(guest, context)
    if driver is not None:
        text = f"{driver.service} of {driver.inf}: the driver of EC2's NVMe disks, which Windows starts from"
        reason = Reason(RULE, text)
        yield Edit(f"{windows.folder}/System32/drivers/{driver.file}", driver.data, (reason,))
        _bind(draft, driver, windows)
    for path, data in context.choices.drivers:
        if path.lower().endswith(".inf") and device_class(data).lower() in STORAGE_CLASSES:
            yield _said(path, guest, context, driver)


def supplied(guest: Guest, context: Context) -> BootDriver | None:
    """What is bound: the first that can be; None where Windows has a driver of its own."""
    for path, _ in context.choices.drivers:
        found = _examined(path, guest, context) if path.lower().endswith(".inf") else None
        if isinstance(found, BootDriver):
            return found
    return None


def _examined(path: str, guest: Guest, context: Context) -> BootDriver | str | None:
    """The driver, or why it cannot be bound; None where it need not be."""
    windows = context.inspection.windows
    assert windows is not None
    if _own_driver(windows) is not None:
        return None
    try:
        driver = boot_driver(path, context.choices.drivers, windows.release)
        return None if driver is None else _hindrance(driver, guest, context) or driver
    except FormatError as error:
        return str(error)


def _own_driver(windows: Windows) -> str | None:
    (need,) = (need for need in windows.needs if disk_of_nitro(need))
    return next((service.name for service in need.found if service.present), None)


def disk_of_nitro(need: Need) -> bool:
    return need.family is Family.NITRO


def _hindrance(driver: BootDriver, guest: Guest, context: Context) -> str | None:
    """Why Windows might not load it, or not find it."""
    windows = context.inspection.windows
    assert windows is not None
    release = windows.release
    if release.has_driver_database:
        root = open_hive(guest, "SYSTEM", force=context.choices.force_dirty_hives).root
        if release.architecture != "x86_64" or root.at(DATABASE) is None:
            return "how is known only for a Windows of 64 bit with its driver database in SYSTEM"
    folder = f"{windows.folder}/System32"
    if guest.read(f"{folder}/drivers/{driver.file}") not in (None, driver.data):
        return f"the guest has another {driver.file} already"
    for name in pe.imports(driver.data):
        if not any(guest.stat(f"{at}/{name}", follow=False) for at in (folder, f"{folder}/drivers")):
            return f"{driver.file} is linked to {name}, which the guest has not"
    if release.architecture != "x86_64" or release.version < (6, 0):
        return None  # they load what is not signed
    return _signature_fault(driver, release, guest, context)


def _signature_fault(driver: BootDriver, release: Release, guest: Guest, context: Context) -> str | None:
    """A driver that starts at boot needs one within it, since no catalogue can be read so early."""
    signed = pe.digest(driver.data)
    if signed is None:
        return f"{driver.file} has no signature in it, and Windows of 64 bit starts no such driver at boot"
    if signed != "SHA-1" and release.version < (6, 2) and not _takes_sha2(guest, context):
        return (
            f"{driver.file} is signed with SHA-256, and {release.generation} without the update KB4474419 "
            "does not start with such a driver: install the update before the import"
        )
    return None


def _takes_sha2(guest: Guest, context: Context) -> bool:
    software = open_hive(guest, "SOFTWARE", force=context.choices.force_dirty_hives).root
    packages = software.at(PACKAGES)
    for name, key in packages.subkeys.items() if packages is not None else ():
        state = key.value("CurrentState") if any(update in name for update in SHA2_UPDATES) else None
        if state is not None and state.number in _INSTALLED:
            return True
    return False


def _said(path: str, guest: Guest, context: Context, driver: BootDriver | None) -> Note:
    windows = context.inspection.windows
    assert windows is not None
    if driver is not None and driver.inf == path:
        return _bound(driver, windows)
    found = _examined(path, guest, context)
    if isinstance(found, str):
        text = f"{path} is for the disk that EC2 boots from and is laid down only, not bound: {found}"
        return Note(NoteKind.WARNING, RULE, text)
    own = _own_driver(windows)
    why = f"Windows has {own} for the disk it boots from" if own else "it is for no disk that EC2 boots from"
    text = f"{path} is for storage: {why}; Windows installs it itself when it meets the hardware"
    return Note(NoteKind.DECISION, RULE, text)


def _bound(driver: BootDriver, windows: Windows) -> Note:
    text = (
        f"{driver.inf}: {driver.service} is bound to {', '.join(driver.devices)} for the first start from "
        "NVMe, and Windows then installs it by the INF; no Windows was started to prove it"
    )
    if driver.device_values and not windows.release.has_driver_database:
        text += "; until then the driver is without what the INF sets for the device itself (its interrupts)"
        return Note(NoteKind.WARNING, RULE, text)
    return Note(NoteKind.DECISION, RULE, text)


# --- the registry ------------------------------------------------------------------------------------


def _bind(draft: HiveDraft, driver: BootDriver, windows: Windows) -> None:
    for name in control_sets(draft.root):
        control = draft.root.at(name)
        if control is None:
            continue
        _service(draft, control, driver)
        if not windows.release.has_driver_database:
            for device in driver.devices:
                key = device.replace("\\", "#")
                where = f"{control.path}\\{CRITICAL_DEVICES}\\{key}"
                reason = Reason(RULE, f"{where}: binds {driver.service} to EC2's NVMe disks")
                draft.set_value(where, Value("ClassGUID", Type.SZ, wide(driver.class_guid)), reason)
                draft.set_value(where, Value("Service", Type.SZ, wide(driver.service)), reason)
    if windows.release.has_driver_database:
        _driver_database(draft, driver)


def _service(draft: HiveDraft, control: Key, driver: BootDriver) -> None:
    where = f"{control.path}\\{SERVICES}\\{driver.service}"
    reason = Reason(RULE, f"{where}: starts at boot, as {driver.inf} says")
    values = [
        Value("Type", Type.DWORD, _dword(1)),
        Value("Start", Type.DWORD, _dword(BOOT_START)),
        Value("ErrorControl", Type.DWORD, _dword(driver.error_control)),
        Value("ImagePath", Type.EXPAND_SZ, wide(f"System32\\drivers\\{driver.file}")),
        *([Value("Group", Type.SZ, wide(driver.group))] if driver.group else []),
        *([Value("Tag", Type.DWORD, _dword(driver.tag))] if driver.tag is not None else []),
    ]
    for line in (*(RegistryLine("", value) for value in values), *driver.service_values):
        draft.set_value(f"{where}\\{line.path}".rstrip("\\"), line.value, reason)


def _driver_database(draft: HiveDraft, driver: BootDriver) -> None:
    name = f"imgpatch_{driver.service.lower()}.inf"
    label, configuration = f"{name}_amd64_{0:016}", f"{driver.service}_boot"
    package = f"{DATABASE}\\DriverPackages\\{label}"
    configured = f"{package}\\Configurations\\{configuration}"
    text = f"{package}: binds {driver.service} to EC2's NVMe disks"
    version = _VERSION + uuid.UUID(driver.class_guid).bytes_le + bytes(24)
    rows = [
        (f"{DATABASE}\\DriverInfFiles\\{name}", Value("", Type.MULTI_SZ, wide_list([label]))),
        (f"{DATABASE}\\DriverInfFiles\\{name}", Value("Active", Type.SZ, wide(label))),
        (
            f"{DATABASE}\\DriverInfFiles\\{name}",
            Value("Configurations", Type.MULTI_SZ, wide_list([configuration])),
        ),
        (package, Value("Version", Type.BINARY, version)),
        (configured, Value("ConfigFlags", Type.DWORD, _dword(0))),
        (configured, Value("Service", Type.SZ, wide(driver.service))),
        *((f"{configured}\\Device\\{line.path}".rstrip("\\"), line.value) for line in driver.device_values),
    ]
    for device in driver.devices:
        rows.append((f"{DATABASE}\\DeviceIds\\{device}", Value(name, Type.BINARY, _DEVICE_ID)))
        descriptor = Value("Configuration", Type.SZ, wide(configuration))
        rows.append((f"{package}\\Descriptors\\{device}", descriptor))
    for where, value in rows:
        draft.set_value(where, value, Reason(RULE, text))


def _dword(number: int) -> bytes:
    return number.to_bytes(4, "little")
