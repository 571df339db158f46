r"""The EFI system partition has \EFI\Boot\bootx64.efi, since EC2's firmware has no entry of the old one.

What boots a machine whose firmware has no entry is that path alone (UEFI specification 3.5.1.1), and the
entries of the old firmware stay behind. The documents have it for Debian only (M-21); Windows' own boot
manager is the same file under both names.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.hives import SYSTEM_PARTITION
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind, Reason

MANAGER = f"{SYSTEM_PARTITION}/EFI/Microsoft/Boot/bootmgfw.efi"
NAMES = {"x86_64": "bootx64.efi", "aarch64": "bootaa64.efi", "i386": "bootia32.efi"}


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None and inspection.firmware == "uefi"


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    windows = context.inspection.windows
    assert windows is not None
    path = f"{SYSTEM_PARTITION}/EFI/Boot/{NAMES.get(windows.release.architecture or '', 'bootx64.efi')}"
    if guest.exists(path):
        return
    manager = guest.read(MANAGER)
    if manager is None or manager[:2] != b"MZ":
        text = f"{path} is missing, and so is Windows' boot manager: EC2 cannot start this guest by UEFI"
        yield Note(NoteKind.WARNING, "R-33", text)
        return
    text = f"{path} is missing; it becomes a copy of {guest.resolve(MANAGER)}: EC2 starts only that"
    yield Edit(path, manager, (Reason(OWN_RULE, text),))
