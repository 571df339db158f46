"""What is refused of Windows' volumes, and with which rule of the documents."""

from __future__ import annotations

import pytest

from imgpatch.errors import RefusedError, UnsupportedGuestError
from imgpatch.images.windows_volumes import (
    HIBERNATED,
    INCONSISTENT,
    UNCLEAN,
    Opening,
    _allowed,
    _other_volumes,
    _refuse_unreadable,
)
from imgpatch.storage import Device

VOLUME = Device(disk=0, partition=2, fstype="ntfs")


@pytest.mark.parametrize(
    ("device", "rule", "what"),
    [
        (Device(disk=0, partition=2, fstype="BitLocker"), "R-43", "manage-bde -off"),
        (Device(disk=0, partition=1, parttype="0x42"), "R-34", "basic disk"),
        (Device(disk=0, partition=3, parttype="af9b60a0-1431-4f62-bc68-3311714a69ad"), "R-34", "basic disk"),
        (Device(disk=0, partition=3, parttype="e75caf8f-f680-4cee-afa3-b001e56efc2d"), "R-42", "NTFS"),
        (Device(disk=0, partition=3, fstype="ReFS"), "R-42", "NTFS"),
    ],
)
def test_where_windows_cannot_be_read(device: Device, rule: str, what: str) -> None:
    with pytest.raises(UnsupportedGuestError) as refused:
        _refuse_unreadable({"/dev/sda1": VOLUME, "/dev/sda2": device})
    assert device.name in str(refused.value)
    assert rule in (refused.value.hint or "")
    assert what in (refused.value.hint or "")
    (said,) = _other_volumes({"/dev/sda1": VOLUME, "/dev/sda2": device})
    assert rule in said


def test_a_linux_disk_with_a_volume_of_ntfs_is_not_refused() -> None:
    _refuse_unreadable({"/dev/sda1": Device(fstype="ext4"), "/dev/sdb1": VOLUME})


@pytest.mark.parametrize(
    ("state", "opening", "said"),
    [
        (0, Opening(), []),
        (HIBERNATED, Opening(force_hibernated=True), ["the hibernated session is deleted"]),
        (UNCLEAN, Opening(force_unclean=True), ["the unfinished NTFS journal is reset"]),
    ],
)
def test_what_may_be_opened(state: int, opening: Opening, said: list[str]) -> None:
    found = list(_allowed(state, VOLUME, opening))
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("state", "opening", "hint"),
    [
        (HIBERNATED, Opening(), "--force-hibernated"),
        (HIBERNATED, Opening(force_unclean=True), "--force-hibernated"),
        (UNCLEAN, Opening(force_hibernated=True), "--force-unclean"),
        (INCONSISTENT, Opening(force_hibernated=True, force_unclean=True), "chkdsk /f"),
        (17, Opening(force_hibernated=True, force_unclean=True), "shutdown /s /t 0"),
    ],
)
def test_what_is_refused(state: int, opening: Opening, hint: str) -> None:
    with pytest.raises(RefusedError) as refused:
        list(_allowed(state, VOLUME, opening))
    assert hint in (refused.value.hint or "")
