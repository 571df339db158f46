"""What the boot configuration of a Windows guest says: boot stores, or `boot.ini` before Windows Vista."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgpatch.formats import bcd, bootini
from imgpatch.guest import Guest
from imgpatch.inspection.windows.hives import Hive


@dataclass(frozen=True, slots=True)
class BootMenu:
    """One boot configuration.

    Attributes:
        path: of the file.
        entries: the systems to choose from, the default one first where it is known.
        timeout: seconds that the menu waits; None where nothing says.
        ems: Emergency Management Services are on, for a boot program or for a system.
        switches: of the default system, what is seldom on: `safe mode`, `debugger`, ...
    """

    path: str
    entries: tuple[str, ...]
    timeout: int | None
    ems: bool
    switches: tuple[str, ...]


def read_boot_menus(guest: Guest, stores: Sequence[Hive], boot_ini: str | None) -> tuple[BootMenu, ...]:
    """All that there are."""
    found = [_of_store(store.path, bcd.read(store.root)) for store in stores]
    if boot_ini is not None:
        found.append(_of_boot_ini(guest.resolve(boot_ini), guest.read(boot_ini) or b""))
    return tuple(found)


def _of_store(path: str, store: bcd.Store) -> BootMenu:
    default = store.default
    menu = [store.objects[guid] for guid in store.menu if guid in store.objects]
    if default is not None:
        menu = [default, *(entry for entry in menu if entry.guid != default.guid)]
    return BootMenu(
        path,
        tuple(entry.text(bcd.DESCRIPTION) or entry.guid for entry in menu),
        store.timeout,
        any(store.switched_on(bcd.EMS, bcd.BOOT_EMS)),
        () if default is None else tuple(_switches(default)),
    )


def _switches(entry: bcd.BootObject) -> Iterator[str]:
    rows = (
        (bcd.SAFE_BOOT, "safe mode"),
        (bcd.HYPERVISOR_LAUNCH, "hypervisor"),
        (bcd.KERNEL_DEBUG, "debugger"),
        (bcd.TEST_SIGNING, "test signing"),
    )
    for number, name in rows:
        element = entry.elements.get(number)
        if element is not None and (element.is_on or number == bcd.SAFE_BOOT):  # 0 is its minimal form
            yield name


def _of_boot_ini(path: str, data: bytes) -> BootMenu:
    lines = list(bootini.parse(data))
    settings = dict(_setting(line.text) for line in lines if line.section == b"boot loader")
    systems = [line.text for line in lines if line.section == b"operating systems" and b"=" in line.text]
    default = settings.get("default", "").lower()
    names = {_setting(text)[0]: _setting(text)[1] for text in systems}
    ordered = sorted(names, key=lambda device: device != default)
    timeout = settings.get("timeout", "")
    options = names[ordered[0]].lower() if ordered else ""
    rows = (("/safeboot", "safe mode"), ("/debug", "debugger"))
    return BootMenu(
        path,
        tuple(names[device] for device in ordered),
        int(timeout) if timeout.isascii() and timeout.isdigit() else None,
        "redirect" in settings or any(b"/redirect" in text.lower() for text in systems),
        tuple(name for switch, name in rows if switch in options),
    )


def _setting(text: bytes) -> tuple[str, str]:
    name, _, value = text.decode("utf-8", "surrogateescape").partition("=")
    return name.strip().lower(), value.strip()
