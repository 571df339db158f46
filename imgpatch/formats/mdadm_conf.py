"""mdadm.conf(5): which name a guest gives to which md array. Read only; nothing of it is ever written.

A line that begins with a blank continues the one before; keywords count in any case, and by their first
three letters.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

PATHS = ("/etc/mdadm/mdadm.conf", "/etc/mdadm.conf")
"""Debian's place, and everybody else's."""

_NO_PATH = frozenset({"", "<ignore>"})


@dataclass(frozen=True, slots=True)
class ArrayLine:
    """An ARRAY line.

    Attributes:
        path: `/dev/md0`, `/dev/md/root`; None where the line gives no name.
        uuid: in mdadm's way of writing, but without colons and in lower case; None where it gives none.
        name: as in the superblock, mostly `host:number`; None where it gives none.
    """

    path: str | None
    uuid: str | None
    name: str | None


def arrays(text: str) -> Iterator[ArrayLine]:
    """The ARRAY lines; what is no proper one is passed over."""
    for line in _joined(text):
        words = _words(line)
        if not words or not _is_keyword(words[0], "array"):
            continue
        tags = {key.lower(): value for key, equals, value in (w.partition("=") for w in words[1:]) if equals}
        paths = [word for word in words[1:] if "=" not in word]
        path = paths[0] if paths else ""
        if path not in _NO_PATH and not path.startswith("/"):
            path = f"/dev/md/{path}"
        uuid = tags.get("uuid")
        yield ArrayLine(
            None if path in _NO_PATH else path, None if uuid is None else plain_uuid(uuid), tags.get("name")
        )


def plain_uuid(uuid: str) -> str:
    """`3aaa0122:29827cfa:5331ad66:ca767371` in whatever way it was written, as 32 digits."""
    return "".join(char for char in uuid.lower() if char not in ":.- ").removeprefix("0x")


def _is_keyword(word: str, keyword: str) -> bool:
    return len(word) >= 3 and keyword.startswith(word.lower())


def _joined(text: str) -> Iterator[str]:
    line = ""
    for raw in text.split("\n"):
        if raw[:1] in (" ", "\t"):
            line += raw
        else:
            yield line
            line = raw
    yield line


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:  # a quote that is not closed
        return []
