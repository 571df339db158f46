"""Which timeout GRUB's menu may have; not a transform, the rule of one."""

from __future__ import annotations

from imgpatch.formats import grubcfg

TIMEOUT = 5
KEPT_TIMEOUTS = range(1, 11)

_HIDDEN_MENU = ("keystatus", "sleep", "menu_show_once", "menu_auto_hide", "fastboot")
"""Words of conditions under which a timeout makes a hidden menu, or is for one boot only."""


def fitting(value: str) -> str:
    """The value as it may be; what is no number is left alone."""
    digits = value.strip().removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or not value.strip():
        return value
    return value if not value.strip().startswith("-") and int(digits[:9]) in KEPT_TIMEOUTS else str(TIMEOUT)


def with_timeouts(text: str, unfit: str | None) -> str:
    """A GRUB script with each plain `set timeout=` of the unfit value, and each endless one, made fit."""
    script = grubcfg.parse(text)
    pieces = []
    for command, under in grubcfg.walk(script.nodes):
        found = grubcfg.assignment(command)
        value = found[1].literal if found is not None and found[0] == "timeout" else None
        if found is None or value is None:
            continue
        endless = value.startswith("-") and not _stands_under(under, ("keystatus",))
        plain = value == unfit and not _stands_under(under, _HIDDEN_MENU)
        if endless or plain:
            pieces.append((found[1].start, found[1].end, grubcfg.quoted(str(TIMEOUT), found[1].raw)))
    return script.replaced(pieces)


def _stands_under(under: grubcfg.Under, names: tuple[str, ...]) -> bool:
    return any(name in word for words in under for word in words for name in names)
