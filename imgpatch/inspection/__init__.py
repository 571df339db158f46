"""What is installed in a guest: pure, over its files."""

from __future__ import annotations

from dataclasses import dataclass

from imgpatch.guest import Guest
from imgpatch.inspection.boot_mode import BIOS_BOOT_TYPE as BIOS_BOOT_TYPE
from imgpatch.inspection.boot_mode import ESP_TYPES as ESP_TYPES
from imgpatch.inspection.boot_mode import firmware as firmware
from imgpatch.inspection.bootloader import Bootloader, inspect_bootloader
from imgpatch.inspection.kernels import Kernel, inspect_kernels
from imgpatch.inspection.network import Network, inspect_network
from imgpatch.inspection.system import OperatingSystem, inspect_system
from imgpatch.inspection.windows import Windows, inspect_windows
from imgpatch.target import Target


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts everything else decides by.

    Attributes:
        firmware: `bios` or `uefi`.
        windows: None for a Linux guest; a Windows guest has no boot loader, kernels or network stacks.
    """

    system: OperatingSystem
    firmware: str
    bootloader: Bootloader | None
    kernels: tuple[Kernel, ...]
    network: Network
    windows: Windows | None = None

    @property
    def default_kernel(self) -> Kernel | None:
        return next((kernel for kernel in self.kernels if kernel.default), None)


def inspect(guest: Guest, target: Target, *, force_dirty_hives: bool = False) -> Inspection:
    """Reads a guest.

    Raises:
        UnsupportedGuestError: it is nothing imgpatch can treat.
        RefusedError: a registry hive is damaged, or dirty with logs that are of no use.
    """
    windows = inspect_windows(guest, force=force_dirty_hives)
    if windows is not None:
        return Inspection(
            _windows_system(windows), firmware(guest.storage), None, (), Network((), ()), windows
        )
    bootloader = inspect_bootloader(guest)
    return Inspection(
        system=inspect_system(guest),
        firmware=firmware(guest.storage),
        bootloader=bootloader,
        kernels=inspect_kernels(guest, bootloader, target),
        network=inspect_network(guest),
    )


def _windows_system(windows: Windows) -> OperatingSystem:
    release = windows.release
    major, minor = release.version
    return OperatingSystem(
        id="windows",
        id_like=(),
        version=f"{major}.{minor}.{release.build}",
        name=release.generation,
        architecture=release.architecture,
    )
