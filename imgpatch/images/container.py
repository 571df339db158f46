"""Disk files as the user names them: which container, how large, and whether it is whole.

Everything here reads; nothing is launched and no format is left to QEMU to guess, since a guest can
write any header into the first sectors of a raw disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imgpatch.errors import FormatError, RefusedError, UsageError
from imgpatch.images import qcow2, qemu
from imgpatch.images.disk import SECTOR, Disk, FileDisk, Image
from imgpatch.images.locks import refuse_used_by_qemu
from imgpatch.images.partition_table import HEAD_SIZE, check_partition_table

_SNIFFED = 36 * 1024  # an ISO 9660 volume descriptor is the deepest magic, at 32 KiB


def open_images(paths: Sequence[str | Path]) -> tuple[Image, ...]:
    """Looks at the disks of one machine, in order, and refuses what cannot be treated.

    Raises:
        UsageError: a path names no regular file, or the same file twice.
        RefusedError: a file is unreadable, in use, truncated, not a disk, or in a container not read here.
    """
    seen: dict[tuple[int, int], Path] = {}
    images = []
    layouts = []
    for path in map(Path, paths):
        real = _regular_file(path)
        status = real.stat()
        other = seen.setdefault((status.st_dev, status.st_ino), path)
        if other is not path:
            raise UsageError(
                f"{path} and {other} are the same file, and each disk of the machine can be given once",
                hint="give every disk once, in the order the machine has them",
            )
        image, layout = _look(real)
        images.append(image)
        layouts.append(layout)
    _refuse_blank(images, layouts)
    return tuple(images)


@contextmanager
def open_disk(image: Image) -> Iterator[Disk]:
    """Opens an image for reading the bytes its guest would see."""
    descriptor = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield qcow2.Qcow2(FileDisk(descriptor)) if image.format == "qcow2" else FileDisk(descriptor)
    finally:
        os.close(descriptor)


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


def _look(path: Path) -> tuple[Image, str | None]:
    """The image and what lies on its disk (see `check_partition_table`)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError(
            f"{path}: cannot be read ({error.strerror})", hint="change its permissions, or copy it"
        ) from error
    try:
        refuse_used_by_qemu(path, descriptor, writing=False)
        file_size = os.fstat(descriptor).st_size
        if file_size == 0:
            raise RefusedError(f"{path}: the file is empty, and a disk image was wanted", hint=_GET_AGAIN)
        head = os.pread(descriptor, _SNIFFED, 0)
        _refuse_container(path, head, os.pread(descriptor, SECTOR, max(file_size - SECTOR, 0)))
        if head.startswith(qcow2.MAGIC):
            return _look_qcow2(path, descriptor)
        return _look_raw(path, descriptor, file_size)
    finally:
        os.close(descriptor)


_GET_AGAIN = "get the image again, whole"


def _look_raw(path: Path, descriptor: int, size: int) -> tuple[Image, str | None]:
    if size % SECTOR:
        raise RefusedError(
            f"{path}: {size} bytes is no whole number of {SECTOR}-byte sectors; "
            "it is no raw disk, or was cut short",
            hint=_GET_AGAIN,
            rule="R-32",
        )
    layout = check_partition_table(FileDisk(descriptor).read(0, HEAD_SIZE), size, str(path))
    return Image(path, "raw", size), layout


def _look_qcow2(path: Path, descriptor: int) -> tuple[Image, str | None]:
    try:
        header = qcow2.parse_header(os.pread(descriptor, qcow2.HEADER_SIZE, 0))
        _refuse_header(path, header)
        disk = qcow2.Qcow2(FileDisk(descriptor))
        disk.check_whole()
        layout = check_partition_table(disk.read(0, HEAD_SIZE), header.size, str(path))
    except FormatError as error:
        raise RefusedError(f"{path}: a damaged or truncated qcow2 image: {error}", hint=_GET_AGAIN) from error
    _refuse_inconsistent(path)
    return Image(path, "qcow2", header.size), layout


