"""What an initramfs of the old machine alone waits for."""

from __future__ import annotations

import pytest

from fixtures.archives import archive
from imgpatch.formats import initramfs
from imgpatch.transforms import host_only


@pytest.mark.parametrize(
    ("device", "lost"),
    [
        (r"\x2fdev\x2fmapper\x2fmpatha1", "/dev/mapper/mpatha1"),
        (r"\x2fdev\x2fdisk\x2fby-path\x2fpci-0000:03:00.0-part1", "/dev/disk/by-path/pci-0000:03:00.0-part1"),
        (r"\x2fdev\x2fdisk\x2fby-uuid\x2f5a1a", None),
        (r"\x2fdev\x2fmapper\x2fcentos-root", None),
    ],
)
def test_only_devices_of_the_old_hardware_are_named(device: str, lost: str | None) -> None:
    hook = f"lib/dracut/hooks/initqueue/finished/devexists-{device}.sh"
    found = list(host_only.notes("/boot/x", initramfs.read(archive({hook: b"[ -e x ]\n"}))))
    assert [lost in note.text for note in found if lost] == ([True] if lost else [])
    assert bool(found) == bool(lost)
