"""modprobe.d(5): which modules are kept from loading. Lossless: a line is remarked, the rest stays."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from imgpatch.formats.modindex import module_name

_NOTHING = frozenset({"true", "false", ":"})
"""Programs that an `install` line runs in place of loading the module."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that keeps a module from loading.

    Attributes:
        line: where it begins, counted from 1.
        module: by its name with `_`.
        text: its command without what continues it.
    """

    line: int
    module: str
    text: str


def refusals(text: str) -> Iterator[Refusal]:
    """`blacklist NAME`, and `install NAME` with a program that loads nothing."""
    for first, lines in _commands(text):
        words = " ".join(line.removesuffix("\\") for line in lines).split()
        if _refuses(words):
            yield Refusal(first + 1, module_name(words[1]), " ".join(words))


def _refuses(words: list[str]) -> bool:
    if len(words) >= 2 and words[0] == "blacklist":
        return True
    return len(words) >= 3 and words[0] == "install" and posixpath.basename(words[2]) in _NOTHING


def _commands(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each command with the index of its first line; a backslash at the end continues it."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        end = at
        while lines[end].endswith("\\") and end + 1 < len(lines):
            end += 1
        yield at, lines[at : end + 1]
        at = end + 1


def allowing(text: str, modules: Collection[str]) -> str:
    """The text with the refusals of these modules remarked; what continues a line is remarked with it."""
    wanted = {module_name(module) for module in modules}
    rows = {refusal.line - 1 for refusal in refusals(text) if refusal.module in wanted}
    out: list[str] = []
    for first, lines in _commands(text):
        out += [f"#{line}" for line in lines] if first in rows else lines
    return "\n".join(out)
