"""GRUB's menu as data, and which entry of it a `default` means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"\s*(0[xX][0-9a-fA-F]+|[0-9]+)")


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One line of a menu.

    Attributes:
        items: the menu below a submenu; None for an entry that boots.
        kernel: the path in the guest of what a `linux` command loads; None where it boots something else.
        hypervisor: likewise of the hypervisor under which the kernel would run (Xen).
        locked: where there are superusers, GRUB asks for a password before it opens this.
        source: the file of the guest it stands in.
    """

    title: str
    id: str
    source: str
    items: tuple[MenuItem, ...] | None = None
    kernel: str | None = None
    initrds: tuple[str, ...] = ()
    cmdline: str = ""
    hypervisor: str | None = None
    locked: bool = False


def chosen(items: Sequence[MenuItem], default: str | None, *, by_id_first: bool) -> tuple[int, ...]:
    """The places from the top of the entry that GRUB boots by itself; empty for an empty menu.

    A part of `default` that names nothing means the first entry; so does a submenu without a further
    part (grub-core/normal/menu.c: get_entry_number, grub_menu_execute_entry).

    Args:
        items: the top menu.
        default: what the variable holds; None where it is not set.
        by_id_first: as Red Hat's GRUB, which takes `9a0f-...` for an id before it takes 9 for a number.
    """
    places: list[int] = []
    rest = default
    while items and len(places) < 16:
        first, rest = split_path(rest or "")
        place = _place(items, first, by_id_first=by_id_first)
        places.append(place)
        items = items[place].items or ()
    return tuple(places)


def item_at(items: Sequence[MenuItem], places: Sequence[int]) -> MenuItem | None:
    found: MenuItem | None = None
    for place in places:
        found = items[place]
        items = found.items or ()
    return found


def split_path(default: str) -> tuple[str, str]:
    """`a>b>c` as `a` and `b>c`; a `>>` is a plain `>`."""
    pos = 0
    while pos < len(default):
        if default.startswith(">>", pos):
            pos += 2
        elif default[pos] == ">":
            return default[:pos].replace(">>", ">"), default[pos + 1 :]
        else:
            pos += 1
    return default.replace(">>", ">"), ""


def names(items: Sequence[MenuItem], *, by_id_first: bool) -> tuple[str, ...]:
    """What finds each item among its neighbours: its id, its title, or else its place."""
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        first.setdefault(item.id, place)
        first.setdefault(item.title, place)

    def name(place: int, item: MenuItem) -> str:
        for text in (item.id, item.title):
            usable = bool(text) and "\n" not in text and (by_id_first or not is_number(text))
            if usable and first[text] == place:
                return text.replace(">", ">>")
        return str(place)

    return tuple(name(place, item) for place, item in enumerate(items))


def is_named(items: Sequence[MenuItem], default: str, *, by_id_first: bool) -> bool:
    """Whether `default` leads to an entry by names alone, whatever else comes into the menu."""
    rest = default
    while items:
        part, rest = split_path(rest)
        place = _place(items, part, by_id_first=by_id_first)
        named = part in (items[place].id, items[place].title) and (by_id_first or not is_number(part))
        if not part or not named:
            return False
        items = items[place].items or ()
    return bool(default)


def is_number(part: str) -> bool:
    """Whether GRUB takes it for a place and not for a name: strtoul() finds digits at its beginning."""
    return _NUMBER.match(part) is not None


def _place(items: Sequence[MenuItem], part: str, *, by_id_first: bool) -> int:
    named = next((i for i, item in enumerate(items) if part in (item.id, item.title)), None)
    if named is not None and (by_id_first or not is_number(part)):
        return named
    match = _NUMBER.match(part)
    if match is None:
        return 0
    digits = match[1].lower()[:18]
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    if base == 8:
        digits = re.split("[89]", digits)[0]
    number = int(digits, base)
    if by_id_first and part[match.end() :].strip():
        return 0
    return number if number < len(items) else 0
