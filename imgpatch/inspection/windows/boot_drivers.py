"""The drivers that Windows loads before it has its disk, and which of those that EC2 needs are among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imgpatch.formats.registry import Key
from imgpatch.guest import Guest
from imgpatch.target import Family

BOOT_START = 0
DISABLED = 4

SERVICES = "Services"
CRITICAL_DEVICES = "Control\\CriticalDeviceDatabase"
START_OVERRIDE = "StartOverride"


@dataclass(frozen=True, slots=True)
class Service:
    """A driver as its key says.

    Attributes:
        start: 0 by the boot loader, 1 by the kernel, 2 and 3 later, 4 never; None where nothing says.
        overridden: on the hardware Windows last ran on it does not start at boot, whatever `start` says.
        present: whether its file is there; None where the key names none.
    """

    name: str
    start: int | None
    overridden: bool
    present: bool | None

    @property
    def starts_at_boot(self) -> bool:
        return self.start == BOOT_START and not self.overridden and self.present is not False


@dataclass(frozen=True, slots=True)
class Need:
    """What one family of EC2 needs to find the disk: one of the drivers.

    Attributes:
        services: any one of these does, the usual one first.
        found: those that are installed.
    """

    family: Family
    purpose: str
    services: tuple[str, ...]
    found: tuple[Service, ...] = ()

    @property
    def met(self) -> bool:
        return any(service.starts_at_boot for service in self.found)


NEEDS = (
    Need(Family.XEN, "disk controller (emulated IDE, PIIX3)", ("intelide", "pciide")),
    Need(Family.XEN, "disk channel (emulated IDE)", ("atapi",)),
    Need(Family.NITRO, "disk (NVMe)", ("stornvme", "AWSNVMe")),
)
"""What a family's machine has between the firmware and the volume; network drivers come with the agents."""

NETWORK = (
    Need(Family.XEN, "network (AWS PV, Citrix PV)", ("xenvif", "xennet", "rhelnet")),
    Need(Family.NITRO, "network (ENA)", ("ena",)),
)


def services(control: Key) -> Iterator[Key]:
    """All services and drivers of a control set."""
    found = control.at(SERVICES)
    if found is not None:
        yield from found.subkeys.values()


def read_service(key: Key, guest: Guest, folder: str) -> Service:
    start = key.value("Start")
    override = key.at(START_OVERRIDE)
    return Service(
        name=key.name,
        start=None if start is None else start.number,
        overridden=override is not None and any(v.number != BOOT_START for v in override.values.values()),
        present=_present(key, guest, folder),
    )


def read_needs(control: Key, guest: Guest, folder: str, needs: tuple[Need, ...]) -> tuple[Need, ...]:
    """Each need with those of its drivers that are installed."""
    found = control.at(SERVICES)
    keys = {} if found is None else found.subkeys
    return tuple(
        Need(
            need.family,
            need.purpose,
            need.services,
            tuple(read_service(keys[n.lower()], guest, folder) for n in need.services if n.lower() in keys),
        )
        for need in needs
    )


def _present(key: Key, guest: Guest, folder: str) -> bool | None:
    """ImagePath is below the folder of Windows unless it begins otherwise; without one it is in drivers."""
    value = key.value("ImagePath")
    text = value.text.strip() if value is not None else ""
    words = (text or f"system32\\drivers\\{key.name}.sys").strip('"').replace("\\", "/")
    lowered = words.lower()
    for prefix in ("/systemroot/", "%systemroot%/", "%windir%/"):
        if lowered.startswith(prefix):
            words = words[len(prefix) :]
    if words.startswith(("/??/", "/")) or ":" in words:
        return None
    # Where Windows compresses its files (CompactOS), NTFS of Linux shows them as links that lead nowhere.
    return guest.stat(f"{folder}/{words}", follow=False) is not None
