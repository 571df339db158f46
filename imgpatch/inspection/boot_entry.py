"""What is known of a boot loader and of the entries of its menu."""

from __future__ import annotations

from dataclasses import dataclass


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
