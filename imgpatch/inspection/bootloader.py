"""GRUB in the guest: where its files are and which entry it boots."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.guest import Guest


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
    """

    title: str
    id: str | None
    position: str
    kernel: str
    initrds: tuple[str, ...]
    cmdline: str
    source: str


@dataclass(frozen=True, slots=True)
class Bootloader:
    """The boot loader of the guest.

    Attributes:
        kind: `grub2` or `grub-legacy`.
        configs: the menus themselves (ESP stubs that only point to them are not among these).
        default: the entry GRUB would boot as the files stand; None where it cannot be told.
        timeout: seconds the menu waits, None where it cannot be told.
    """

    kind: str
    configs: tuple[str, ...]
    entries: tuple[BootEntry, ...]
    default: BootEntry | None
    timeout: int | None


def inspect_bootloader(guest: Guest) -> Bootloader | None:
    """None: no GRUB configuration is found."""
    raise NotImplementedError(guest)
