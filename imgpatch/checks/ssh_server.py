"""SSH lets the user in: a Linux instance has no other way (documents R-84)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.checks.dhcp_client import is_masked
from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

PROGRAMS = ("/usr/sbin/sshd", "/usr/bin/sshd", "/usr/sbin/dropbear", "/usr/bin/dropbear", "/usr/lib/ssh/sshd")
UNITS = ("sshd.service", "ssh.service")


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    if not any(machine.guest.exists(path) for path in PROGRAMS):
        text = "no SSH server is installed: nobody can log in to the instance"
        yield Finding("R-84", Severity.ADVICE, text, "install openssh-server in the guest")
        return
    masked = [unit for unit in UNITS if is_masked(machine.guest, unit)]
    if masked:
        text = "is masked: nobody can log in to the instance"
        path = f"/etc/systemd/system/{masked[0]}"
        yield Finding("R-84", Severity.ADVICE, text, f"in the guest: systemctl unmask {masked[0]}", path=path)
