"""Files of /etc/sysconfig as variables, each of which can be set, emptied or taken out with its line.

What stands in the file is cut by `imgpatch.formats.shellvars`; here are the changes that network files need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from imgpatch.formats import shellvars
from imgpatch.formats.shellvars import Assignment, Piece

GONE = object()
"""What a change returns for a variable that goes with its line."""

_ALONE_AFTER = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Variable:
    """One assignment.

    Attributes:
        value: None where only a shell can tell.
        line: its first line, from 1.
        last: no later assignment of the name follows, so it is the one that counts.
    """

    name: str
    value: str | None
    line: int
    last: bool


def read(text: str) -> tuple[Variable, ...]:
    """Every assignment, in order."""
    known: dict[str, str | None] = {}
    found = []
    line = 1
    for piece in shellvars.parse(text):
        if isinstance(piece, Assignment):
            known = shellvars.values([piece], known) if "$" in piece.raw else known
            value = known[piece.name] if "$" in piece.raw else shellvars.values([piece])[piece.name]
            known[piece.name] = value
            found.append(Variable(piece.name, value, line, last=False))
        line += piece.text.count("\n")
    names = {variable.name: index for index, variable in enumerate(found)}
    return tuple(replace(v, last=names[v.name] == index) for index, v in enumerate(found))


def values(text: str) -> dict[str, str | None]:
    """What each variable holds in the end."""
    return shellvars.values(shellvars.parse(text))


def changed(text: str, change: Callable[[Variable], str | object | None]) -> str:
    """The text with `change(variable)` for each: a new value, GONE, or None to leave it.

    A variable that shares its line, or stands where a shell may not come by, is emptied instead of taken out.
    """
    pieces = list(shellvars.parse(text))
    places = [index for index, piece in enumerate(pieces) if isinstance(piece, Assignment)]
    alone = {index for index in places if _stands_alone(pieces, index)}
    for index, variable in zip(places, read(text), strict=True):
        new = change(variable)
        piece = pieces[index]
        if new is None or not isinstance(piece, Assignment):
            continue
        if new is GONE and piece.certain and index in alone:
            _take_out(pieces, index)
        else:
            value = new if isinstance(new, str) else ""
            pieces[index] = replace(piece, raw=shellvars.requoted(piece.raw, value))
    return shellvars.unparse(pieces)


def with_value(text: str, name: str, value: str) -> str:
    """The text with the assignment of `name` that counts holding `value`, or with a line more.

    Raises:
        FormatError: a quote is open at the end, so no line can be added.
    """
    if shellvars.last_index(shellvars.parse(text), name) is not None:
        return shellvars.with_value(text, name, value)
    added = shellvars.with_value(text, name, value)
    line = f"{name}={value}"
    if shellvars.encode(value) != value:
        return added
    quote = _quote_of(shellvars.parse(text))
    at = added.rindex(line)
    return f"{added[:at]}{name}={quote}{value}{quote}{added[at + len(line) :]}"


def is_sound(text: str) -> bool:
    return shellvars.is_sound(text)


def _quote_of(pieces: Sequence[Piece]) -> str:
    """The quotes the file has around its values; none where it has none."""
    first = [p.raw[0] for p in pieces if isinstance(p, Assignment) and p.raw and p.raw[0] in "'\""]
    return first[0] if first else ""


def _stands_alone(pieces: Sequence[Piece], index: int) -> bool:
    """Whether nothing else stands on its lines but blanks and a remark behind it."""
    before = pieces[index - 1].text if index else "\n"
    start, newline, blanks = before.rpartition("\n")
    first = bool(newline) or index == 1
    after = pieces[index + 1].text if index + 1 < len(pieces) else ""
    return first and not blanks.strip(" \t") and not start.endswith("\\") and bool(_ALONE_AFTER.match(after))


def _take_out(pieces: list[Piece], index: int) -> None:
    """Takes an assignment out with its line."""
    pieces[index] = shellvars.Other("")
    if index:
        pieces[index - 1] = shellvars.Other(pieces[index - 1].text.rstrip(" \t"))
    if index + 1 < len(pieces):
        pieces[index + 1] = shellvars.Other(_ALONE_AFTER.sub("", pieces[index + 1].text, count=1))
