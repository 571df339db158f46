"""What is installed in a Windows guest: pure, over its registry hives and a few files."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.errors import RefusedError
from imgpatch.formats.registry import Key
from imgpatch.guest import Guest
from imgpatch.inspection.boot_mode import firmware
from imgpatch.inspection.windows import boot_drivers
from imgpatch.inspection.windows.addresses import NetworkInterface, read_interfaces
from imgpatch.inspection.windows.boot_drivers import Need
from imgpatch.inspection.windows.boot_menu import BootMenu, read_boot_menus
from imgpatch.inspection.windows.hives import (
    SYSTEM_PARTITION,
    VOLUME,
    Hive,
    open_hive,
    open_hive_file,
    windows_folder,
)
from imgpatch.inspection.windows.release import Release, read_release
from imgpatch.inspection.windows.setup_state import SetupState, read_setup_state

EFI_STORE = f"{SYSTEM_PARTITION}/EFI/Microsoft/Boot/BCD"
BIOS_STORES = (f"{SYSTEM_PARTITION}/Boot/BCD", f"{VOLUME}/Boot/BCD")


@dataclass(frozen=True, slots=True)
class Windows:
    """The facts everything else decides by.

    Attributes:
        folder: of Windows: `/C:/Windows`.
        host_name: of the machine; empty where nothing says.
        control_sets: the names of all, the current one first.
        needs: what EC2 needs of the boot drivers, by the current control set.
        network_drivers: what it needs to be reached.
        interfaces: of the current control set.
        boot_stores: the hives with the boot configuration, the one that the firmware starts from first.
        damaged_stores: others, of no use and not needed.
        boot_ini: the file that Windows before Vista has in their place.
        boot_menus: what those say, in the same order.
        hives: as they were opened: SYSTEM, SOFTWARE, the boot stores.
    """

    folder: str
    release: Release
    host_name: str
    control_sets: tuple[str, ...]
    needs: tuple[Need, ...]
    network_drivers: tuple[Need, ...]
    interfaces: tuple[NetworkInterface, ...]
    setup: SetupState
    boot_stores: tuple[str, ...]
    damaged_stores: tuple[str, ...]
    boot_ini: str | None
    boot_menus: tuple[BootMenu, ...]
    hives: tuple[Hive, ...]


def inspect_windows(guest: Guest, *, force: bool = False) -> Windows | None:
    """None: there is no Windows.

    Args:
        guest: the machine.
        force: take dirty hives without usable logs as they stand.

    Raises:
        RefusedError: a hive is damaged, or dirty with logs that are of no use.
    """
    folder = windows_folder(guest)
    if folder is None:
        return None
    system = open_hive(guest, "SYSTEM", force=force)
    sets = control_sets(system.root)
    control = system.root.at(sets[0]) if sets else None
    if control is None:
        raise RefusedError(f"{system.path}: it has no control set, so that no Windows can start with it")
    software = open_hive(guest, "SOFTWARE", force=force)
    release = read_release(software.root, control, guest, folder)
    if release.version == (0, 0):
        raise RefusedError(
            f"{software.path}: it names neither a version nor a build of Windows",
            hint="the hive is not that of an installed Windows; restore it, then try again",
        )
    stores, damaged = _boot_stores(guest, force=force)
    boot_ini = next((p for v in (SYSTEM_PARTITION, VOLUME) if guest.exists(p := f"{v}/boot.ini")), None)
    host = (control.at("Services\\Tcpip\\Parameters") or control).value("Hostname")
    return Windows(
        folder=guest.resolve(folder),
        release=release,
        host_name="" if host is None else host.text,
        control_sets=sets,
        needs=boot_drivers.read_needs(control, guest, folder, boot_drivers.NEEDS),
        network_drivers=boot_drivers.read_needs(control, guest, folder, boot_drivers.NETWORK),
        interfaces=read_interfaces(control),
        setup=read_setup_state(software.root, control, guest),
        boot_stores=tuple(store.path for store in stores),
        damaged_stores=damaged,
        boot_ini=None if boot_ini is None else guest.resolve(boot_ini),
        boot_menus=read_boot_menus(guest, stores, boot_ini),
        hives=(system, software, *stores),
    )


def _boot_stores(guest: Guest, *, force: bool) -> tuple[tuple[Hive, ...], tuple[str, ...]]:
    """Those that can be read, and the paths of others that the machine does not start from.

    Raises:
        RefusedError: the one it starts from is damaged, or dirty with logs that are of no use.
    """
    efi_first = firmware(guest.storage) == "uefi"
    paths = (EFI_STORE, *BIOS_STORES) if efi_first else (*BIOS_STORES, EFI_STORE)
    found: list[Hive] = []
    damaged: list[str] = []
    for path in filter(guest.exists, paths):
        try:
            found.append(open_hive_file(guest, path, force=force))
        except RefusedError:
            if not found:
                raise
            damaged.append(guest.resolve(path))
    return tuple(found), tuple(damaged)


def control_sets(root: Key) -> tuple[str, ...]:
    """Every control set there is, the one that `Select` calls current first."""
    select = root.at("Select")
    current = None if select is None else select.value("Current")
    first = "" if current is None else f"controlset{current.number:03}"
    names = [
        k.name for low, k in root.subkeys.items() if low.startswith("controlset") and low[10:].isdecimal()
    ]
    return tuple(sorted(names, key=lambda name: (name.lower() != first, name.lower())))
