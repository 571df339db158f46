"""Writing a disk with its overlay into a new file of another format, or of the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from imgpatch.images import qemu, reflink
from imgpatch.images.disk import FileDisk, Image, open_file
from imgpatch.images.layers import joined, merged, node, open_layered, open_stored, window
from imgpatch.images.output_formats import QEMU_NAMES, convert_options, user_name
from imgpatch.images.qcow2 import Qcow2
from imgpatch.images.readback import Tell
from imgpatch.images.vmdk_writer import write_stream_optimized

_CLUSTER = 1 << 16
_WINDOWS = 250  # QEMU opens the files once for each of them, and 1024 files is what a process mostly may open
_GAP = 1 << 20


def stored(image: Image, overlay: Path | None = None) -> int:
    """Bytes of a disk that are stored, in clusters of 64 KiB: what writing it anew goes through."""
    if overlay is None:
        with open_stored(image) as disk:
            return _in_clusters(disk.allocated())
    with open_layered(image, overlay) as layered:
        return _in_clusters(layered.allocated())


def left_behind(image: Image) -> tuple[str, ...]:
    """What of an image a new file has not, since only its disk is read."""
    if image.format != "qcow2":
        return ()
    with open_file(image.path) as descriptor:
        count = Qcow2(FileDisk(descriptor, image.offset, image.length)).header.snapshots
    return (f"{image.name} has {count} internal snapshots, which are not in the output",) if count else ()


def room(stored: int, size: int, written: str) -> int:
    """Bytes that a new file may take.

    Args:
        stored: of its disk.
        size: of its disk, stored or not.
        written: its format.
    """
    if written in ("vmdk", "ova"):
        return stored // 3  # as systems mostly compress; where it is more, a full disk is told later
    return stored + size // 4096 + (1 << 20)


def can_clone(image: Image, written: str, folder: Path) -> bool:
    """Whether a file of this format in this folder can share its blocks with the image."""
    same = image.member is None and image.format in ("raw", "qcow2") and user_name(image.format) == written
    return same and reflink.can_clone(image.path, folder)


def write_disk(image: Image, overlay: Path, new: Path, written: str, progress: Tell) -> Image:
    """Writes a new file, sparse where it can be, and gives it as an image.

    Args:
        image: the source; it is only read.
        overlay: what is to be changed of it.
        new: path of the file to be.
        written: its format.
        progress: told how far it is.

    Raises:
        RefusedError: qemu-img failed, or the disk is too large for the format.
    """
    variety = image.variety if user_name(image.format) == written else ""
    made = Image(new, QEMU_NAMES[written], image.size, variety)
    if written == "vmdk":
        with open_layered(image, overlay) as disk, new.open("xb") as file:
            write_stream_optimized(disk, file, progress)
        return made
    options = convert_options(image, written)
    qemu.run_with_progress(
        "convert", "-O", made.format, *options, *_sources(image, overlay), new, progress=progress
    )
    return made


def _sources(image: Image, overlay: Path) -> list[str]:
    """The overlay as qemu-img is to read it.

    QEMU's driver for VHDX does not tell what is not stored, and would read it all. So what our own reader
    finds stored is named to it in pieces, with nothing but zeros between them.
    """
    over = node(image, overlay)
    if image.format != "vhdx":
        return [qemu.name(over)]
    with open_layered(image, overlay) as layered:
        windows = joined(layered.allocated(), _WINDOWS, _GAP)
    sources, at = [], 0
    for offset, length in (*windows, (image.size, 0)):
        if offset > at:
            sources.append(qemu.name({"driver": "null-co", "size": offset - at, "read-zeroes": True}))
        if length:
            sources.append(qemu.name(window(over, offset, length)))
        at = offset + length
    return sources


def _in_clusters(extents: Iterable[tuple[int, int]]) -> int:
    rounded = (
        (offset // _CLUSTER * _CLUSTER, offset % _CLUSTER + length + -(offset + length) % _CLUSTER)
        for offset, length in extents
    )
    return sum(length for _, length in merged(rounded))
