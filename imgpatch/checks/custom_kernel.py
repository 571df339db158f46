"""The default kernel is the distribution's own (documents R-65)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.checks.supported_kernel import default_release
from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

_DPKG = "/var/lib/dpkg/info"


def applies(inspection: Inspection) -> bool:
    """What dpkg installed; of rpm's database nothing is read."""
    return inspection.windows is None and inspection.system.is_like("debian", "ubuntu")


def findings(machine: Machine) -> Iterable[Finding]:
    release, path = default_release(machine.inspection)
    if release is None or not machine.guest.exists(_DPKG):
        return
    packages = [
        f"{_DPKG}/linux-image-{p}{release}{s}.list" for p in ("", "unsigned-") for s in ("", "-unsigned")
    ]
    if not any(machine.guest.exists(package) for package in packages):
        yield Finding(
            "R-65",
            Severity.MAY_NOT_BOOT,
            f"no package of the guest has the kernel {release}: custom kernels may not migrate",
            "boot a kernel of the distribution by default",
            path=path,
        )
