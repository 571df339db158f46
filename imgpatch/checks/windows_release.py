"""The Windows is on the list, in the language that is asked for (E-15; documents R-27, R-60, R-68, R-70)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.release import Release

ENGLISH = 0x409
NEEDS_UEFI = "Windows 11"
NANO = "Nano Server"
_BITS = {"i386": 32, "x86_64": 64}
_OTHER = "move to a Windows of the list; a snapshot import would lose the platform and the licence"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def findings(machine: Machine) -> Iterable[Finding]:
    windows = machine.inspection.windows
    if windows is None:
        return
    release = windows.release
    path = f"{windows.folder}/System32/config/SOFTWARE"
    rows = {row.name: row for row in machine.edition.windows}
    row = rows.get(release.generation)
    if row is None:
        text = f"{release.generation} (build {release.build}) is not in the table of the edition"
        yield Finding(
            "R-60", Severity.FAILS, f"{text} {machine.edition.name}", _OTHER, error="E-15", path=path
        )
    elif _BITS.get(release.architecture or "", 64) not in row.bits:
        text = f"{release.generation} of 32 bit, and only that of 64 bit is listed"
        yield Finding("R-60", Severity.FAILS, text, _OTHER, path=path)
    yield from _kind(release, path)
    if release.generation == NEEDS_UEFI and machine.inspection.firmware != "uefi":
        text = f"{NEEDS_UEFI} needs UEFI, and the disks boot by the BIOS"
        yield Finding("R-27", Severity.MAY_NOT_BOOT, text, "install it anew with UEFI", path=path)


def _kind(release: Release, path: str) -> Iterator[Finding]:
    if release.installation == NANO:
        text = "Nano Server is not supported"
        yield Finding("R-70", Severity.FAILS, text, "install a full server, or Server Core", path=path)
    if not release.is_server and release.language not in (ENGLISH, None):
        text = (
            f"a client of Windows in the language {release.language:#06x}, and US English (0x0409) was wanted"
        )
        yield Finding("R-68", Severity.FAILS, text, "install the US English Windows", path=path)
