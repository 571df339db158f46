"""The block tables of VHD and VHDX: read by the page, and the blocks in them proved not to overlap.

A table can claim billions of entries in a sparse file of a few kilobytes, so neither the table nor a
list of what it says is ever held as a whole.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import Literal

from imgpatch.errors import FormatError
from imgpatch.images.disk import Disk

_PAGE_ENTRIES = 8192


def extent(file: Disk, offset: int, length: int, what: str) -> bytes:
    """All of these bytes of a file.

    Raises:
        FormatError: the file ends before them.
    """
    data = file.read(offset, length) if offset < file.size else b""
    if len(data) < length:
        raise FormatError(f"{what} reaches to byte {offset + length}, the file ends at {file.size}")
    return data


_MAPPED = 1 << 28
"""Places for blocks up to which a row of numbers is mapped: 16 TiB in grains of 64 KiB."""


class BlockTable:
    """Whole numbers of one width in a row."""

    def __init__(
        self, file: Disk, offset: int, count: int, *, width: int, byteorder: Literal["little", "big"]
    ) -> None:
        """Reads nothing yet.

        Args:
            file: where the table is.
            offset: its first byte.
            count: its entries.
            width: bytes of an entry, 4 or 8.
            byteorder: of an entry.

        Raises:
            FormatError: the file ends before the table.
        """
        self.offset, self.count, self.end = offset, count, offset + count * width
        if self.end > file.size:
            raise FormatError(f"its block table reaches to byte {self.end}, the file ends at {file.size}")
        self._file = file
        self._width = width
        self._byteorder = byteorder
        self._page: tuple[int, array[int]] = (-1, array("Q"))

    def __getitem__(self, index: int) -> int:
        page, slot = divmod(index, _PAGE_ENTRIES)
        if self._page[0] != page:
            self._page = (page, self._numbers(self._bytes(page)))
        return self._page[1][slot]

    def pages(self, *skipped: int) -> Iterator[tuple[int, array[int]]]:
        """The first index of each page and its entries, without pages of one of these entries alone."""
        patterns = [entry.to_bytes(self._width, self._byteorder) for entry in skipped]
        for page in range(-(-self.count // _PAGE_ENTRIES)):
            data = self._bytes(page)
            if not any(data == pattern * (len(data) // self._width) for pattern in patterns):
                yield page * _PAGE_ENTRIES, self._numbers(data)

    def largest(self, *skipped: int) -> int | None:
        """The largest entry but for these; None where there is no other."""
        found = (max(set(page).difference(skipped), default=-1) for _, page in self.pages(*skipped))
        largest = max(found, default=-1)
        return None if largest < 0 else largest

    def _bytes(self, page: int) -> bytes:
        first = page * _PAGE_ENTRIES
        count = min(_PAGE_ENTRIES, self.count - first)
        return extent(self._file, self.offset + first * self._width, count * self._width, "its block table")

    def _numbers(self, data: bytes) -> array[int]:
        numbers = array("I" if self._width == 4 else "Q", data)
        if self._byteorder != sys.byteorder:
            numbers.byteswap()
        return numbers


class _Sparse(dict[int, int]):
    """Zero at every place that was not set: for a file that pretends to be larger than any memory."""

    def __missing__(self, place: int) -> int:
        return 0


class Claims:
    """Who owns which bytes of a file: named parts, then blocks of one size."""

    def __init__(self, parts: Iterable[tuple[int, int, str]]) -> None:
        """Takes the parts as first byte, end and name.

        Raises:
            FormatError: two of them overlap.
        """
        self._parts = sorted(parts)
        for (_, end, name), (start, _, other) in zip(self._parts, self._parts[1:], strict=False):
            if start < end:
                raise FormatError(f"{name} and {other} overlap at byte {start}")

    @property
    def end(self) -> int:
        """First byte behind the last part."""
        return self._parts[-1][1]

    def check_blocks(self, offsets: Iterable[int], *, unit: int, length: int, end: int) -> None:
        """Proves that each block is in the file, apart from the parts and from the other blocks.

        What is remembered is one small number for each place a block fits into: the unit within that
        place that a block begins at, since two blocks that begin in one place overlap.

        Args:
            offsets: first bytes of the blocks, in any order.
            unit: what offsets are multiples of.
            length: bytes of a block.
            end: first byte behind the last block that may be.

        Raises:
            FormatError: a block is not.
        """
        code: Literal["H", "I"] = "H" if length // unit < 0xFFFF else "I"
        places = end // length + 2
        begins: memoryview | _Sparse = _Sparse()
        if places <= _MAPPED:
            # Pages of an anonymous mapping take no memory before they are written to; a bytearray does.
            begins = memoryview(mmap(-1, places * array(code).itemsize)).cast(code)
        for offset in offsets:
            if offset + length > end:
                raise FormatError(
                    f"a block of {length} bytes at byte {offset} does not end before byte {end}"
                )
            self._check_parts(offset, length)
            place, inside = divmod(offset, length)
            before, after = begins[place - 1] if place else 0, begins[place + 1]
            inside //= unit
            if begins[place] or before > inside + 1 or 0 < after <= inside:
                raise FormatError(f"two blocks overlap at byte {offset}")
            begins[place] = inside + 1

    def _check_parts(self, offset: int, length: int) -> None:
        index = bisect_right(self._parts, offset, key=lambda part: part[0])
        for start, end, name in self._parts[max(index - 1, 0) : index + 1]:
            if start < offset + length and offset < end:
                raise FormatError(f"a block at byte {offset} overlaps {name}")
