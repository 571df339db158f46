"""Takes drivers that cannot be loaded out of the filters of disks, volumes and their controllers (M-13).

A class of devices may name drivers that sit above or below each of its devices. Where one of them cannot be
loaded, no device of the class starts, and Windows stops with 0x7B; on the old machine that shows only in
classes it has devices of, and EC2's IDE controller may be of another. Filters that can be loaded stay.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgpatch.formats.registry import Key, Type, Value
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows import Windows, control_sets
from imgpatch.inspection.windows.boot_drivers import DISABLED, SERVICES, read_service
from imgpatch.inspection.windows.hives import open_hive
from imgpatch.plan import Context, Edit, Note, Reason
from imgpatch.transforms.windows.hive_draft import HiveDraft, wide_list

RULE = "M-13"
CLASSES = {
    "{4d36e967-e325-11ce-bfc1-08002be10318}": "disks",
    "{4d36e96a-e325-11ce-bfc1-08002be10318}": "IDE controllers",
    "{4d36e97b-e325-11ce-bfc1-08002be10318}": "storage controllers",
    "{71a27cdd-812a-11d0-bec7-08002be2092f}": "volumes",
    "{4d36e97d-e325-11ce-bfc1-08002be10318}": "system devices",
}
VALUES = ("UpperFilters", "LowerFilters")


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    windows = context.inspection.windows
    assert windows is not None
    draft = HiveDraft(open_hive(guest, "SYSTEM", force=context.choices.force_dirty_hives))
    for name in control_sets(draft.root):
        control = draft.root.at(name)
        classes = None if control is None else control.at("Control\\Class")
        for guid in CLASSES if classes is not None else ():
            assert control is not None
            assert classes is not None
            key = classes.at(guid)
            for value in VALUES if key is not None else ():
                assert key is not None
                _filters(draft, key, value, _Drivers(control, guest, windows), CLASSES[guid])
    yield from draft.edits()


class _Drivers:
    """Why a driver of a control set cannot be loaded."""

    def __init__(self, control: Key, guest: Guest, windows: Windows) -> None:
        self._services = control.at(SERVICES)
        self._guest = guest
        self._folder = windows.folder

    def fault(self, name: str) -> str | None:
        """None: it can be loaded."""
        key = None if self._services is None else self._services.subkeys.get(name.lower())
        if key is None:
            return "is not installed"
        service = read_service(key, self._guest, self._folder)
        if service.start == DISABLED:
            return "is disabled"
        return "has no file" if service.present is False else None


def _filters(draft: HiveDraft, key: Key, name: str, drivers: _Drivers, of: str) -> None:
    value = key.value(name)
    if value is None or value.type != Type.MULTI_SZ:
        return
    faults = {text: fault for text in value.texts if (fault := drivers.fault(text)) is not None}
    if not faults:
        return
    left = [text for text in value.texts if text not in faults]
    said = ", ".join(f"{text} {fault}" for text, fault in faults.items())
    reason = Reason(RULE, f"{key.path}: {said}, and as a filter ({name}) it would stop all {of}")
    if left:
        draft.set_value(key.path, Value(name, Type.MULTI_SZ, wide_list(left)), reason)
    else:
        draft.drop_value(key, name, reason)
