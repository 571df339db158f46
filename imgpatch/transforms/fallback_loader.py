r"""The ESP of a UEFI guest has \EFI\BOOT\BOOTX64.EFI, the only loader EC2 starts (documents R-33, M-21).

A Debian guest without it gets a copy of its GRUBX64.EFI, which finds its configuration by a fixed path of
its own. The loaders of other distributions may look beside themselves, so nothing is made up for them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from imgpatch.guest import Guest, Kind
from imgpatch.inspection import ESP_TYPES, Inspection
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason

FALLBACK = "EFI/BOOT/BOOTX64.EFI"
DEBIAN_GRUB = "EFI/debian/GRUBX64.EFI"
_USUAL_MOUNTS = ("/boot/efi", "/efi", "/boot")


def applies(inspection: Inspection) -> bool:
    """UEFI guests."""
    return inspection.firmware == "uefi" and inspection.windows is None


def edits(guest: Guest, context: Context) -> Iterable[Edit | Note]:
    esp = esp_mount(guest)
    if esp is None:
        yield Note(
            NoteKind.WARNING,
            "R-33",
            f"the EFI system partition is not in fstab, so it is not known whether it has {FALLBACK}",
        )
        return
    fallback = posixpath.join(esp, FALLBACK)
    if guest.exists(fallback):
        return
    grub = posixpath.join(esp, DEBIAN_GRUB)
    debian = context.inspection.system.id == "debian"
    if context.edition.debian_fallback_loader and debian and _is_program(guest, grub):
        text = f"{fallback} is missing; it becomes a copy of {grub}"
        yield Edit(fallback, guest.read(grub), (Reason("M-21", text),))
        return
    yield Note(NoteKind.WARNING, "R-33", f"{fallback} is missing: the guest will not boot on EC2 by UEFI")


def esp_mount(guest: Guest) -> str | None:
    """Where the EFI system partition is mounted."""
    points = sorted(p for p, device in guest.storage.mounts.items() if device.parttype in ESP_TYPES)
    usual = [point for point in _USUAL_MOUNTS if point in points]
    return next(iter([*usual, *points]), None)


def _is_program(guest: Guest, path: str) -> bool:
    """Whether it is there and begins as a program of UEFI does."""
    stat = guest.stat(path)
    return stat is not None and stat.kind is Kind.FILE and (guest.read(path) or b"")[:2] == b"MZ"
