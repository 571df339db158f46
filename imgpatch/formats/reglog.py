"""The transaction logs of a registry hive, and what a hive is once they are replayed.

Two formats: the old one (up to Windows 7) holds the pages of one unfinished write; the new one (Windows 8.1
on) entries of many writes, each with hashes. What is replayed is what Windows itself would replay at its
next start: entries that follow each other without a gap, up to the first that is damaged.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgpatch.formats import regf
from imgpatch.formats.regf import BASE_BLOCK, HEADER, SECTOR, BaseBlock

OLD_KINDS = (1, 2)
NEW_KIND = 6

MAX_LOG = 64 << 20
"""Bytes of a log; a larger one is of no use."""

MAX_BINS = regf.MAX_SIZE - HEADER
"""Bytes of all bins that a log may ask for."""

FREE = 1 << 20
"""Bytes at the end of the bins that neither the hive nor the log need have, since they are free."""

_SEED = 0x82EF4D887A4E55C5
_ENTRY = b"HvLE"
_DIRT = b"DIRT"


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of a dirty hive.

    Attributes:
        data: the whole hive, clean; None where no log is of use.
        entries: how many writes were replayed.
    """

    data: bytes | None
    entries: int


@dataclass(frozen=True, slots=True)
class _Entry:
    sequence: int
    flags: int
    size: int
    pages: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class _Log:
    data: bytes
    base: BaseBlock


def replay(hive: bytes, logs: Sequence[bytes]) -> Replay:
    """The hive as it will be after what is unfinished is finished.

    Args:
        hive: a dirty one.
        logs: LOG1 and LOG2, or the single LOG of older systems; empty ones may be among them.

    Raises:
        FormatError: it is no hive at all.
    """
    return _replay(hive, tuple(logs))


@functools.lru_cache(maxsize=2)
def _replay(hive: bytes, logs: tuple[bytes, ...]) -> Replay:
    """Remembered, since every reader of a hive asks for it anew and the hashes take their time."""
    base = regf.base_block(hive)
    usable = [log for log in map(_log, logs) if log is not None]
    new = [log for log in usable if log.base.kind == NEW_KIND]
    if new:
        return _replay_new(hive, base, new)
    if base is not None and base.intact:
        for log in usable:
            done = _replay_old(hive, base, log)
            if done.data is not None:
                return done
    return Replay(None, 0)


def _log(data: bytes) -> _Log | None:
    base = regf.base_block(data) if len(data) <= MAX_LOG else None
    if base is None or not base.intact or base.primary != base.secondary:
        return None
    return _Log(data, base) if base.kind in (*OLD_KINDS, NEW_KIND) else None


# --- the new format ----------------------------------------------------------------------------------


def _replay_new(hive: bytes, base: BaseBlock | None, logs: Sequence[_Log]) -> Replay:
    """The log that is older by its base block first; the next goes on where it ends, or is left out."""
    ordered = sorted(logs, key=lambda log: log.base.primary)
    if base is None or not base.intact:
        ordered = [max(logs, key=_last)]
        hive = (
            regf.with_base(ordered[0].data[:BASE_BLOCK], sequence=ordered[0].base.primary) + hive[BASE_BLOCK:]
        )
        wanted = 0
    else:
        wanted = base.secondary
    image = bytearray(hive)
    applied: list[_Entry] = []
    for log in ordered:
        for entry in _entries(log):
            if entry.sequence < wanted or (applied and entry.sequence != applied[-1].sequence + 1):
                break
            end = max((offset + len(page) for offset, page in entry.pages), default=0)
            if entry.size > max(end, len(image) - HEADER) + FREE:
                break
            _apply(image, entry)
            applied.append(entry)
    if not applied:
        return Replay(None, 0)
    last = applied[-1]
    flags = int.from_bytes(image[144:148], "little") & ~1 | last.flags & 1
    image[144:148] = flags.to_bytes(4, "little")
    return Replay(regf.with_base(bytes(image), sequence=last.sequence, size=last.size), len(applied))


