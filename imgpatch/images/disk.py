"""Bytes to read from: a file, a part of one, or a container, whose reader takes one of these and is one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Image:
    """One disk of the machine.

    Attributes:
        path: of the file that holds it, absolute, links followed.
        format: as qemu names it: `raw`, `qcow2`, `vmdk`, `vpc`, `vhdx`, `vdi`.
        size: bytes of the disk, not of the file.
        variety: of the format, in the words of its specification: `streamOptimized`, `dynamic`; may be empty.
        offset: where it begins in the file; not 0 in an archive.
        length: bytes of it in the file; None: to the end of the file.
        member: its name in the archive, None where the file is the disk.
    """

    path: Path
    format: str
    size: int
    variety: str = ""
    offset: int = 0
    length: int | None = None
    member: str | None = None

    @property
    def name(self) -> str:
        """As messages call it: `/srv/vm.ova: disk1.vmdk`."""
        return str(self.path) if self.member is None else f"{self.path}: {self.member}"

    @property
    def stored(self) -> int:
        """Bytes that it takes in its file."""
        return self.path.stat().st_size - self.offset if self.length is None else self.length


class Disk(Protocol):
    """Bytes at offsets: of a disk as its guest sees it, or of the file that holds one."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """All that was asked for; fewer bytes only at the end."""


class StoredDisk(Disk, Protocol):
    """A disk that tells what of it is stored."""

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Offset and length of all but what reads as zeros because nothing is stored there, in order."""


class FileDisk:
    """An open file, or a part of it: a raw image, or what a container is read from."""

    def __init__(self, descriptor: int, offset: int = 0, size: int | None = None) -> None:
        """Takes a descriptor that stays the caller's.

        Args:
            descriptor: open for reading.
            offset: where the part begins, in bytes.
            size: bytes of the part; None: up to the end of the file.
        """
        self._fd = descriptor
        self._start = offset
        self.size = os.fstat(descriptor).st_size - offset if size is None else size

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        pieces = []
        while offset < end and (data := os.pread(self._fd, end - offset, self._start + offset)):
            pieces.append(data)
            offset += len(data)
        return b"".join(pieces)

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Offset and length of each part that is no hole, in order (lseek(2), `SEEK_DATA`)."""
        at, end = self._start, self._start + self.size
        while at < end:
            try:
                data = os.lseek(self._fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
                raise
            at = min(os.lseek(self._fd, data, os.SEEK_HOLE), end)
            if data < at:
                yield data - self._start, at - data


@contextmanager
def open_file(path: Path) -> Iterator[int]:
    """A descriptor to read from."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
