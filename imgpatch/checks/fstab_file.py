"""/etc/fstab is a regular file that can be read (A46, E-22; documents R-48)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.formats import fstab
from imgpatch.guest import Kind
from imgpatch.inspection import Inspection

PATH = "/etc/fstab"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    stat = machine.guest.stat(PATH, follow=False)
    found = {None: "is missing", Kind.FILE: ""}.get(
        stat.kind if stat else None, f"is a {stat.kind}" if stat else "is missing"
    )
    if stat is not None and stat.kind is Kind.LINK:
        found = f"is a link to {stat.target}"
    if found:
        text = f"{found}, and a regular file was wanted"
        remedy = 'make it a regular file; in NixOS: environment.etc.fstab.mode = "0644"'
        yield Finding("R-48", Severity.FAILS, text, remedy, error="A46", path=PATH)
        return
    data = machine.guest.read(PATH) or b""
    if b"\0" in data:
        text = "holds NUL bytes: it was not written to its end, or is no text"
        yield Finding("R-48", Severity.FAILS, text, "write it anew in the guest", error="E-22", path=PATH)
    elif not any(line.fs_file == "/" for line in fstab.entries(data.decode("utf-8", "surrogateescape"))):
        text = "names no root file system; whether the service needs that is not known"
        yield Finding("R-48", Severity.UNKNOWN, text, "add a line for /", path=PATH)
