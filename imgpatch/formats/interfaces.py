"""interfaces(5), the configuration of ifupdown: logical lines that keep the exact text they were cut from.

As ifupdown reads it: a line whose first character other than a blank is `#` is a comment and is never
continued; a backslash at the very end of any other line joins the next line to it, whatever that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pyparsing as pp

BLANKS = " \t\r\n\f\v"  # isspace(3) in the C locale

_blank = pp.Regex(rf"(?:[{BLANKS}]|\\\n)+").set_parse_action(lambda t: [(False, t[0])])
_word = pp.Regex(rf"(?:[^{BLANKS}\\]|\\(?!\n))(?:[^{BLANKS}\\]|\\(?!\n)|(?:\\\n)+(?=[^{BLANKS}]))*")
_word.set_parse_action(lambda t: [(True, t[0])])
_pieces = (pp.ZeroOrMore(_blank | _word) + pp.StringEnd()).parse_with_tabs().leave_whitespace()

ONE_LINERS = frozenset(
    {"auto", "source", "source-directory", "source-dir", "no-auto-down", "no-scripts", "rename"}
)


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line: the physical lines joined by backslashes.

    Attributes:
        text: exactly as it stands, line ends included.
        number: of its first physical line, from 1.
        words: as ifupdown sees them; empty for blank lines and comments.
    """

    text: str
    number: int
    words: tuple[str, ...]

    def with_words(self, change: Callable[[int, str], str]) -> Line:
        """The same line with each word replaced; what separates them stays."""
        pieces = []
        place = 0
        for is_word, text in _split(self.text):
            if is_word:
                word = text.replace("\\\n", "")
                new = change(place, word)
                pieces.append(text if new == word else new)
                place += 1
            else:
                pieces.append(text)
        return read_line("".join(pieces), self.number)

    def with_word(self, index: int, word: str) -> Line:
        return self.with_words(lambda place, old: word if place == index else old)

    def without_words(self, unwanted: Iterable[int]) -> Line:
        """The same line less some words, each with the blanks before it."""
        drop = set(unwanted)
        pieces: list[str] = []
        place = 0
        for is_word, text in _split(self.text):
            if is_word and place in drop:
                if pieces and not pieces[-1].strip(BLANKS + "\\"):
                    pieces.pop()
            else:
                pieces.append(text)
            place += is_word
        return read_line("".join(pieces), self.number)

    def commented_out(self) -> Line:
        """Every physical line of it made a comment."""
        body, newline = (self.text[:-1], "\n") if self.text.endswith("\n") else (self.text, "")
        return replace(self, text="\n".join(f"#{line}" for line in body.split("\n")) + newline, words=())


@dataclass(frozen=True, slots=True)
class Stanza:
    """A stanza: the index of its first line, and those of the option lines that belong to it."""

    kind: str
    head: int
    options: tuple[int, ...]


def parse(text: str) -> tuple[Line, ...]:
    """Cuts a file into logical lines; nothing is outside the grammar, what is unknown is an option."""
    return tuple(_lines(text))


def unparse(lines: Iterable[Line]) -> str:
    return "".join(line.text for line in lines)


def stanzas(lines: Iterable[Line]) -> tuple[Stanza, ...]:
    """The stanzas in order; an option before any `iface` or `mapping` belongs to none and is skipped."""
    found: list[Stanza] = []
    takes_options = False
    for index, line in enumerate(lines):
        if not line.words:
            continue
        kind = _kind(line.words[0])
        if kind is not None:
            found.append(Stanza(kind, index, ()))
            takes_options = kind in {"iface", "mapping", "template"}
        elif takes_options:
            found[-1] = replace(found[-1], options=(*found[-1].options, index))
    return tuple(found)


def read_line(text: str, number: int = 0) -> Line:
    """One logical line from its text."""
    if text.lstrip(BLANKS).startswith("#"):
        return Line(text, number, ())
    return Line(text, number, tuple(t.replace("\\\n", "") for is_word, t in _split(text) if is_word))


def newline(text: str) -> str:
    """The line end the file uses."""
    return "\r\n" if "\r\n" in text else "\n"


def _kind(word: str) -> str | None:
    if word in {"iface", "mapping", "template"} or word in ONE_LINERS:
        return word
    return "auto" if word == "allow-auto" else "allow" if word.startswith("allow-") else None


def _lines(text: str) -> Iterator[Line]:
    physical = [f"{line}\n" for line in text.split("\n")]
    physical[-1] = physical[-1][:-1]
    at = 0
    while at < len(physical):
        start = at
        at += 1
        if not physical[start].lstrip(BLANKS).startswith("#"):
            while at < len(physical) and physical[at - 1].endswith("\\\n"):
                at += 1
        whole = "".join(physical[start:at])
        if whole:
            yield read_line(whole, start + 1)


def _split(text: str) -> Iterator[tuple[bool, str]]:
    """(is it a word, its text) for every piece of a line."""
    yield from _pieces.parse_string(text)
