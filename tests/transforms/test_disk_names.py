"""What else names the old machine's disks: LVM's devices file and filters, mount units, crypttab, others."""

from __future__ import annotations

import pytest

from imgpatch import edition
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network
from imgpatch.inspection.system import OperatingSystem
from imgpatch.plan import Context, Plan, make_plan
from imgpatch.storage import Device, Disk, Storage
from imgpatch.transforms import TRANSFORMS, crypttab, disk_mentions, fstab, lvm_devices, mount_units

ROOT = Device(0, 1, fstype="xfs", uuid="a007")
PV = Device(0, 3, fstype="LVM2_member", uuid="9999")
HOME = Device(mapper="rl-home", fstype="xfs", uuid="40e3")
DATA = Device(1, 1, fstype="ext4", uuid="da7a")
SWAP = Device(1, 2, fstype="swap", uuid="54a9")
LUKS = Device(1, 3, fstype="crypto_LUKS", uuid="1ac5")
RANDOM = Device(1, 4)
STORAGE = Storage((Disk("gpt", 1), Disk("gpt", 1)), (ROOT, PV, HOME, DATA, SWAP, LUKS, RANDOM), {"/": ROOT})
FSTAB = "/dev/sda1 / xfs defaults 0 0\n"
ENTRY = "IDTYPE={} IDNAME=naa.5000 DEVNAME=/dev/sda3 PVID=k8Wm PART=3\n"
DEVICES_FILE = "/etc/lvm/devices/system.devices"


def plan_of(files: dict[str, str], storage: Storage = STORAGE) -> Plan:
    tree = MemoryTree({path: text.encode() for path, text in {"/etc/fstab": FSTAB, **files}.items()})
    system = OperatingSystem("rocky", (), "9.4", "Rocky", "x86_64")
    context = Context(edition.load(), Inspection(system, "bios", None, (), Network((), ())))
    mine = (lvm_devices, mount_units, crypttab, disk_mentions, fstab)
    return make_plan(Guest(tree, storage), [t for t in TRANSFORMS if t in mine], context)


def changes(plan: Plan) -> dict[str, bytes | None]:
    return {change.path: change.after for change in plan.changes if change.path != "/etc/fstab"}


def notes(plan: Plan) -> list[str]:
    return [note.text for note in plan.notes]


@pytest.mark.parametrize("kind", ["sys_wwid", "sys_serial", "devname", "mpath_uuid"])
def test_a_list_of_the_old_disks_goes(kind: str) -> None:
    plan = plan_of(
        {DEVICES_FILE: f"# LVM uses devices listed in this file.\nVERSION=1.1.2\n{ENTRY.format(kind)}"}
    )
    assert changes(plan) == {DEVICES_FILE: None}
    (reason,) = next(c.reasons for c in plan.changes if c.path == DEVICES_FILE)
    assert f"the 1 listed here by {kind}" in reason.text


@pytest.mark.parametrize(
    ("text", "config", "storage"),
    [
        ("# nothing\nVERSION=1.1.2\n", "", STORAGE),
        (ENTRY.format("md_uuid"), "", STORAGE),
        (ENTRY.format("sys_wwid"), "devices {\n\tuse_devicesfile = 0\n}\n", STORAGE),
        (ENTRY.format("sys_wwid"), "", Storage((Disk("gpt", 1),), (ROOT,), {"/": ROOT})),
    ],
)
def test_a_list_that_does_no_harm_stays(text: str, config: str, storage: Storage) -> None:
    assert changes(plan_of({DEVICES_FILE: text, "/etc/lvm/lvm.conf": config}, storage)) == {}


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ('filter = [ "a|^/dev/sda|", "r|.*|" ]', 2),
        ('# filter = [ "r|.*|" ]\n\tglobal_filter = [\n "a|sd.*|", # a remark\n "r/.*/" ]', 3),
        ('filter = "r|nvme|"', 2),
    ],
)
def test_a_filter_that_rejects_the_disks_of_ec2_is_pointed_out(config: str, line: int) -> None:
    (note,) = notes(plan_of({"/etc/lvm/lvm.conf": f"devices {{\n{config}\n}}\n"}))
    assert note.startswith(f"/etc/lvm/lvm.conf line {line}: ")
    assert "/dev/nvme0n1p3" in note


