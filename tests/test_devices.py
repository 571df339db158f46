"""Names of devices resolved by place: no name is ever looked up on the host."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.devices import Naming, is_device_name, naming, resolve, same_tag
from imgpatch.storage import Device, Disk, Storage

BOOT = Device(
    0, 1, fstype="ext4", uuid="aaaa", label="a b", partuuid="0001-01", partlabel="boot", parttype="0x83"
)
ROOT = Device(0, 10, fstype="ext4", uuid="bbbb")
WHOLE = Device(1, None, fstype="xfs", uuid="cccc")
ESP = Device(2, 1, fstype="vfat", uuid="ABCD-1234")
LV = Device(mapper="my--vg-root", fstype="xfs", uuid="dddd", dm_uuid="LVM-" + "x" * 64)
STORAGE = Storage(
    disks=(Disk("dos", 1), Disk(None, 1), Disk("gpt", 1)),
    devices=(BOOT, ROOT, WHOLE, ESP, LV),
    mounts={"/": ROOT},
)


@pytest.mark.parametrize(
    ("spec", "device"),
    [
        ("/dev/sda1", BOOT),
        ("/dev/sda10", ROOT),
        ("/dev/xvda1", BOOT),
        ("/dev/hda1", BOOT),
        ("/dev/vda1", BOOT),
        ("/dev/nvme0n1p1", BOOT),
        ("/dev/nvme0n3p1", ESP),  # VMware: one controller, a namespace a disk
        ("/dev/nvme2n1p1", ESP),
        ("/dev/nvme1n2p1", None),
        ("/dev/cciss/c0d0p1", BOOT),
        ("/dev/cciss/c1d0p1", None),
        ("/dev/sdb", WHOLE),
        ("/dev/nvme1n1", WHOLE),
        ("/dev/sda", None),
        ("/dev/sda2", None),
        ("/dev/sdd1", None),
        ("/dev/sr0", None),
        ("/dev/root", ROOT),
        ("/dev/disk/by-uuid/aaaa", BOOT),
        ("/dev/disk/by-uuid/abcd-1234", ESP),
        ("/dev/disk/by-label/a\\x20b", BOOT),
        ("/dev/disk/by-partuuid/0001-01", BOOT),
        ("/dev/disk/by-partlabel/boot", BOOT),
        ("/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part10", ROOT),
        ("/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part1", None),  # two disks have a first partition
        ("/dev/disk/by-id/wwn-0x5000c50015ea71ad-part10", ROOT),
        ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM00002", WHOLE),
        ("/dev/mapper/mpatha10", ROOT),
        ("/dev/mapper/mpathap10", ROOT),
        ("/dev/mapper/mpatha-part10", ROOT),
        ("/dev/mapper/mpathb", WHOLE),
        ("/dev/mapper/mpatha1", None),  # two disks have a first partition
        ("/dev/mapper/36005076801818664a0000000000000abp10", ROOT),
        ("/dev/mapper/mpath-data", None),
        ("/dev/disk/by-id/dm-name-mpatha-part10", ROOT),
        ("/dev/disk/by-id/dm-uuid-part10-mpath-36005", ROOT),
        ("/dev/disk/by-id/dm-uuid-LVM-" + "x" * 64, LV),
        ("/dev/disk/by-id/dm-uuid-LVM-" + "y" * 64, None),
        ("/dev/disk/by-id/dm-name-my--vg-root", LV),
        ("/dev/my-vg/root", LV),
        ("/dev/mapper/my--vg-root", LV),
        ("/dev/mapper/my-vg-root", None),
        ("UUID=aaaa", BOOT),
        ('UUID="abcd-1234"', ESP),
        ("LABEL='a b'", BOOT),
        ("PARTUUID=0001-01", BOOT),
        ("PARTLABEL=boot", BOOT),
        ("UUID=", None),
        ("tmpfs", None),
        ("/swapfile", None),
        ("/dev/sda" + "9" * 5000, None),
    ],
)
def test_resolve(spec: str, device: Device | None) -> None:
    assert resolve(spec, STORAGE) == device


def test_disks_after_z_go_on_with_two_letters() -> None:
    devices = tuple(Device(index, 1) for index in range(30))
    storage = Storage(disks=(Disk("gpt", 1),) * 30, devices=devices)
    assert [resolve(f"/dev/sd{name}1", storage) for name in ("z", "aa", "ad")] == [
        devices[25],
        devices[26],
        devices[29],
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("/dev/sda1", Naming.HARDWARE),
        ("/dev/sr0", Naming.HARDWARE),
        ("/dev/anything", Naming.HARDWARE),
        ("/dev/root", Naming.HARDWARE),
        ("/dev/disk/by-id/scsi-1-part2", Naming.HARDWARE),
        ("/dev/mapper/mpatha1", Naming.HARDWARE),
        ("/dev/disk/by-id/dm-uuid-part1-mpath-36005", Naming.HARDWARE),
        ("/dev/disk/by-uuid/aaaa", Naming.TAG_LINK),
        ("/dev/vg/lv", Naming.VOLUME),
        ("/dev/md0", Naming.VOLUME),
        ("/dev/md/data", Naming.VOLUME),
        ("/dev/mapper/luks-1", Naming.VOLUME),
        ("/dev/disk/by-id/dm-uuid-LVM-1", Naming.VOLUME),
        ("UUID=1", Naming.TAG),
        ("LABEL=/dev/sda1", Naming.TAG),
        ("/dev/zram0", Naming.OTHER),
        ("/dev/loop0", Naming.OTHER),
        ("/dev/shm", Naming.OTHER),
        ("/dev", Naming.OTHER),
        ("server:/dev/sda1", Naming.OTHER),
        ("/root", Naming.OTHER),
    ],
)
def test_naming(spec: str, expected: Naming) -> None:
    assert naming(spec) is expected
    assert is_device_name(spec) == (expected in (Naming.HARDWARE, Naming.TAG_LINK))


def test_clones_are_told_but_a_btrfs_of_two_devices_is_none() -> None:
    one, two = Device(0, 1, fstype="ext4", uuid="AA"), Device(1, 1, fstype="ext4", uuid="aa")
    pool = (Device(2, 1, fstype="btrfs", uuid="bb"), Device(3, 1, fstype="btrfs", uuid="bb"))
    storage = Storage(devices=(one, two, *pool))
    assert same_tag(one, storage) == (two,)
    assert same_tag(pool[0], storage) == ()


@settings(max_examples=50, derandomize=True)
@given(st.text(max_size=40).map(lambda tail: f"/dev/{tail}"))
def test_no_name_crashes(spec: str) -> None:
    resolve(spec, STORAGE)
    naming(spec)


ARRAY = Device(md_uuid="ab" * 16, md_names=("/dev/md0", "/dev/md/0", "/dev/disk/by-id/md-name-host:0"))
SECOND_ARRAY = Device(md_uuid="cd" * 16, md_names=("/dev/md/data",))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("/dev/md0", ARRAY),
        ("/dev/md/0", ARRAY),
        ("/dev/md/data", SECOND_ARRAY),
        ("/dev/disk/by-id/md-name-host:0", ARRAY),
        (f"/dev/disk/by-id/md-uuid-{':'.join(['abababab'] * 4)}", ARRAY),
        ("/dev/md127", None),
        ("/dev/md/other", None),
    ],
)
def test_md_arrays(spec: str, expected: Device | None) -> None:
    assert resolve(spec, Storage((), (ARRAY, SECOND_ARRAY))) == expected


def test_the_only_md_array_has_any_number() -> None:
    storage = Storage((), (ARRAY,))
    assert resolve("/dev/md127", storage) == ARRAY
    assert resolve("/dev/disk/by-id/md-uuid-0", storage) is None
    assert ARRAY.name == "/dev/md0"
