"""Bytes to read from: a file, a part of one, or a container, whose reader takes one of these and is one."""

from __future__ import annotations

import os
from typing import Protocol

SECTOR = 512


class Disk(Protocol):
    """Bytes at offsets: of a disk as its guest sees it, or of the file that holds one."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """All that was asked for; fewer bytes only at the end."""


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
