"""GRUB legacy (0.97) in the guest: which menu it reads and which entry of that it boots."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from imgpatch.formats import cmdline, grublegacy
from imgpatch.guest import Guest
from imgpatch.inspection.boot_entry import BootEntry, Bootloader
from imgpatch.inspection.boot_mode import firmware
from imgpatch.inspection.grub_files import GUEST, GrubFiles

GRUB_LEGACY = "grub-legacy"

_ON_BOOT = ("/boot/grub/menu.lst", "/boot/grub/grub.conf")
_ON_ESP = ("/boot/efi/EFI/*/grub.conf", "/efi/EFI/*/grub.conf")
_LINK = "/etc/grub.conf"
"""Red Hat's link to the menu; SUSE has the input of `grub --batch` under this name."""
_STAGE2 = "/boot/grub/stage2"
_VERSION_AT = 0x212
"""In stage2 the version stands here, and after it the menu's path (stage2/asm.S, version_string)."""


@dataclass(frozen=True, slots=True)
class LegacyMenu:
    """One menu.

    Attributes:
        entries: those that boot a kernel.
        asked: the place that `default` names.
        default: what is booted by itself: `fallback` counted in where the default entry cannot be.
        saved_in: the file of the guest with the default's number, where the menu says `default saved` and
            there is such a file.
    """

    path: str
    lines: tuple[grublegacy.Line, ...]
    entries: tuple[BootEntry, ...]
    asked: int
    default: BootEntry | None
    saved_in: str | None


def inspect_legacy(guest: Guest) -> Bootloader | None:
    """None: there is no menu of GRUB legacy."""
    configs = legacy_configs(guest)
    if not configs:
        return None
    menu = legacy_menu(guest, configs[0])
    timeout = grublegacy.setting(menu.lines, "timeout")
    return Bootloader(
        kind=GRUB_LEGACY,
        configs=configs,
        entries=menu.entries,
        default=menu.default,
        timeout=None if timeout is None else _number(timeout),
        timeout_style="hidden" if any(line.command == "hiddenmenu" for line in menu.lines) else "menu",
    )


def legacy_configs(guest: Guest) -> tuple[str, ...]:
    """The real paths of the menus, first the one GRUB reads."""
    esp = [path for pattern in _ON_ESP for path in guest.glob(pattern)]
    boot = [path for path in (*_ON_BOOT, _LINK) if guest.exists(path)]
    found = (*esp, *boot) if firmware(guest.storage) == "uefi" else (*boot, *esp)
    paths = [path for path in dict.fromkeys(map(guest.resolve, found)) if _has_titles(guest, path)]
    first = _asked_for(guest) if len(paths) > 1 else None
    return tuple(sorted(paths, key=lambda path: path != first))


def legacy_menu(guest: Guest, path: str) -> LegacyMenu:
    """What GRUB makes of one menu."""
    lines = grublegacy.parse(guest.text(path) or "")
    groups = grublegacy.entries(lines)
    found = (_entry(guest, path, lines, number, group) for number, group in enumerate(groups))
    entries = tuple(entry for entry in found if entry is not None)
    by_place = {int(entry.position): entry for entry in entries}
    value = grublegacy.setting(lines, "default") or "0"
    saved = _saved(guest, path) if value == "saved" else None
    asked = number = _number(saved[1] if saved is not None else value) or 0
    fallbacks = [n for n in _numbers(grublegacy.setting(lines, "fallback") or "") if n < len(groups)]
    if number >= len(groups):
        number = fallbacks.pop(0) if fallbacks else 0
    while fallbacks and not _can_be_loaded(guest, by_place.get(number)):
        number = fallbacks.pop(0)
    return LegacyMenu(path, lines, entries, asked, by_place.get(number), saved and saved[0])


def _saved(guest: Guest, path: str) -> tuple[str, str] | None:
    """The file beside a menu in which `savedefault` leaves the number, and what it says."""
    file = posixpath.join(posixpath.dirname(path), "default")
    data = GrubFiles(guest).read(file)
    return None if data is None else (guest.resolve(file), data[:9].decode("ascii", "replace"))


def _asked_for(guest: Guest) -> str | None:
    """The menu that the installed stage2 reads, else the one that /etc/grub.conf is a link to."""
    data = GrubFiles(guest).read(_STAGE2) or b""
    name = data[_VERSION_AT : _VERSION_AT + 256].partition(b"\0")[2].partition(b"\0")[0]
    if name.startswith((b"/", b"(")) and name.isascii():
        return guest.resolve(GrubFiles(guest).locate(_without_device(name.decode()), GUEST))
    stat = guest.stat(_LINK, follow=False)
    return guest.resolve(_LINK) if stat is not None and stat.target is not None else None


def _has_titles(guest: Guest, path: str) -> bool:
    data = GrubFiles(guest).read(path) or b""
    return bool(grublegacy.entries(grublegacy.parse(data.decode("utf-8", "surrogateescape"))))


def _can_be_loaded(guest: Guest, entry: BootEntry | None) -> bool:
    """Whether GRUB would not turn to the next entry; what boots no kernel is not looked at."""
    return entry is None or guest.exists(entry.kernel)


def _number(text: str) -> int | None:
    """As GRUB's safe_parse_maxint(): the digits at the beginning; None where there is none."""
    base, body = (16, text[2:]) if text[:2].lower() == "0x" else (10, text)
    allowed = "0123456789abcdefABCDEF" if base == 16 else "0123456789"
    digits = body[: len(body) - len(body.lstrip(allowed))][:9]
    return int(digits, base) if digits else None


def _numbers(text: str) -> list[int]:
    numbers = []
    for word in text.split():
        number = _number(word)
        if number is None:
            break
        numbers.append(number)
    return numbers


def _entry(
    guest: Guest,
    path: str,
    lines: Sequence[grublegacy.Line],
    number: int,
    group: Sequence[grublegacy.Line],
) -> BootEntry | None:
    kernels = _words_of(group, "kernel")
    kernel = [word for word in kernels[-1] if not word.startswith("--")] if kernels else []
    if not kernel:
        return None
    files = GrubFiles(guest)
    modules = [words for words in _words_of(group, "module") if words]
    initrds = [words[0] for words in _words_of(group, "initrd") if words]
    hypervisor = None
    if modules:
        hypervisor, kernel = kernel[0], list(modules[0])
        initrds += [words[0] for words in modules[1:]]

    def located(file: str) -> str:
        return guest.resolve(files.locate(_without_device(file), GUEST))

    commands = {line.command for line in group}
    return BootEntry(
        title=group[0].value,
        id=None,
        position=str(number),
        kernel=located(kernel[0]),
        initrds=tuple(map(located, initrds)),
        cmdline=" ".join(kernel[1:]),
        source=path,
        hypervisor=None if hypervisor is None else located(hypervisor),
        locked="password" in commands
        or ("lock" in commands and grublegacy.setting(lines, "password") is not None),
    )


def _words_of(group: Sequence[grublegacy.Line], command: str) -> list[tuple[str, ...]]:
    return [cmdline.words(grublegacy.joined(line.value)) for line in group if line.command == command]


def _without_device(file: str) -> str:
    """`(hd0,0)/vmlinuz` as `/vmlinuz`: the numbers are the BIOS's, the file tells more."""
    if file.startswith("("):
        file = file.partition(")")[2]
    return file if file.startswith("/") else f"/{file}"
