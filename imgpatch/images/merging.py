"""Merging a change into a file: the redo log at the level of the file's bytes, the same for every container.

A change is a qcow2 file over the bytes of another file: its clusters are what that file is to hold,
its size is the length it is to have. Merging copies the one over the other. It can be repeated, since
it writes the same bytes to the same places; before it is repeated, every sector it covers must hold
what it held before or what it is to hold: a file that was booted or replaced meanwhile is left alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator

from imgpatch.errors import FormatError
from imgpatch.images.disk import SECTOR, Disk, FileDisk
from imgpatch.images.qcow2 import Qcow2

_MOST = 1 << 20  # bytes read and written at once
_PAGE = 4096  # what is looked at to keep holes: no file system has smaller ones in use
_DIGEST = 8  # bytes kept of the digest of a sector, which is the least that a disk writes whole


def runs(change: Qcow2) -> Iterator[tuple[int, int]]:
    """Offset and length of what a change covers, in order, adjacent clusters as one."""
    start = end = 0
    for offset, length in change.allocated():
        if offset != end or end + length - start > _MOST:
            if end > start:
                yield start, end - start
            start = offset
        end = offset + length
    if end > start:
        yield start, end - start


class Changed:
    """A file as it will be: what the change has, else what the file has, zeros behind its end."""

    def __init__(self, file: Disk, change: Qcow2, size: int) -> None:
        """Takes the file, the change, and how much of both is to be seen."""
        self.size = size
        self._file = file
        self._change = change
        self._starts, self._ends = array("Q"), array("Q")
        for offset, length in runs(change):
            self._starts.append(offset)
            self._ends.append(offset + length)

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        pieces = []
        while offset < end:
            changed, until = self._part(offset)
            count = min(end, until) - offset
            pieces.append((self._change if changed else self._file).read(offset, count).ljust(count, b"\0"))
            offset += count
        return b"".join(pieces)

    def _part(self, offset: int) -> tuple[bool, int]:
        """Whether the change has a byte, and how far that holds."""
        after = bisect_right(self._starts, offset)
        if after and offset < self._ends[after - 1]:
            return True, self._ends[after - 1]
        return False, self._starts[after] if after < len(self._starts) else self.size


def digests(file: Disk, change: Qcow2) -> bytes:
    """The digests of all sectors of a file that a change covers, in order."""
    return b"".join(
        _digest(sector) for old, _ in _covered(file, change) for sector in _sectors(old)
    )  # fmt: skip


def can_finish(file: Disk, change: Qcow2, before: bytes) -> bool:
    """Whether a file is one that merging this change can only finish.

    Args:
        file: perhaps merged in part.
        change: what was being merged.
        before: what `digests` gave before the first byte was merged.
    """
    at = 0
    for old, new in _covered(file, change):
        count = -(-len(old) // SECTOR)
        known = before[at : at + count * _DIGEST]
        at += count * _DIGEST
        if len(known) < count * _DIGEST or not (old == new or _is_between(old, new, known)):
            return False
    return at == len(before)


def _is_between(old: bytes, new: bytes, known: bytes) -> bool:
    return all(
        is_now == to_be or _digest(is_now) == known[i * _DIGEST : (i + 1) * _DIGEST]
        for i, (is_now, to_be) in enumerate(zip(_sectors(old), _sectors(new), strict=True))
    )


def _covered(file: Disk, change: Qcow2) -> Iterator[tuple[bytes, bytes]]:
    """Each run as the file has it and as the change has it; behind the end of a file are zeros."""
    for offset, length in runs(change):
        yield file.read(offset, length).ljust(length, b"\0"), change.read(offset, length)


def _sectors(data: bytes) -> Iterator[bytes]:
    return (data[at : at + SECTOR] for at in range(0, len(data), SECTOR))


def _digest(sector: bytes) -> bytes:
    return hashlib.blake2b(sector, digest_size=_DIGEST).digest()


def merge(descriptor: int, change: Qcow2) -> Iterator[int]:
    """Gives a file its new length and contents, pausing after each write with the bytes done; syncs it.

    All is written, also what the file seems to hold already: after a write error the page cache can
    say so of pages that never reached the disk. Only a hole is one there too: zeros leave it alone.
    """
    if os.fstat(descriptor).st_size != change.size:
        os.ftruncate(descriptor, change.size)
        yield 0
    done = 0
    for offset, length in runs(change):
        for at, data in _without_holes(descriptor, offset, change.read(offset, length)):
            _write(descriptor, at, data)
            yield done + at - offset + len(data)
        done += length
    os.fsync(descriptor)


def covered(change: Qcow2) -> int:
    """Bytes that merging goes through."""
    return sum(length for _, length in runs(change))


def _write(descriptor: int, offset: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        offset, rest = offset + count, rest[count:]


def _without_holes(descriptor: int, offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Pieces of data that must be written: all but the pages of zeros where the file has a hole."""
    hole_end = offset
    begin = at = 0
    while at < len(data):
        page = data[at : at + _PAGE]
        if page == bytes(len(page)):
            if hole_end <= offset + at:
                hole_end = _next_data(descriptor, offset + at)
            if hole_end >= offset + at + len(page):
                if begin < at:
                    yield offset + begin, data[begin:at]
                begin = at + len(page)
        at += len(page)
    if begin < len(data):
        yield offset + begin, data[begin:]


def _next_data(descriptor: int, offset: int) -> int:
    """The first byte at or behind `offset` that is in no hole (lseek(2))."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return os.fstat(descriptor).st_size
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return offset
        raise


def open_change(descriptor: int) -> Qcow2:
    """The change in an open file.

    Raises:
        FormatError: it is none of ours; one that was found could come with an image from elsewhere.
    """
    change = Qcow2(FileDisk(descriptor))
    header = change.header
    if not header.backing or header.encrypted or header.incompatible or header.snapshots:
        raise FormatError("a qcow2 file that imgpatch did not make")
    return change
