"""Takes drivers that cannot be loaded out of the filters of disks, volumes and their controllers (M-13).

A class of devices may name drivers that sit above or below each of its devices. Where one of them cannot be
loaded, no device of the class starts, and Windows stops with 0x7B; on the old machine that shows only in
classes it has devices of, and EC2's IDE controller may be of another. Filters that can be loaded stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.formats.registry import Key, Type, Value
from imgpatch.guest import Guest
from imgpatch.inspection.windows import control_sets
from imgpatch.inspection.windows.boot_drivers import DISABLED, SERVICES, read_service
from imgpatch.plan import Context, Note, Reason
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


def ask(draft: HiveDraft, guest: Guest, context: Context) -> tuple[Note, ...]:
    windows = context.inspection.windows
    assert windows is not None
    for name in control_sets(draft.root):
        classes = draft.root.at(f"{name}\\Control\\Class")
        drivers = _Drivers(draft, f"{name}\\{SERVICES}", guest, windows.folder)
        for guid in CLASSES if classes is not None else ():
            assert classes is not None
            key = classes.at(guid)
            for value in VALUES if key is not None else ():
                assert key is not None
                _filters(draft, key, value, drivers, CLASSES[guid])
    return ()


@dataclass(frozen=True, slots=True)
class _Drivers:
    """Those of a control set, as they will be."""

    draft: HiveDraft
    services: str
    guest: Guest
    folder: str

    def fault(self, name: str) -> str | None:
        """Why one cannot be loaded; None: it can."""
        where = f"{self.services}\\{name}"
        key, start = self.draft.root.at(where), self.draft.value(where, "Start")
        if key is None and start is None:
            return "is not installed"
        if start is not None and start.number == DISABLED:
            return "is disabled"
        missing = key is not None and read_service(key, self.guest, self.folder).present is False
        return "has no file" if missing else None


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
