"""Kernel lines, wherever they stand: the root by UUID, the name of the one NIC."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgpatch.formats import grubenv
from imgpatch.plan import NoteKind
from imgpatch.storage import Device, Storage
from imgpatch.transforms.kernel_arguments import Arguments
from tests import grub_corpus
from tests.transforms.grub_machines import (
    BOOT,
    BOTH,
    ROOT,
    SAVED_HEAD,
    SWAP,
    after,
    block,
    kernels,
    machine,
    plan_of,
    text_after,
)

CFG = "/boot/grub/grub.cfg"
DEFAULTS = "/etc/default/grub"
HEAD = "set default=A\nset timeout=5\nset root='hd0,msdos1'\n"
ONE = kernels(v6_9=BOTH)
UDEV = {"/lib/udev/rules.d/80-net-setup-link.rules": "x"}
BY_UUID, BY_PARTUUID = "root=UUID=c0c0-root", "root=PARTUUID=p0p0-02"


def entry(arguments: str, *, initrd: bool = True, command: str = "linux") -> str:
    load = "  initrd /boot/initrd.img-6.9\n" if initrd else ""
    return f"{HEAD}menuentry A {{\n  {command} /boot/vmlinuz-6.9 {arguments} # why\n{load}}}\n"


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("root=/dev/sda2 ro", f"{BY_UUID} ro"),
        ("ro root=/dev/vda2", f"ro {BY_UUID}"),
        ('"root=/dev/sda2" ro', f'"{BY_UUID}" ro'),
        ("root=/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part2 ro", f"{BY_UUID} ro"),
        (f"{BY_UUID} ro", f"{BY_UUID} ro"),
        ("root=LABEL=none ro", "root=LABEL=none ro"),
        ("root=/dev/mapper/vg-root ro", "root=/dev/mapper/vg-root ro"),
        ("root=/dev/disk/by-uuid/c0c0-root", "root=/dev/disk/by-uuid/c0c0-root"),
        ("root=/dev/sdz9 ro", f"{BY_UUID} ro"),  # what boots today has the root that was found
        ("root=$x ro", "root=$x ro"),
        ("realroot=/dev/sda2 ro", "realroot=/dev/sda2 ro"),
        ("root=/dev/mapper/mpatha2 ro", f"{BY_UUID} ro"),
        ("ro fips=1 boot=/dev/sda2", "ro fips=1 boot=UUID=c0c0-root"),
        ("ro boot=live mount.usr=UUID=1", "ro boot=live mount.usr=UUID=1"),
        ("ro resume=/dev/sda3", "ro resume=UUID=5a5a-swap"),
        ("ro  resume=/dev/sdb1 quiet", "ro quiet"),
        ("ro resume=/dev/sda2 quiet", "ro quiet"),
        ("ro resume=/dev/mapper/vg-swap", "ro resume=/dev/mapper/vg-swap"),
    ],
)
def test_devices_are_named_so_that_other_hardware_has_them(before: str, wanted: str) -> None:
    guest = machine({CFG: entry(before), **ONE})
    assert text_after(guest, CFG) == entry(wanted)


def test_what_is_mounted_at_boot_is_the_boot_of_fips() -> None:
    guest = machine({CFG: entry("ro fips=1 boot=/dev/sda1"), **ONE}, mounts={"/": ROOT, "/boot": BOOT})
    assert "boot=UUID=b0b0-boot #" in text_after(guest, CFG)


@pytest.mark.parametrize("command", ["linux16", "linuxefi"])
def test_every_command_that_loads_linux(command: str) -> None:
    guest = machine({CFG: entry("root=/dev/sda2", command=command), **ONE})
    assert text_after(guest, CFG) == entry(BY_UUID, command=command)


def test_disks_in_another_order_do_not_change_which_is_the_root() -> None:
    """The root's disk was the guest's second one; another system's entry is left to its own device."""
    other = Device(disk=1, partition=2, fstype="ext4", uuid="0000-other")
    text = (
        entry("root=/dev/sdb2 ro")
        + "menuentry B {\n  linux /boot/vmlinuz-6.9 root=/dev/vdb2\n  initrd /i\n}\n"
    )
    guest = machine({CFG: text, **ONE}, devices=(ROOT, other))
    wanted = text.replace("root=/dev/sdb2", BY_UUID).replace("root=/dev/vdb2", "root=UUID=0000-other")
    assert text_after(guest, CFG) == wanted


def test_without_an_initramfs_the_kernel_finds_the_root_by_partuuid() -> None:
    guest = machine({CFG: entry("root=/dev/sda2", initrd=False), **ONE})
    assert text_after(guest, CFG) == entry(BY_PARTUUID, initrd=False)


