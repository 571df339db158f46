"""What `imgpatch doctor` found of this machine, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from imgpatch.reports.terminal import GREEN, RED, YELLOW, painted, safe

SCHEMA = 1
_COLOURS = {"ok": GREEN, "slow": YELLOW, "missing": RED}


class Row(Protocol):
    """One thing imgpatch depends on: `state` is ok, slow or missing."""

    @property
    def state(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def found(self) -> str: ...
    @property
    def remedy(self) -> str: ...


def render_doctor(rows: Sequence[Row], *, colour: bool = False) -> str:
    """A line a row, what to do below it, and a verdict."""
    lines = []
    for row in rows:
        state = painted(f"{row.state:8}", _COLOURS[str(row.state)], wanted=colour)
        lines.append(f"{state}{row.subject}: {safe(row.found)}")
        if row.remedy:
            lines.append(f"        {safe(row.remedy)}")
    missing = sum(row.state == "missing" for row in rows)
    verdict = f"{missing} missing: imgpatch cannot work here." if missing else "imgpatch can work here."
    return "\n".join([*lines, verdict, ""])


def doctor_document(rows: Sequence[Row]) -> dict[str, Any]:
    """The same rows."""
    fields = ("state", "subject", "found", "remedy")
    return {"schema": SCHEMA, "machine": [{name: str(getattr(row, name)) for name in fields} for row in rows]}
