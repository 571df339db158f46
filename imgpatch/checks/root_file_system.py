"""The root file system is of a type that the service reads (documents R-40)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

TYPES = frozenset({"ext2", "ext3", "ext4", "btrfs", "jfs", "xfs"})


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    root = machine.storage.mounts.get("/")
    if root is not None and root.fstype not in TYPES:
        found = root.fstype or "of no type that is known"
        yield Finding(
            "R-40",
            Severity.FAILS,
            f"the root is {found}, and one of {', '.join(sorted(TYPES))} was wanted",
            "move the system to ext4 or XFS, or use import-snapshot and register-image",
            error="E-15",
            path=root.name,
        )
