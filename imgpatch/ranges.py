"""Places of disks: which bytes, and which of them belong to a device that lies over several places."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

GRAIN = 4096
COARSEST = 1 << 20
"""Ranges kept apart; where there are more, near ones become one, which claims more and proves less."""


class Ranges:
    """Places of a disk, in order."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """Takes starts and ends, in order; what touches becomes one."""
        self._starts, self._ends = array("Q"), array("Q")
        self._gap = 0
        for start, end in ranges:
            self._add(start, end)

    def _add(self, start: int, end: int) -> None:
        if self._ends and start <= self._ends[-1] + self._gap:
            self._ends[-1] = max(end, self._ends[-1])
            return
        self._starts.append(start)
        self._ends.append(end)
        if len(self._starts) > COARSEST:
            self._gap = max(2 * self._gap, GRAIN)
            pairs = list(self)
            self._starts, self._ends = array("Q"), array("Q")
            for pair in pairs:
                self._add(*pair)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        yield from zip(self._starts, self._ends, strict=True)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """What of them lies between two offsets."""
        index = bisect_right(self._ends, start)
        while index < len(self._starts) and self._starts[index] < end:
            yield max(start, self._starts[index]), min(end, self._ends[index])
            index += 1

    def touches(self, start: int, end: int) -> bool:
        return next(self.within(start, end), None) is not None


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a device that lies on a disk: offset in the device, bytes, 0-based disk, offset on it."""

    start: int
    length: int
    disk: int
    at: int


Segments = tuple[Segment, ...]


def on_disks(parts: Segments, start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """Disk, start and end there of a piece of a device."""
    for part in parts:
        first, last = max(start, part.start), min(start + length, part.start + part.length)
        if first < last:
            at = part.at + first - part.start
            yield part.disk, at, at + last - first
