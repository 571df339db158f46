"""The LVM volume groups are whole (E-25; documents R-44)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    for group in machine.storage.incomplete_groups:
        yield Finding(
            "R-44",
            Severity.FAILS,
            "physical volumes of this group are not on the disks given",
            "give every disk of the machine; or in the guest: vgreduce --removemissing",
            error="E-25",
            path=f"volume group {group}",
        )
