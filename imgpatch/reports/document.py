"""A plan, and what was found in a guest, as JSON: the same data as the text, for programs.

`schema` rises when a field changes its meaning or goes; new fields may come at any time.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from imgpatch.edition import Edition
from imgpatch.edition import load as newest
from imgpatch.manifest import Manifest
from imgpatch.plan import Change, Note, Plan, Reason, Rebuild
from imgpatch.reports import contents
from imgpatch.reports.licence import licence
from imgpatch.reports.machine import Found
from imgpatch.reports.not_mirrored import not_mirrored

SCHEMA = 1


def plan_document(
    plan: Plan,
    edition: Edition,
    messages: Sequence[str] = (),
    *,
    written: Sequence[object] = (),
    files: Sequence[object] = (),
    describe: contents.Describe = contents.describe,
) -> dict[str, Any]:
    r"""The fields of a plan; `messages` of the session and the files `written`, where it was applied.

    `files` has each new one with its `format`, the `size` of its disks, its `file_size` and `sha256`.

    A change has `kind` (`add`, `change`, `remove`), and `diff` or, where it is no text, `description`.
    `path_b64` holds the bytes of a path that is not UTF-8. What is not UTF-8 anywhere shows as `\xe9`.
    """
    return {
        "schema": SCHEMA,
        "edition": edition.name,
        "digest": plan.digest,
        "changes": [_change(change, describe) for change in plan.changes],
        "rebuilds": [_rebuild(rebuild) for rebuild in plan.rebuilds],
        "notes": [_note(note) for note in (*plan.notes, *not_mirrored(edition, plan))],
        "messages": plain(tuple(messages)),
        "written": plain(tuple(written)),
        "files": plain(tuple(files)),
    }


def inspection_document(found: Found) -> dict[str, Any]:
    """Every fact that was found, under the names the code has for them."""
    return {
        "schema": SCHEMA,
        "files": [
            {name: plain(getattr(image, name)) for name in ("name", "format", "variety", "size")}
            for image in found.images
        ],
        "storage": plain(found.storage),
        "inspection": plain(found.inspection),
        "licence": plain(licence(found.inspection, newest())),
        "messages": plain(tuple(found.messages)),
    }


def revert_document(
    manifest: Manifest,
    messages: Sequence[str] = (),
    *,
    written: Sequence[object] = (),
    files: Sequence[object] = (),
) -> dict[str, Any]:
    """What was taken back; the rest as for a plan."""
    return {
        "schema": SCHEMA,
        "reverted": plain(manifest),
        "messages": plain(tuple(messages)),
        "written": plain(tuple(written)),
        "files": plain(tuple(files)),
    }


def dumps(document: Mapping[str, Any]) -> str:
    """ASCII only, so that nothing a guest wrote reaches a terminal as it is."""
    return json.dumps(document, indent=2) + "\n"


def plain(value: object) -> Any:
    """Dataclasses, tuples, sets and mappings as what JSON has for them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_utf8(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return {"size": len(value), "sha256": contents.sha256(value)}
    if value is None or isinstance(value, bool | int | float):
        return value
    return _utf8(str(value))


def _change(change: Change, describe: contents.Describe) -> dict[str, Any]:
    row: dict[str, Any] = {"path": _utf8(change.path), "kind": contents.kind(change)}
    if _utf8(change.path) != change.path:
        row["path_b64"] = base64.b64encode(change.path.encode("utf-8", "surrogateescape")).decode()
    row["mode"] = None if change.mode is None else f"{change.mode:04o}"
    row |= _why(change.reasons)
    row["before"], row["after"] = plain(change.before), plain(change.after)
    described = describe(change.path, change.before, change.after)
    diff = contents.diff(change) if described is None else None
    if diff is not None:
        row["diff"] = [_utf8(line) for line in diff]
    else:
        row["description"] = [_utf8(line) for line in described or contents.sizes(change)]
    return row


def _rebuild(rebuild: Rebuild) -> dict[str, Any]:
    return {"path": _utf8(rebuild.path), "argv": plain(rebuild.argv), **_why(rebuild.reasons)}


def _why(reasons: Sequence[Reason]) -> dict[str, Any]:
    rows = [{"rule": reason.rule, "text": _utf8(reason.text)} for reason in reasons]
    return {"rules": sorted({reason.rule for reason in reasons}), "reasons": rows}


def _note(note: Note) -> dict[str, str]:
    return {"kind": str(note.kind), "rule": note.rule, "text": _utf8(note.text)}


def _utf8(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
