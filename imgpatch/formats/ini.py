"""INI-like files as systemd and NetworkManager read them: lines that keep the exact text they were cut from.

systemd.syntax(7): `#` and `;` begin comments, a backslash at the end of a line continues it, and comment
lines in between are passed over. NetworkManager's keyfiles are GLib's: `#` alone, and no continuation.
Sections and keys may come twice; nothing is merged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum


class Dialect(Enum):
    """Who reads the file: what begins a comment, and whether a backslash continues a line."""

    SYSTEMD = ("#;", True)
    KEYFILE = ("#", False)

    @property
    def comments(self) -> str:
        return self.value[0]

    @property
    def continues(self) -> bool:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Line:
    """One line with those that continue it.

    Attributes:
        text: exactly as it stands, line ends included.
        number: of its first physical line, from 1.
        section: the section it stands in (a header: the one it opens); None before the first.
        key: None for what is no assignment: headers, comments, blank lines, what is outside the grammar.
        value: continuation lines joined with one blank, as systemd does; blanks around it removed.
        header: whether it opens a section.
    """

    text: str
    number: int
    section: str | None
    key: str | None = None
    value: str = ""
    header: bool = False

    def with_value(self, value: str) -> Line:
        """The same assignment with another value; what is around it stays."""
        before, equals, after = self.text.partition("=")
        body = after.strip()
        lead = after[: len(after) - len(after.lstrip(" \t"))] if body else after[:0]
        tail = after[len(after.rstrip()) :]
        text = f"{before}{equals}{lead}{value}{tail}"
        return Line(text, self.number, self.section, self.key, value)


def parse(text: str, dialect: Dialect) -> tuple[Line, ...]:
    """Cuts a file into lines; nothing is refused, what is outside the grammar is a line without a key."""
    return tuple(_lines(text, dialect))


def unparse(lines: Iterable[Line]) -> str:
    return "".join(line.text for line in lines)


def values(lines: Iterable[Line], section: str, key: str) -> tuple[str, ...]:
    """Every value of a key in all sections of that name, in order."""
    return tuple(line.value for line in lines if line.section == section and line.key == key)


def assignment(section: str | None, key: str, value: str, newline: str = "\n") -> Line:
    """A new line."""
    return Line(f"{key}={value}{newline}", 0, section, key, value)


def header(section: str, newline: str = "\n") -> Line:
    """A new section header."""
    return Line(f"[{section}]{newline}", 0, section, header=True)


def newline(lines: Sequence[Line]) -> str:
    """The line end the file uses."""
    return "\r\n" if any(line.text.endswith("\r\n") for line in lines) else "\n"


def add(lines: Sequence[Line], section: str, key: str, value: str) -> tuple[Line, ...]:
    """A new assignment at the end of the first section of that name, appended where there is none."""
    end = newline(lines)
    places = [i for i, line in enumerate(lines) if line.section == section and (line.key or line.header)]
    if not places:
        gap = () if not lines or not lines[-1].text.strip() else (Line(end, 0, None),)
        return (*ended(lines), *gap, header(section, end), assignment(section, key, value, end))
    at = _first_run_end(lines, section, places)
    before = ended(lines[: at + 1])
    return (*before, assignment(section, key, value, end), *lines[at + 1 :])


def ended(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The same lines, the last one with a line end."""
    if not lines or lines[-1].text.endswith("\n"):
        return tuple(lines)
    last = lines[-1]
    text = f"{last.text}{newline(lines)}"
    return (*lines[:-1], Line(text, last.number, last.section, last.key, last.value, last.header))


def _first_run_end(lines: Sequence[Line], section: str, places: list[int]) -> int:
    """The last line with something in it of the first section of that name."""
    end = places[0]
    for at in places[1:]:
        if lines[at].header or any(line.section != section for line in lines[end:at]):
            break
        end = at
    return end


def _lines(text: str, dialect: Dialect) -> Iterator[Line]:
    physical = [f"{line}\n" for line in text.split("\n")]
    physical[-1] = physical[-1][:-1]
    section: str | None = None
    at = 0
    while at < len(physical):
        start = at
        at = _end(physical, start, dialect)
        whole = "".join(physical[start:at])
        if whole:
            line = _read(whole, physical[start:at], start + 1, section, dialect)
            section = line.section
            yield line


def _end(physical: Sequence[str], start: int, dialect: Dialect) -> int:
    """The index after the last physical line of the logical one that starts here."""
    at = start + 1
    if not dialect.continues or _is_comment(physical[start], dialect):
        return at
    continued = _ends_open(physical[start])
    last = at
    while continued and at < len(physical):
        if not _is_comment(physical[at], dialect):
            continued = _ends_open(physical[at])
            last = at + 1
        at += 1
    return last


def _read(whole: str, physical: Sequence[str], number: int, section: str | None, dialect: Dialect) -> Line:
    parts = [line for i, line in enumerate(physical) if i == 0 or not _is_comment(line, dialect)]
    joined = " ".join(p.rstrip("\r\n").removesuffix("\\") if dialect.continues else p for p in parts)
    stripped = joined.strip().removeprefix("\ufeff") if number == 1 else joined.strip()
    if not stripped or stripped[0] in dialect.comments:
        return Line(whole, number, section)
    if stripped.startswith("[") and stripped.endswith("]"):
        return Line(whole, number, stripped[1:-1], header=True)
    key, equals, value = stripped.partition("=")
    if not equals or not key.strip() or stripped.startswith("["):
        return Line(whole, number, section)
    return Line(whole, number, section, key.strip(), value.strip())


def _is_comment(line: str, dialect: Dialect) -> bool:
    stripped = line.strip()
    return bool(stripped) and stripped[0] in dialect.comments


def _ends_open(line: str) -> bool:
    """Whether a backslash continues it; two of them are one backslash (systemd.syntax(7))."""
    body = line.rstrip("\r\n")
    return line.endswith("\n") and (len(body) - len(body.rstrip("\\"))) % 2 == 1
