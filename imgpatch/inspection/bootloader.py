"""GRUB in the guest: where its files are and which entry it boots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgpatch.formats import grubcfg
from imgpatch.guest import Guest
from imgpatch.inspection.boot_entry import BootEntry as BootEntry
from imgpatch.inspection.boot_entry import Bootloader as Bootloader
from imgpatch.inspection.boot_mode import firmware
from imgpatch.inspection.grub_files import GrubFiles
from imgpatch.inspection.grub_legacy import GRUB_LEGACY as GRUB_LEGACY
from imgpatch.inspection.grub_legacy import inspect_legacy
from imgpatch.inspection.grub_menu import MenuItem, chosen, names
from imgpatch.inspection.grub_script import Menu, run

GRUB2 = "grub2"

_ON_BOOT = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_ON_ESP = ("/boot/efi/EFI/*/grub.cfg", "/efi/EFI/*/grub.cfg", "/boot/EFI/*/grub.cfg")
_MENU_COMMANDS = frozenset({"menuentry", "submenu", "blscfg", "bls_import", "linux", "linux16", "linuxefi"})


def inspect_bootloader(guest: Guest) -> Bootloader | None:
    """None: no GRUB configuration is found."""
    configs = grub2_configs(guest)
    return _grub2(guest, configs) if configs else inspect_legacy(guest)


def grub2_configs(guest: Guest) -> tuple[str, ...]:
    """The real paths of the menus, first the one the firmware leads to."""
    esp = [guest.resolve(path) for pattern in _ON_ESP for path in guest.glob(pattern)]
    boot = [guest.resolve(path) for path in _ON_BOOT if guest.exists(path)]
    ordered = dict.fromkeys((*esp, *boot) if firmware(guest.storage) == "uefi" else (*boot, *esp))
    return tuple(path for path in ordered if _is_menu(guest, path))


def menu(guest: Guest, config: str, *, without: Sequence[str] = ()) -> Menu:
    """What GRUB makes of one configuration; variables in `without` are not taken from the grubenv."""
    platform = "efi" if firmware(guest.storage) == "uefi" else "pc"
    return run(GrubFiles(guest), config, platform=platform, without=without)


def timeout_of(outcome: Menu) -> int | None:
    """Seconds, as strtoul() reads them; None where GRUB would wait for ever."""
    text = outcome.variables.get("timeout", "").strip()
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    return int(digits[:9]) if digits else None


def boot_entries(outcome: Menu) -> tuple[BootEntry, ...]:
    """The entries that boot a kernel, in the order of the menu."""
    return tuple(entry for entry, _ in _entries(outcome, outcome.items, (), ()))


def default_entry(guest: Guest, outcome: Menu) -> BootEntry | None:
    """The entry GRUB boots by itself; None where that boots no kernel.

    Where the kernel it asks for is gone, GRUB turns to those that `fallback` names, in their order.
    """
    entry = asked_entry(outcome)
    for word in outcome.variables.get("fallback", "").split():
        if entry is None or guest.exists(entry.kernel):
            break
        entry = _entry_at(outcome, chosen(outcome.items, word, by_id_first=outcome.uses_bls))
    return entry


def asked_entry(outcome: Menu) -> BootEntry | None:
    """The entry that `default` names, whether its kernel is there or not."""
    default = outcome.variables.get("default")
    return _entry_at(outcome, chosen(outcome.items, default, by_id_first=outcome.uses_bls))


def _entry_at(outcome: Menu, places: tuple[int, ...]) -> BootEntry | None:
    return next((entry for entry, at in _entries(outcome, outcome.items, (), ()) if at == places), None)


def _grub2(guest: Guest, configs: tuple[str, ...]) -> Bootloader:
    outcome = menu(guest, configs[0])
    return Bootloader(
        kind=GRUB2,
        configs=configs,
        entries=boot_entries(outcome),
        default=default_entry(guest, outcome),
        timeout=timeout_of(outcome),
        timeout_style=outcome.variables.get("timeout_style", "menu"),
        bls=outcome.uses_bls,
    )


def _is_menu(guest: Guest, path: str) -> bool:
    """Whether it is a menu and not a stub that only finds and reads another file."""
    data = GrubFiles(guest).read(path)
    if data is None:
        return False
    script = grubcfg.parse(data.decode("utf-8", "surrogateescape"))
    if any(command.name in _MENU_COMMANDS for command, _ in grubcfg.walk(script.nodes)):
        return True
    outcome = menu(guest, path)
    return bool(outcome.items) and not any(source in outcome.sources[1:] for source in _menus_on_boot(guest))


def _menus_on_boot(guest: Guest) -> set[str]:
    return {guest.resolve(path) for path in _ON_BOOT}


def _entries(
    outcome: Menu,
    items: Sequence[MenuItem],
    at: tuple[int, ...],
    above: tuple[str, ...],
    *,
    locked: bool = False,
) -> Iterator[tuple[BootEntry, tuple[int, ...]]]:
    own_names = names(items, by_id_first=outcome.uses_bls)
    for place, item in enumerate(items):
        here, path = (*at, place), (*above, own_names[place])
        closed = locked or (item.locked and "superusers" in outcome.variables)
        if item.items is not None:
            yield from _entries(outcome, item.items, here, path, locked=closed)
        elif item.kernel is not None:
            entry = BootEntry(
                title=item.title,
                id=None if item.id == item.title else item.id,
                position=">".join(map(str, here)),
                kernel=item.kernel,
                initrds=item.initrds,
                cmdline=item.cmdline,
                source=item.source,
                name=">".join(path),
                hypervisor=item.hypervisor,
                locked=closed,
            )
            yield entry, here
