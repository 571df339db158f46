"""Disk files as the user names them: which container, how large, and whether it is whole.

Everything here reads; nothing is launched and no format is left to QEMU to guess, since a guest can
write any header into the first sectors of a raw disk.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from imgpatch.errors import DamagedError, FormatError, RefusedError, UsageError
from imgpatch.images import ova, qcow2, vdi, vhd, vhdx, vmdk
from imgpatch.images.disk import SECTOR, Disk, FileDisk, Image, open_file
from imgpatch.images.durable import refuse_undecodable
from imgpatch.images.locks import refuse_used_by_qemu
from imgpatch.images.partition_table import HEAD_SIZE, check_partition_table
from imgpatch.images.sniff import OVA, RAW, VMDK_OTHER, sniff
from imgpatch.images.unsupported import GET_AGAIN, refuse_inconsistent, refuse_kind, refuse_unsupported
from imgpatch.progress import Progress, Silent

log = logging.getLogger(__name__)

Container = qcow2.Qcow2 | vmdk.Vmdk | vhd.Vhd | vhdx.Vhdx | vdi.Vdi
READERS: Mapping[str, Callable[[Disk], Container]] = {
    "qcow2": qcow2.Qcow2,
    "vmdk": vmdk.Vmdk,
    "vpc": vhd.Vhd,
    "vhdx": vhdx.Vhdx,
    "vdi": vdi.Vdi,
}
"""Format, as qemu names it -> what reads it."""


def open_images(paths: Sequence[str | Path], progress: Progress | None = None) -> tuple[Image, ...]:
    """Looks at the disks of one machine, in order, and refuses what cannot be treated.

    An OVA gives its disks, in the order in which its machine has them.

    Args:
        paths: of disk files.
        progress: told how much of an OVA has been compared with its manifest.

    Raises:
        UsageError: a path names no regular file, or the same file twice.
        RefusedError: a file is unreadable, in use, truncated, not a disk, or in a container not read here.
    """
    seen: dict[tuple[int, int], Path] = {}
    found = []
    for path in map(Path, paths):
        real = _regular_file(path)
        status = real.stat()
        other = seen.setdefault((status.st_dev, status.st_ino), path)
        if other is not path:
            raise UsageError(
                f"{path} and {other} are the same file, and each disk of the machine can be given once",
                hint="give every disk once, in the order the machine has them",
            )
        found += _look(real, progress or Silent())
    images = [image for image, _ in found]
    _refuse_blank(images, [layout for _, layout in found])
    return tuple(images)


@contextmanager
def open_disk(image: Image) -> Iterator[Disk]:
    """Opens an image for reading the bytes its guest would see."""
    with open_file(image.path) as descriptor:
        yield disk_in(image.format, FileDisk(descriptor, image.offset, image.length))


def disk_in(image_format: str, file: Disk) -> Disk:
    """The bytes that a guest sees of a container's file."""
    return file if image_format == "raw" else READERS[image_format](file)


def _regular_file(path: Path) -> Path:
    if str(path) == "-":
        raise UsageError("-: an image cannot come from a pipe", hint="save it to a file and give its path")
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file", hint="give the path of a disk image") from error
    except (OSError, RuntimeError) as error:
        raise RefusedError(f"{path}: cannot be reached ({error})", hint="check the path") from error
    refuse_undecodable(real)
    if not stat.S_ISREG(mode):
        raise UsageError(
            f"{path}: a {_kind(mode)} stands where a disk image file was wanted",
            hint="copy a device to a file first (qemu-img convert -O qcow2); a folder is no disk",
        )
    return real


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "directory",
        stat.S_IFBLK: "block device",
        stat.S_IFCHR: "character device",
        stat.S_IFIFO: "named pipe",
        stat.S_IFSOCK: "socket",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")


