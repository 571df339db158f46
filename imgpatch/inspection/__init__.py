"""What is installed in a guest: pure, over its files."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.guest import Guest
from imgpatch.inspection.bootloader import Bootloader, inspect_bootloader
from imgpatch.inspection.kernels import Kernel, inspect_kernels
from imgpatch.inspection.network import Network, inspect_network
from imgpatch.inspection.system import OperatingSystem, inspect_system
from imgpatch.storage import Storage
from imgpatch.target import Target

ESP_TYPES = frozenset({"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"})
BIOS_BOOT_TYPE = "21686148-6449-6e6f-744e-656564454649"


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts everything else decides by.

    Attributes:
        firmware: `bios` or `uefi`.
    """

    system: OperatingSystem
    firmware: str
    bootloader: Bootloader | None
    kernels: tuple[Kernel, ...]
    network: Network

    @property
    def default_kernel(self) -> Kernel | None:
        return next((kernel for kernel in self.kernels if kernel.default), None)


def inspect(guest: Guest, target: Target) -> Inspection:
    """Reads a guest.

    Raises:
        UnsupportedGuestError: it is nothing imgpatch can treat.
    """
    bootloader = inspect_bootloader(guest)
    return Inspection(
        system=inspect_system(guest),
        firmware=firmware(guest.storage),
        bootloader=bootloader,
        kernels=inspect_kernels(guest, bootloader, target),
        network=inspect_network(guest),
    )


def firmware(storage: Storage) -> str:
    """`uefi` where there is an EFI system partition and no BIOS boot partition beside it."""
    types = {device.parttype for device in storage.devices}
    return "uefi" if types & ESP_TYPES and BIOS_BOOT_TYPE not in types else "bios"
