"""The system can be recognised: release files at the top of the root (E-15; documents R-60)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

RELEASE_FILES = (
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/redhat-release",
    "/etc/SuSE-release",
    "/etc/debian_version",
    "/etc/lsb-release",
    "/etc/system-release",
)


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    default = machine.inspection.bootloader and machine.inspection.bootloader.default
    if default and any(word.startswith("ostree=") for word in default.cmdline.split()):
        yield Finding(
            "R-60",
            Severity.FAILS,
            "the root is an ostree deployment (ostree= on the kernel command line): no /etc is at the top of "
            "the file system",
            "this never passes: use import-snapshot and register-image",
            error="E-15",
            path=default.source,
        )
    elif not any(machine.guest.exists(path) for path in RELEASE_FILES):
        yield Finding(
            "R-60",
            Severity.FAILS,
            f"no file says which system this is; one of {', '.join(RELEASE_FILES)} was wanted",
            "if it is a system of the list, give it its release files back; else use the snapshot route",
            error="E-15",
            path="/",
        )
