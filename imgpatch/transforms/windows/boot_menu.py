"""Warns of what stands in the boot configuration of Windows and is left (documents R-28).

Entries are never changed but for EMS: which devices they name is the surest way to break them.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.plan import OWN_RULE, Context, Edit, Note, NoteKind

SWITCHES = {
    "safe mode": "it starts in safe mode, without the network or the services that an import needs",
    "debugger": "it waits for a kernel debugger, or slows down for one",
    "test signing": "it loads drivers that are signed for tests",
}


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:  # noqa: ARG001
    windows = context.inspection.windows
    assert windows is not None
    if not windows.boot_menus:
        text = "no boot configuration was found, neither a boot store nor boot.ini: Windows cannot start"
        yield Note(NoteKind.WARNING, "R-32", text)
    for path in windows.damaged_stores:
        text = f"{path} is damaged and left as it is: the machine starts from {windows.boot_stores[0]}"
        yield Note(NoteKind.WARNING, OWN_RULE, text)
    for menu in windows.boot_menus:
        if len(menu.entries) > 1:
            text = (
                f"{menu.path}: the boot menu offers {len(menu.entries)} systems ({', '.join(menu.entries)})"
            )
            yield Note(NoteKind.WARNING, "R-28", text)
        for switch in menu.switches:
            if switch in SWITCHES:
                yield Note(NoteKind.WARNING, OWN_RULE, f"{menu.path}: {SWITCHES[switch]}")
