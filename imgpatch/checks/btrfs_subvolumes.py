"""Btrfs subvolumes, which are not supported (documents R-41).

A root in one is refused on opening, and the service does not find it either; here are those that fstab
mounts, or the kernel command line names, of a root that can be read.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.formats import fstab
from imgpatch.inspection import Inspection

OPTIONS = ("subvol=", "subvolid=")
_REMEDY = "move what is in the subvolume to the top level, or to ext4 or XFS; or use the snapshot route"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    if not machine.edition.has("R-41"):
        return
    for number, line in enumerate(fstab.parse(machine.guest.text("/etc/fstab") or ""), 1):
        option = next((o for o in line.options if o.startswith(OPTIONS)), None)
        if line.fs_vfstype == "btrfs" and option is not None:
            root = line.fs_file == "/"
            yield Finding(
                "R-41",
                Severity.FAILS if root else Severity.UNKNOWN,
                f"{line.fs_file} is a Btrfs subvolume ({option}), and those are not supported"
                + ("" if root else "; what the service does with one that is not the root is nowhere told"),
                _REMEDY,
                error="E-15" if root else None,
                path="/etc/fstab",
                line=number,
            )
