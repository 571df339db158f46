"""A plan, and what is done with it, as text for people.

Whatever the guest wrote is made safe for a terminal on the way out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from imgpatch.edition import Edition
from imgpatch.manifest import Manifest
from imgpatch.originals import kept_name
from imgpatch.plan import Change, Choices, Note, NoteKind, Plan, Reason, Rebuild
from imgpatch.reports import contents
from imgpatch.reports.machine import render_inspection
from imgpatch.reports.not_mirrored import not_mirrored
from imgpatch.reports.terminal import BOLD, CYAN, GREEN, RED, YELLOW, painted, safe

__all__ = ["render_inspection", "render_plan", "render_revert", "render_written", "safe", "summary"]

_VERBS = {"add": "to add", "change": "to change", "remove": "to remove"}
_DIFF_COLOURS = {"+": GREEN, "-": RED, "@": CYAN, "~": YELLOW}


def render_plan(
    plan: Plan,
    edition: Edition,
    messages: Sequence[str] = (),
    *,
    choices: Choices | None = None,
    describe: contents.Describe = contents.describe,
    colour: bool = False,
) -> str:
    """Every change with its reasons, the notes, what is not mirrored, and as the last line the count.

    Args:
        plan: what is to change.
        edition: decides what the service does besides.
        messages: what opening the disks brought up, a replayed journal for one.
        choices: what the plan was made with: they name the kept originals.
        describe: says what changes in contents that are no text.
        colour: with ANSI colours; without them not one escape character is put out.
    """
    suffix = (choices or Choices()).original_suffix
    lines = [f"{safe(message)}\n" for message in messages]
    for change in plan.changes:
        lines += [*_change(change, suffix, describe, colour=colour), ""]
    for rebuild in plan.rebuilds:
        lines += [*_rebuild(rebuild, suffix, colour=colour), ""]
    lines += _notes("Notes", [n for n in plan.notes if n.kind is not NoteKind.NOT_MIRRORED], colour=colour)
    others = [note for note in plan.notes if note.kind is NoteKind.NOT_MIRRORED]
    title = "What the service does besides and imgpatch does not"
    lines += _notes(title, [*not_mirrored(edition, plan), *others], colour=colour)
    return "\n".join([*lines, summary(plan), ""])


def summary(plan: Plan) -> str:
    """`Plan 3f2a9c81d0e4: 1 to add, 3 to change, 0 to remove.`."""
    if plan.is_empty:
        return f"Plan {plan.digest}: no changes."
    kinds = Counter(contents.kind(change) for change in plan.changes)
    counts = [f"{kinds[kind]} {words}" for kind, words in _VERBS.items()]
    if plan.rebuilds:
        counts.append(f"{len(plan.rebuilds)} to rebuild in the guest")
    return f"Plan {plan.digest}: {', '.join(counts)}."


class NewFile(Protocol):
    """What is told of a new file."""

    @property
    def path(self) -> object: ...
    @property
    def format(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def file_size(self) -> int: ...
    @property
    def sha256(self) -> str | None: ...


def render_written(paths: Sequence[object], files: Sequence[NewFile] = ()) -> str:
    """Where the result is; new files with what they are, and with the sum of what to upload."""
    if not files:
        return "".join(f"Written and verified: {safe(str(path))}\n" for path in paths)
    return "".join(map(_new_file, files))


def _new_file(file: NewFile) -> str:
    digest = file.sha256 or f"not added up, since the file is mostly holes: sha256sum {safe(str(file.path))}"
    return (
        f"Written and verified: {safe(str(file.path))}\n"
        f"  {file.format}, {file.size} bytes of disk in {file.file_size} bytes\n"
        f"  sha256 {digest}\n"
    )


def render_revert(manifest: Manifest, messages: Sequence[str] = ()) -> str:
    """Which files got their originals back; the last line counts them."""
    lines = [f"{safe(message)}\n" for message in messages]
    for row in manifest.rows:
        verb = "removed " if row.before is None else "restored"
        lines.append(f"{verb}  {safe(row.path)}\n")
    return "".join([*lines, f"Reverted plan {safe(manifest.digest)}: {len(manifest.rows)} file(s).\n"])


def _change(change: Change, suffix: str, describe: contents.Describe, *, colour: bool) -> Iterator[str]:
    kind = contents.kind(change)
    mode = f" (mode {change.mode:04o})" if change.mode is not None else ""
    yield painted(f"{kind} {safe(change.path)}{mode}", BOLD, wanted=colour)
    yield from _reasons(change.reasons)
    if change.before is not None:
        yield _kept(change.path, suffix)
    described = describe(change.path, change.before, change.after)
    lines = contents.diff(change) if described is None else described
    for line in contents.sizes(change) if lines is None else lines:
        yield painted(f"  {safe(line)}", _DIFF_COLOURS.get(line[:1], ""), wanted=colour)


def _rebuild(rebuild: Rebuild, suffix: str, *, colour: bool) -> Iterator[str]:
    yield painted(f"rebuild {safe(rebuild.path)}", BOLD, wanted=colour)
    yield from _reasons(rebuild.reasons)
    yield _kept(rebuild.path, suffix)
    yield f"  runs in the guest: {safe(' '.join(rebuild.argv))}"


def _reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    for reason in reasons:
        yield f"  {reason.rule:<8} {safe(reason.text)}"


def _kept(path: str, suffix: str) -> str:
    return f"  {'M-01':<8} the original is kept as {safe(kept_name(path, suffix))}"


def _notes(title: str, notes: Sequence[Note], *, colour: bool) -> Iterator[str]:
    if not notes:
        return
    yield painted(title, BOLD, wanted=colour)
    for note in notes:
        kind = "" if note.kind is NoteKind.NOT_MIRRORED else f"{note.kind}: "
        warning = note.kind is NoteKind.WARNING
        yield painted(f"  {note.rule:<8} {kind}{safe(note.text)}", YELLOW, wanted=colour and warning)
    yield ""
