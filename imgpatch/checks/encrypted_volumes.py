"""Encrypted volumes, which are not supported (documents R-43).

An encrypted root is not even opened; here are those beside a root that can be read.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import Inspection

TYPES = frozenset({"crypto_LUKS", "BitLocker"})


def applies(_inspection: Inspection) -> bool:
    return True


def findings(machine: Machine) -> Iterable[Finding]:
    if machine.edition.has("R-43"):
        for device in machine.storage.devices:
            if device.fstype in TYPES:
                yield Finding(
                    "R-43",
                    Severity.UNKNOWN,
                    "an encrypted volume beside the root: not supported, and nowhere is told what "
                    "the service does with it",
                    "decrypt it in the guest, or leave its disk out and import that as a snapshot",
                    path=device.name,
                )
