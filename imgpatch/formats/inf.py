"""The set-up information files of Windows drivers (INF): their sections, with `%strings%` put in.

The form is Microsoft's ("General syntax rules for INF files"): a name, `=`, fields between commas; quotes
keep commas and semicolons, a backslash at its end joins a line with the next.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imgpatch.errors import FormatError

LONGEST = 4096
"""Characters of a line with its strings put in; Windows takes no longer ones."""

LARGEST = 4 << 20
"""Bytes of a file that are read; real ones have some hundred thousand."""

_PIECE = re.compile(r'"(?:[^"]|"")*"?|[^",=;]+|[,=;]')
_STRING = re.compile(r"%([^%]*)%")


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `name` is empty where it has no `=`."""

    name: str
    fields: tuple[str, ...]

    def field(self, index: int) -> str:
        return self.fields[index] if index < len(self.fields) else ""


@dataclass(frozen=True, slots=True)
class Inf:
    """A file.

    Attributes:
        sections: the lines of each, by its name in small letters; what has the same name is one.
        strings: what stands for `%name%`, by name in small letters.
    """

    sections: Mapping[str, tuple[str, ...]]
    strings: Mapping[str, str]

    def rows(self, section: str) -> Iterator[Row]:
        """Its lines; none where there is no such section.

        Raises:
            FormatError: a line is longer than Windows takes.
        """
        for line in self.sections.get(section.lower(), ()):
            row = _row(line)
            yield Row(self._filled(row.name), tuple(map(self._filled, row.fields)))

    def settings(self, section: str) -> dict[str, str]:
        """Names in small letters and their first field; the first of two alike counts."""
        found: dict[str, str] = {}
        for row in self.rows(section):
            found.setdefault(row.name.lower(), row.field(0))
        return found

    def _filled(self, text: str) -> str:
        """A name that is not known stays: `%12%` is a folder."""
        left = LONGEST

        def string(match: re.Match[str]) -> str:
            nonlocal left
            found = self.strings.get(match[1].lower(), match[0]) if match[1] else "%"
            left -= len(found)
            return found if left > 0 else ""

        filled = _STRING.sub(string, text)
        if left <= 0 or len(filled) > LONGEST:
            raise FormatError(f"a line has more than the {LONGEST} characters that Windows takes")
        return filled


def parse(data: bytes) -> Inf:
    """The file.

    Raises:
        FormatError: it is larger than any.
    """
    if len(data) > LARGEST:
        raise FormatError(f"an INF of {len(data)} bytes is larger than the {LARGEST} that are read")
    sections: dict[str, list[str]] = {}
    here: list[str] = []
    for line in _lines(_text(data)):
        if line.startswith("["):
            here = sections.setdefault(line[1:].partition("]")[0].strip().lower(), [])
        else:
            here.append(line)
    strings = {row.name.lower(): row.field(0) for row in map(_row, sections.get("strings", ()))}
    return Inf({name: tuple(lines) for name, lines in sections.items()}, strings)


def _lines(text: str) -> Iterator[str]:
    """Without comments and blanks around; those that belong together as one."""
    whole: list[str] = []
    for line in text.split("\n"):
        pieces = itertools.takewhile(lambda piece: piece != ";", _PIECE.findall(line))
        part = "".join(pieces).strip()
        whole.append(part.removesuffix("\\"))
        if part.endswith("\\"):
            continue
        if joined := "".join(whole).strip():
            yield joined
        whole = []
    if joined := "".join(whole).strip():
        yield joined


def _row(line: str) -> Row:
    name: str | None = None
    fields: list[list[str]] = [[]]
    for piece in _PIECE.findall(line):
        if piece == ",":
            fields.append([])
        elif piece == "=" and name is None and len(fields) == 1:
            name, fields = _field(fields[0]), [[]]
        else:
            fields[-1].append(piece)
    return Row(name or "", tuple(map(_field, fields)))


def _field(pieces: list[str]) -> str:
    return "".join(
        piece[1:].removesuffix('"').replace('""', '"') if piece.startswith('"') else piece.strip()
        for piece in pieces
    )


def _text(data: bytes) -> str:
    """UTF-16 where it says so; else bytes, of which those of interest are ASCII."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("latin-1")
