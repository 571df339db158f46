"""The kernels of the guest and which drivers of the target each of them has, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from imgpatch.guest import Guest
from imgpatch.inspection.bootloader import Bootloader
from imgpatch.target import Target


class Presence(StrEnum):
    BUILT_IN = "built in"
    MODULE = "module"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class DriverState:
    """One driver of the target in one kernel.

    Attributes:
        module: the driver's name in the target's table.
        presence: in this kernel at all.
        in_initramfs: None where it does not apply (built in, absent, no readable initramfs).
    """

    module: str
    presence: Presence
    in_initramfs: bool | None


@dataclass(frozen=True, slots=True)
class Kernel:
    """One installed kernel.

    Attributes:
        release: as `uname -r` would print it.
        image: path of the kernel.
        modules: its folder of modules, None where there is none.
        initramfs: path of its initramfs, None where there is none.
        initramfs_problem: why the initramfs cannot be read, None where it can.
        default: whether it is the one the boot loader starts.
    """

    release: str
    image: str
    modules: str | None
    initramfs: str | None
    initramfs_problem: str | None
    drivers: tuple[DriverState, ...]
    default: bool


def inspect_kernels(guest: Guest, bootloader: Bootloader | None, target: Target) -> tuple[Kernel, ...]:
    """All installed kernels, newest first."""
    raise NotImplementedError(guest, bootloader, target)
