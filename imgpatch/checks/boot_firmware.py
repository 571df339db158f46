"""What the firmware starts: the fallback loader of UEFI, the root on the disk it boots (R-14, R-33)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection
from imgpatch.transforms.fallback_loader import DEBIAN_GRUB, FALLBACK, esp_mount


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    if machine.inspection.firmware == "uefi" and machine.edition.has("R-33"):
        yield from _fallback(machine)
    root = machine.storage.mounts.get("/")
    if root is not None and root.disk not in (None, 0):
        yield Finding(
            "R-14",
            Severity.MAY_NOT_BOOT,
            "the root is not on the first disk, from which the machine boots",
            "give the disk with the root first, or move the root to the disk that boots",
            path=root.name,
        )


def _fallback(machine: Machine) -> Iterator[Finding]:
    esp = esp_mount(machine.guest)
    if esp is None:
        yield Finding(
            "R-33",
            Severity.UNKNOWN,
            f"the EFI system partition is not in fstab, so it was not looked for {FALLBACK} on it",
            "add it to fstab; or look at it in the guest",
        )
        return
    path = posixpath.join(esp, FALLBACK)
    if machine.guest.exists(path):
        return
    by_service = (
        machine.edition.debian_fallback_loader
        and machine.inspection.system.id == "debian"
        and machine.guest.exists(posixpath.join(esp, DEBIAN_GRUB))
    )
    if not by_service:  # else the service makes it itself (M-21)
        yield Finding(
            "R-33",
            Severity.MAY_NOT_BOOT,
            "is missing, and it is the only loader that EC2 starts by UEFI",
            "in the guest: grub-install --removable, or copy shimx64.efi and grubx64.efi to EFI/BOOT",
            path=path,
        )
