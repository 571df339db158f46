"""VMware Tools, which are to be uninstalled before the export (documents R-81)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

PROGRAMS = (
    "/usr/bin/vmtoolsd",
    "/usr/sbin/vmtoolsd",
    "/usr/lib/vmware-tools/sbin/vmtoolsd",
    "/etc/vmware-tools/locations",
)


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    path = next((path for path in PROGRAMS if machine.guest.exists(path)), None)
    if path is not None:
        text = "VMware Tools are installed, and the documents ask to uninstall them"
        remedy = "in the guest: remove open-vm-tools, or vmware-uninstall-tools.pl"
        yield Finding("R-81", Severity.ADVICE, text, remedy, path=path)
