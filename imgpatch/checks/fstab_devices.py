"""What fstab mounts is there, and named by what does not change (documents R-50, M-03, M-04)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch import devices
from imgpatch.finding import Finding, Machine, Severity
from imgpatch.formats import fstab
from imgpatch.inspection import Inspection

_OPTIONAL = frozenset({"nofail", "noauto", "nobootwait"})
_NO_WAIT = frozenset({"swap", "none", "ignore"})
_APPLY = "imgpatch apply does it"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    for number, line in enumerate(fstab.parse(machine.guest.text("/etc/fstab") or ""), 1):
        spec = fstab.decode(line.fs_spec)
        if not line.is_entry or devices.naming(spec) is devices.Naming.OTHER:
            continue
        optional = bool(_OPTIONAL & {*line.options}) or not {line.fs_vfstype, line.fs_file}.isdisjoint(
            _NO_WAIT
        )
        missing = devices.resolve(spec, machine.storage) is None
        if missing and not optional:
            root = line.fs_file == "/"
            yield Finding(
                "R-50",
                Severity.MAY_NOT_BOOT,
                f"{line.fs_file} is on {spec}, which the disks given do not have: the boot would wait for it",
                f"{'name the root by its UUID' if root else 'add nofail'}; {_APPLY}",
                path="/etc/fstab",
                line=number,
                transform="fstab",
            )
        elif not optional and devices.is_device_name(spec) and not spec.startswith("/dev/disk/by-uuid/"):
            yield Finding(
                "R-50",
                Severity.ADVICE,
                f"{spec} is a name that other hardware gives to another disk; a UUID was wanted",
                f"name it by its UUID; {_APPLY}, and the service too",
                path="/etc/fstab",
                line=number,
                transform="fstab",
            )