@pytest.mark.parametrize(
    "config",
    [
        'filter = [ "a|.*|" ]',
        '# filter = [ "r|.*|" ]',
        'filter = [ "a|^/dev/sda3$|", "r|^/dev/sdb|" ]',
        'filter = [ "a|^/dev/(sd|nvme|xvd)|", "r|.*|" ]',
        'filter = [ "r|/dev/cdrom|", "r|(?=x)|" ]',
        "filter = [",
    ],
)
def test_a_filter_that_lets_them_pass_is_not(config: str) -> None:
    assert notes(plan_of({"/etc/lvm/lvm.conf": f"devices {{\n{config}\n}}\n"})) == []


def test_a_mount_unit_gets_the_uuid() -> None:
    path = "/etc/systemd/system/srv-data.mount"
    unit = "[Unit]\nDescription=/dev/sdb1\n\n[Mount]\nWhat = /dev/sdb1  \nWhere=/srv/data\nType=ext4\n"
    dropin = f"{path}.d/10-what.conf"
    plan = plan_of({path: unit, dropin: "[Mount]\nWhat=/dev/disk/by-path/pci-0-part3\n"})
    after = unit.replace("What = /dev/sdb1", "What = /dev/disk/by-uuid/da7a").encode()
    assert changes(plan) == {path: after}
    (note,) = notes(plan)
    assert note.startswith(
        f"{dropin} line 2: /dev/disk/by-path/pci-0-part3 depends on the old disk controller"
    )
    again = plan_of({path: after.decode()})
    assert changes(again) == {}
    assert notes(again) == []


@pytest.mark.parametrize(
    "what", ["UUID=da7a", "/dev/disk/by-label/x", "/dev/rl/home", "tmpfs", "/dev/loop0", "/dev/sdb%i"]
)
def test_other_units_stay(what: str) -> None:
    plan = plan_of({"/etc/systemd/system/srv.mount": f"[Mount]\nWhat={what}\nWhere=/srv\n"})
    assert changes(plan) == {}
    assert notes(plan) == []


def test_a_unit_of_a_disk_in_another_order_is_pointed_out() -> None:
    files = {
        "/etc/fstab": "/dev/sdb1 / xfs defaults 0 0\n",
        "/etc/systemd/system/srv.mount": "[Mount]\nWhat=/dev/sdb1\nWhere=/srv\nType=ext4\n",
    }
    plan = plan_of(files)
    assert changes(plan) == {}
    assert any("not in the guest's order" in note for note in notes(plan))


def test_a_swap_unit_stays_under_the_name_of_its_device() -> None:
    plan = plan_of({"/etc/systemd/system/dev-sdb2.swap": "[Swap]\nWhat=/dev/sdb2\n"})
    assert changes(plan) == {}
    (note,) = notes(plan)
    assert "disk 2 partition 2" in note


def test_crypttab_gets_the_uuid_of_luks_alone() -> None:
    text = "# name\nsecret\t/dev/sdb3\t/root/key\tluks\nswap /dev/sdb4 /dev/urandom swap\n"
    text += "x UUID=1ac5 none\ny /dev/sdz1\n"
    plan = plan_of({"/etc/crypttab": text})
    assert changes(plan) == {"/etc/crypttab": text.replace("/dev/sdb3", "UUID=1ac5").encode()}
    assert [note.partition(":")[0] for note in notes(plan)] == [
        "/etc/crypttab line 3",
        "/etc/crypttab line 5",
    ]


def test_files_that_name_disks_are_pointed_out() -> None:
    plan = plan_of(
        {
            "/etc/mdadm/mdadm.conf": "DEVICE /dev/sd[ab]1\nARRAY /dev/md0 UUID=1:2:3:4\n",
            "/etc/mdadm.conf": "DEVICE partitions\n",
            "/etc/kdump.conf": "#raw /dev/sda5\next4 /dev/vdb1\n",
            "/etc/smartd.conf": "/dev/disk/by-id/md-name-x -a\n",
            "/etc/initramfs-tools/conf.d/resume": "RESUME=/dev/sda5\n",
            "/etc/multipath.conf": "defaults {\n}\n",
        }
    )
    assert [note.partition(" names")[0] for note in notes(plan)] == [
        "/etc/multipath.conf: multipath is configured; on EC2 a disk has one path and no such name",
        "/etc/initramfs-tools/conf.d/resume: line 1",
        "/etc/kdump.conf: line 2",
        "/etc/mdadm/mdadm.conf: line 1",
    ]
    assert changes(plan) == {}
