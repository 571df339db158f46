"""What an error of the service means, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from imgpatch.catalogue import Match, Offline, Row
from imgpatch.reports.document import SCHEMA, plain
from imgpatch.reports.terminal import BOLD, painted, safe

_FOUND = {Offline.YES: "it", Offline.PARTLY: "some of its causes"}
_OPTIONS = {
    "ImportSnapshot": " --operation import-snapshot",
    "ImportInstance": " --operation import-instance",
}


def render_explanation(matches: Sequence[Match], *, colour: bool = False) -> str:
    """Each row in full."""
    return "\n".join("\n".join(_row(match, colour=colour)) + "\n" for match in matches)


def render_rows(rows: Iterable[Row]) -> str:
    """One line a row."""
    return "".join(f"{row.id:<5} {row.offline:<7} {row.wordings[0]}\n" for row in rows)


def explanation_document(matches: Sequence[Match]) -> dict[str, Any]:
    rows = [{**plain(match.row), "values": plain(match.values), "here": here(match.row)} for match in matches]
    return {"schema": SCHEMA, "errors": rows}


def here(row: Row) -> str:
    """How to test it on this machine."""
    if row.offline is Offline.NO:
        return "nothing in the disk files shows it"
    if not row.checks:
        return "no check of imgpatch predicts it: the disk files that are here do not show it"
    option = _OPTIONS.get(row.operation, "")
    return f"imgpatch check{option} IMAGE... finds {_FOUND[row.offline]} in the disk files"


def _row(match: Match, *, colour: bool) -> Iterator[str]:
    row = match.row
    yield painted(f"{row.id}  {row.wordings[0]}", BOLD, wanted=colour)
    facts = [
        *((f"<{name}>", value) for name, value in match.values.items()),
        ("comes from", row.operation),
        ("cause", row.cause),
        ("remedy", row.remedy),
        ("look at", row.look),
        ("test here", here(row)),
        ("editions", ", ".join(row.editions) or "none; the message was only seen"),
        ("seen in", ", ".join(row.sources)),
    ]
    for name, text in facts:
        if text:
            yield f"  {name + ':':<12} {safe(text)}"
