"""What differs between two machines, as text for people and as JSON, with the means of the preview."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from imgpatch.comparison import Comparison, Difference, Node
from imgpatch.outside import Outside
from imgpatch.plan import Change
from imgpatch.reports import contents
from imgpatch.reports.document import SCHEMA, plain
from imgpatch.reports.terminal import BOLD, CYAN, GREEN, RED, YELLOW, painted, safe

MOST_LINES = 1000
LARGEST_TEXT = 512 << 10
LARGEST_NEW = 128 << 10
"""Bytes of a file that is on one side only: all of its lines would be shown."""

LARGEST_KNOWN = 64 << 20
"""Bytes of what is described rather than shown."""

_DESCRIBED = re.compile(
    r"/(?:[^/]*/)*(?:(?:initrd|initramfs)[^/]*|grubenv)"
    r"|/[CS]:/(?:.*/)?(?:config/[^/.]+|BCD|NTUSER\.DAT|UsrClass\.dat)",
    re.IGNORECASE,
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_COLOURS = {"+": GREEN, "-": RED, "@": CYAN, "~": YELLOW}
_DONE = {"add": "added", "change": "changed", "remove": "removed"}


class Compared(Protocol):
    """Two machines' differences; `messages` are of opening them."""

    @property
    def outside(self) -> Sequence[Outside]: ...
    @property
    def files(self) -> Comparison: ...
    @property
    def messages(self) -> Sequence[str]: ...


def limit(path: str, both: bool) -> int:
    """Bytes up to which contents are read to be shown."""
    if _DESCRIBED.fullmatch(path):
        return LARGEST_KNOWN if both else 0
    return LARGEST_TEXT if both else LARGEST_NEW


def describe(path: str, before: bytes | None, after: bytes | None) -> Sequence[str]:
    """A description of what the preview describes, a diff of text; nothing of anything else."""
    lines = contents.describe(path, before, after)
    if lines is None and not any(_CONTROL.search(data) for data in (before, after) if data is not None):
        lines = contents.diff(Change(path, before, after, ()))
    if lines is None or len(lines) <= MOST_LINES:
        return lines or ()
    return [*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} more lines"]


def render_comparison(compared: Compared, *, colour: bool = False) -> str:
    """What is outside the files, every path that differs, and as the last line the count."""
    lines = [f"{safe(message)}\n" for message in compared.messages]
    if compared.outside:
        lines += [painted("Outside the files", BOLD, wanted=colour)]
        lines += [f"  {safe(_outside(row))}" for row in compared.outside] + [""]
    kept = {d.original_of: d.path for d in compared.files.differences if d.original_of is not None}
    for difference in compared.files.differences:
        lines += [*_difference(difference, kept.get(difference.path), colour=colour), ""]
    return "\n".join([*lines, summary(compared), ""])


def comparison_document(compared: Compared) -> dict[str, Any]:
    """`differences` as the text has them, each with its `before` and `after`, and `outside`."""
    return {
        "schema": SCHEMA,
        "outside": plain(tuple(compared.outside)),
        "differences": [_row(difference) for difference in compared.files.differences],
        "counts": {word: compared.files.counts.get(kind, 0) for kind, word in _DONE.items()},
        "left_out": compared.files.left_out,
        "messages": plain(tuple(compared.messages)),
    }


def summary(compared: Compared) -> str:
    """`5 paths differ: 2 added, 3 changed, 0 removed.`."""
    counts = compared.files.counts
    total = sum(counts.values())
    words = ", ".join(f"{counts.get(kind, 0)} {word}" for kind, word in _DONE.items())
    text = f"{total} path{'' if total == 1 else 's'} differ{'s' if total == 1 else ''}: {words}."
    if compared.files.left_out:
        text += f" {compared.files.left_out} of them are not shown: ask for a part with --under."
    if not total:
        text = "No path differs." if compared.outside else "No differences."
    return text


def _outside(row: Outside) -> str:
    if row.before is None and row.what in ("sectors", "boot code"):
        return f"{row.where}: {row.what}: {row.after}"
    return f"{row.where}: {_changed(row.what, row.before, row.after)}"


def _changed(name: str, before: str | None, after: str | None) -> str:
    return f"{name}: {'none' if before is None else before} -> {'none' if after is None else after}"


def _difference(difference: Difference, kept: str | None, *, colour: bool) -> Iterator[str]:
    node = difference.before if difference.after is None else difference.after
    words = "" if node is None or difference.kind == "change" else f" ({', '.join(_carried(node))})"
    yield painted(f"{difference.kind} {safe(difference.path)}{safe(words)}", BOLD, wanted=colour)
    for aspect in difference.aspects:
        yield f"  {safe(_changed(aspect.name, aspect.before, aspect.after))}"
    if kept is not None:
        yield f"  {'M-01':<8} the original is kept as {safe(kept)}"
    if difference.original_of is not None:
        yield f"  {'M-01':<8} the original of {safe(difference.original_of)}"
    elif difference.contents:
        for line in difference.lines or _sizes(difference):
            yield painted(f"  {safe(line)}", _COLOURS.get(line[:1], ""), wanted=colour)


def _carried(node: Node) -> Iterator[str]:
    yield f"link to {node.target}" if node.kind == "link" else node.kind
    if node.kind != "link":
        yield f"mode {node.mode:04o}"
    yield f"owner {node.uid}:{node.gid}"


def _sizes(difference: Difference) -> Iterator[str]:
    for name, node in (("before", difference.before), ("after", difference.after)):
        if node is not None and node.kind == "file":
            digest = f"sha256 {node.sha256}" if node.sha256 is not None else "not read to its end"
            yield f"{name}: {node.size} bytes, {digest}"


def _row(difference: Difference) -> dict[str, Any]:
    return {
        "path": plain(difference.path),
        "kind": difference.kind,
        "aspects": plain(difference.aspects),
        "contents": difference.contents,
        "original_of": plain(difference.original_of),
        "before": _node(difference.before),
        "after": _node(difference.after),
        "lines": plain(difference.lines),
    }


def _node(node: Node | None) -> Mapping[str, Any] | None:
    if node is None:
        return None
    row: dict[str, Any] = plain(node)
    del row["path"], row["place"]
    row["mode"] = f"{node.mode:04o}"
    row["xattrs"] = {str(plain(name)): value.hex() for name, value in node.xattrs}
    return row
