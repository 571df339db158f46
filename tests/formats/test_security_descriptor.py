"""Who may touch what is created on NTFS."""

from __future__ import annotations

import struct

import pytest

from imgpatch.errors import FormatError
from imgpatch.formats import security_descriptor as sd

USERS = bytes.fromhex("01020000000000052000000021020000")
FULL, READ = 0x1F01FF, 0x1200A9
ALL = sd.OBJECT_INHERIT | sd.CONTAINER_INHERIT

Rows = list[tuple[int, int, bytes]]


def descriptor(*rows: tuple[int, int, bytes]) -> bytes:
    body = b"".join(struct.pack("<BBHI", 0, flags, 8 + len(sid), mask) + sid for flags, mask, sid in rows)
    dacl = struct.pack("<BBHHH", 2, 0, 8 + len(body), len(rows), 0) + body
    head = struct.pack("<BBHIIII", 1, 0, 0x8004, 20 + len(dacl), 36 + len(dacl), 0, 20)
    return head + dacl + sd.ADMINISTRATORS + sd.SYSTEM


def entries(data: bytes) -> Rows:
    return [(flags, mask, sid) for _, flags, mask, sid in sd._entries(data, 20)]


@pytest.mark.parametrize(
    ("above", "file", "folder"),
    [
        pytest.param(
            (ALL, FULL, sd.SYSTEM), [(16, FULL, sd.SYSTEM)], [(ALL | 16, FULL, sd.SYSTEM)], id="for all below"
        ),
        pytest.param((2, READ, USERS), [], [(2 | 16, READ, USERS)], id="for folders"),
        pytest.param(
            (1 | 8, READ, USERS),
            [(16, READ, USERS)],
            [(1 | 8 | 16, READ, USERS)],
            id="for files, and not itself",
        ),
        pytest.param((0, FULL, USERS), [], [], id="for itself"),
        pytest.param((ALL | 4, READ, USERS), [(16, READ, USERS)], [(16, READ, USERS)], id="one level down"),
        pytest.param(
            (ALL | 8, 0x10000000, sd.CREATOR_OWNER),
            [(16, FULL, sd.ADMINISTRATORS)],
            [(16, FULL, sd.ADMINISTRATORS), (ALL | 8 | 16, 0x10000000, sd.CREATOR_OWNER)],
            id="whoever creates it",
        ),
    ],
)
def test_what_is_inherited(above: tuple[int, int, bytes], file: Rows, folder: Rows) -> None:
    # an entry that all below inherits, so that the list is never empty
    parent = descriptor(above, (ALL, FULL, sd.ADMINISTRATORS)) + bytes(4000)
    own = [(16, FULL, sd.ADMINISTRATORS)]
    assert entries(sd.inherited(parent, folder=False)) == [*file, *own]
    assert entries(sd.inherited(parent, folder=True)) == [*folder, (ALL | 16, FULL, sd.ADMINISTRATORS)]


def test_nobody_else_may_where_nothing_is_inherited() -> None:
    new = sd.inherited(descriptor((0, FULL, USERS)), folder=False)
    assert entries(new) == [(0, FULL, sd.SYSTEM), (0, FULL, sd.ADMINISTRATORS)]
    assert sd.trimmed(new) == new


def test_zeros_behind_it_go() -> None:
    whole = descriptor((ALL, READ, USERS))
    assert sd.trimmed(whole + bytes(3000)) == whole


@pytest.mark.parametrize("cut", range(0, 80, 3))
def test_a_damaged_one_is_refused(cut: int) -> None:
    with pytest.raises(FormatError):
        sd.inherited(descriptor((ALL, READ, USERS))[:cut], folder=False)
