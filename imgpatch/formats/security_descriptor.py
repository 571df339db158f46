"""Security descriptors of NTFS as bytes: how long one is, and what a new file inherits ([MS-DTYP] 2.4.6).

Only the self-relative form is known, in which offsets lead from a header of 20 bytes to the owner, the group
and two lists of access control entries.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imgpatch.errors import FormatError

HEADER = struct.Struct("<BBHIIII")
SELF_RELATIVE, DACL_PRESENT, DACL_AUTO_INHERITED = 0x8000, 0x0004, 0x0400

OBJECT_INHERIT, CONTAINER_INHERIT, NO_PROPAGATE, INHERIT_ONLY, INHERITED = 0x01, 0x02, 0x04, 0x08, 0x10
SIMPLE_ENTRIES = frozenset({0, 1})
"""Allowed and denied, with a mask and one SID; other kinds are not inherited here."""

ADMINISTRATORS = bytes.fromhex("01020000000000052000000020020000")
SYSTEM = bytes.fromhex("010100000000000512000000")
CREATOR_OWNER = bytes.fromhex("010100000000000300000000")
CREATOR_GROUP = bytes.fromhex("010100000000000301000000")

GENERIC = (
    (0x10000000, 0x1F01FF),  # all
    (0x80000000, 0x120089),  # read
    (0x40000000, 0x120116),  # write
    (0x20000000, 0x1200A0),  # execute
)
"""What the generic rights are for files."""


def trimmed(descriptor: bytes) -> bytes:
    """Without what follows the last of its parts: ntfs-3g's own root folders carry kilobytes of zeros.

    Raises:
        FormatError: it is no self-relative security descriptor.
    """
    _, _, control, owner, group, sacl, dacl = _header(descriptor)
    ends = [HEADER.size]
    ends += [at + _sid_size(descriptor, at) for at in (owner, group) if at]
    ends += [at + _list_size(descriptor, at) for at in (sacl, dacl) if at]
    if not control & SELF_RELATIVE or max(ends) > len(descriptor):
        raise FormatError("not a self-relative security descriptor")
    return descriptor[: max(ends)]


def inherited(parent: bytes, *, folder: bool) -> bytes:
    """What Windows gives a new file or folder that Administrators own, below a folder with this descriptor.

    Raises:
        FormatError: the parent's is damaged.
    """
    header = _header(trimmed(parent))
    entries = [
        new
        for kind, flags, mask, sid in _entries(parent, header[6])
        for new in _inherited_entry(kind, flags, mask, sid, folder=folder)
    ]
    if not entries:  # as the default of an administrator's token
        entries = [_entry(0, 0, 0x1F01FF, SYSTEM), _entry(0, 0, 0x1F01FF, ADMINISTRATORS)]
    body = b"".join(entries)
    dacl = struct.pack("<BBHHH", 2, 0, 8 + len(body), len(entries), 0) + body
    owner = HEADER.size + len(dacl)
    control = SELF_RELATIVE | DACL_PRESENT | DACL_AUTO_INHERITED
    head = HEADER.pack(1, 0, control, owner, owner + len(ADMINISTRATORS), 0, HEADER.size)
    return head + dacl + ADMINISTRATORS + SYSTEM


def _inherited_entry(kind: int, flags: int, mask: int, sid: bytes, *, folder: bool) -> Iterator[bytes]:
    """The entry that applies to the new one, and the one it hands on where that is another."""
    wanted = CONTAINER_INHERIT if folder else OBJECT_INHERIT
    hands_on = folder and flags & (OBJECT_INHERIT | CONTAINER_INHERIT) and not flags & NO_PROPAGATE
    onward = flags & (OBJECT_INHERIT | CONTAINER_INHERIT) if hands_on else 0
    applies = bool(flags & wanted)
    owner = {CREATOR_OWNER: ADMINISTRATORS, CREATOR_GROUP: SYSTEM}.get(sid, sid)
    plain = _specific(mask)
    if applies and (owner, plain) == (sid, mask):
        yield _entry(kind, onward | INHERITED, mask, sid)
        return
    if applies:
        yield _entry(kind, INHERITED, plain, owner)
    if hands_on:
        yield _entry(kind, onward | INHERIT_ONLY | INHERITED, mask, sid)


def _specific(mask: int) -> int:
    for generic, rights in GENERIC:
        if mask & generic:
            mask = mask & ~generic | rights
    return mask


def _entry(kind: int, flags: int, mask: int, sid: bytes) -> bytes:
    return struct.pack("<BBHI", kind, flags, 8 + len(sid), mask) + sid


def _entries(descriptor: bytes, at: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, mask and SID of the simple entries of a list."""
    if not at:
        return
    (count,) = struct.unpack_from("<H", descriptor, at + 4)
    end = at + _list_size(descriptor, at)
    at += 8
    for _ in range(count):
        if at + 16 > end:
            raise FormatError("an access control list is shorter than its entries")
        kind, flags, size, mask = struct.unpack_from("<BBHI", descriptor, at)
        if size < 16 or at + size > end:
            raise FormatError(f"an access control entry has an impossible size of {size}")
        if kind in SIMPLE_ENTRIES:
            yield kind, flags, mask, descriptor[at + 8 : at + 8 + _sid_size(descriptor, at + 8)]
        at += size


def _header(descriptor: bytes) -> tuple[int, ...]:
    if len(descriptor) < HEADER.size or descriptor[0] != 1:
        raise FormatError("not a security descriptor")
    return HEADER.unpack_from(descriptor)


def _sid_size(descriptor: bytes, at: int) -> int:
    if at + 8 > len(descriptor):
        raise FormatError("a security descriptor is shorter than what it refers to")
    return 8 + 4 * descriptor[at + 1]


def _list_size(descriptor: bytes, at: int) -> int:
    if at + 8 > len(descriptor):
        raise FormatError("a security descriptor is shorter than what it refers to")
    return int.from_bytes(descriptor[at + 2 : at + 4], "little")
