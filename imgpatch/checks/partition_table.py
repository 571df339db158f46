"""The partition tables of a Linux machine, where the edition does not take each (documents R-21, R-24)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Severity
from imgpatch.inspection import ESP_TYPES, Inspection

_SNAPSHOT = "use import-snapshot and register-image, which take any disk"


def applies(inspection: Inspection) -> bool:
    return inspection.windows is None


def findings(machine: Machine) -> Iterable[Finding]:
    if not machine.edition.uefi_linux:
        for device in machine.storage.devices:
            if device.parttype in ESP_TYPES:
                text = "an EFI system partition, and Linux that boots by UEFI is not taken"
                yield Finding("R-24", Severity.FAILS, text, _SNAPSHOT, error="A25", path=device.name)
                break
    if machine.edition.has("R-21"):
        for number, disk in enumerate(machine.storage.disks, 1):
            if disk.table == "gpt":
                text = "a GPT, and an MBR was wanted on each disk of Linux"
                yield Finding("R-21", Severity.FAILS, text, _SNAPSHOT, path=f"disk {number}")
