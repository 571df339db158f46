"""A Windows guest: what of it is not checked is said to be unknown."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def findings(_machine: Machine) -> Iterable[Finding]:
    yield Finding(
        "imgpatch",
        Severity.UNKNOWN,
        "a Windows system, of which only disks and processor are checked: it may not come up",
        "go through the guide's list of what to configure before the export",
    )
