"""A file of shell assignments line by line: what ifup and NetworkManager read of /etc/sysconfig.

`shellvars` finds the assignments; here they stand in their logical lines (a quoted value may go over several
physical ones), so that taking one out leaves neither an empty line nor a separator behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from imgpatch.formats import shellvars
from imgpatch.formats.shellvars import Assignment, Other, Piece

_PLAIN = re.compile(r"(?:[ \t\r;]|\\\n|(?:(?<=[ \t;])|^)export(?=[ \t]))*(?:(?:(?<=[ \t\r;])|^)#[^\n]*)?\n?")
_REMARK = re.compile(r"(?:^|[ \t\r;])#")
_NO_SYNTAX = r"[^;&|<>`$(){}]*"
_REFUSED = re.compile(
    rf"\ufeff?[ \t]*[A-Za-z_][A-Za-z0-9_]*(?:[ \t]+=|=[ \t]){_NO_SYNTAX}|\ufeff{_NO_SYNTAX}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line.

    Attributes:
        number: of its first physical line, from 1.
        pieces: as `shellvars` cuts them; the last one has the line end.
    """

    number: int
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return shellvars.unparse(self.pieces)

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Assignment))

    @property
    def end(self) -> str:
        """Its line end: none on a last line without one."""
        text = self.text
        return "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""

    def is_plain(self) -> bool:
        """Whether it has nothing but assignments that are carried out, `export`, blanks and a remark."""
        return all(
            piece.certain if isinstance(piece, Assignment) else _PLAIN.fullmatch(piece.text) is not None
            for piece in self.pieces
        )

    def is_refused(self) -> bool:
        """Whether it is the mistake `NAME = value`, which the shell complains of and passes over."""
        return not self.assignments and _REFUSED.fullmatch(self.text) is not None

    def mapped(self, change: Callable[[Assignment], str | None]) -> Line | None:
        """With the value as written (`raw`) that `change` gives each assignment; None takes it out.

        A line that loses all its assignments goes as a whole, its remark too: that was about them.
        """
        kept: list[tuple[str, Assignment]] = []
        gap = ""
        beheaded = False
        for piece in self.pieces:
            if isinstance(piece, Other):
                gap = piece.text
                continue
            raw = change(piece)
            beheaded |= raw is None and not kept
            if raw is not None:
                kept.append((gap, piece if raw == piece.raw else replace(piece, raw=raw)))
            gap = ""
        if not kept:
            return None if self.assignments else self
        if beheaded:
            kept[0] = (self._head(kept[0][0]), kept[0][1])
        cut = (cut for before, item in kept for cut in (Other(before), item))
        return replace(self, pieces=tuple(piece for piece in (*cut, Other(gap)) if piece.text))

    def _head(self, gap: str) -> str:
        """What stands before the first assignment, once that is the one which `gap` stands before now."""
        head = self.pieces[0].text if isinstance(self.pieces[0], Other) else ""
        if ";" not in gap:
            return head
        return head[: len(head) - len(head.lstrip(" \t"))] + gap.rpartition(";")[2].lstrip(" \t")


def parse(text: str) -> tuple[Line, ...]:
    """Cuts the text into its logical lines; joining their texts gives it back."""
    lines: list[Line] = []
    here: list[Piece] = []
    number = 1

    def close() -> None:
        nonlocal number
        lines.append(Line(number, tuple(here)))
        number += lines[-1].text.count("\n")
        here.clear()

    for piece in shellvars.parse(text):
        if isinstance(piece, Assignment):
            here.append(piece)
            continue
        at = 0
        while end := _line_end(piece.text, at):
            here.append(Other(piece.text[at:end]))
            at = end
            close()
        if piece.text[at:]:
            here.append(Other(piece.text[at:]))
    if here:
        close()
    return tuple(lines)


def _line_end(text: str, start: int) -> int:
    """Where the logical line ends that goes on at `start`; 0 where it does not end in this text."""
    pos = start
    while (newline := text.find("\n", pos)) >= 0:
        physical = text[pos:newline]
        slashes = len(physical) - len(physical.rstrip("\\"))
        if slashes % 2 == 0 or _REMARK.search(physical):
            return newline + 1
        pos = newline + 1
    return 0


def unparse(lines: Iterable[Line]) -> str:
    return "".join(line.text for line in lines)


def pieces(lines: Iterable[Line]) -> tuple[Piece, ...]:
    """All pieces, for `shellvars.values`."""
    return tuple(piece for line in lines for piece in line.pieces)


def code(lines: Sequence[Line]) -> tuple[int, ...]:
    """The numbers of the lines that hold more than assignments: commands, conditions, an open quote."""
    return tuple(line.number for line in lines if not line.is_plain() and not line.is_refused())


def inserted(texts: Sequence[str], at: int, new: Sequence[str], end: str) -> list[str]:
    """The texts of lines with `new` ones after the one at `at`, whatever line end the file's last line has.

    A text may be '' for a line that went; `end` is the line end of the new ones.
    """
    out = list(texts)
    if not new:
        return out
    before = "".join(out[: at + 1])
    if before and not before.endswith("\n"):
        out[at] += end + end.join(new)
    else:
        out[at] += end.join(new) + end
    return out
