"""GRUB's default entry and timeout, in its menus and in /etc/default/grub (documents M-09).

The documents name the two settings and no values. Ours: the default is the entry that boots today, by a name
that holds the kernel's release, or the newest entry that can run on EC2 where that one cannot; a timeout of 1
to 10 seconds stays, any other becomes 5, GRUB's own, so that neither 0 takes away the choice of an older
kernel nor a menu waits for ever where nobody can answer. Hidden menus stay hidden.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from imgpatch.errors import FormatError
from imgpatch.formats import grubcfg, grubenv
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import (
    GRUB2,
    BootEntry,
    asked_entry,
    boot_entries,
    default_entry,
    menu,
    timeout_of,
)
from imgpatch.inspection.grub_legacy import legacy_configs
from imgpatch.inspection.grub_menu import is_named
from imgpatch.inspection.grub_script import Menu
from imgpatch.inspection.other_loaders import other_loaders
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.default_kernel import Choice, boots_the_same, choose
from imgpatch.transforms.default_package import settle_package
from imgpatch.transforms.draft import Draft
from imgpatch.transforms.grub_legacy import settle_legacy
from imgpatch.transforms.grub_mkconfig import settle_defaults
from imgpatch.transforms.grub_timeout import KEPT_TIMEOUTS, TIMEOUT, with_timeouts

RULE = "M-09"
_ONE_SITUATION = ("recordfail", "menu_auto_hide", "menu_show_once")
"""Variables of the grubenv that change the timeout of one boot only."""


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    bootloader = context.inspection.bootloader
    if bootloader is None:
        yield Note(NoteKind.WARNING, "R-29", _without_grub(guest))
        return
    draft = Draft(guest)
    if bootloader.kind != GRUB2:
        yield from settle_legacy(draft, bootloader.configs, context)
        yield from draft.edits()
        return
    if legacy := [path for path in legacy_configs(guest) if path not in bootloader.configs]:
        text = (
            f"{', '.join(legacy)} is GRUB legacy's menu, left as it is: {bootloader.configs[0]} is GRUB 2's"
        )
        yield Note(NoteKind.DECISION, "R-30", text)
    for number, config in enumerate(bootloader.configs):
        notes, choice = _pin(draft, config, context)
        yield from notes
        yield from _timeouts(draft, config)
        if number == 0:
            yield from settle_package(draft, bootloader.default, choice)
            yield from settle_defaults(draft, menu(draft.guest, config), choice.entry)
    yield from draft.edits()


def _without_grub(guest: Guest) -> str:
    found = " and ".join(f"{name} ({path})" for name, path in other_loaders(guest))
    there = f"the guest has {found}, left as it is" if found else "nor are files of another boot loader"
    return f"no menu of GRUB is found, and ImportImage takes no other boot loader; {there}"


# --- the default entry -------------------------------------------------------------------------------


def _pin(draft: Draft, config: str, context: Context) -> tuple[list[Note], Choice]:
    notes: list[Note] = []
    try:
        _forget_next_entry(draft, config)
    except FormatError as error:
        notes.append(Note(NoteKind.WARNING, RULE, f"{config}: next_entry stays: {error}"))
    outcome = menu(draft.guest, config)
    today = default_entry(draft.guest, outcome)
    entries = boot_entries(outcome)
    choice = choose(
        draft.guest, context.inspection, context.target, entries, today, lasting=_is_saved(outcome)
    )
    if choice.warning is not None:
        notes.append(Note(NoteKind.WARNING, RULE, f"{config}: {choice.warning}"))
    entry = choice.entry
    if entry is None or entry.name is None or _is_pinned(outcome, entry):
        return notes, choice
    if outcome.uses_bls and _means_the_newest(outcome) and choice.why is None:
        text = f"{config}: the default stays the first entry, the newest kernel, which boots today: this file"
        text += " is not made anew for a later kernel, and a pin in it would keep every one from booting"
        return [*notes, Note(NoteKind.DECISION, RULE, text)], choice
    trial = draft.copy()
    try:
        _set_default(trial, config, outcome, entry, choice.why or "the entry that boots today")
    except FormatError as error:
        return [*notes, Note(NoteKind.WARNING, RULE, f"{config}: the default entry stays: {error}")], choice
    outcome = menu(trial.guest, config)
    if outcome.variables.get("default") == entry.name and boots_the_same(asked_entry(outcome), entry):
        draft.adopt(trial)
    else:
        text = f"{config}: its script sets the default entry in a way that cannot be edited; it stays"
        notes.append(Note(NoteKind.WARNING, RULE, text))
    return notes, choice


def _is_pinned(outcome: Menu, entry: BootEntry) -> bool:
    default = outcome.variables.get("default", "")
    named = is_named(outcome.items, default, by_id_first=outcome.uses_bls)
    return named and boots_the_same(asked_entry(outcome), entry)


def _is_saved(outcome: Menu) -> bool:
    """Whether the default is what the environment block holds, which no later menu changes."""
    setter = outcome.setters.get("default")
    found = None if setter is None else grubcfg.assignment(setter.command)
    return found is not None and "saved_entry" in found[1].raw


def _means_the_newest(outcome: Menu) -> bool:
    """Whether the default is the first entry by its place, written so in the script."""
    return not _is_saved(outcome) and outcome.variables.get("default", "") in {"", "0"}


def _set_default(draft: Draft, config: str, outcome: Menu, entry: BootEntry, why: str) -> None:
    name = entry.name or entry.position
    reason = Reason(RULE, f"default entry {name}: {why}")
    setter = outcome.setters.get("default")
    found = None if setter is None else grubcfg.assignment(setter.command)
    if setter is None or found is None:
        line = f"set default={grubcfg.quoted(name)}"
        draft.put(config, _with_line(draft.guest.text(config) or "", line), reason)
    elif _is_saved(outcome):
        path = outcome.environment_block or posixpath.join(posixpath.dirname(config), "grubenv")
        data = draft.guest.read(path)
        settings = {"saved_entry": name}
        new = grubenv.created(settings) if data is None else grubenv.with_values(data, settings)
        draft.put(path, new, reason)
    else:
        word = found[1]
        piece = (word.start, word.end, grubcfg.quoted(name, word.raw or '"'))
        draft.put(setter.path, setter.script.replaced([piece]), reason)


def _forget_next_entry(draft: Draft, config: str) -> None:
    """An entry asked for one boot only would boot first on EC2, whether it can or not.

    GRUB before 2.00 has it in `saved_entry`, and in `prev_saved_entry` what is to come back after that boot.
    """
    path = menu(draft.guest, config).environment_block
    data = None if path is None else draft.guest.read(path)
    if path is None or data is None:
        return
    values = grubenv.values(data)
    settings: dict[str, str | None] = {}
    if entry := values.get("next_entry"):
        settings["next_entry"] = ""
    if back := values.get("prev_saved_entry"):
        entry = values.get("saved_entry")
        settings |= {"saved_entry": back, "prev_saved_entry": ""}
    if settings:
        reason = Reason(RULE, f"{entry} was meant for the old machine's next boot only")
        draft.put(path, grubenv.with_values(data, settings), reason)


# --- the timeout -------------------------------------------------------------------------------------


def _timeouts(draft: Draft, config: str) -> Iterator[Note]:
    outcome = menu(draft.guest, config, without=_ONE_SITUATION)
    old = outcome.variables.get("timeout")
    if old is None:
        reason = Reason(RULE, f"timeout {TIMEOUT}: without one the menu waits for ever")
        line = f"set timeout={TIMEOUT}"
        draft.put(config, _with_line(draft.guest.text(config) or "", line), reason)
    unfit = None if old is None or timeout_of(outcome) in KEPT_TIMEOUTS else old
    for path in dict.fromkeys(outcome.sources):
        reason = Reason(RULE, f"timeout {TIMEOUT} instead of {unfit or 'a menu that waits for ever'}")
        draft.put(path, with_timeouts(draft.guest.text(path) or "", unfit), reason)
    if timeout_of(menu(draft.guest, config, without=_ONE_SITUATION)) not in KEPT_TIMEOUTS:
        text = f"{config}: the timeout {old} belongs to a hidden menu and stays"
        yield Note(NoteKind.DECISION, RULE, text)


def _with_line(text: str, line: str) -> str:
    """The script with a line more before its first command, where nothing can set the variable before."""
    nodes = grubcfg.parse(text).nodes
    start = len(text)
    if nodes:
        first = nodes[0].start
        start = text.rfind("\n", 0, first) + 1
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = newline if start == len(text) and text and not text.endswith("\n") else ""
    return f"{text[:start]}{gap}{line}{newline}{text[start:]}"
