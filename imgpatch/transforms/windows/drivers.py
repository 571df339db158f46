r"""Lays the drivers that the user gives where Windows looks for one when it meets new hardware (M-11).

The folder goes to `Drivers\imgpatch` below Windows' own, and `DevicePath` names it. Windows itself installs
what fits, at its first start on EC2; that is the part that cannot be done to files. So a driver for the
network comes in; one for the disk Windows starts from is needed before that (`storage_drivers`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from imgpatch.formats.registry import Type, Value
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.hives import open_hive
from imgpatch.plan import Context, Edit, Note, NoteKind, Reason
from imgpatch.transforms.windows.driver_package import STORAGE_CLASSES, device_class
from imgpatch.transforms.windows.hive_draft import HiveDraft, wide

RULE = "M-11"
FOLDER = "Drivers/imgpatch"
SETTINGS = "Microsoft\\Windows\\CurrentVersion"
USUAL_PATH = "%SystemRoot%\\inf"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    windows = context.inspection.windows
    assert windows is not None
    files = context.choices.drivers
    if not files:
        return
    base = f"{windows.folder}/{FOLDER}"
    for path, data in files:
        there = f"{base}/{path}"
        if guest.read(there) != data:
            yield Edit(there, data, (Reason(RULE, "of the drivers given with --driver-dir"),))
    folders = sorted({posixpath.dirname(path) for path, _ in files if path.lower().endswith(".inf")})
    draft = HiveDraft(open_hive(guest, "SOFTWARE", force=context.choices.force_dirty_hives))
    _device_path(draft, [_as_windows(folder) for folder in folders])
    yield from draft.edits()
    yield from _said(files)


def _as_windows(folder: str) -> str:
    return "\\".join(("%SystemRoot%", *FOLDER.split("/"), *filter(None, folder.split("/"))))


def _device_path(draft: HiveDraft, folders: list[str]) -> None:
    """Each folder with an INF by itself: Windows does not look below those it is given."""
    key = draft.root.at(SETTINGS)
    value = None if key is None else key.value("DevicePath")
    known = USUAL_PATH if value is None or not value.text else value.text
    missing = [f for f in folders if f.lower() not in known.lower().split(";")]
    if missing:
        text = f"{SETTINGS}\\DevicePath: Windows looks for drivers in {', '.join(missing)} too"
        new = Value("DevicePath", Type.EXPAND_SZ, wide(";".join((known, *missing))))
        draft.set_value(SETTINGS, new, Reason(RULE, text))


def _said(files: tuple[tuple[str, bytes], ...]) -> Iterator[Note]:
    for path, data in files:
        kind = device_class(data) if path.lower().endswith(".inf") else None
        if kind is not None and kind.lower() not in STORAGE_CLASSES:
            text = f"{path} ({kind or 'no class'}) is installed by Windows itself when it meets the hardware"
            yield Note(NoteKind.DECISION, RULE, text)
