"""GRUB legacy's menu.lst and grub.conf: lines of `command arguments`, titles, and commands under them.

The command and its arguments are separated by blanks or `=` (GRUB legacy, stage2/cmdline.c, skip_to()); a
line that ends in a backslash goes on with the next one. Debian's update-grub keeps its settings in comments
between markers (`# kopt=root=/dev/sda1 ro`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_COMMAND = re.compile(
    r"([ \t]*)([A-Za-z][A-Za-z0-9_-]*)([ \t]*=[ \t]*|[ \t]+|(?=\r?$))(.*?)([ \t]*\r?)", re.DOTALL
)
_DEBIAN = re.compile(
    r"(#[ \t]*)((?:xen)?kopt(?:_[A-Za-z0-9_]+)?|defoptions|altoptions)(=)(.*?)([ \t]*\r?)", re.DOTALL
)
_GOES_ON = re.compile(r"\\\r?\n")

COMMANDS = frozenset(
    re.findall(
        r"[a-z0-9]+",
        """background blocklist boot bootp border cat chainloader clear cmp color configfile debug default
        device dhcp displayapm displaymem dump dumpcmd embed fallback find foreground fstest geometry gfxmenu
        halt help hiddenmenu hide ifconfig impsprobe initrd install ioprobe kernel lock makeactive map
        md5crypt
        module modulenounzip pager partnew parttype password pause print quiet quit rarp rawwrite read reboot
        root rootnoverify savedefault serial setkey setup shade silent splashimage terminal terminfo testload
        testvbe tftpserver timeout title unhide uppermem uuid vbeprobe verbose viewport""",
    )
)
"""What GRUB 0.97 knows, with the distributions' additions; it passes over everything else."""

PASSED_OVER = -1
"""The `entry` of lines under a title without any command: GRUB does not count such a title (stage2.c)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline, as `lead + command + gap + value + tail`.

    Attributes:
        command: empty for a comment, a blank line, and what is outside the grammar; those are all `lead`.
        entry: 0-based number of the title it stands under (its own for a title), as GRUB counts them;
            `PASSED_OVER` under a title that does not count; None above the first.
    """

    lead: str
    command: str = ""
    gap: str = ""
    value: str = ""
    tail: str = ""
    entry: int | None = None

    @property
    def text(self) -> str:
        return f"{self.lead}{self.command}{self.gap}{self.value}{self.tail}"


def parse(text: str) -> tuple[Line, ...]:
    lines = [_line(raw) for raw in _raw_lines(text)]
    titles = [i for i, line in enumerate(lines) if line.command == "title"]
    number = 0
    for start, end in zip(titles, [*titles[1:], len(lines)], strict=False):
        counts = any(line.command in COMMANDS for line in lines[start + 1 : end])
        entry = number if counts else PASSED_OVER
        lines[start:end] = [replace(line, entry=entry) for line in lines[start:end]]
        number += counts
    return tuple(lines)


def _raw_lines(text: str) -> list[str]:
    """The lines, those together that a backslash joins."""
    out: list[str] = []
    for raw in text.split("\n"):
        if out and out[-1].removesuffix("\r").endswith("\\"):
            out[-1] += f"\n{raw}"
        else:
            out.append(raw)
    return out


def _line(raw: str) -> Line:
    match = _DEBIAN.fullmatch(raw) or _COMMAND.fullmatch(raw)
    return Line(raw) if match is None else Line(match[1], match[2], match[3], match[4], match[5])


def unparse(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


def entries(lines: Sequence[Line]) -> tuple[tuple[Line, ...], ...]:
    """The lines of each title that GRUB counts, the title first."""
    found: list[list[Line]] = []
    for line in lines:
        if line.entry is None or line.entry == PASSED_OVER:
            continue
        if line.command == "title":
            found.append([])
        found[-1].append(line)
    return tuple(tuple(group) for group in found)


def joined(value: str) -> str:
    """The value as GRUB has it, a line that goes on after a backslash made one."""
    return _GOES_ON.sub(" ", value)


def setting(lines: Sequence[Line], command: str) -> str | None:
    """The last value of a setting above the titles (`default`, `timeout`); None: not set."""
    found = [line.value for line in lines if line.entry is None and line.command == command]
    return found[-1] if found else None


def with_setting(lines: Sequence[Line], command: str, value: str) -> tuple[Line, ...]:
    """The lines with a setting in place, or on a line of its own before the first title."""
    places = [i for i, line in enumerate(lines) if line.entry is None and line.command == command]
    out = list(lines)
    if places:
        line = out[places[-1]]
        out[places[-1]] = replace(line, gap=line.gap or " ", value=value)
        return tuple(out)
    end = len(out) - 1 if out and not out[-1].text else len(out)
    at = next((i for i, line in enumerate(lines) if line.command == "title"), end)
    if at and out[at - 1].text.removesuffix("\r").endswith("\\"):
        at = 0  # what follows would go on with that line
    tail = "\r" if any(line.text.endswith("\r") for line in lines[:1]) else ""
    out.insert(at, Line("", command, " ", value, tail))
    return tuple(out)
