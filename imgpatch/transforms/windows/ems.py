"""Switches Emergency Management Services off, which EC2 does not support (documents M-14).

In the boot store they are elements of the boot manager, of the settings all inherit, and of each Windows; the
port and its speed stay, since they do nothing by themselves. Before Windows Vista it is `boot.ini`.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.formats import bcd, bootini
from imgpatch.formats.registry import Value
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.hives import open_hive_file
from imgpatch.plan import Context, Edit, Note, Reason
from imgpatch.transforms.windows.hive_draft import HiveDraft

RULE = "M-14"
NAMES = {bcd.BOOT_EMS: "bootems", bcd.EMS: "ems"}


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    windows = context.inspection.windows
    assert windows is not None
    for path in windows.boot_stores:
        draft = HiveDraft(open_hive_file(guest, path, force=context.choices.force_dirty_hives))
        for element in bcd.read(draft.root).switched_on(*NAMES):
            text = f"{element.path}: {NAMES[element.number]} is on, and EC2 has no serial console for it"
            off = Value("Element", element.value.type, bytes(len(element.value.data)))
            draft.set_value(element.path, off, Reason(RULE, text))
        yield from draft.edits()
    if windows.boot_ini is not None:
        data = guest.read(windows.boot_ini) or b""
        after, changed = bootini.without(data, (b"redirect",), (b"redirect", b"redirectbaudrate"))
        if changed:
            reasons = tuple(Reason(RULE, f"line {line.number}: EMS is switched off") for line in changed)
            yield Edit(windows.boot_ini, after, reasons)
