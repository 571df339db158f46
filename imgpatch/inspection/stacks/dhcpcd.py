"""dhcpcd by itself: the `interface` blocks of /etc/dhcpcd.conf (dhcpcd.conf(5))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imgpatch.guest import Guest
from imgpatch.inspection.stacks import Interface, unit_enabled

STACK = "dhcpcd"
PATH = "/etc/dhcpcd.conf"
PROGRAMS = tuple(f"{d}/dhcpcd{v}" for v in ("", "5") for d in ("/sbin", "/usr/sbin", "/bin", "/usr/bin"))
_BLOCKS = frozenset({"ssid", "profile", "arping"})
ADDRESS_LISTS = ("allowinterfaces", "denyinterfaces")


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        text: exactly as it stands, line end included.
        words: what it says; empty for blank lines and comments.
        block: the interface of the block it stands in, empty before the first; None in a block of
            another kind, which applies to a network and not to an interface.
    """

    text: str
    number: int
    words: tuple[str, ...]
    block: str | None


def is_enabled(guest: Guest) -> bool:
    return unit_enabled(guest, "dhcpcd.service") or unit_enabled(guest, "dhcpcd5.service")


def read(guest: Guest) -> tuple[Line, ...]:
    physical = [f"{line}\n" for line in (guest.text(PATH) or "").split("\n")]
    physical[-1] = physical[-1][:-1]
    lines: list[Line] = []
    block: str | None = ""
    for number, text in enumerate(physical, 1):
        words = () if text.lstrip().startswith(("#", ";")) else tuple(text.split())
        if words[:1] == ("interface",):
            block = words[1] if len(words) > 1 else None
        elif words and words[0] in _BLOCKS:
            block = None
        if text:
            lines.append(Line(text, number, words, block))
    return tuple(lines)


def interfaces(guest: Guest) -> Iterator[Interface]:
    """One for each block; what has none gets its address by DHCP."""
    if not any(guest.exists(program) for program in PROGRAMS):
        return
    lines = read(guest)
    for name in dict.fromkeys(line.block for line in lines if line.block):
        said = [line.words for line in lines if line.block == name]
        static = any(is_address(words) for words in said)
        gateway = any(
            words[0] == "static" and words[1:2] and words[1].startswith("routers=") for words in said if words
        )
        yield Interface(STACK, PATH, name, static=static, dhcp=not static, gateway=gateway)


def is_address(words: tuple[str, ...]) -> bool:
    return (
        words[:1] == ("static",) and len(words) > 1 and words[1].startswith(("ip_address=", "ip6_address="))
    )