def _last(log: _Log) -> int:
    return max((entry.sequence for entry in _entries(log)), default=-1)


def _entries(log: _Log) -> Iterator[_Entry]:
    """From the one with the number of the log's base block on, consecutive, up to the first damaged one."""
    place = BASE_BLOCK
    wanted = log.base.primary
    while (found := _entry(log.data, place)) is not None:
        length, entry = found
        if entry.sequence != wanted:
            return
        yield entry
        wanted += 1
        place += length


def _entry(data: bytes, place: int) -> tuple[int, _Entry] | None:
    """An entry and its length in bytes; None where none is, or a damaged one."""
    if data[place : place + 4] != _ENTRY or place + 40 > len(data):
        return None
    length, flags, sequence, size, count, hash1, hash2 = struct.unpack_from("<IIIIIQQ", data, place + 4)
    if length % SECTOR or length < 40 + 8 * count or place + length > len(data):
        return None
    if size % regf.BIN or size > MAX_BINS:
        return None
    if marvin32(data[place : place + 32]) != hash2 or marvin32(data[place + 40 : place + length]) != hash1:
        return None
    pages = []
    start = place + 40 + 8 * count
    for index in range(count):
        offset, amount = struct.unpack_from("<II", data, place + 40 + 8 * index)
        if offset + amount > size or start + amount > place + length:
            return None
        pages.append((offset, data[start : start + amount]))
        start += amount
    return length, _Entry(sequence, flags, size, tuple(pages))


def _apply(image: bytearray, entry: _Entry) -> None:
    if len(image) < HEADER + entry.size:
        image.extend(bytes(HEADER + entry.size - len(image)))
    for offset, page in entry.pages:
        image[HEADER + offset : HEADER + offset + len(page)] = page


def marvin32(data: bytes) -> int:
    """The hash of the entries (Marvin32 with the seed that the format gives)."""
    low, high = _SEED & 0xFFFFFFFF, _SEED >> 32
    whole = len(data) // 4
    rest = data[4 * whole :] + b"\x80"
    words = (*struct.unpack_from(f"<{whole}I", data), int.from_bytes(rest, "little"), 0)
    for word in words:
        low = (low + word) & 0xFFFFFFFF
        high ^= low
        low = ((low << 20 | low >> 12) + high) & 0xFFFFFFFF
        high = (high << 9 | high >> 23) & 0xFFFFFFFF ^ low
        low = ((low << 27 | low >> 5) + high) & 0xFFFFFFFF
        high = (high << 19 | high >> 13) & 0xFFFFFFFF
    return high << 32 | low


# --- the old format ----------------------------------------------------------------------------------


def _replay_old(hive: bytes, base: BaseBlock, log: _Log) -> Replay:
    """One bit a sector of the bins, then the sectors of the bits that are set."""
    if log.base.kind not in OLD_KINDS or log.base.written != base.written:
        return Replay(None, 0)
    length = -(-log.base.size // (SECTOR * 8))
    start = BASE_BLOCK + len(_DIRT) + length
    if log.data[BASE_BLOCK : BASE_BLOCK + 4] != _DIRT or start > len(log.data) or log.base.size > MAX_BINS:
        return Replay(None, 0)
    bitmap = log.data[BASE_BLOCK + 4 : start]
    place = -(-start // SECTOR) * SECTOR
    if log.base.size > max(len(bitmap.rstrip(b"\0")) * 8 * SECTOR, len(hive) - HEADER) + FREE:
        return Replay(None, 0)
    image = bytearray(hive)
    if len(image) < HEADER + log.base.size:
        image.extend(bytes(HEADER + log.base.size - len(image)))
    for index in range(log.base.size // SECTOR):
        if bitmap[index // 8] >> index % 8 & 1:
            if place + SECTOR > len(log.data):
                return Replay(None, 0)
            image[HEADER + index * SECTOR : HEADER + (index + 1) * SECTOR] = log.data[place : place + SECTOR]
            place += SECTOR
    done = regf.with_base(bytes(image), sequence=log.base.primary, size=log.base.size)
    return Replay(done, 1)
