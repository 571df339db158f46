"""Words of a GRUB script: cut from the text as GRUB's own lexer cuts them (grub-core/script/yylex.l)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

PART = re.compile(
    r"""(?P<plain>[^{}|&$;<> \t\r\n'"\\]+)|(?P<escape>\\[^\r\n])|(?P<joined>\\\r?\n)|'(?P<single>[^']*)'
    |(?P<double>\$?"(?:[^"\\]|\\.|\\\n)*")
    |\$(?P<name>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?\#*@])
    |\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?\#*@])\}|(?P<alone>[$\\])""",
    re.VERBOSE,
)
_IN_DOUBLE = re.compile(
    r"""(?P<plain>[^$\\]+)|\\(?P<escape>[$"\\])|(?P<joined>\\\r?\n)
    |\$(?P<name>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?\#*@])
    |\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?\#*@])\}|(?P<other>[\s\S])""",
    re.VERBOSE,
)
_SAFE_BARE = re.compile(r"[A-Za-z0-9_./:=,+@%^-]+")


class PartKind(StrEnum):
    TEXT = "text"
    VARIABLE = "variable"
    """Unquoted: what it holds is split at blanks, and an empty one leaves no word."""
    QUOTED_VARIABLE = "quoted variable"


@dataclass(frozen=True, slots=True)
class Word:
    """One word as written.

    Attributes:
        start: where it begins in the script's text.
    """

    start: int
    raw: str

    @property
    def end(self) -> int:
        return self.start + len(self.raw)

    def parts(self) -> Iterator[tuple[PartKind, str]]:
        """Literal text and names of variables, in order."""
        pos = 0
        while pos < len(self.raw):
            match = PART.match(self.raw, pos)
            if match is None:  # cannot be: the word was cut with the same pattern
                raise ValueError(self.raw)
            pos = match.end()
            kind, text = str(match.lastgroup), match[str(match.lastgroup)]
            if kind in ("name", "braced"):
                yield PartKind.VARIABLE, text
            elif kind == "double":
                yield from _double_parts(text[text.index('"') + 1 : -1])
            elif kind != "joined":
                yield PartKind.TEXT, _seen(text[1:] if kind == "escape" else text)

    @property
    def literal(self) -> str | None:
        """What it is worth where no variable is in it; None where one is."""
        parts = list(self.parts())
        if any(kind is not PartKind.TEXT for kind, _ in parts):
            return None
        return "".join(text for _, text in parts)


def _double_parts(text: str) -> Iterator[tuple[PartKind, str]]:
    yield PartKind.TEXT, ""
    for match in _IN_DOUBLE.finditer(text):
        kind = str(match.lastgroup)
        if kind in ("name", "braced"):
            yield PartKind.QUOTED_VARIABLE, match[kind]
        elif kind != "joined":
            yield PartKind.TEXT, _seen(match[kind])


def _seen(text: str) -> str:
    """GRUB reads lines without their carriage returns (grub_file_getline())."""
    return text.replace("\r", "")


def quoted(value: str, like: str = "") -> str:
    """The value as a word, in the quotes that `like` has where they can hold it."""
    if like.startswith("'") and "'" not in value:
        return f"'{value}'"
    if not like.startswith('"') and _SAFE_BARE.fullmatch(value):
        return value
    return '"' + re.sub(r'([\\"$])', r"\\\1", value) + '"'
