"""How the contents of one file change: a unified diff of text, a description of anything else."""

from __future__ import annotations

import difflib
import hashlib
import posixpath
from collections.abc import Callable, Sequence

from imgpatch.formats import grubenv
from imgpatch.plan import Change
from imgpatch.reports import hives, initramfs

Describe = Callable[[str, bytes | None, bytes | None], Sequence[str] | None]
"""Path, before and after -> lines for people, or None where it does not know the format."""

LARGEST_DIFF = 2 * 1024 * 1024
"""Bytes; configuration is far smaller, and difflib's time is not linear."""

_NO_NEWLINE = "\\ No newline at end of file"


def describe(path: str, before: bytes | None, after: bytes | None) -> Sequence[str] | None:
    """The first of `DESCRIBERS` that knows the format speaks."""
    found = (describer(path, before, after) for describer in DESCRIBERS)
    return next((lines for lines in found if lines is not None), None)


def _initramfs(path: str, before: bytes | None, after: bytes | None) -> Sequence[str] | None:
    """Known by its name, as boot loaders and kernel-install(8) give it; /etc has its settings only."""
    if path.startswith("/etc/") or not posixpath.basename(path).startswith(("initrd", "initramfs")):
        return None
    return initramfs.describe(before, after)


def _grubenv(path: str, before: bytes | None, after: bytes | None) -> Sequence[str] | None:
    return grubenv.describe(before, after) if posixpath.basename(path) == "grubenv" else None


def _hive(_path: str, before: bytes | None, after: bytes | None) -> Sequence[str] | None:
    return None if before is None or after is None else hives.describe(before, after)


DESCRIBERS: tuple[Describe, ...] = (_initramfs, _grubenv, _hive)
"""Asked in turn before a file counts as text or as unknown binary contents."""


def kind(change: Change) -> str:
    """`add`, `change` or `remove`."""
    if change.before is None:
        return "add"
    return "remove" if change.after is None else "change"


def diff(change: Change) -> tuple[str, ...] | None:
    """A unified diff, each line without its newline and not yet safe to print; None: it is no text."""
    contents = [data for data in (change.before, change.after) if data is not None]
    if any(b"\0" in data or len(data) > LARGEST_DIFF for data in contents):
        return None
    old, new = ("/dev/null" if data is None else change.path for data in (change.before, change.after))
    lines = difflib.unified_diff(_lines(change.before), _lines(change.after), old, new, lineterm="")
    shown: list[str] = []
    for line in lines:
        body, marker, _ = line.partition("\n")
        shown += [body, _NO_NEWLINE] if marker else [body]
    return tuple(shown)


def sizes(change: Change) -> tuple[str, ...]:
    """What can be said of any contents."""
    rows = (("before", change.before), ("after", change.after))
    return tuple(
        f"{name}: {len(data)} bytes, sha256 {sha256(data)}" for name, data in rows if data is not None
    )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _lines(data: bytes | None) -> list[str]:
    """Lines; the last one carries a newline as a mark where the file does not end in one."""
    if not data:
        return []
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    last = lines.pop()
    return [*lines, f"{last}\n"] if last else lines
