"""Where the disks of two machines differ, byte by byte; what neither of them has stored is not read."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

from imgpatch.images.disk import SECTOR, Image, StoredDisk
from imgpatch.images.layers import merged, open_stored
from imgpatch.ranges import Ranges

CHUNK = 1 << 20


def differing(
    before: Sequence[Image], after: Sequence[Image], fraction: Callable[[float], None]
) -> tuple[Ranges, ...]:
    """For each disk that both machines have, the sectors that differ, up to the end of the smaller one."""
    found = []
    for one, other in zip(before, after, strict=False):
        with open_stored(one) as disk, open_stored(other) as other_disk:
            found.append(Ranges(_differing(disk, other_disk, fraction)))
    return tuple(found)


def _differing(
    one: StoredDisk, other: StoredDisk, fraction: Callable[[float], None]
) -> Iterator[tuple[int, int]]:
    size = min(one.size, other.size)
    for start, stored in merged(heapq.merge(one.allocated(), other.allocated())):
        end = min(start + stored, size)
        for offset in range(start, end, CHUNK):
            fraction(offset / size)
            length = min(CHUNK, end - offset)
            was, now = one.read(offset, length), other.read(offset, length)
            if was != now:
                yield from _sectors(was, now, offset)


def _sectors(was: bytes, now: bytes, offset: int) -> Iterator[tuple[int, int]]:
    for at in range(0, len(was), SECTOR):
        if was[at : at + SECTOR] != now[at : at + SECTOR]:
            yield offset + at, offset + at + SECTOR
