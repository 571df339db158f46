"""Gathers what is asked of the SYSTEM hive and makes it at once: drivers, network, advice (M-07, M-11, M-13).

A large hive takes a second to write and to verify, however little of it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from imgpatch.guest import Guest
from imgpatch.inspection import Inspection
from imgpatch.inspection.windows.hives import open_hive
from imgpatch.plan import Context, Edit, Note
from imgpatch.transforms.windows import advice, boot_drivers, class_filters, network, storage_drivers
from imgpatch.transforms.windows.hive_draft import HiveDraft


class Part(Protocol):
    """A module that wants something of the hive."""

    def ask(self, draft: HiveDraft, guest: Guest, context: Context) -> Iterable[Edit | Note]:
        """Puts it into the draft; what it wants besides comes back."""


PARTS: tuple[Part, ...] = (
    boot_drivers,
    class_filters,  # after it: a driver that was disabled may be needed now
    network,
    advice,
    storage_drivers,
)


def applies(inspection: Inspection) -> bool:
    return inspection.windows is not None


def edits(guest: Guest, context: Context) -> Iterator[Edit | Note]:
    return asked_by(PARTS, guest, context)


def asked_by(parts: Sequence[Part], guest: Guest, context: Context) -> Iterator[Edit | Note]:
    draft = HiveDraft(open_hive(guest, "SYSTEM", force=context.choices.force_dirty_hives))
    besides = [item for part in parts for item in part.ask(draft, guest, context)]
    yield from draft.edits()
    yield from besides
