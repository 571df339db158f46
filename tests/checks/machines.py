"""Guests without a fault, to spoil in one thing each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fixtures import rows
from imgpatch import checks, edition
from imgpatch.files import Space
from imgpatch.finding import Container, Finding, Machine, Operation
from imgpatch.guest import Guest, MemoryTree, Stat
from imgpatch.inspection import inspect
from imgpatch.storage import Device, Disk, Storage
from imgpatch.target import EC2
from tests.inspection import kernel_trees

MIB = 1024**2
GIB = 1024**3
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LVM_TYPE = "e6d6d379-f507-44c2-a23c-238f2a3df928"
LINUX_TYPE = "0fc63daf-8483-4772-8e79-3d69d8477de4"

RELEASE = "6.8.0-138-generic"
OTHER = "6.14.0-37-generic"
VG = "ubuntu--vg-ubuntu--lv"
X86_64 = bytes.fromhex("7f454c4602010100000000000000000003003e0001000000")
DRIVERS = ("ext4", "xen_blkfront", "xen_netfront", "nvme", "nvme_core", "t10_pi", "ena")

BOOT_UUID = "b0b0b0b0-0b0b-4b0b-8b0b-b0b0b0b0b001"
BOOT = Device(disk=0, partition=2, fstype="ext4", uuid=BOOT_UUID, parttype=LINUX_TYPE, size=128 * MIB)
MEMBER = Device(disk=0, partition=3, fstype="LVM2_member", parttype=LVM_TYPE, size=400 * MIB)
ROOT = Device(mapper=VG, fstype="ext4", uuid="c0c0c0c0-0c0c-4c0c-8c0c-c0c0c0c0c001", size=320 * MIB)

ENTRY = """menuentry '{title}' --id '{title}' {{
	linux /vmlinuz-{release} root=/dev/mapper/ubuntu--vg-ubuntu--lv ro net.ifnames=0
	initrd /initrd.img-{release}
}}
"""
GRUB_CFG = "set default=0\nset timeout=5\n" + "".join(
    ENTRY.format(title=release, release=release) for release in (RELEASE, OTHER)
)


STREAM = Container("disk.vmdk", "vmdk", 25 * GIB, variety="streamOptimized")


@dataclass(frozen=True)
class Parts:
    """A machine before it is put together; a test replaces one part."""

    files: Mapping[str, bytes]
    links: Mapping[str, str]
    storage: Storage
    stats: Mapping[str, Stat] = field(default_factory=dict)
    containers: Sequence[Container] = (STREAM,)
    free: int = 4 * GIB
    operation: Operation = Operation.IMAGE

    def having(self, files: Mapping[str, bytes | str | None]) -> Parts:
        """With other contents; None takes a file or a link away."""
        data = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        kept = {path: contents for path, contents in {**self.files, **data}.items() if contents is not None}
        return replace(self, files=kept, links={p: t for p, t in self.links.items() if p not in data})

    def linked(self, path: str, target: str) -> Parts:
        return replace(self.having({path: None}), links={**self.links, path: target})

    def text(self, path: str) -> str:
        return self.files[path].decode()

    def replaced(self, path: str, old: str, new: str) -> Parts:
        """With some words of one file replaced, which must be there."""
        assert old in self.text(path)
        return self.having({path: self.text(path).replace(old, new)})

    def without(self, *beginnings: str) -> Parts:
        """Without the files whose paths begin so."""
        return replace(self, files={p: d for p, d in self.files.items() if not p.startswith(beginnings)})

    def adding(self, *devices: Device, mounts: Mapping[str, Device] | None = None) -> Parts:
        storage = replace(
            self.storage,
            devices=(*self.storage.devices, *devices),
            mounts={**self.storage.mounts, **(mounts or {})},
        )
        return replace(self, storage=storage)

    def machine(self, name: str = edition.NEWEST) -> Machine:
        folding = [point for point, device in self.storage.mounts.items() if device.fstype == "vfat"]
        tree = MemoryTree(self.files, links=self.links, stats=self.stats, case_folding=folding)
        guest = Guest(tree, self.storage)
        space = {"/": Space("/", 4096, self.free // 4096, None)}
        found, rules = inspect(guest, EC2), edition.load(name)
        return Machine(guest, found, rules, tuple(self.containers), space, self.operation)

    def findings(self, name: str = edition.NEWEST) -> tuple[Finding, ...]:
        return checks.run(self.machine(name))


Change = Callable[[Parts], Parts]


@functools.cache
def ubuntu() -> Parts:
    """What was imported without a fault in 2026: GPT, BIOS, a /boot, the root in LVM, eth0 by netplan."""
    files = {
        "/etc/os-release": b'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.4 LTS"\n',
        "/etc/fstab": f"/dev/mapper/{VG} / ext4 defaults 0 1\nUUID={BOOT_UUID} /boot ext4 ro 0 1\n".encode(),
        "/etc/netplan/50-net.yaml": b"network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n",
        "/boot/grub/grub.cfg": GRUB_CFG.encode(),
        "/usr/bin/dash": X86_64,
        "/usr/sbin/sshd": X86_64,
        "/usr/lib/systemd/systemd-networkd": X86_64,
    }
    for release in (RELEASE, OTHER):
        files |= kernel_trees.tree(release)
        files[f"/boot/initrd.img-{release}"] = kernel_trees.image(release, DRIVERS)
    devices = (Device(disk=0, partition=1, parttype=BIOS_BOOT, size=MIB), BOOT, MEMBER, ROOT)
    storage = Storage((Disk("gpt", 600 * MIB),), devices, {"/": ROOT, "/boot": BOOT})
    return Parts(files, {"/bin/sh": "/usr/bin/dash"}, storage)


@functools.cache
def of_row(name: str) -> Parts:
    """A row of the matrix, with what a whole machine has besides."""
    row = rows.table()[name]
    guest = rows.load(name)
    files = {**rows.files(row), "/usr/sbin/sshd": X86_64}
    return Parts(files, row.guest["links"], guest.storage)
