"""The processor the system is made for: x86-64 (documents R-62, R-63, R-64)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

_64_BIT = "x86_64"
_32_BIT = frozenset({"i386", "i686"})


def applies(_inspection: Inspection) -> bool:
    return True


def findings(machine: Machine) -> Iterable[Finding]:
    architecture = machine.inspection.system.architecture
    stops = machine.edition.i386_stops
    if architecture is None:
        text = "for which processor the system is made is not told by its programs; x86-64 was wanted"
        yield Finding("R-62", Severity.UNKNOWN, text, "look at it in the guest: uname -m")
    elif architecture in _32_BIT:
        if machine.inspection.windows is None:
            text = "a 32-bit system, and Linux must be 64-bit"
            yield Finding("R-62", Severity.FAILS, text, "install the system anew for x86-64")
        elif stops is not None:
            text = f"a 32-bit system: its import tasks stop working on {stops}"
            yield Finding("R-64", Severity.FAILS, text, "install the system anew for x86-64")
    elif architecture != _64_BIT:
        arm = architecture in ("aarch64", "arm64")
        text = f"a system for {architecture}, and x86-64 was wanted"
        yield Finding(
            "R-63" if arm else "R-62",
            Severity.FAILS,
            text,
            "use import-snapshot, and register-image with --architecture arm64"
            if arm
            else "it cannot run on EC2",
        )
