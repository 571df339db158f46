"""One case a finding: a machine without the fault, and what spoils it in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from imgpatch.edition import NEWEST
from imgpatch.finding import Operation, Severity
from imgpatch.storage import Device
from tests.checks.changes import (
    ARM,
    ESP,
    FSTAB,
    I386,
    INITRD,
    MENU_LST,
    NETPLAN,
    ROOT_LINE,
    STUB,
    UNIT,
    alone,
    devices,
    disk,
    grubenv,
    ifupdown,
    in_archive,
    line,
    mbr,
    put,
    rhel,
    root_is,
    table,
    uefi,
)
from tests.checks.machines import (
    GIB,
    GRUB_CFG,
    MIB,
    OTHER,
    RELEASE,
    ROOT,
    STREAM,
    Change,
    Parts,
    of_row,
    ubuntu,
)
from tests.inspection import kernel_trees

FAILS, UNKNOWN, MAY, ADVICE = Severity.FAILS, Severity.UNKNOWN, Severity.MAY_NOT_BOOT, Severity.ADVICE


@dataclass(frozen=True)
class Case:
    """A fault.

    Attributes:
        check: the module that finds it.
        change: spoils the machine.
        place: the path, device or disk of the finding, perhaps with a line.
        base: the machine without the fault.
        gone: rules of findings of the machine that the fault hides.
        twin: the edition in which the same machine is without fault, where that is the one thing.
        operation: the call that is predicted.
    """

    name: str
    check: str
    change: Change
    severity: Severity
    rule: str
    error: str | None = None
    place: str | None = None
    base: Callable[[], Parts] = ubuntu
    edition: str = NEWEST
    gone: frozenset[str] = frozenset()
    twin: str | None = None
    operation: Operation = Operation.IMAGE

    def sound(self) -> Parts:
        """The machine without the fault."""
        return replace(self.base(), operation=self.operation)


PLAIN = disk("d.vmdk", "vmdk", GIB, variety="monolithicSparse")
FROM_VIRTUALBOX = disk("d.vmdk", "vmdk", GIB, maker="VirtualBox")
SNAPSHOT, INSTANCE = Operation.SNAPSHOT, Operation.INSTANCE

CASES = (
    Case("not stream-optimized", "containers", PLAIN, FAILS, "R-02", "E-04", "d.vmdk"),
    Case("not compressed", "containers", PLAIN, FAILS, "R-10", "E-12", "d.vmdk", mbr, "2019"),
    Case("not for a snapshot", "containers", PLAIN, FAILS, "R-02", "A04", "d.vmdk", operation=SNAPSHOT),
    Case("not for an instance", "containers", PLAIN, FAILS, "R-10", "E-12", "d.vmdk", operation=INSTANCE),
    Case(
        "a grain that does not unpack",
        "containers",
        disk("d.vmdk", "vmdk", GIB, damage="the grain at byte 65536 unpacks to 1 instead of 65536 bytes"),
        FAILS,
        "R-09",
        "E-10",
        "d.vmdk",
    ),
    Case("VirtualBox", "containers", FROM_VIRTUALBOX, ADVICE, "R-03", None, "d.vmdk", mbr, "2019"),
    Case("VHDX", "containers", disk("d.vhdx", "vhdx", GIB), ADVICE, "imgpatch", None, "d.vhdx"),
    Case("another name", "containers", disk("d.vmdk", "vpc", GIB), ADVICE, "R-01", "A05", "d.vmdk"),
    Case("a CD in the OVA", "containers", in_archive("a CD"), ADVICE, "R-82", None, "vm.ova"),
    Case(
        "an OVA for a snapshot", "disk_files", in_archive(), FAILS, "R-01", None, "vm.ova", operation=SNAPSHOT
    ),
    Case(
        "an OVA for an instance",
        "disk_files",
        in_archive(),
        UNKNOWN,
        "R-01",
        "E-07",
        "vm.ova",
        operation=INSTANCE,
    ),
    Case(
        "VHDX for an instance",
        "disk_files",
        disk("d.vhdx", "vhdx", GIB),
        FAILS,
        "R-01",
        "E-07",
        "d.vhdx",
        operation=INSTANCE,
    ),
    Case(
        "two disks for an instance",
        "disk_files",
        lambda p: replace(p, containers=(STREAM, replace(STREAM, name="e.vmdk"))),
        FAILS,
        "R-15",
        operation=INSTANCE,
    ),
    Case(
        "GPT for an instance",
        "partition_table",
        table("gpt"),
        FAILS,
        "R-23",
        "E-08",
        "disk 1",
        mbr,
        operation=INSTANCE,
    ),
    Case("qcow2", "disk_files", disk("d.qcow2", "qcow2", GIB), ADVICE, "R-01", "E-01", "d.qcow2"),
    Case("8 TiB", "disk_files", disk("d.vmdk", "vmdk", 8 << 40), FAILS, "R-11", None, "d.vmdk"),
    Case(
        "2 TiB",
        "disk_files",
        disk("d.vmdk", "vmdk", (2 << 40) + 1),
        FAILS,
        "R-12",
        None,
        "d.vmdk",
        mbr,
        "2019",
    ),
    Case(
        "22 disks",
        "disk_files",
        lambda p: replace(
            p, containers=(*p.containers, *(replace(STREAM, name=f"{n}.vmdk") for n in range(21)))
        ),
        FAILS,
        "R-13",
    ),
    Case("GPT", "partition_table", table("gpt"), FAILS, "R-21", None, "disk 1", mbr, "2019"),
    Case("ESP", "partition_table", devices(ESP), FAILS, "R-24", "A25", ESP.name, mbr, "2019"),
    Case(
        "a disk of the volume group left out",
        "volume_groups",
        lambda p: replace(p, storage=replace(p.storage, incomplete_groups=("ubuntu-vg",))),
        FAILS,
        "R-44",
        "E-25",
        "volume group ubuntu-vg",
    ),
    Case(
        "LUKS",
        "encrypted_volumes",
        devices(Device(disk=0, partition=5, fstype="crypto_LUKS")),
        UNKNOWN,
        "R-43",
        None,
        "disk 1 partition 5",
    ),
    Case("ReiserFS", "root_file_system", root_is(fstype="reiserfs"), FAILS, "R-40", "E-15", ROOT.name),
    Case(
        "the root in a subvolume",
        "btrfs_subvolumes",
        lambda p: p.replaced(FSTAB, "/ ext4 defaults", "/ btrfs subvol=@"),
        FAILS,
        "R-41",
        "E-15",
        "/etc/fstab:1",
    ),
    Case(
        "a subvolume elsewhere",
        "btrfs_subvolumes",
        line(f"{ROOT_LINE} /srv btrfs subvolid=300 0 0"),
        UNKNOWN,
        "R-41",
        None,
        "/etc/fstab:3",
    ),
    Case(
        "ostree",
        "system_files",
        lambda p: p.replaced("/boot/grub/grub.cfg", "ro net", "ostree=/ostree/boot.1 net"),
        FAILS,
        "R-60",
        "E-15",
        "/boot/grub/grub.cfg",
    ),
    Case(
        "ARM64",
        "processor",
        put("/usr/bin/dash", ARM),
        FAILS,
        "R-63",
    ),
    Case("32-bit", "processor", put("/usr/bin/dash", I386), FAILS, "R-62"),
    Case("no program", "processor", put("/usr/bin/dash", "#!"), UNKNOWN, "R-62"),
    Case(
        "fstab is a link",
        "fstab_file",
        lambda p: p.having({"/nix/fstab": p.text(FSTAB)}).linked(FSTAB, "/nix/fstab"),
        FAILS,
        "R-48",
        "A46",
        FSTAB,
    ),
    Case("no fstab", "fstab_file", put(FSTAB, None), FAILS, "R-48", "A46", FSTAB),
    Case("NULs", "fstab_file", line("\0\0"), FAILS, "R-48", "E-22", FSTAB),
    Case("no root in fstab", "fstab_file", put(FSTAB, "# none\n"), UNKNOWN, "R-48", None, FSTAB),
    Case(
        "a stub beside the loader",
        "grub_files",
        put("/boot/efi/boot/grub2/grub.cfg", STUB),
        FAILS,
        "R-30",
        "E-05",
        "/boot/efi/boot/grub2/grub.cfg",
        uefi,
    ),
    Case(
        "two menus",
        "grub_files",
        put("/boot/grub2/grub.cfg", GRUB_CFG + "# old\n"),
        FAILS,
        "R-30",
        "E-05",
        "/boot/grub2/grub.cfg",
    ),
    Case(
        "menu.lst",
        "grub_files",
        put("/boot/grub/menu.lst", MENU_LST),
        FAILS,
        "R-30",
        "E-05",
        "/boot/grub/menu.lst",
    ),
    Case(
        "menu.lst in 2024",
        "grub_files",
        put("/boot/grub/menu.lst", MENU_LST),
        UNKNOWN,
        "R-30",
        "E-05",
        "/boot/grub/menu.lst",
        mbr,
        "2024",
    ),
    Case(
        "a grubenv without a default",
        "default_kernel",
        grubenv(""),
        FAILS,
        "R-31",
        "E-23",
        "/boot/grub2/grub.cfg",
        rhel,
    ),
    Case(
        "a default that is gone",
        "default_kernel",
        grubenv("saved_entry=no-such-entry\n"),
        FAILS,
        "R-31",
        "E-23",
        "/boot/grub2/grub.cfg",
        rhel,
    ),
    Case(
        "loader entries in 2019",
        "default_kernel",
        lambda p: p,
        FAILS,
        "R-31",
        "A56",
        "/boot/grub2/grub.cfg",
        rhel,
        "2019",
        twin="2024",
    ),
    Case(
        "HWE",
        "supported_kernel",
        alone("6.14.0-29-generic"),
        FAILS,
        "R-61",
        "E-27",
        "/boot/vmlinuz-6.14.0-29-generic",
    ),
    Case(
        "the flavour aws",
        "supported_kernel",
        alone("6.8.0-1021-aws"),
        FAILS,
        "R-61",
        "E-27",
        "/boot/vmlinuz-6.8.0-1021-aws",
    ),
    Case(
        "the flavour kvm",
        "supported_kernel",
        alone("6.8.0-1021-kvm"),
        UNKNOWN,
        "R-61",
        None,
        "/boot/vmlinuz-6.8.0-1021-kvm",
    ),
    Case(
        "an unlisted version",
        "supported_kernel",
        lambda p: p.replaced("/etc/os-release", "24.04", "25.10"),
        FAILS,
        "R-60",
        "E-27",
        f"/boot/vmlinuz-{RELEASE}",
    ),
    Case(
        "an unlisted system",
        "supported_kernel",
        lambda p: p.replaced("/etc/os-release", "ID=ubuntu", "ID=mint"),
        FAILS,
        "R-60",
        "E-27",
        f"/boot/vmlinuz-{RELEASE}",
    ),
    Case(
        "a point release",
        "supported_kernel",
        lambda p: p.replaced("/usr/lib/os-release", '"9.5"', '"9.8"').replaced(
            "/etc/redhat-release", "9.5", "9.8"
        ),
        UNKNOWN,
        "R-60",
        None,
        "/boot/vmlinuz-5.14.0-503.11.1.el9_5.x86_64",
        rhel,
    ),
    Case(
        "no initramfs",
        "initramfs_readable",
        put(INITRD, None),
        FAILS,
        "R-49",
        "E-24",
        INITRD,
        gone=frozenset({"R-97"}),
    ),
    Case(
        "cut short",
        "initramfs_readable",
        lambda p: p.having({INITRD: p.files[INITRD][:-100]}),
        FAILS,
        "R-49",
        "E-24",
        INITRD,
    ),
    Case("LZO", "initramfs_readable", put(INITRD, b"\x89LZO\x00\r\n\x1a\n"), UNKNOWN, "R-49", "E-24", INITRD),
    Case(
        "full in 2019",
        "free_space",
        lambda p: replace(p, free=249 * MIB),
        FAILS,
        "R-47",
        None,
        "/",
        mbr,
        "2019",
    ),
    Case("full", "free_space", lambda p: replace(p, free=249 * MIB), ADVICE, "R-47", None, "/"),
    Case(
        "no fallback",
        "boot_firmware",
        put("/boot/efi/EFI/BOOT/BOOTX64.EFI", None),
        MAY,
        "R-33",
        None,
        "/boot/efi/EFI/BOOT/BOOTX64.EFI",
        uefi,
    ),
    Case("the second disk", "boot_firmware", root_is(disk=1), MAY, "R-14", None, ROOT.name),
    Case(
        "drivers left out",
        "boot_drivers",
        put(INITRD, kernel_trees.image(RELEASE)),
        MAY,
        "R-97",
        None,
        INITRD,
    ),
    Case(
        "a missing disk",
        "fstab_devices",
        line("UUID=dead /srv ext4 defaults 0 2"),
        MAY,
        "R-50",
        None,
        "/etc/fstab:3",
    ),
    Case(
        "a device name",
        "fstab_devices",
        line("/dev/sda2 /srv ext4 defaults 0 2"),
        ADVICE,
        "R-50",
        None,
        "/etc/fstab:3",
    ),
    Case("no DHCP client", "dhcp_client", put("/sbin/dhclient", None), MAY, "R-83", "A61", None, ifupdown),
    Case(
        "masked",
        "dhcp_client",
        lambda p: p.linked(f"{UNIT}/systemd-networkd.service", "/dev/null"),
        MAY,
        "R-83",
        "A61",
        f"{UNIT}/systemd-networkd.service",
    ),
    Case(
        "ens192", "network_names", lambda p: p.replaced(NETPLAN, "eth0", "ens192"), MAY, "R-66", None, NETPLAN
    ),
    Case(
        "a kernel of no package",
        "custom_kernel",
        lambda p: p.having({f"/var/lib/dpkg/info/linux-image-{OTHER}.list": ""}),
        MAY,
        "R-65",
        None,
        f"/boot/vmlinuz-{RELEASE}",
    ),
    Case("no sshd", "ssh_server", put("/usr/sbin/sshd", None), ADVICE, "R-84"),
    Case(
        "sshd masked",
        "ssh_server",
        lambda p: p.linked(f"{UNIT}/ssh.service", "/dev/null"),
        ADVICE,
        "R-84",
        None,
        f"{UNIT}/ssh.service",
    ),
    Case("tools", "vmware_tools", put("/usr/bin/vmtoolsd", "x"), ADVICE, "R-81", None, "/usr/bin/vmtoolsd"),
    Case(
        "a CD",
        "removable_media",
        line("/dev/sr0 /media/cdrom udf,iso9660 user,noauto 0 0"),
        ADVICE,
        "R-82",
        None,
        "/etc/fstab:3",
    ),
    Case(
        "cloud-init",
        "first_boot",
        lambda p: p.having({"/usr/bin/cloud-init": "x", "/etc/cloud/cloud.cfg": "a: 1\n"}),
        ADVICE,
        "imgpatch",
        None,
        "/etc/cloud/cloud.cfg",
    ),
    Case("relabelling", "first_boot", put("/.autorelabel", ""), ADVICE, "imgpatch", None, "/.autorelabel"),
    Case(
        "past its end of life",
        "end_of_life",
        lambda p: p,
        ADVICE,
        "R-74",
        None,
        None,
        lambda: of_row("debian-10"),
        twin="2024",
    ),
)
