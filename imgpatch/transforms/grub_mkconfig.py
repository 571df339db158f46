"""The same settings in /etc/default/grub, from which the next grub.cfg is made; not a transform by itself."""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.errors import FormatError
from imgpatch.formats import grubenv, shellvars
from imgpatch.inspection.bootloader import BootEntry, boot_entries
from imgpatch.inspection.grub_defaults import grub_defaults
from imgpatch.inspection.grub_menu import chosen, is_named
from imgpatch.inspection.grub_script import Menu
from imgpatch.plan import Note, NoteKind, Reason
from imgpatch.transforms.default_kernel import boots_the_same
from imgpatch.transforms.draft import Draft
from imgpatch.transforms.grub_timeout import fitting

RULE = "M-09"


def settle_defaults(draft: Draft, outcome: Menu, entry: BootEntry | None) -> Iterator[Note]:
    """Makes grub-mkconfig come to the same default entry and timeout as the menu has now."""
    try:
        _timeouts(draft, hidden=outcome.variables.get("timeout_style", "menu") != "menu")
        if entry is not None and entry.name is not None:
            yield from _default(draft, outcome, entry, entry.name)
    except FormatError as error:
        yield Note(NoteKind.WARNING, RULE, f"/etc/default/grub: {error}")


def _timeouts(draft: Draft, *, hidden: bool) -> None:
    _fit(draft, "GRUB_TIMEOUT")
    value = grub_defaults(draft.guest).get("GRUB_RECORDFAIL_TIMEOUT") or ""
    if value.startswith("-"):
        _fit(draft, "GRUB_RECORDFAIL_TIMEOUT")
    if hidden and not grub_defaults(draft.guest).get("GRUB_TIMEOUT_STYLE"):
        _fit(draft, "GRUB_HIDDEN_TIMEOUT")  # Ubuntu to 16.04: it is what a hidden menu waits


def _fit(draft: Draft, name: str) -> None:
    """A timeout that is not set is left so: grub-mkconfig takes 5."""
    old = grub_defaults(draft.guest).get(name)
    if old and fitting(old) != old:
        _put(draft, name, fitting(old), f"{name}={old} becomes {fitting(old)}")


def _put(draft: Draft, name: str, value: str, why: str) -> None:
    defaults = grub_defaults(draft.guest)
    path = defaults.holder(name)
    if path is not None:
        draft.put(path, shellvars.with_value(defaults.texts[path], name, value), Reason(RULE, why))


def _default(draft: Draft, outcome: Menu, entry: BootEntry, name: str) -> Iterator[Note]:
    defaults = grub_defaults(draft.guest)
    if not defaults.texts or defaults.values.get("GRUB_DEFAULT", "") is None:
        return
    value = defaults.get("GRUB_DEFAULT") or "0"
    if value == "saved":
        _save_entry(draft, outcome, name)
    elif value == "0" and boots_the_same(_found(outcome, "0"), entry):
        yield Note(
            NoteKind.DECISION,
            RULE,
            f"GRUB_DEFAULT in {defaults.holder('GRUB_DEFAULT')} stays 0, the newest kernel, which is the one"
            " that boots today: pinned there it would keep every later kernel from booting",
        )
    elif not _leads_to(outcome, value, entry):
        _put(draft, "GRUB_DEFAULT", name, f"GRUB_DEFAULT={value} becomes the entry that is to boot on EC2")


def _leads_to(outcome: Menu, value: str, entry: BootEntry | None) -> bool:
    """Whether it means the entry, and by its name."""
    named = is_named(outcome.items, value, by_id_first=outcome.uses_bls)
    return named and boots_the_same(_found(outcome, value), entry)


def _found(outcome: Menu, default: str) -> BootEntry | None:
    places = chosen(outcome.items, default, by_id_first=outcome.uses_bls)
    position = ">".join(map(str, places))
    return next((entry for entry in boot_entries(outcome) if entry.position == position), None)


def _save_entry(draft: Draft, outcome: Menu, name: str) -> None:
    """GRUB_DEFAULT=saved: the environment block names the entry, whatever today's grub.cfg asks."""
    path = outcome.environment_block
    data = None if path is None else draft.guest.read(path)
    if path is None or data is None:
        return
    old = grubenv.values(data).get("saved_entry", "")
    if not _leads_to(outcome, old, _found(outcome, name)):
        new = grubenv.with_values(data, {"saved_entry": name})
        draft.put(path, new, Reason(RULE, f"saved_entry {name}: GRUB_DEFAULT is saved"))
