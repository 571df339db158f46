"""GRUB in the guest: where its files are and which entry it boots."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgpatch.formats import cmdline, grubcfg, grublegacy
from imgpatch.guest import Guest
from imgpatch.inspection.boot_mode import firmware
from imgpatch.inspection.grub_files import GUEST, GrubFiles
from imgpatch.inspection.grub_menu import MenuItem, chosen, names
from imgpatch.inspection.grub_script import Menu, run

GRUB2 = "grub2"
GRUB_LEGACY = "grub-legacy"

_ON_BOOT = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_ON_ESP = ("/boot/efi/EFI/*/grub.cfg", "/efi/EFI/*/grub.cfg", "/boot/EFI/*/grub.cfg")
_LEGACY = ("/boot/grub/menu.lst", "/boot/grub/grub.conf", "/etc/grub.conf")
_MENU_COMMANDS = frozenset({"menuentry", "submenu", "blscfg", "bls_import", "linux", "linux16", "linuxefi"})


@dataclass(frozen=True, slots=True)
class BootEntry:
    """One menu entry that boots a kernel.

    Attributes:
        title: as the menu shows it.
        id: the `--id`/`$menuentry_id_option` of the entry, or the BLS file's name without `.conf`.
        position: 0-based places from the top, `1>2` in a submenu, as GRUB's `default` has it.
        kernel: the real path of the kernel in the guest (`/boot/vmlinuz-...`), a separate /boot counted in.
        initrds: real paths likewise.
        cmdline: the kernel command line.
        source: the file the entry stands in.
        name: what `default` may hold to mean this entry: ids (or titles, or places, where those find
            another entry or none) from the top, joined by `>`; None where GRUB has no names (legacy).
        hypervisor: the real path of the hypervisor the kernel runs under (Xen), None without one.
        locked: GRUB asks for a password before it boots this, by itself too: the entry or a submenu above
            it is restricted, as everything is that is not called `--unrestricted` where there are superusers.
    """

    title: str
    id: str | None
    position: str
    kernel: str
    initrds: tuple[str, ...]
    cmdline: str
    source: str
    name: str | None = None
    hypervisor: str | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Bootloader:
    """The boot loader of the guest.

    Attributes:
        kind: `grub2` or `grub-legacy`.
        configs: the menus themselves (ESP stubs that only point to them are not among these), first the
            one the machine's firmware leads to.
        default: the entry GRUB would boot as the files stand; None where it cannot be told.
        timeout: seconds the menu waits, None where it waits for ever or it cannot be told.
        timeout_style: `menu`, `hidden` or `countdown`.
        bls: whether the menu is made of loader entries (blscfg).
    """

    kind: str
    configs: tuple[str, ...]
    entries: tuple[BootEntry, ...]
    default: BootEntry | None
    timeout: int | None
    timeout_style: str = "menu"
    bls: bool = False


def inspect_bootloader(guest: Guest) -> Bootloader | None:
    """None: no GRUB configuration is found."""
    configs = grub2_configs(guest)
    if configs:
        return _grub2(guest, configs)
    path = next((p for p in _LEGACY if guest.exists(p)), None)
    return None if path is None else _legacy(guest, guest.resolve(path))


# --- GRUB 2 ------------------------------------------------------------------------------------------


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


def default_entry(outcome: Menu) -> BootEntry | None:
    """The entry GRUB boots by itself; None where that boots no kernel."""
    places = chosen(outcome.items, outcome.variables.get("default"), by_id_first=outcome.uses_bls)
    return next((entry for entry, at in _entries(outcome, outcome.items, (), ()) if at == places), None)


def _grub2(guest: Guest, configs: tuple[str, ...]) -> Bootloader:
    outcome = menu(guest, configs[0])
    return Bootloader(
        kind=GRUB2,
        configs=configs,
        entries=boot_entries(outcome),
        default=default_entry(outcome),
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


# --- GRUB legacy -------------------------------------------------------------------------------------


def _legacy(guest: Guest, path: str) -> Bootloader:
    lines = grublegacy.parse(guest.text(path) or "")
    entries = []
    for number, group in enumerate(grublegacy.entries(lines)):
        entry = _legacy_entry(guest, path, number, group)
        if entry is not None:
            entries.append(entry)
    position = legacy_default(guest, path, lines)
    timeout = grublegacy.setting(lines, "timeout")
    return Bootloader(
        kind=GRUB_LEGACY,
        configs=(path,),
        entries=tuple(entries),
        default=next((entry for entry in entries if entry.position == str(position)), None),
        timeout=int(timeout[:9]) if timeout is not None and timeout.isascii() and timeout.isdigit() else None,
        timeout_style="hidden" if any(line.command == "hiddenmenu" for line in lines) else "menu",
    )


def legacy_default(guest: Guest, path: str, lines: Sequence[grublegacy.Line]) -> int:
    """The number of the title that is booted; `saved` stands in a file of its own, `default`, beside it."""
    value = grublegacy.setting(lines, "default") or "0"
    if value == "saved":
        data = GrubFiles(guest).read(posixpath.join(posixpath.dirname(path), "default")) or b""
        value = data.decode("ascii", "replace").split("\n")[0]
    digits = value.strip()[:9]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _legacy_entry(guest: Guest, path: str, number: int, group: Sequence[grublegacy.Line]) -> BootEntry | None:
    kernels = [cmdline.words(line.value) for line in group if line.command == "kernel"]
    kernel = [word for word in kernels[-1] if not word.startswith("--")] if kernels else []
    if not kernel:
        return None
    files = GrubFiles(guest)
    modules = [cmdline.words(line.value) for line in group if line.command == "module" and line.value]
    initrds = [line.value.split()[0] for line in group if line.command == "initrd" and line.value]
    hypervisor = None
    if modules:
        hypervisor, kernel = kernel[0], list(modules[0])
        initrds += [words[0] for words in modules[1:]]

    def located(file: str) -> str:
        return guest.resolve(files.locate(_without_device(file), GUEST))

    return BootEntry(
        title=group[0].value,
        id=None,
        position=str(number),
        kernel=located(kernel[0]),
        initrds=tuple(map(located, initrds)),
        cmdline=" ".join(kernel[1:]),
        source=path,
        hypervisor=None if hypervisor is None else located(hypervisor),
    )


def _without_device(file: str) -> str:
    """`(hd0,0)/vmlinuz` as `/vmlinuz`: the numbers are the BIOS's, the file tells more."""
    if file.startswith("("):
        file = file.partition(")")[2]
    return file if file.startswith("/") else f"/{file}"