def test_a_uuid_that_two_devices_have_is_not_used() -> None:
    clone = replace(ROOT, partition=4, partuuid="p0p0-04")
    guest = machine({CFG: entry("root=/dev/sda2"), **ONE}, devices=(ROOT, clone))
    assert text_after(guest, CFG) == entry(BY_PARTUUID)


def test_grubs_own_root_variable_is_another_thing() -> None:
    text = text_after(machine({CFG: entry("root=/dev/sda2"), **ONE}), CFG)
    assert "set root='hd0,msdos1'\n" in text


@pytest.mark.parametrize("argument", ["pci=nomsi", "noapic", "acpi=off", "xen_nopv", "xen_emul_unplug=never"])
def test_what_ec2s_hardware_does_not_bear_is_warned_of(argument: str) -> None:
    arguments = Arguments(Storage((), ()), ())
    assert arguments.line(f"ro {argument} quiet", initrd=True) == f"ro {argument} quiet"
    assert [text.split()[0] for text in arguments.warnings] == [argument]


def test_what_cannot_be_told_is_a_warning() -> None:
    plan = plan_of(machine({CFG: entry("root=/dev/sdz9 resume=UUID=gone"), **ONE}, mounts={}))
    assert plan.changes == ()
    assert [(note.kind, note.text.split()[0]) for note in plan.notes] == [
        (NoteKind.WARNING, "root=/dev/sdz9"),
        (NoteKind.WARNING, "resume=UUID=gone"),
    ]


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        (f"{BY_UUID} ro", f"{BY_UUID} ro net.ifnames=0 biosdevname=0"),
        (f"{BY_UUID} net.ifnames=1 ro", f"{BY_UUID} net.ifnames=0 ro biosdevname=0"),
        (f"{BY_UUID} biosdevname=0 net.ifnames=0", f"{BY_UUID} biosdevname=0 net.ifnames=0"),
    ],
)
def test_the_nic_gets_the_kernel_s_name(before: str, wanted: str) -> None:
    guest = machine({CFG: entry(before), **ONE, **UDEV})
    assert text_after(guest, CFG) == entry(wanted)


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("ro rd.driver.blacklist=nouveau,nvme quiet", "ro rd.driver.blacklist=nouveau quiet"),
        ("ro rdblacklist=nvme rdblacklist=nouveau", "ro rdblacklist=nouveau"),
        ("ro modprobe.blacklist=xen-blkfront,ena", "ro"),
        ("ro module_blacklist=xen_netfront,floppy", "ro module_blacklist=floppy"),
        ("ro modprobe.blacklist=nvme_core", "ro"),
        ("ro modprobe.blacklist=xen_vbd,nvmem", "ro modprobe.blacklist=nvmem"),
        ("ro modprobe.blacklist=nvme_tcp", "ro modprobe.blacklist=nvme_tcp"),
        ("ro modprobe.blacklist", "ro modprobe.blacklist"),
    ],
)
def test_no_driver_that_ec2_needs_is_kept_from_loading(before: str, wanted: str) -> None:
    files = {CFG: entry(f"{BY_UUID} {before}"), DEFAULTS: f'GRUB_CMDLINE_LINUX="{before}"\n', **ONE}
    guest = machine(files)
    plan = plan_of(guest)
    done = after(guest, plan)
    assert done.text(CFG) == entry(f"{BY_UUID} {wanted}")
    assert done.text(DEFAULTS) == f'GRUB_CMDLINE_LINUX="{wanted}"\n'
    rules = {reason.rule for change in plan.changes for reason in change.reasons}
    assert rules == (set() if before == wanted else {"M-11"})


@pytest.mark.parametrize(
    ("argument", "warned"),
    [
        ("rd.lvm.lv=cl/root", False),
        ("rd_LVM_LV=my-vg/lv_x", False),
        ("rd.lvm.lv=data/srv", True),  # on a disk that stayed behind
        ("rd_LVM_LV=cl/gone", True),
        ("resume=/dev/mapper/cl-root", False),
        ("resume=/dev/mapper/cl-swap", True),
        ("resume=/dev/cl/swap", True),
        ("resume=/dev/md1", False),
    ],
)
def test_volumes_of_other_disks_are_warned_of(argument: str, warned: bool) -> None:
    volumes = [Device(mapper="cl-root", fstype="xfs", uuid="e0"), Device(mapper="my--vg-lv_x")]
    text = entry(f"root=/dev/mapper/cl-root {argument}")
    guest = machine({CFG: text, **ONE}, mounts={"/": volumes[0]}, devices=volumes)
    plan = plan_of(guest)
    assert plan.changes == ()
    assert [argument in note.text for note in plan.notes] == [True] * warned


