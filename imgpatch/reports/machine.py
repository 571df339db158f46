"""What was found in a machine, as text for people: disks, system, boot loader, kernels, network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from imgpatch import edition
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import Bootloader
from imgpatch.inspection.kernels import DriverState, Kernel, Presence
from imgpatch.inspection.network import Network, Nic
from imgpatch.reports import windows
from imgpatch.reports.licence import licence, told
from imgpatch.reports.terminal import BOLD, painted, safe
from imgpatch.storage import Device, Storage

_TABLES = {"gpt": "GPT", "dos": "MBR", None: "no partition table"}
_KNOWN = frozenset({"system", "firmware", "bootloader", "kernels", "network", "windows"})
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


class DiskFile(Protocol):
    """Where a disk of the machine is kept; the format as qemu names it."""

    @property
    def name(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def variety(self) -> str: ...
    @property
    def size(self) -> int: ...


class Found(Protocol):
    """What is known of a machine; `messages` is what opening its disks brought up."""

    @property
    def images(self) -> Sequence[DiskFile]: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def inspection(self) -> Inspection: ...
    @property
    def messages(self) -> Sequence[str]: ...


def render_inspection(found: Found, *, colour: bool = False) -> str:
    """Sections in the order in which a machine comes up."""
    inspection = found.inspection
    system = inspection.system
    release = " ".join(part for part in (system.id, system.version, system.architecture) if part)
    sections: list[tuple[str, list[str]]] = [
        ("Disks", list(_storage(found.storage, found.images))),
        ("Firmware", [inspection.firmware.upper()]),
        ("System", [f"{system.name} ({release})", f"licence: {told(licence(inspection, edition.load()))}"]),
        *(_linux(inspection) if inspection.windows is None else windows.sections(inspection.windows)),
    ]
    more = [field.name for field in dataclasses.fields(inspection) if field.name not in _KNOWN]
    sections += [(name.replace("_", " ").capitalize(), _lines(getattr(inspection, name))) for name in more]
    sections.append(("Messages", list(found.messages)))
    text = []
    for title, lines in sections:
        if lines:
            text += [painted(title, BOLD, wanted=colour), *(f"  {safe(line)}" for line in lines), ""]
    return "\n".join(text)


def _linux(inspection: Inspection) -> list[tuple[str, list[str]]]:
    return [
        ("Boot loader", list(_bootloader(inspection.bootloader))),
        ("Kernels", [*_kernels(inspection.kernels), *_ena_support(inspection.kernels)] or ["none found"]),
        ("Network", list(_network(inspection.network))),
    ]


def _storage(storage: Storage, images: Sequence[DiskFile]) -> Iterator[str]:
    points: dict[Device, list[str]] = {}
    for point, device in storage.mounts.items():
        points.setdefault(device, []).append(point)
    for index, disk in enumerate(storage.disks):
        yield f"disk {index + 1}: {_size(disk.size)}, {_TABLES.get(disk.table, disk.table)}"
        yield from (f"  {_kept(image)}" for image in images[index : index + 1])
        for device in storage.devices:
            if device.disk == index:
                name = "whole disk" if device.partition is None else f"partition {device.partition}"
                yield _device(name, device, points)
    volumes = [device for device in storage.devices if device.disk is None]
    if volumes:
        yield "volumes"
    for device in volumes:
        yield _device(device.name, device, points)


def _kept(image: DiskFile) -> str:
    """`/srv/vm.ova: disk1.vmdk (vmdk, streamOptimized)`."""
    return f"{image.name} ({', '.join(filter(None, (image.format, image.variety)))})"


def _device(name: str, device: Device, points: Mapping[Device, Sequence[str]]) -> str:
    tags = (("UUID", device.uuid), ("LABEL", device.label), ("PARTLABEL", device.partlabel))
    words = [f"  {name:<14}", f"{_size(device.size):>10}", f"{device.fstype or 'unknown':<12}"]
    words += [f"{tag}={value}" for tag, value in tags if value]
    words += [f"on {point}" for point in sorted(points.get(device, ()))]
    return "  ".join(words)


def _bootloader(bootloader: Bootloader | None) -> Iterator[str]:
    if bootloader is None:
        yield "none found"
        return
    timeout = "unknown" if bootloader.timeout is None else f"{bootloader.timeout} s"
    yield f"{bootloader.kind}: {', '.join(bootloader.configs)} (entries: {len(bootloader.entries)})"
    yield f"timeout:  {timeout}"
    if bootloader.default is None:
        yield "default:  it cannot be told which entry"
        return
    yield f"default:  {bootloader.default.title}"
    yield f"kernel:   {bootloader.default.kernel}"
    yield f"options:  {bootloader.default.cmdline}"


def _kernels(kernels: Sequence[Kernel]) -> Iterator[str]:
    for kernel in kernels:
        yield f"{kernel.release}{' (default)' if kernel.default else ''}"
        yield f"  kernel:     {kernel.image}"
        problem = f", which cannot be read: {kernel.initramfs_problem}" if kernel.initramfs_problem else ""
        yield f"  initramfs:  {kernel.initramfs or 'none'}{problem}"
        for driver in kernel.drivers:
            yield f"    {driver.name or driver.module:<14}{_driver(driver)}"


def _ena_support(kernels: Sequence[Kernel]) -> Iterator[str]:
    """M-22: what the service makes of the drivers that are there; it does not always add them (M-23)."""
    drivers = [driver for kernel in kernels for driver in kernel.drivers if driver.module in ("nvme", "ena")]
    found = dict.fromkeys(driver.module for driver in drivers if driver.presence is not Presence.ABSENT)
    if drivers and found:
        yield f"ENA support of the AMI: the service would set it, having found {', '.join(found)}"
    elif drivers:
        yield "ENA support of the AMI: the service would not set it, with neither nvme nor ena"


def _driver(driver: DriverState) -> str:
    where = {None: "", True: ", in the initramfs", False: ", not in the initramfs"}[driver.in_initramfs]
    return f"{driver.presence}{where if driver.presence is Presence.MODULE else ''}"


def _network(network: Network) -> Iterator[str]:
    yield f"configured by:  {', '.join(network.stacks) or 'nothing known'}"
    for nic in network.nics:
        yield _nic(nic)


def _nic(nic: Nic) -> str:
    names = [name for name in (nic.name, nic.mac) if name]
    kind = "static address" if nic.static else "no static address"
    return f"{' '.join(names) or 'unnamed'}: {kind}, in {', '.join(nic.sources)}"


def _lines(value: object) -> list[str]:
    """Facts that have no layout of their own yet."""
    if value is None or value == () or value == "":
        return []
    if isinstance(value, Mapping):
        return [f"{key}: {item}" for key, item in value.items()]
    return [str(item) for item in value] if isinstance(value, tuple | list) else [str(value)]


def _size(size: int) -> str:
    """Binary units, one decimal: `8.0 GiB`."""
    value = float(size)
    unit = 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{size} {_UNITS[0]}"
