"""Reading a new file back before it gets its name: whole by its tables, and equal to what was wanted.

What QEMU wrote is read by imgpatch's readers, and what imgpatch wrote by QEMU, so that no mistake of a
writer is shared by who judges it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from pathlib import Path

from imgpatch.errors import FormatError, RefusedError, VerifyError
from imgpatch.images import qemu
from imgpatch.images.disk import FileDisk, Image, StoredDisk, open_file
from imgpatch.images.layers import Layered, merged, node, open_layered, open_stored, pieces
from imgpatch.images.vhd import Vhd
from imgpatch.images.vmdk import Vmdk

_PIECE = 1 << 20
_HASHED = 4 << 30
_TERABYTE = 1 << 40

Tell = Callable[[float], None]


def check_whole(new: Image) -> None:
    """Looks at headers and tables of a new file.

    Raises:
        VerifyError: a reader of another make, or the service, could stumble over it.
    """
    try:
        with open_stored(new) as disk:
            if disk.size != new.size:
                raise VerifyError(
                    f"{new.name}: a disk of {disk.size} bytes was written for one of {new.size}"
                )
            if not isinstance(disk, FileDisk):
                disk.check_whole()  # type: ignore[attr-defined]
            _check_variety(new, disk)
    except FormatError as error:
        raise VerifyError(f"{new.name}: what was written is no sound {new.format}: {error}") from error
    if new.format == "qcow2":
        _check_reference_counts(new)


def _check_variety(new: Image, disk: StoredDisk) -> None:
    if isinstance(disk, Vmdk) and (disk.obstacle is not None or disk.variety != "streamOptimized"):
        raise VerifyError(f"{new.name}: {disk.variety} was written, and a stream-optimized VMDK was wanted")
    if new.format == "vpc":
        with open_file(new.path) as descriptor:
            footer = Vhd(FileDisk(descriptor, new.offset, new.length))
        for fault in footer.footer_faults():
            raise VerifyError(f"{new.name}: {fault}")


def _check_reference_counts(new: Image) -> None:
    try:
        qemu.run("check", "-q", qemu.name(qemu.node(new)))
    except qemu.QemuImgError as error:
        raise VerifyError(f"{new.name}: {error}") from error


def compare_by_readers(
    new: Image, image: Image, overlay: Path, progress: Tell, *, changes_only: bool = False
) -> None:
    """Compares a new file with an overlay over an image, by imgpatch's own readers.

    Args:
        new: the file.
        image: what it was made from.
        overlay: what was to be changed.
        progress: told how far it is.
        changes_only: where all else of the file is the image's own blocks.

    Raises:
        VerifyError: a byte differs.
    """
    with open_stored(new) as written, open_layered(image, overlay) as wanted:
        extents = list(
            wanted.changed() if changes_only else merged(heapq.merge(written.allocated(), wanted.allocated()))
        )
        total = sum(length for _, length in extents) or 1
        done = 0
        for offset, length in pieces(extents, _PIECE):
            if not _equal(written, wanted, offset, length, new):
                raise VerifyError(
                    f"{new.name}: within {length} bytes from byte {offset} of the disk, what was written "
                    "does not read back"
                )
            done += length
            progress(done / total)


def _equal(written: StoredDisk, wanted: Layered, offset: int, length: int, new: Image) -> bool:
    try:
        found = written.read(offset, length)
    except FormatError as error:
        raise VerifyError(f"{new.name}: what was written does not read back: {error}") from error
    return found == wanted.read(offset, length)


def compare_by_qemu(new: Image, image: Image, overlay: Path, progress: Tell) -> None:
    """Compares a new file with an overlay over an image, by QEMU.

    Raises:
        VerifyError: a byte differs.
    """
    pair = [qemu.name(one) for one in (node(image, overlay), qemu.node(new))]
    try:
        qemu.run_with_progress("compare", *pair, progress=progress)
    except qemu.QemuImgError as error:
        said = str(error).replace("exit status 1", "the contents differ")
        raise VerifyError(f"{new.name}: what was written does not read back: {said}") from error


def qemu_goes_through(image: Image) -> bool:
    """Whether QEMU goes through a disk in a time that what is stored of it accounts for.

    Its driver for VMDK looks at every grain there could be, and the one for VHDX reads as zeros what is not
    stored.
    """
    return image.size <= _TERABYTE and image.format != "vhdx"


def sha256(path: Path, done: int, progress: Tell) -> str | None:
    """The digest of a whole file; None where it would take much longer than the file took to make.

    Holes have to be added up as zeros: of a sparse file of many tebibytes that takes hours.

    Args:
        path: of the file.
        done: bytes that were written for it, or read.
        progress: told how far it is.
    """
    size = path.stat().st_size
    if size > 4 * done + _HASHED:
        return None
    digest = hashlib.sha256()
    with open_file(path) as descriptor:
        file = FileDisk(descriptor)
        for at in range(0, size, _PIECE):
            piece = file.read(at, min(_PIECE, size - at))
            if not piece:
                raise RefusedError(f"{path}: became shorter while it was read back")
            digest.update(piece)
            progress((at + len(piece)) / size)
    return digest.hexdigest()
