"""dhclient.conf(5): statements that end in `;` or open a block, as spans of the text they stand in.

Comments run from `#` to the end of the line; strings are in double quotes. What is never closed is no
statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\]|\\.)*"|[;{},]|[^\s;{},#"]+')


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a string (with its quotes) and where it stands."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        words: without commas and what ends it.
        blocks: the first words of the blocks it stands in, outermost first: `interface`, its name, ...
        start, end: its span, with the `;` or the `{`.
    """

    words: tuple[Word, ...]
    blocks: tuple[tuple[str, ...], ...]
    start: int
    end: int


def parse(text: str) -> tuple[Statement, ...]:
    found: list[Statement] = []
    words: list[Word] = []
    blocks: list[tuple[str, ...]] = []
    for match in _TOKEN.finditer(text):
        piece = match.group()
        if piece.startswith("#") or piece == ",":
            continue
        if piece == "}":
            words = []
            blocks = blocks[:-1]
        elif piece in {";", "{"}:
            if words:
                found.append(Statement(tuple(words), tuple(blocks), words[0].start, match.end()))
            if piece == "{":
                blocks.append(tuple(word.text for word in words))
            words = []
        else:
            words.append(Word(piece, match.start()))
    return tuple(found)


def edited(text: str, changes: Iterable[tuple[int, int, str]]) -> str:
    """The text with spans replaced."""
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def commented_out(text: str, statement: Statement) -> Sequence[tuple[int, int, str]]:
    """The changes that take a statement out: a `#` before each of its lines where they hold nothing else."""
    first = text.rfind("\n", 0, statement.start) + 1
    last = text.find("\n", statement.end)
    last = len(text) if last < 0 else last
    alone = not text[first : statement.start].strip()
    after = text[statement.end : last].strip()
    if not alone or (after and not after.startswith("#")):
        return [(statement.start, statement.end, "")]
    starts = [first, *(i + 1 for i in range(first, last) if text[i] == "\n")]
    return [(at, at, "#") for at in starts]