def _refuse_header(path: Path, header: qcow2.Header) -> None:
    bad = header.incompatible
    refusals = (
        (
            header.backing,
            "it is an overlay that needs its backing file",
            f"flatten it first: qemu-img convert -O qcow2 '{path}' flat.qcow2",
        ),
        (
            bad & qcow2.EXTERNAL_DATA,
            "its data is in another file",
            f"put both into one first: qemu-img convert -O qcow2 '{path}' whole.qcow2",
        ),
        (
            header.encrypted,
            "it is encrypted by QEMU",
            "decrypt it first with qemu-img convert and its secret object",
        ),
        (
            bad & qcow2.CORRUPT,
            "QEMU has marked it corrupt",
            f"repair a copy first: qemu-img check -r all '{path}'",
        ),
        (
            bad & qcow2.DIRTY,
            "it was not closed cleanly",
            f"repair it first: qemu-img check -r all '{path}'",
        ),
        (header.size == 0, "its disk has no size", _GET_AGAIN),
        (header.size % SECTOR, f"its disk of {header.size} bytes is no whole number of sectors", _GET_AGAIN),
    )
    for applies, found, hint in refusals:
        if applies:
            raise RefusedError(f"{path}: this qcow2 image cannot be taken: {found}", hint=hint)


def _refuse_inconsistent(path: Path) -> None:
    """Leaked clusters only waste space; a wrong reference count lets a write destroy data."""
    try:
        answer = qemu.run_json("check", "-f", "qcow2", str(path), ok=(0, 2, 3))
    except qemu.QemuImgError as error:
        raise RefusedError(
            f"{path}: {error}",
            hint=f"end what uses the image, or repair a copy: qemu-img check -r all '{path}'",
        ) from error
    errors = answer.get("corruptions", 0) + answer.get("check-errors", 0)
    if errors:
        raise RefusedError(
            f"{path}: qemu-img check finds {errors} errors in this qcow2 image",
            hint=f"repair a copy first: qemu-img check -r all '{path}'",
        )


def _refuse_blank(images: Sequence[Image], layouts: Sequence[str | None]) -> None:
    """A blank disk among others is a disk not used yet; a machine of nothing else is none."""
    if images and not any(layouts):
        raise RefusedError(
            f"{', '.join(str(image.path) for image in images)}: no partition table and no file system is in "
            "the first mebibyte; a disk with an installed system was wanted",
            hint="is it the right file? An encrypted, compressed or wrapped image has to be unpacked first",
            rule="R-32",
        )


_LATER = "convert it first: qemu-img convert -O qcow2 '{path}' disk.qcow2"
# (where its magic is, the magic, what it is, what to do)
_CONTAINERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"KDMV", "a VMDK image", _LATER),
    (0, b"COWD", "a VMDK image", _LATER),
    (0, b"# Disk DescriptorFile", "the descriptor of a VMDK image", _LATER),
    (0, b"conectix", "a VHD image", _LATER.replace("convert -O", "convert -f vpc -O")),
    (0, b"vhdxfile", "a VHDX image", _LATER),
    (64, b"\x7f\x10\xda\xbe", "a VDI image", _LATER),
    (0, b"QED\0", "a QED image", _LATER),
    (0, b"WithoutFreeSpace", "a Parallels image", _LATER),
    (0, b"WithouFreSpacExt", "a Parallels image", _LATER),
    (0, b"\x1f\x8b\x08", "a gzip file", "unpack it first: gunzip -k '{path}'"),
    (0, b"\xfd7zXZ\0", "an xz file", "unpack it first: unxz -k '{path}'"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first: unzstd '{path}'"),
    (0, b"BZh", "a bzip2 file", "unpack it first: bunzip2 -k '{path}'"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", "unpack it first: unlz4 '{path}'"),
    (0, b"PK\x03\x04", "a zip file", "unpack it first: unzip '{path}'"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z file", "unpack it first: 7z x '{path}'"),
    (257, b"ustar", "a tar or OVA archive", "unpack it first: tar -xf '{path}', then convert the disk in it"),
    (
        0x8001,
        b"CD001",
        "an ISO 9660 image",
        "install the system from it and give the disk it was installed on",
    ),
)


_THE_SERVICE_READS = ("VMDK", "VHD", "OVA")


def _refuse_container(path: Path, head: bytes, tail: bytes) -> None:
    found = next(((what, hint) for at, magic, what, hint in _CONTAINERS if head.startswith(magic, at)), None)
    if found is None and tail.startswith(b"conectix"):
        found = ("a fixed VHD image", _LATER.replace("convert -O", "convert -f vpc -O"))
    if found is not None:
        what, hint = found
        raise RefusedError(
            f"{path}: this is {what}, and raw and qcow2 are what imgpatch reads so far",
            hint=hint.format(path=path),
            rule=None if any(word in what for word in _THE_SERVICE_READS) else "R-01",
        )
