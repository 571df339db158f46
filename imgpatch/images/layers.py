"""An overlay over its image, read as a guest would see them: by imgpatch's own readers, without QEMU."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from imgpatch.images import qemu
from imgpatch.images.container import READERS
from imgpatch.images.disk import FileDisk, Image, StoredDisk, open_file
from imgpatch.images.merging import Changed, covered, runs
from imgpatch.images.qcow2 import Qcow2


class Layered(Changed):
    """What a qcow2 overlay answers for comes from it, the rest from the image below."""

    def __init__(self, over: Qcow2, base: StoredDisk) -> None:
        super().__init__(base, over, over.size)
        self._over, self._base = over, base

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Guest offset and length of each run that either of them stores, in order."""
        return merged(heapq.merge(self._over.allocated(), self._base.allocated()))

    def changed(self) -> Iterator[tuple[int, int]]:
        """What the overlay answers for, likewise."""
        return runs(self._over)


def merged(extents: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Extents in order of their offsets, those that touch or overlap as one."""
    start = end = -1
    for offset, length in extents:
        if offset > end:
            if end > start:
                yield start, end - start
            start, end = offset, offset + length
        else:
            end = max(end, offset + length)
    if end > start:
        yield start, end - start


def joined(extents: Iterable[tuple[int, int]], most: int, gap: int) -> Sequence[tuple[int, int]]:
    """At most as many extents, with the smallest gaps between them filled.

    Args:
        extents: in order.
        most: how many.
        gap: bytes; smaller ones are filled however few extents there are.
    """
    extents = list(merged(extents))
    gaps = sorted((after - sum(extent) for extent, (after, _) in pairwise(extents)), reverse=True)
    least = max(gap, gaps[most - 1] + 1 if len(gaps) >= most else 0)
    found: list[tuple[int, int]] = []
    for offset, length in extents:
        if found and offset - sum(found[-1]) < least:
            found[-1] = (found[-1][0], offset + length - found[-1][0])
        else:
            found.append((offset, length))
    return found


def node(image: Image, overlay: Path) -> dict[str, Any]:
    """An overlay over its image, as a block node of QEMU, whatever the overlay says of its image."""
    file = {"driver": "file", "filename": str(overlay)}
    return {"driver": "qcow2", "file": file, "backing": qemu.node(image)}


def window(block_node: dict[str, Any], offset: int, length: int) -> dict[str, Any]:
    """A part of a disk, as a block node of QEMU.

    Of a disk with a backing file, qemu-img convert reads it rightly, while qemu-img compare takes all for
    zeros that is not in the topmost layer.
    """
    return {"driver": "raw", "offset": offset, "size": length, "file": block_node}


def pieces(extents: Iterable[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    """Extents cut into pieces of `most` bytes and a rest each."""
    for offset, length in extents:
        for at in range(0, length, most):
            yield offset + at, min(most, length - at)


@contextmanager
def open_stored(image: Image) -> Iterator[StoredDisk]:
    """Opens an image for reading what its guest would see, with the holes of its file told."""
    with open_file(image.path) as descriptor:
        if image.format == "raw" or (image.format, image.variety) == ("vpc", "fixed"):
            yield FileDisk(descriptor, image.offset, image.size)  # a footer behind it, and no table
        else:
            yield READERS[image.format](FileDisk(descriptor, image.offset, image.length))


@contextmanager
def open_layered(image: Image, overlay: Path) -> Iterator[Layered]:
    """Opens an overlay with its image."""
    with open_file(overlay) as descriptor, open_stored(image) as base:
        yield Layered(Qcow2(FileDisk(descriptor)), base)


def changed_bytes(overlay: Path) -> int:
    """Bytes of the disk that an overlay answers for."""
    with open_file(overlay) as descriptor:
        return covered(Qcow2(FileDisk(descriptor)))
