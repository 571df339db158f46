"""The partition tables, where the edition or the call does not take each (documents R-21, R-23, R-24)."""

from __future__ import annotations

from collections.abc import Iterable

from imgpatch.finding import Finding, Machine, Operation, Severity
from imgpatch.inspection import ESP_TYPES, Inspection

_SNAPSHOT = "use import-snapshot and register-image, which take any disk"


def applies(_inspection: Inspection) -> bool:
    return True


def findings(machine: Machine) -> Iterable[Finding]:
    if machine.operation is Operation.INSTANCE:
        yield from _root_volume(machine)
    elif machine.inspection.windows is None:
        yield from _linux(machine)


def _root_volume(machine: Machine) -> Iterable[Finding]:
    if any(disk.table == "gpt" for disk in machine.storage.disks[:1]):
        text = "a GPT, and an MBR was wanted on the disk it boots from"
        yield Finding("R-23", Severity.FAILS, text, "use ImportImage", error="E-08", path="disk 1")


def _linux(machine: Machine) -> Iterable[Finding]:
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
