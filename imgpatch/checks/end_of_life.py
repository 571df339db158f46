"""Systems past their end of life, which are discouraged and not tested (documents R-74)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.matrix import numbers


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    if not machine.edition.has("R-74"):
        return
    system = machine.inspection.system
    name = next((row.name for row in machine.edition.linux if row.id == system.id), None)
    version = numbers(system.version)
    for listed in machine.edition.end_of_life.get(name or "", ()):
        wanted = numbers(listed)
        if version[: len(wanted)] == wanted:
            text = f"{name} {listed} is past its end of life: strongly discouraged, and not tested"
            yield Finding("R-74", Severity.ADVICE, text, "move to a release that is still maintained")
