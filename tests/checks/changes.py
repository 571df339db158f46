"""What spoils a machine, and the machines to spoil besides the one that was imported."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from imgpatch.finding import Archive, Container
from imgpatch.storage import Device, Disk, Storage
from tests.checks.machines import (
    DRIVERS,
    ESP_TYPE,
    MIB,
    RELEASE,
    ROOT,
    Change,
    Parts,
    of_row,
    ubuntu,
)
from tests.inspection import kernel_trees

ESP = Device(disk=0, partition=4, fstype="vfat", uuid="E5E5", parttype=ESP_TYPE, size=200 * MIB)
FSTAB, NETPLAN, INITRD = "/etc/fstab", "/etc/netplan/50-net.yaml", f"/boot/initrd.img-{RELEASE}"
ROOT_LINE = "/dev/mapper/ubuntu--vg-ubuntu--lv"
STUB = "search -n -u 1234 -s root\nset prefix=($root)/grub2\nconfigfile $prefix/grub.cfg\n"


def put(path: str, text: bytes | str | None) -> Change:
    return lambda parts: parts.having({path: text})


def line(text: str) -> Change:
    """One more line of fstab, the third."""
    return lambda parts: parts.having({FSTAB: parts.text(FSTAB) + text + "\n"})


def devices(*more: Device) -> Change:
    return lambda parts: parts.adding(*more)


def disk(name: str, fmt: str, size: int, **more: Any) -> Change:
    """The first disk in another file; a VMDK is stream-optimized unless it is said."""
    more = {"variety": "streamOptimized" if fmt == "vmdk" else "", **more}
    return lambda parts: replace(
        parts, containers=(Container(name, fmt, size, **more), *parts.containers[1:])
    )


def in_archive(*drives: str) -> Change:
    return disk("vm.ova: d.vmdk", "vmdk", 25 << 30, archive=Archive("vm.ova", drives=drives))


def root_is(**fields: object) -> Change:
    """Another root device, everywhere."""

    def change(parts: Parts) -> Parts:
        new = replace(ROOT, **fields)  # type: ignore[arg-type]  # as the fields of Device
        old = parts.storage
        return replace(
            parts,
            storage=Storage(
                old.disks,
                tuple(new if d == ROOT else d for d in old.devices),
                {point: new if d == ROOT else d for point, d in old.mounts.items()},
            ),
        )

    return change


def table(kind: str) -> Change:
    def change(parts: Parts) -> Parts:
        disks = tuple(Disk(kind, d.size) for d in parts.storage.disks)
        return replace(parts, storage=replace(parts.storage, disks=disks))

    return change


def with_esp(parts: Parts) -> Parts:
    """The same machine by UEFI, with its fallback loader and the stub of its vendor."""
    plain = [d for d in parts.storage.devices if d.partition != 1]
    parts = replace(parts, storage=replace(parts.storage, devices=tuple(plain)))
    parts = parts.adding(ESP, mounts={"/boot/efi": ESP})
    parts = line("UUID=E5E5 /boot/efi vfat defaults 0 1")(parts)
    loaders = {"/boot/efi/EFI/BOOT/BOOTX64.EFI": b"MZ", "/boot/efi/EFI/ubuntu/grubx64.efi": b"MZ"}
    return parts.having({**loaders, "/boot/efi/EFI/ubuntu/grub.cfg": STUB})


@functools.cache
def uefi() -> Parts:
    return with_esp(ubuntu())


@functools.cache
def mbr() -> Parts:
    """A machine of 2019: MBR, a system of that list."""
    parts = table("dos")(ubuntu())
    parts = parts.replaced("/etc/os-release", "24.04", "18.04")
    plain = [d for d in parts.storage.devices if d.partition != 1]
    return replace(parts, storage=replace(parts.storage, devices=tuple(plain)))


@functools.cache
def ifupdown() -> Parts:
    parts = put("/etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n")(
        ubuntu().without("/etc/netplan")
    )
    return parts.without("/usr/lib/systemd").having({"/sbin/dhclient": b"x", "/sbin/ifup": b"x"})


@functools.cache
def rhel() -> Parts:
    return of_row("rhel-9")


def alone(release: str) -> Change:
    """The default kernel under another release, its files moved along."""

    def change(parts: Parts) -> Parts:
        moved = {
            path.replace(RELEASE, release): data.replace(RELEASE.encode(), release.encode())
            if path.endswith((".cfg", ".dep"))
            else data
            for path, data in parts.files.items()
        }
        initrd = kernel_trees.image(release, DRIVERS)
        return replace(parts, files=moved | {f"/boot/initrd.img-{release}": initrd})

    return change


def grubenv(saved: str) -> Change:
    text = f"# GRUB Environment Block\n{saved}".encode()
    return put("/boot/grub2/grubenv", text.ljust(1024, b"#"))


MENU_LST = "default 0\ntitle x\nroot (hd0,0)\nkernel /vmlinuz-x root=/dev/sda1\n"
ARM = bytes.fromhex("7f454c460201010000000000000000000300b70001000000")
I386 = bytes.fromhex("7f454c4601010100000000000000000003000300" + "01000000")
UNIT = "/etc/systemd/system"
