r"""The regular expressions of file_contexts(5), matched in bounded time.

They are Perl's, as PCRE reads them, and a real policy nests repetitions (`\.so(\.[^/]*)*`), with which a
backtracking matcher can be kept busy for ever by a hostile one. Here a piece of a pattern takes the set of
positions it may begin at and gives those it may end at, so that nothing is ever tried twice.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from imgpatch.errors import FormatError

META = ".^$?*+|[({"
"""What makes a pattern more than a path: libselinux's own list."""

MAX_LENGTH = 1024
MAX_DEPTH = 12

Positions = frozenset[int]
Piece = Callable[[str, Positions], Positions]

_PART = re.compile(r"\\.|\[\^?\]?(?:\[:[a-z]+:\]|\\.|[^\]])*\]|\{[0-9]+(?:,[0-9]*)?\}|\(\?:|.", re.DOTALL)
_POSIX_CLASSES = {
    "[:alnum:]": "a-zA-Z0-9",
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:space:]": r"\s",
    "[:upper:]": "A-Z",
    "[:xdigit:]": "0-9a-fA-F",
}
_NO_CHARACTER = re.compile(r"\\[a-zA-Z0-9]")
_CHARACTER_CLASS = re.compile(r"\\[dDsSwW]")


def literal_start(pattern: str) -> tuple[str, bool]:
    """What every path that a pattern matches begins with, and whether that is the whole pattern."""
    parts = _PART.findall(pattern)
    if _bare_bar(parts):
        return "", False
    start = ""
    for part in parts:
        if part[0] in META or _NO_CHARACTER.match(part):
            return start[:-1] if part[0] in "?*{" else start, False
        start += part[-1]
    return start, True


def _bare_bar(parts: Sequence[str]) -> bool:
    depth = 0
    for part in parts:
        depth += (part[0] == "(") - (part == ")")
        if part == "|" and depth == 0:
            return True
    return False


def matches(pattern: str, path: str) -> bool:
    """Whether the whole path matches.

    Raises:
        FormatError: the pattern uses what no policy does (look-around, back references), or is too long.
    """
    return len(path) in _compiled(pattern)(path, frozenset({0}))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Piece:
    parts = _PART.findall(pattern)[::-1]
    if len(pattern) > MAX_LENGTH:
        raise FormatError(f"a pattern of {len(pattern)} characters, {MAX_LENGTH} are the most")
    piece = _alternatives(parts, 0)
    if parts:
        raise FormatError(f"{pattern!r}: a parenthesis is closed that was not opened")
    return piece


def _alternatives(parts: list[str], depth: int) -> Piece:
    if depth > MAX_DEPTH:
        raise FormatError(f"parentheses nested more than {MAX_DEPTH} deep")
    branches = [_sequence(parts, depth)]
    while parts and parts[-1] == "|":
        parts.pop()
        branches.append(_sequence(parts, depth))
    if len(branches) == 1:
        return branches[0]
    return lambda text, starts: frozenset().union(*(branch(text, starts) for branch in branches))


def _sequence(parts: list[str], depth: int) -> Piece:
    pieces: list[Piece] = []
    while parts and parts[-1] not in "|)":
        piece = _atom(parts, depth)
        while parts and parts[-1][0] in "?*+{" and parts[-1] != "{":
            piece = _repeated(piece, *_bounds(parts.pop()))
        pieces.append(piece)

    def sequence(text: str, starts: Positions) -> Positions:
        for piece in pieces:
            starts = piece(text, starts)
        return starts

    return sequence


def _atom(parts: list[str], depth: int) -> Piece:
    part = parts.pop()
    if part in ("(", "(?:"):
        group = _alternatives(parts, depth + 1)
        if not parts or parts.pop() != ")":
            raise FormatError("a parenthesis is not closed")
        return group
    if part == "^":
        return lambda _text, starts: starts & {0}
    if part == "$":
        return lambda text, starts: starts & {len(text)}
    return _character(part)


def _character(part: str) -> Piece:
    if part in ("?", "*", "+") or (_NO_CHARACTER.match(part) and not _CHARACTER_CLASS.match(part)):
        raise FormatError(f"{part!r} where a character was wanted")
    if part[0] == "[":
        for name, characters in _POSIX_CLASSES.items():
            part = part.replace(name, characters)
        for twice in ("[", "--", "&&", "~~", "||"):  # what Python reserves within brackets
            part = part[:1] + part[1:].replace(twice, f"{twice[1:]}\\{twice[0]}")
    elif part == "{":
        part = r"\{"
    try:
        one = re.compile(part, re.DOTALL)
    except re.error as error:
        raise FormatError(f"{part!r} is no set of characters: {error}") from error
    return lambda text, starts: frozenset(s + 1 for s in starts if s < len(text) and one.fullmatch(text[s]))


def _bounds(part: str) -> tuple[int, int | None]:
    if part[0] != "{":
        return {"?": (0, 1), "*": (0, None), "+": (1, None)}[part]
    least, comma, most = part[1:-1].partition(",")
    return int(least), int(most) if most else None if comma else int(least)


def _repeated(piece: Piece, least: int, most: int | None) -> Piece:
    """Positions never go back, so that no more rounds change anything than there are characters."""

    def repeated(text: str, starts: Positions) -> Positions:
        here = starts
        for _ in range(least):
            after = piece(text, here)
            if after == here:
                break
            here = after
        found = here
        for _ in itertools.count() if most is None else range(most - least):
            here = piece(text, here) - found
            if not here:
                break
            found |= here
        return found

    return repeated
