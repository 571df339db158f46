"""Loader entries of the Boot Loader Specification: `key value` lines, a key more than once allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline, as `lead + key + gap + value + tail`; a comment is all `lead`.

    Attributes:
        tail: blanks and a carriage return at the end of the line.
    """

    lead: str
    key: str = ""
    gap: str = ""
    value: str = ""
    tail: str = ""

    @property
    def text(self) -> str:
        return f"{self.lead}{self.key}{self.gap}{self.value}{self.tail}"


def parse(text: str) -> tuple[Line, ...]:
    return tuple(_line(line) for line in text.split("\n"))


def unparse(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


def values(lines: Sequence[Line], key: str) -> tuple[str, ...]:
    """All values of a key, in order."""
    return tuple(line.value for line in lines if line.key == key)


def first(lines: Sequence[Line], key: str) -> str | None:
    """The value GRUB takes of a key that it wants once."""
    return next(iter(values(lines, key)), None)


def _line(text: str) -> Line:
    body = text.lstrip(" \t\ufeff")
    lead = text[: len(text) - len(body)]
    if not body.strip() or body.startswith("#"):
        return Line(text)
    stripped = body.rstrip(" \t\r")
    tail = body[len(stripped) :]
    cut = min((i for i in (stripped.find(" "), stripped.find("\t")) if i >= 0), default=len(stripped))
    value = stripped[cut:].lstrip(" \t")
    return Line(lead, stripped[:cut], stripped[cut : len(stripped) - len(value)], value, tail)
