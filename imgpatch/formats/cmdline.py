"""The kernel command line: words between blanks, where double quotes keep blanks (kernel, next_arg())."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORD = re.compile(r'(?:"[^"]*"?|[^\s"]+)+')


def words(line: str) -> tuple[str, ...]:
    return tuple(match.group() for match in _WORD.finditer(line))


def parameter(word: str) -> tuple[str, str | None]:
    """A word as name and value; None: there is no `=`."""
    name, equals, value = word.partition("=")
    return name, value if equals else None


def mapped(line: str, change: Callable[[str], str | None]) -> str:
    """The line with `change(word)` for each word; None takes the word out, with the blanks before it."""
    out: list[str] = []
    done = 0
    for match in _WORD.finditer(line):
        new = change(match.group())
        if new is not None:
            out.append(line[done : match.start()] + new)
        elif not out:
            out.append(line[done : match.start()])
        done = match.end()
    out.append(line[done:])
    return "".join(out)


def with_word(line: str, word: str) -> str:
    """The line with a word more, before the blanks and line end it may have."""
    body = line.rstrip()
    gap = " " if body else ""
    return f"{body}{gap}{word}{line[len(body) :]}"


def after_first(line: str) -> int:
    """Where the arguments begin in `/vmlinuz root=/dev/sda1`: after the first word and its blanks."""
    match = _WORD.search(line)
    if match is None:
        return len(line)
    rest = line[match.end() :]
    return match.end() + len(rest) - len(rest.lstrip())
