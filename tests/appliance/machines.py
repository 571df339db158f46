"""Small machines for tests that need an appliance: a root of a few files on disks of a few MiB."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fixtures import text_disks
from imgpatch.guest import Guest, MemoryTree
from imgpatch.images import probe
from imgpatch.images.appliance import Drive, launch
from imgpatch.storage import Device, Disk, Storage

MIB = 1024 * 1024
ROOT_UUID = "5f1a6f5c-2c1b-4f0e-9d52-6a4b0b1d7e01"
ROOT = Device(disk=0, partition=1, fstype="ext4", uuid=ROOT_UUID, parttype="0x83", size=40 * MIB)
SECOND = Device(
    disk=0,
    partition=2,
    fstype="ext4",
    uuid="7d0f3c1e-9a8b-4c6d-8e5f-102132435465",
    parttype="0x83",
    size=40 * MIB,
)
FSTAB = b"# by hand\n/dev/sda1\t/\text4\tdefaults\t0\t1\n//nas/share /mnt cifs guest 0 0\n"
FILES = {
    "/etc/fstab": FSTAB,
    "/etc/hostname": b"small\n",
    "/usr/bin/sh": bytes.fromhex("7f454c4602010100000000000000000003003e0001000000"),
    "/usr/lib/os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "/var/lib/dpkg/status": b"",
}
LINKS = {"/bin": "usr/bin", "/etc/os-release": "../usr/lib/os-release"}


def small_guest(*devices: Device, files: dict[str, bytes] | None = None) -> Guest:
    """A Debian of six files; the first device is its root, what else is given lies beside it."""
    some = devices or (ROOT,)
    storage = Storage((Disk("dos", sum(d.size + 2 * MIB for d in some)),), some, {"/": some[0]})
    return Guest(MemoryTree({**FILES, **(files or {})}, links=LINKS), storage)


def small_disk(folder: Path, *devices: Device, image_format: str = "raw") -> Path:
    """Its only disk."""
    return text_disks.make(small_guest(*devices), folder, image_format=image_format)[0]


def as_luks(device: Device) -> Device:
    """The same place, left unformatted: `write_luks_header` makes blkid see a LUKS volume there."""
    return replace(device, fstype=None, uuid=None)


def change(disk: Path, *commands: tuple[object, ...], root: str | None = "/dev/sda1") -> None:
    """Runs libguestfs calls on a raw disk, `("write", "/etc/x", b"...")`, with its root mounted."""
    with launch([Drive(disk, "raw", writable=True)], probe.appliance_settings(probe.probe())) as appliance:
        if root is not None:
            appliance.mount(root, "/")
        for name, *arguments in commands:
            getattr(appliance, str(name))(*arguments)
        if root is not None:
            appliance.umount_all()


def fill_up(disk: Path, *, leave: int) -> None:
    """Leaves the root file system of a raw disk with this many free bytes."""
    with launch([Drive(disk, "raw", writable=True)], probe.appliance_settings(probe.probe())) as appliance:
        appliance.mount("/dev/sda1", "/")
        room = appliance.statvfs("/")
        appliance.fallocate64("/fill", room["bavail"] * room["bsize"] - leave)
        appliance.umount_all()
