"""GRUB legacy's default entry and timeout, in each of its menus; not a transform by itself."""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.devices import Naming, naming
from imgpatch.formats import grublegacy
from imgpatch.guest import Guest
from imgpatch.inspection.boot_entry import BootEntry
from imgpatch.inspection.grub_files import GrubFiles
from imgpatch.inspection.grub_legacy import LegacyMenu, legacy_menu
from imgpatch.plan import Context, Note, NoteKind, Reason
from imgpatch.transforms.default_kernel import choose
from imgpatch.transforms.default_package import settle_package
from imgpatch.transforms.draft import Draft
from imgpatch.transforms.grub_timeout import TIMEOUT, fitting

RULE = "M-09"
_DEVICE_MAP = "/boot/grub/device.map"


def settle_legacy(draft: Draft, configs: tuple[str, ...], context: Context) -> Iterator[Note]:
    """The default entry and the timeout of every menu, the one that GRUB reads first."""
    for config in configs:
        menu = legacy_menu(draft.guest, config)
        choice = choose(draft.guest, context.inspection, context.target, menu.entries, menu.default)
        if choice.warning is not None:
            yield Note(NoteKind.WARNING, RULE, f"{config}: {choice.warning}")
        if choice.entry is not None:
            _set_default(draft, menu, choice.entry, choice.why or "the entry that boots today")
            yield from settle_package(draft, menu.default, choice)
        _timeout(draft, config)
    if len(configs) > 1:
        text = f"{configs[0]} is the menu that GRUB reads; {', '.join(configs[1:])} is kept like it"
        yield Note(NoteKind.WARNING, "R-30", text)
    if old := _old_disks(draft.guest):
        text = f"{_DEVICE_MAP} names {', '.join(old)}: GRUB does not read it, grub-install does; it stays"
        yield Note(NoteKind.DECISION, RULE, text)


def _set_default(draft: Draft, menu: LegacyMenu, entry: BootEntry, why: str) -> None:
    """Where `default saved` has its number in a file, that is edited, as grub-set-default would."""
    if str(menu.asked) == entry.position:
        return
    reason = Reason(RULE, f"default {entry.position}: {why}")
    if menu.saved_in is not None:
        rest = (draft.guest.text(menu.saved_in) or "").partition("\n")[2]
        draft.put(menu.saved_in, f"{entry.position}\n{rest}", reason)
        return
    lines = grublegacy.with_setting(menu.lines, "default", entry.position)
    draft.put(menu.path, grublegacy.unparse(lines), reason)


def _timeout(draft: Draft, config: str) -> None:
    lines = grublegacy.parse(draft.guest.text(config) or "")
    value = grublegacy.setting(lines, "timeout")
    if value is None or fitting(value) != value:
        lines = grublegacy.with_setting(lines, "timeout", str(TIMEOUT))
        draft.put(config, grublegacy.unparse(lines), Reason(RULE, f"timeout {TIMEOUT} instead of {value}"))


def _old_disks(guest: Guest) -> list[str]:
    data = GrubFiles(guest).read(_DEVICE_MAP) or b""
    lines = [line.split() for line in data.decode("utf-8", "surrogateescape").split("\n")]
    return [words[1] for words in lines if len(words) == 2 and naming(words[1]) is Naming.HARDWARE]
