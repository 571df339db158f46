"""ifroute(5): SUSE's static routes, five columns a line; lines keep the exact text they were cut from.

A `#` begins a remark anywhere, and a backslash at the end of a line joins the next one to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

DESTINATION, GATEWAY, NETMASK, INTERFACE, OPTIONS = range(5)
_ANY = "0.0.0.0"  # noqa: S104  a destination, nothing that listens
_BLANKS = re.compile(r"((?:[ \t\r\n\f\v]|\\\n)+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line.

    Attributes:
        text: exactly as it stands, line ends included.
        number: of its first physical line, from 1.
        words: the columns; none for blank lines and remarks.
    """

    text: str
    number: int
    words: tuple[str, ...]

    def column(self, index: int) -> str:
        """Empty where the column is missing or `-`."""
        word = self.words[index] if index < len(self.words) else ""
        return "" if word == "-" else word

    @property
    def is_default(self) -> bool:
        destination = self.column(DESTINATION)
        return destination in {"default", "0.0.0.0/0", "::/0"} or (
            destination == _ANY and self.column(NETMASK) == _ANY
        )

    def with_word(self, index: int, word: str) -> Line:
        """The same line with one column replaced; what separates them stays."""
        body, _, _ = self.text.partition("#")
        pieces = _BLANKS.split(body)
        places = [i for i, piece in enumerate(pieces) if i % 2 == 0 and piece]
        pieces[places[index]] = word
        return _line("".join(pieces) + self.text[len(body) :], self.number)


def parse(text: str) -> tuple[Line, ...]:
    """Cuts a file into logical lines."""
    physical = [f"{line}\n" for line in text.split("\n")]
    physical[-1] = physical[-1][:-1]
    found = []
    at = 0
    while at < len(physical):
        start = at
        at += 1
        while at < len(physical) and physical[at - 1].endswith("\\\n"):
            at += 1
        if whole := "".join(physical[start:at]):
            found.append(_line(whole, start + 1))
    return tuple(found)


def unparse(lines: Iterable[Line]) -> str:
    return "".join(line.text for line in lines)


def _line(text: str, number: int) -> Line:
    body, _, _ = text.partition("#")
    return Line(
        text, number, tuple(piece for i, piece in enumerate(_BLANKS.split(body)) if i % 2 == 0 and piece)
    )