def _look(path: Path, progress: Progress) -> list[tuple[Image, str | None]]:
    """The images in a file, and what lies on the disk of each (see `check_partition_table`)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError(
            f"{path}: cannot be read ({error.strerror})", hint="change its permissions, or copy it"
        ) from error
    try:
        refuse_used_by_qemu(path, descriptor, writing=False)
        file = FileDisk(descriptor)
        if file.size == 0:
            raise RefusedError(f"{path}: the file is empty, and a disk image was wanted", hint=GET_AGAIN)
        if sniff(file) is OVA:
            return list(_look_into(path, descriptor, progress))
        return [_look_at(Image(path, "", 0), file)]
    finally:
        os.close(descriptor)


def _look_into(path: Path, descriptor: int, progress: Progress) -> Iterator[tuple[Image, str | None]]:
    with _named(str(path), "OVA"):
        archive = ova.open_ova(FileDisk(descriptor))
        progress.step(f"comparing {path.name} with its manifest")
        for note in (*archive.notes, *archive.verify(progress.fraction)):
            log.warning("%s: %s", path, note)
    for member in archive.disks:
        image = Image(path, "", 0, offset=member.offset, length=member.size, member=member.name)
        yield _look_at(image, FileDisk(descriptor, member.offset, member.size))


def _look_at(place: Image, file: Disk) -> tuple[Image, str | None]:
    """The image with what its own headers say of it, if it can be treated.

    Args:
        place: what holds it, and its name.
        file: the bytes there.
    """
    kind = sniff(file)
    image = replace(place, format=kind.name)
    if kind is RAW:
        return _look_raw(image, file)
    if kind is VMDK_OTHER or kind.name not in READERS:
        with _named(image.name, kind.name):
            refuse_kind(image, kind, file)
    with _named(image.name, kind.name):
        disk = READERS[kind.name](file)
        refuse_unsupported(image, disk)
        disk.check_whole()
        head = disk.read(0, HEAD_SIZE)
    found = replace(image, size=disk.size, variety=disk.variety)
    layout = check_partition_table(head, disk.size, image.name)
    refuse_inconsistent(found)
    return found, layout


_OF_THE_SERVICE = frozenset({"vmdk", "vpc", "vhdx", "OVA"})
"""Containers that it takes: damage in one of these makes an import fail."""


@contextmanager
def _named(name: str, kind: str) -> Iterator[None]:
    """Tells of which file a reader could make nothing."""
    try:
        yield
    except RefusedError as error:
        damaged = isinstance(error, FormatError) and error.hint is None
        told = str(error).removeprefix(f"{name}: ")
        what = f"a damaged or truncated {kind} image: {told}" if damaged else told
        broken = isinstance(error, DamagedError) or (
            damaged and error.rule is None and kind in _OF_THE_SERVICE
        )
        sort = DamagedError if broken else RefusedError
        rule = "R-09" if broken else error.rule
        raise sort(f"{name}: {what}", hint=error.hint or GET_AGAIN, rule=rule) from error


def _look_raw(image: Image, file: Disk) -> tuple[Image, str | None]:
    if file.size % SECTOR:
        raise RefusedError(
            f"{image.name}: {file.size} bytes is no whole number of {SECTOR}-byte sectors; "
            "it is no raw disk, or was cut short",
            hint=GET_AGAIN,
            rule="R-32",
        )
    layout = check_partition_table(file.read(0, HEAD_SIZE), file.size, image.name)
    return replace(image, size=file.size), layout


def _refuse_blank(images: Sequence[Image], layouts: Sequence[str | None]) -> None:
    """A blank disk among others is a disk not used yet; a machine of nothing else is none."""
    if images and not any(layouts):
        raise RefusedError(
            f"{', '.join(image.name for image in images)}: no partition table and no file system is in "
            "the first mebibyte; a disk with an installed system was wanted",
            hint="is it the right file? An encrypted, compressed or wrapped image has to be unpacked first",
            rule="R-32",
        )
