"""RESUME= of initramfs-tools names its swap by UUID."""

from __future__ import annotations

import pytest

from imgpatch.errors import FormatError
from imgpatch.storage import Device, Disk, Storage
from imgpatch.transforms.resume_device import by_uuid

UUID = "5a1ab100-5a5a-4a12-8a12-aa0000000005"
STORAGE = Storage(
    (Disk("dos", 1 << 30),),
    (
        Device(disk=0, partition=1, fstype="ext4", uuid="1"),
        Device(disk=0, partition=5, fstype="swap", uuid=UUID),
        Device(mapper="vg-swap", fstype="swap", uuid="7"),
    ),
)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("RESUME=/dev/sda5\n", f"RESUME=UUID={UUID}\n"),
        ('# swap\nRESUME="/dev/sda5"', f'# swap\nRESUME="UUID={UUID}"'),
        ("RESUME=/dev/sda1\n", "RESUME=none\n"),
        ("RESUME=/dev/sdb1\n", "RESUME=none\n"),
    ],
)
def test_device_names_become_what_survives(text: str, after: str) -> None:
    assert by_uuid(text, STORAGE)[0] == after
    assert by_uuid(after, STORAGE) == (after, ())


@pytest.mark.parametrize(
    "value", ["", "none", "auto", f"UUID={UUID}", "/dev/mapper/vg-swap", "#RESUME=/dev/sda5"]
)
def test_what_does_not_depend_on_hardware_stays(value: str) -> None:
    text = f"MODULES=most\nRESUME={value}\n"
    assert by_uuid(text, STORAGE) == (text, ())


def test_a_tag_that_no_device_has_is_said() -> None:
    with pytest.raises(FormatError, match="names no device"):
        by_uuid("RESUME=UUID=0\n", STORAGE)
