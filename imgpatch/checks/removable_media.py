"""CD-ROM and floppy drives, which are to be disconnected (documents R-82)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.formats import fstab
from imgpatch.inspection import Inspection

_DRIVES = re.compile(r"/dev/(?:cdrom|cdrw|dvd|dvdrw|sr\d+|scd\d+|fd\d+|floppy)\w*")


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    for number, line in enumerate(fstab.parse(machine.guest.text("/etc/fstab") or ""), 1):
        if line.is_entry and _DRIVES.fullmatch(line.fs_spec):
            text = f"{line.fs_spec} is a drive that EC2 does not have"
            remedy = "disconnect the drive from the source machine before the export, and delete the line"
            yield Finding("R-82", Severity.ADVICE, text, remedy, path="/etc/fstab", line=number)