def test_without_grub_the_arguments_are_for_the_user_to_give() -> None:
    guest = machine({"/etc/network/interfaces": "auto ens192\niface ens192 inet dhcp\n"})
    (note,) = [note for note in plan_of(guest).notes if note.rule == "R-66"]
    assert "net.ifnames=0 biosdevname=0" in note.text


def test_memtest_and_hypervisors_get_no_arguments() -> None:
    cfg = HEAD + (
        "menuentry A {\n linux /boot/vmlinuz-6.9 root=/dev/sda2\n initrd /boot/i\n}\n"
        "menuentry M {\n linux16 /boot/memtest86+.bin console=ttyS0\n}\n"
        "menuentry X {\n multiboot /boot/xen.gz placeholder\n"
        " module /boot/vmlinuz-6.9 placeholder root=/dev/sda2\n module --nounzip /boot/i\n}\n"
    )
    guest = machine({CFG: cfg, **ONE, **UDEV})
    more = f"{BY_UUID} net.ifnames=0 biosdevname=0"
    assert text_after(guest, CFG) == cfg.replace("root=/dev/sda2", more)


def test_loader_entries_and_what_the_next_ones_are_made_of() -> None:
    path = "/boot/loader/entries/9af-6.9.conf"
    text = "title A\nlinux /boot/vmlinuz-6.9\ninitrd /boot/i\noptions root=/dev/sda2 ro\t\noptions quiet\n"
    cfg = "set default=9af-6.9\nset timeout=5\nblscfg\n"
    guest = machine({CFG: cfg, path: text, "/etc/kernel/cmdline": "root=/dev/sda2 ro\n", **ONE, **UDEV})
    done = after(guest, plan_of(guest))
    line = f"{BY_UUID} ro net.ifnames=0 biosdevname=0"
    assert done.text(path) == text.replace("root=/dev/sda2 ro", line)
    assert done.text("/etc/kernel/cmdline") == f"{line}\n"


def test_kernelopts_are_edited_where_they_are_set() -> None:
    path = "/boot/loader/entries/9af-6.9.conf"
    text = "title A\nlinux /boot/vmlinuz-6.9\ninitrd /boot/i\noptions $kernelopts quiet\n"
    cfg = SAVED_HEAD + 'if [ -z "${kernelopts}" ]; then\n  set kernelopts="root=/dev/sda2 ro "\nfi\nblscfg\n'
    env = block(saved_entry="9af-6.9", kernelopts="root=/dev/sda2 ro")
    files: dict[str, str | bytes] = {"/boot/grub2/grub.cfg": cfg, "/boot/grub2/grubenv": env, path: text}
    guest = machine({**files, **ONE, **UDEV}, os_id="rhel")
    done = after(guest, plan_of(guest))
    line = f"{BY_UUID} ro net.ifnames=0 biosdevname=0"
    assert done.text(path) == text
    data = done.read("/boot/grub2/grubenv") or b""
    assert grubenv.values(data) == {"saved_entry": "9af-6.9", "kernelopts": line}
    assert len(data) == 1024
    assert f'set kernelopts="{line} "\n' in (done.text("/boot/grub2/grub.cfg") or "")


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ('GRUB_CMDLINE_LINUX=""\n', 'GRUB_CMDLINE_LINUX="net.ifnames=0 biosdevname=0"\n'),
        ("GRUB_CMDLINE_LINUX='a b' # c\n", "GRUB_CMDLINE_LINUX='a b net.ifnames=0 biosdevname=0' # c\n"),
        ("X=1\n", 'X=1\nGRUB_CMDLINE_LINUX="net.ifnames=0"\n'),
        (
            'GRUB_CMDLINE_LINUX="biosdevname=1 net.ifnames=0"\n',
            'GRUB_CMDLINE_LINUX="biosdevname=0 net.ifnames=0"\n',
        ),
        ('GRUB_CMDLINE_LINUX="a resume=/dev/sda3"\n', None),
        ('GRUB_CMDLINE_LINUX="$(cat /x)"\n', 'GRUB_CMDLINE_LINUX="$(cat /x) net.ifnames=0 biosdevname=0"\n'),
        ("GRUB_DISABLE_LINUX_UUID=true\n", None),
    ],
)
def test_the_next_menu_has_the_same_arguments(before: str, wanted: str | None) -> None:
    text = text_after(machine({CFG: entry(BY_UUID), DEFAULTS: before, **ONE, **UDEV}), DEFAULTS)
    if before == "X=1\n":
        assert text == 'X=1\nGRUB_CMDLINE_LINUX="net.ifnames=0 biosdevname=0"\n'
    elif wanted is not None:
        assert text == wanted
    else:
        assert "/dev/sda" not in text
        assert "=true" not in text


