"""What the EC2 side needs of a guest: a table of drivers, one row a driver."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """The two families of EC2 instance types an import must boot on."""

    XEN = "Xen HVM"
    NITRO = "Nitro"


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver of the Linux kernel that a family needs.

    Attributes:
        module: the module's name, '-' for '_' as modprobe has it.
        config: the kernel's configuration symbol.
        boot: needed to reach the root file system, so it must be in the initramfs.
        old_names: what the same driver was called in 2.6.18 and 2.6.32 kernels.
        bus: the driver of the bus it sits on, which some kernels have as a module that no symbol asks for.
    """

    module: str
    config: str
    family: Family
    purpose: str
    boot: bool
    old_names: tuple[str, ...] = ()
    bus: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    drivers: tuple[Driver, ...]


XEN_PLATFORM = "xen-platform-pci"
"""The PCI device by which a fully virtualized guest of Xen finds the devices of Xen (CONFIG_XEN_PVHVM)."""

EC2 = Target(
    drivers=(
        Driver(
            "xen-blkfront",
            "CONFIG_XEN_BLKDEV_FRONTEND",
            Family.XEN,
            "disk",
            True,
            ("xen-vbd", "xenblk"),
            XEN_PLATFORM,
        ),
        Driver(
            "xen-netfront",
            "CONFIG_XEN_NETDEV_FRONTEND",
            Family.XEN,
            "network",
            False,
            ("xen-vnif", "xennet"),
            XEN_PLATFORM,
        ),
        Driver("nvme", "CONFIG_BLK_DEV_NVME", Family.NITRO, "disk", True),
        Driver("ena", "CONFIG_ENA_ETHERNET", Family.NITRO, "network", False),
    )
)
