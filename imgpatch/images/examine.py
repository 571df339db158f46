"""Disk files as the checks look at them: what their headers say, and what only reading all of one shows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from imgpatch.finding import Archive, Container
from imgpatch.formats.ovf import Appliance
from imgpatch.formats.ovf_hardware import Drive
from imgpatch.images import ova, vmdk
from imgpatch.images.disk import Disk, FileDisk, Image, open_file
from imgpatch.images.sniff import sniff
from imgpatch.progress import Progress

_SHOWN = 1000  # grains that cannot be read are counted up to here
_UNMANAGED = "2147483647"


def examine(images: Sequence[Image], progress: Progress) -> tuple[Container, ...]:
    """What is known of each; every grain of a compressed VMDK is unpacked for it."""
    archives = {image.path: _archive(image) for image in images if image.member is not None}
    return tuple(_container(image, archives.get(image.path), progress) for image in images)


def sniffed(paths: Sequence[Path]) -> tuple[Container, ...]:
    """What files are by their first bytes, where they cannot be opened as disks."""
    found = []
    for path in paths:
        real = path.resolve()
        with open_file(real) as descriptor:
            file = FileDisk(descriptor)
            found.append(Container(str(real), sniff(file).name, 0, file.size))
    return tuple(found)


def _container(image: Image, archive: Archive | None, progress: Progress) -> Container:
    maker = damage = ""
    if image.format == "vmdk":
        with open_file(image.path) as descriptor:
            file = _Metered(FileDisk(descriptor, image.offset, image.length), progress)
            disk = vmdk.Vmdk(file)
            maker = _maker(disk.descriptor)
            if disk.compressed:
                progress.step(f"unpacking every grain of {image.member or image.path.name}")
                damage = _damage(disk)
    return Container(
        image.name,
        image.format,
        image.size,
        image.stored,
        variety=image.variety,
        maker=maker,
        damage=damage,
        archive=archive,
    )


def _damage(disk: vmdk.Vmdk) -> str:
    """Of the grains that do not unpack to what they should, the first, and how many there are."""
    faults = list(itertools.islice(disk.bad_grains(), _SHOWN))
    if not faults:
        return ""
    first = faults[0]
    many = f", and {len(faults) - 1} more{' at least' if len(faults) == _SHOWN else ''}"
    return (
        f"the grain at byte {first.offset} of the file (byte {first.guest} of the disk) {first.what}"
        f"{many if len(faults) > 1 else ''}"
    )


def _maker(found: vmdk.Descriptor | None) -> str:
    """By the words that only this program writes."""
    if found is None:
        return ""
    if "uuid.image" in found.database:
        return "VirtualBox"
    if found.database.get("toolsversion") == _UNMANAGED and "longcontentid" not in found.database:
        return "QEMU"
    return ""


def _archive(image: Image) -> Archive:
    with open_file(image.path) as descriptor:
        file = FileDisk(descriptor)
        machine = ova.open_ova(file).machine
        return Archive(str(image.path), file.size, tuple(_called(machine, drive) for drive in machine.drives))


def _called(machine: Appliance, drive: Drive) -> str:
    """`the CD-ROM drive CD/DVD drive 1, in which is ubuntu.iso`."""
    inside = next(
        (file.href for file in machine.files if drive.media.endswith(f"/file/{file.id}")), drive.media
    )
    return f"the {drive.kind} drive {drive.label}, in which is {inside}"


class _Metered:
    """A file that tells how much of it has been read."""

    def __init__(self, file: Disk, progress: Progress) -> None:
        self._file = file
        self._done = 0
        self._progress = progress
        self.size = file.size

    def read(self, offset: int, length: int) -> bytes:
        data = self._file.read(offset, length)
        self._done += len(data)
        self._progress.fraction(min(self._done / self.size, 1.0) if self.size else 1.0)
        return data