def test_nothing_is_said_twice_where_all_entries_have_the_other_list() -> None:
    """Amazon Linux 2 as it ships."""
    text = 'GRUB_CMDLINE_LINUX_DEFAULT="a net.ifnames=0 biosdevname=0"\n'
    for more, again in (("GRUB_DISABLE_RECOVERY=true\n", False), ("", True)):
        guest = machine({CFG: entry(BY_UUID), DEFAULTS: text + more, **ONE, **UDEV})
        assert ("GRUB_CMDLINE_LINUX=" in text_after(guest, DEFAULTS)) == again


def test_the_drop_in_that_has_the_last_word_is_edited() -> None:
    drop_in = "/etc/default/grub.d/x.cfg"
    files = {
        CFG: entry(BY_UUID),
        DEFAULTS: 'GRUB_CMDLINE_LINUX="a"\n',
        drop_in: 'GRUB_CMDLINE_LINUX="b"\n',
        **ONE,
    }
    guest = machine({**files, **UDEV})
    assert text_after(guest, DEFAULTS) == files[DEFAULTS]
    assert text_after(guest, drop_in) == 'GRUB_CMDLINE_LINUX="b net.ifnames=0 biosdevname=0"\n'


def test_a_logical_volume_keeps_its_name_in_the_next_menu() -> None:
    root = Device(mapper="vg-root", fstype="ext4", uuid="e0")
    files = {CFG: entry("root=/dev/mapper/vg-root"), DEFAULTS: "GRUB_DISABLE_LINUX_UUID=true\n", **ONE}
    assert plan_of(machine(files, mounts={"/": root})).changes == ()


def test_grub_legacy_and_debians_kopt() -> None:
    path = "/boot/grub/menu.lst"
    text = (
        "default 0\ntimeout 5\n# kopt=root=/dev/sda2 ro\n# defoptions=quiet\n"
        "title A\nroot (hd0,0)\nkernel /boot/vmlinuz-6.9 root=/dev/sda2 ro \ninitrd /boot/i\n"
        "title memtest\nkernel /boot/memtest86+.bin\n"
    )
    guest = machine({path: text, **ONE, **UDEV})
    line = f"{BY_UUID} ro net.ifnames=0 biosdevname=0"
    assert text_after(guest, path) == text.replace("root=/dev/sda2 ro", line)


def test_a_unified_kernel_image_is_left_and_said() -> None:
    image = "/boot/efi/EFI/Linux/9af-6.9.efi"
    (note,) = plan_of(machine({CFG: entry(BY_UUID), image: "MZ", **ONE})).notes
    assert (note.kind, image in note.text) == (NoteKind.WARNING, True)


@pytest.mark.parametrize("menu", ["/boot/grub/menu.lst", "/boot/grub2/grub.cfg"])
def test_suse_s_lists_for_the_next_kernel(menu: str) -> None:
    legacy = f"default 0\ntimeout 5\ntitle A\nkernel /boot/vmlinuz-6.9 {BY_UUID}\n"
    files = {
        menu: legacy if menu.endswith(".lst") else entry(BY_UUID),
        "/etc/sysconfig/bootloader": (
            'LOADER_TYPE="grub"\nDEFAULT_APPEND="resume=/dev/sda3 splash"\n'
            'FAILSAFE_APPEND="showopts"\nXEN_APPEND="dom0_mem=1G"\n'
        ),
        **ONE,
        **UDEV,
    }
    text = text_after(machine(files, os_id="sles"), "/etc/sysconfig/bootloader")
    assert text == (
        'LOADER_TYPE="grub"\nDEFAULT_APPEND="resume=UUID=5a5a-swap splash net.ifnames=0 biosdevname=0"\n'
        'FAILSAFE_APPEND="showopts net.ifnames=0 biosdevname=0"\nXEN_APPEND="dom0_mem=1G"\n'
    )


def test_real_menus_change_in_their_kernel_lines_only() -> None:
    swap_and_root = (ROOT, SWAP)
    for name, data in grub_corpus.files("grub2-cfg").items():
        before = grub_corpus.text(data)
        guest = machine({CFG: data, **UDEV}, devices=swap_and_root)
        done = after(guest, plan_of(guest)).text(CFG) or ""
        old, new = before.split("\n"), done.split("\n")
        gone = [line for line in old if line not in new]
        words = ("linux", "default", "module", "timeout", "kernelopts", "vmlinuz")
        assert all(any(word in line for word in words) for line in gone), name
