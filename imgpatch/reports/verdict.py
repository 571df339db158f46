"""What an import would fail with, as text for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from imgpatch import catalogue
from imgpatch.checks import predicted
from imgpatch.edition import Edition
from imgpatch.finding import Container, Finding, Operation, Severity
from imgpatch.inspection import Inspection
from imgpatch.reports.document import SCHEMA, plain
from imgpatch.reports.licence import licence, told
from imgpatch.reports.terminal import BOLD, GREEN, RED, YELLOW, painted, safe

_TITLES = {
    Severity.FAILS: "The import fails",
    Severity.UNKNOWN: "Cannot be known",
    Severity.MAY_NOT_BOOT: "May not boot, or not be reached",
    Severity.ADVICE: "Advice",
}
_COLOURS = {
    Severity.FAILS: RED,
    Severity.UNKNOWN: YELLOW,
    Severity.MAY_NOT_BOOT: YELLOW,
    Severity.ADVICE: BOLD,
}

NOT_SEEN = (
    "No disk file shows the service role, the rights on bucket and KMS key, the Regions and the upload: "
    "`imgpatch explain` has the errors they give."
)
NOT_OPENED = "Nothing behind this could be looked at: once it is cured, check again."
AS_IT_IS = "The service takes a snapshot as it is: what is on the disks was not looked at."


class Checked(Protocol):
    """What was found, by which edition, of which disk files; `inspection` is None where none was opened."""

    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def edition(self) -> Edition: ...
    @property
    def containers(self) -> Sequence[Container]: ...
    @property
    def inspection(self) -> Inspection | None: ...
    @property
    def messages(self) -> Sequence[str]: ...
    @property
    def operation(self) -> Operation: ...


def words(finding: Finding) -> str | None:
    """The status message of the service; None where it is not known."""
    row = catalogue.rows().get(finding.error or "")
    return None if row is None else row.words(finding.values)


def render_verdict(checked: Checked, *, colour: bool = False) -> str:
    """The verdict, then the findings, the most decisive first, each with what to do."""
    lines = [*_verdict(checked, colour=colour), ""]
    for severity, title in _TITLES.items():
        mine = [finding for finding in checked.findings if finding.severity is severity]
        if mine:
            lines.append(painted(title, _COLOURS[severity], wanted=colour))
            lines += [line for finding in mine for line in _finding(finding)]
            lines.append("")
    lines += [safe(message) for message in checked.messages]
    if checked.inspection is not None:
        lines.append(f"Licence of {told(licence(checked.inspection, checked.edition))}.")
    lines.append(_not_looked_at(checked))
    return "\n".join([*lines, ""])


def _not_looked_at(checked: Checked) -> str:
    if checked.inspection is not None:
        return NOT_SEEN
    return NOT_OPENED if checked.operation is not Operation.SNAPSHOT else AS_IT_IS


def verdict_document(checked: Checked) -> dict[str, Any]:
    """`verdict.fails`, with `status_message` where the words are known; the findings in the same order."""
    first = predicted(checked.findings)
    unknown = [f for f in checked.findings if f.severity is Severity.UNKNOWN]
    return {
        "schema": SCHEMA,
        "edition": checked.edition.name,
        "operation": checked.operation,
        "own_matrix": checked.edition.laid_over,
        "verdict": {
            "fails": first is not None,
            "error": None if first is None else first.error,
            "status_message": None if first is None else plain(words(first)),
            "unknown": len(unknown),
            "opened": checked.inspection is not None,
        },
        "findings": [
            {**plain(finding), "status_message": plain(words(finding))} for finding in checked.findings
        ],
        "licence": None
        if checked.inspection is None
        else plain(licence(checked.inspection, checked.edition)),
        "disks": plain(tuple(checked.containers)),
        "messages": plain(tuple(checked.messages)),
    }


def _verdict(checked: Checked, *, colour: bool) -> Iterator[str]:
    first = predicted(checked.findings)
    edition = f"edition {checked.edition.name}" + (
        " with a table of your own" if checked.edition.laid_over else ""
    )
    if checked.operation is not Operation.IMAGE:
        edition = f"{checked.operation}, {edition}"
    if first is None and _not_looked_at(checked) == NOT_OPENED:
        yield painted(f"Whether the import fails cannot be known ({edition}).", YELLOW, wanted=colour)
        return
    if first is None:
        yield painted(f"Nothing was found that makes the import fail ({edition}).", GREEN, wanted=colour)
        return
    message = words(first)
    if message is None:
        text = f"The import would fail; with which words is not known ({edition})."
        yield painted(text, RED, wanted=colour)
    else:
        yield painted(f"The import would fail ({edition}), with", RED, wanted=colour)
        yield painted(f"  {safe(message)}", BOLD, wanted=colour)


def _finding(finding: Finding) -> Iterator[str]:
    ids = " ".join(dict.fromkeys(text for text in (finding.error, finding.rule) if text))
    place = f"{safe(finding.evidence)}: " if finding.evidence else ""
    yield f"  {ids:<10} {place}{safe(finding.message)}"
    yield f"  {'':<10} -> {safe(finding.remedy)}"
