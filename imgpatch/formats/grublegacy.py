"""GRUB legacy's menu.lst and grub.conf: lines of `command arguments`, titles, and commands under them.

The command and its arguments are separated by blanks or `=` (GRUB legacy, stage2/cmdline.c, skip_to());
Debian's update-grub keeps its settings in comments between markers (`# kopt=root=/dev/sda1 ro`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_COMMAND = re.compile(
    r"([ \t]*)([A-Za-z][A-Za-z0-9_-]*)([ \t]*=[ \t]*|[ \t]+|(?=\r?$))(.*?)([ \t]*\r?)", re.DOTALL
)
_KOPT = re.compile(r"(#[ \t]*)((?:xen)?kopt(?:_[A-Za-z0-9_]+)?)(=)(.*?)([ \t]*\r?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline, as `lead + command + gap + value + tail`.

    Attributes:
        command: empty for a comment, a blank line, and what is outside the grammar; those are all `lead`.
        entry: 0-based number of the title it stands under (its own for a title); None above the first.
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
    lines = []
    entry: int | None = None
    for raw in text.split("\n"):
        match = _KOPT.fullmatch(raw) or _COMMAND.fullmatch(raw)
        line = Line(raw) if match is None else Line(match[1], match[2], match[3], match[4], match[5])
        if line.command == "title":
            entry = 0 if entry is None else entry + 1
        lines.append(replace(line, entry=entry))
    return tuple(lines)


def unparse(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


def entries(lines: Sequence[Line]) -> tuple[tuple[Line, ...], ...]:
    """The lines of each title, the title first."""
    found: list[list[Line]] = []
    for line in lines:
        if line.command == "title":
            found.append([])
        if line.entry is not None:
            found[-1].append(line)
    return tuple(tuple(group) for group in found)


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
    tail = "\r" if any(line.text.endswith("\r") for line in lines[:1]) else ""
    out.insert(at, Line("", command, " ", value, tail))
    return tuple(out)
