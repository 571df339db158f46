"""Which firmware starts the machine, told by its partitions."""

from __future__ import annotations

from imgpatch.storage import Storage

ESP_TYPES = frozenset({"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"})
BIOS_BOOT_TYPE = "21686148-6449-6e6f-744e-656564454649"


def firmware(storage: Storage) -> str:
    """`uefi` where there is an EFI system partition and no BIOS boot partition beside it."""
    types = {device.parttype for device in storage.devices}
    return "uefi" if types & ESP_TYPES and BIOS_BOOT_TYPE not in types else "bios"
