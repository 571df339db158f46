"""M-02 to M-05 and what is decided where the documents are silent, line by line."""

from __future__ import annotations

import difflib
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch import edition
from imgpatch.formats import fstab as grammar
from imgpatch.guest import Guest, MemoryTree
from imgpatch.inspection import Inspection
from imgpatch.inspection.network import Network
from imgpatch.inspection.system import OperatingSystem
from imgpatch.manifest import MANIFEST_PATH, Manifest, Row
from imgpatch.plan import OWN_RULE, Context, Plan, make_plan
from imgpatch.storage import Device, Disk, Storage
from imgpatch.transforms import fstab

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "corpora" / "config" / "fstab"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())

BOOT = Device(0, 1, fstype="ext4", uuid="b00b", label="BOOT", partuuid="1-01")
ROOT = Device(0, 2, fstype="ext4", uuid="a007")
SWAP = Device(0, 5, fstype="swap", uuid="54a9")
PV = Device(0, 6, fstype="LVM2_member", uuid="9999")
RAW = Device(0, 7)
DATA = Device(1, 1, fstype="xfs", uuid="da7a", label="data")
LV = Device(mapper="my--vg-var", fstype="xfs", uuid="1f1f")
STORAGE = Storage(
    disks=(Disk("dos", 1), Disk("gpt", 1)),
    devices=(BOOT, ROOT, SWAP, PV, RAW, DATA, LV),
    mounts={"/": ROOT},
)


def context(name: str = edition.NEWEST) -> Context:
    system = OperatingSystem("debian", (), "12", "Debian", "x86_64")
    return Context(edition.load(name), Inspection(system, "bios", None, (), Network((), ())))


def plan_of(text: str | bytes, storage: Storage = STORAGE, name: str = edition.NEWEST, **files: str) -> Plan:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    others = {f"/etc/{path}": content.encode() for path, content in files.items()}
    guest = Guest(MemoryTree({"/etc/fstab": data, **others}), storage)
    return make_plan(guest, [fstab], context(name))


def plan_of_applied(before: str, done: str, storage: Storage = STORAGE) -> Plan:
    """The second plan, over a guest that keeps the original and the manifest."""
    kept = "/etc/fstab.imgpatch.orig"
    manifest = Manifest((Row("/etc/fstab", kept, None, None, ()),))
    texts = {"/etc/fstab": done, kept: before}
    files = {path: text.encode("utf-8", "surrogateescape") for path, text in texts.items()}
    guest = Guest(MemoryTree({**files, MANIFEST_PATH: manifest.to_bytes()}), storage)
    return make_plan(guest, [fstab], context())


def after(text: str, storage: Storage = STORAGE, name: str = edition.NEWEST, **files: str) -> str:
    plan = plan_of(text, storage, name, **files)
    if not plan.changes:
        return text
    [change] = plan.changes
    assert change.after is not None
    return change.after.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("/dev/sda1 /boot ext4 defaults 0 2", "UUID=b00b /boot ext4 defaults 0 2"),
        ("/dev/xvda1\t/boot\text3", "UUID=b00b\t/boot\text3"),
        ("/dev/nvme0n1p1 /boot auto defaults", "UUID=b00b /boot auto defaults"),
        ("/dev/vdb1 /data xfs nofail 0 0 # x", "UUID=da7a /data xfs nofail 0 0 # x"),
        ("/dev/disk/by-uuid/b00b /boot ext4 ro", "UUID=b00b /boot ext4 ro"),
        ("/dev/disk/by-label/data /d xfs ro", "UUID=da7a /d xfs ro"),
        ("/dev/disk/by-partuuid/1-01 /boot ext4 ro", "UUID=b00b /boot ext4 ro"),
        ("/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part2 / ext4 ro", "UUID=a007 / ext4 ro"),
        ("/dev/disk/by-id/ata-X_1-part5 none swap sw", "UUID=54a9 none swap sw"),
        ("/dev/mapper/mpathap5 none swap sw", "UUID=54a9 none swap sw"),
        ("/dev/root / ext4 rw,noauto 0 1", "UUID=a007 / ext4 rw,noauto 0 1"),
        ("/dev/sda5 swap swap noauto", "UUID=54a9 swap swap noauto"),
        ("/dev/sdb1 /my\\040data auto user,noauto", "UUID=da7a /my\\040data auto user,noauto"),
    ],
)
def test_a_device_name_becomes_the_uuid(before: str, expected: str) -> None:
    assert after(before) == expected
    [change] = plan_of(before).changes
    assert [reason.rule for reason in change.reasons] == ["M-03"]
    assert change.reasons[0].text.startswith("line 1: /dev/")


@pytest.mark.parametrize(
    "before",
    [
        "/dev/sdc1 /x ext4 defaults 0 2",
        "/dev/sda10 /x ext4 defaults 0 2",  # not /dev/sda1
        "/dev/sda7 /x auto defaults 0 2",  # no UUID
        "/dev/sda6 /x ext4 defaults 0 2",  # a physical volume
        "/dev/sdb1 /x ext4 defaults 0 2",  # holds xfs: the guest's second disk is not ours
        "/dev/sda1 none swap defaults",  # holds ext4
        "/dev/sdb1 /x xfs defaults,_netdev 0 2",
        "/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0",
        "/dev/fd0 /media/floppy0 auto rw,user,noauto 0 0",
        "/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part1 /x auto defaults",  # which disk?
        "/dev/disk/by-label/none /x auto x-label=nofail",
        "/dev/vg/lv /nofail auto defaults",
        "/dev/mapper/my-vg-var /x xfs defaults",
        "/dev/md0 /x xfs defaults",
        "/dev/mapper/secret /x xfs defaults",
    ],
)
def test_a_device_name_without_a_uuid_gets_nofail_and_stays(before: str) -> None:
    line, done = grammar.parse(before)[0], grammar.parse(after(before))[0]
    assert done.options == (*line.options, "nofail")
    assert done == line.with_option("nofail")
    [change] = plan_of(before).changes
    assert [reason.rule for reason in change.reasons] == ["M-04"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("/dev/sdc1 /x ext4", "/dev/sdc1 /x ext4 nofail"),
        ("/dev/sdc1\t/x\text4", "/dev/sdc1\t/x\text4\tnofail"),
        ("/dev/sdc1 /x ext4 ro,nofail", "/dev/sdc1 /x ext4 ro,nofail"),
    ],
)
def test_nofail_is_a_token_of_the_options(before: str, expected: str) -> None:
    assert after(before) == expected


@pytest.mark.parametrize(
    "line",
    [
        "UUID=a007 / ext4 defaults 0 1",
        'UUID="a007" / ext4 defaults 0 1',
        "LABEL=BOOT /boot ext4",
        "PARTUUID=1-01 /boot ext4",
        "/dev/my-vg/var /var xfs defaults 0 0",
        "/dev/mapper/my--vg-var /var xfs defaults 0 0",
        "UUID=54a9 none swap sw\n/swapfile none swap sw\n/dev/zram0 none swap pri=100",
        "UUID=a007 / btrfs subvol=@\nUUID=a007 /home btrfs subvol=@home",
        "/srv /export none bind\n/dev /chroot/dev none rw,rbind",
        "tmpfs /tmp tmpfs mode=1777\nproc /proc proc\n/dev /x tmpfs\noverlay /o overlay lowerdir=/a",
        "server:/x /x nfs4 defaults\n//s/x /x ceph defaults",
        "LABEL=USB /media/usb auto user,noauto",
        "# /dev/sda1 /x ext4",
        "/dev/loop0 /x squashfs ro",
        "share /x 9p trans=tcp",
        "/images/a.iso /x iso9660 loop",
        "",
    ],
)
def test_what_stays(line: str) -> None:
    plan = plan_of(line)
    assert plan.changes == ()
    assert plan.notes == ()


@pytest.mark.parametrize("tag", ["UUID=dead", "LABEL=gone", "PARTUUID=x", "PARTLABEL=y", "UUID="])
def test_a_tag_that_no_device_has_gets_nofail(tag: str) -> None:
    before = f"{tag} /x ext4 defaults 0 2"
    assert after(before) == f"{tag} /x ext4 defaults,nofail 0 2"
    assert plan_of(before).changes[0].reasons[0].rule == OWN_RULE


@pytest.mark.parametrize(
    ("line", "fstype"),
    [
        ("//server/share /mnt cifs credentials=/root/c,password= 0 0", "cifs"),
        ("//server/share /mnt smb3 defaults", "smb3"),
        ("//server/share /mnt smbfs noauto", "smbfs"),
        ("share /mnt/share vboxsf uid=1000", "vboxsf"),
        ("sshfs#user@host:/x\t/mnt fuse  defaults 0 0", "sshfs"),
        ("user@host:/x /mnt fuse.sshfs _netdev", "sshfs"),
        (".host:/ /mnt/hgfs fuse.vmhgfs-fuse allow_other", "vmhgfs-fuse"),
        ("vmhgfs-fuse /mnt/hgfs fuse defaults,allow_other", "vmhgfs-fuse"),
        (".host:/ /mnt/hgfs vmhgfs defaults", "vmhgfs"),
        ("share /mnt 9p trans=virtio,version=9p2000.L", "9p"),
        ("share /mnt virtiofs", "virtiofs"),
    ],
)
def test_a_disabled_type_is_commented_out_with_the_reason(line: str, fstype: str) -> None:
    assert after(line) == f"# imgpatch M-05 file system type {fstype} is disabled: {line}"
    [change] = plan_of(line).changes
    assert [reason.rule for reason in change.reasons] == ["M-05"]


@pytest.mark.parametrize("fstype", ["nfs", "nfs4"])
def test_the_edition_decides_about_nfs(fstype: str) -> None:
    line = f"server:/x /mnt {fstype} defaults 0 0"
    assert after(line) == line
    assert after(line, name="2019").startswith("# imgpatch M-05")


@pytest.mark.parametrize(
    "line",
    [
        "bug",
        "/dev/sda1 /boot",
        "/dev/sda1 # ext4 defaults",
        "/dev/sda1 /boot # ext4 defaults",
        "/dev/sda1 /boot ext4 # no options",
        "this is broken line with unexpected number of fields",
        "/dev/sda1 none ext4 defaults",
    ],
)
def test_an_invalid_entry_is_commented_out(line: str) -> None:
    assert after(line).startswith("# imgpatch M-02 invalid entry, ")
    assert after(line).endswith(f": {line}")


def test_a_comment_after_the_options_is_no_reason_to_lose_an_entry() -> None:
    """Systemd reads such a line, through getmntent(3); libmount does not."""
    assert after("/dev/sda1 /boot ext4 ro # kernels") == "UUID=b00b /boot ext4 ro # kernels"


@pytest.mark.parametrize(
    ("line", "rule"),
    [("LABEL=gone / ext4 defaults 0 1", OWN_RULE), ("/dev/sdc2 / ext4 defaults 0 1", "M-03"),
     ("/dev/vg/gone / ext4 defaults 0 1", OWN_RULE), ("/dev/mmcblk0p2 / ext4 defaults 0 1", "M-03")],
)  # fmt: skip
def test_a_root_that_is_not_found_is_the_one_the_file_was_read_from(line: str, rule: str) -> None:
    assert after(line) == "UUID=a007 / ext4 defaults 0 1"
    assert plan_of(line).changes[0].reasons[0].rule == rule


def test_of_several_root_lines_the_one_that_is_found_counts() -> None:
    assert (
        after("UUID=dead / ext4 ro\n/dev/sda2 / ext4 ro\n")
        == "UUID=dead / ext4 ro,nofail\nUUID=a007 / ext4 ro\n"
    )


def test_a_root_line_is_never_commented_out() -> None:
    for line in ("/dev/sda2 /", "server:/x / nfs ro", "/dev/sda2 / # ext4"):
        plan = plan_of(line, name="2019")
        assert plan.changes == ()
        assert "stays" in plan.notes[0].text


def test_disks_in_another_order_give_no_uuid() -> None:
    """The root says it is on the second disk, but is on the first: then sda1 is not our first disk either."""
    text = "/dev/sdb2 / ext4 ro 0 1\n/dev/sda1 /data ext4 ro 0 2\nLABEL=BOOT /boot ext4 ro 0 2\n"
    assert after(text) == (
        "UUID=a007 / ext4 ro 0 1\n/dev/sda1 /data ext4 ro,nofail 0 2\nLABEL=BOOT /boot ext4 ro 0 2\n"
    )
    assert "order" in plan_of(text).notes[0].text


def test_two_ways_of_counting_that_meet_are_not_believed() -> None:
    """A SATA and an NVMe disk: both names would be the first disk."""
    boot, data = "UUID=b00b /boot ext4 ro\n", "/dev/nvme0n1p1 /data ext4 ro"
    assert after(f"{boot}{data}") == f"{boot}{data},nofail"


@pytest.mark.parametrize(
    ("others", "spec"),
    [
        ("/dev/xvda1 /kernels ext4 ro\n", "/dev/sda1"),  # one disk under two names
        ("UUID=b00b /kernels ext4 ro,noauto\n", "/dev/vda1"),
        (
            "UUID=b00b /kernels ext4 ro\n/dev/vda2 / ext4 ro\n",
            "/dev/vda1",
        ),  # the root shows the count is right
    ],
)
def test_one_device_in_two_places_is_believed_where_nothing_speaks_against_it(others: str, spec: str) -> None:
    assert after(f"{others}{spec} /boot ext4 ro").endswith("\nUUID=b00b /boot ext4 ro")


def test_a_tag_written_as_a_path_is_believed_wherever_else_its_device_is_mounted() -> None:
    text = "/dev/sdb1 /data xfs ro\n/dev/disk/by-label/data /more xfs ro\n"
    assert after(text).endswith("\nUUID=da7a /more xfs ro\n")


BY_PATH = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0"


@pytest.mark.parametrize(
    ("root", "spec", "doubt"),
    [
        ("UUID=a007", f"{BY_PATH}:1:0-part5", "disk 1 partition 5 is already mounted on /old"),
        (f"{BY_PATH}:0:0-part2", f"{BY_PATH}:1:0-part5", "disk 1 partition 5 is on the root's disk"),
        ("/dev/mapper/mpatha2", "/dev/mapper/mpathbp5", "disk 1 partition 5 is on the"),
        ("/dev/disk/by-id/scsi-36-part2", "/dev/disk/by-id/scsi-37-part5", "disk 1 partition 5 is on the"),
    ],
)
def test_a_disk_that_stayed_behind_is_not_the_one_given(root: str, spec: str, doubt: str) -> None:
    """VMware, one disk of two exported: only one disk has a fifth partition, but it is not the one meant."""
    old = replace(SWAP, fstype="ext4")
    storage = replace(STORAGE, devices=(ROOT, old, DATA))
    plan = plan_of(f"{root} / ext4 ro\nUUID=54a9 /old ext4 ro\n{spec} /db ext4 defaults\n", storage)
    [change] = plan.changes
    assert (change.after or b"").decode().endswith(f"\n{spec} /db ext4 defaults,nofail\n")
    assert any(doubt in reason.text for reason in change.reasons)


def test_mountall_is_told_in_its_own_word() -> None:
    files = {"/etc/fstab": b"/dev/sdc1 /x ext4 defaults 0 2\n/dev/sdd1 /y ext4 ro,nobootwait 0 2\n"}
    guest = Guest(MemoryTree({**files, "/sbin/mountall": b"\x7fELF"}), STORAGE)
    [change] = make_plan(guest, [fstab], context()).changes
    assert change.after == (
        b"/dev/sdc1 /x ext4 defaults,nofail,nobootwait 0 2\n/dev/sdd1 /y ext4 ro,nobootwait,nofail 0 2\n"
    )


@pytest.mark.parametrize(("program", "number"), [("\x7fELF fsck 1.39", "0"), ("\x7fELF bind nofail", "2")])
def test_a_missing_disk_is_not_checked_where_fsck_would_stop_the_boot(program: str, number: str) -> None:
    """Red Hat 5: `fsck -A` of e2fsprogs 1.39 ends in a shell, whatever the options are."""
    before = "/dev/sdc1 /x ext3 ro 1 2\nLABEL=no /y ext3 noauto 1 2\nUUID=b00b /boot ext3 ro 1 2\n"
    guest = Guest(MemoryTree({"/etc/fstab": before.encode(), "/sbin/fsck": program.encode()}), STORAGE)
    [change] = make_plan(guest, [fstab], context()).changes
    assert (
        change.after
        == (
            f"/dev/sdc1 /x ext3 ro,nofail 1 {number}\nLABEL=no /y ext3 noauto 1 {number}\n"
            "UUID=b00b /boot ext3 ro 1 2\n"
        ).encode()
    )


def test_mountall_beside_systemd_is_not_asked() -> None:
    files = {"/etc/fstab": b"/dev/sdc1 /x ext4 defaults 0 2\n", "/sbin/mountall": b"\x7fELF"}
    guest = Guest(MemoryTree(files, links={"/sbin/init": "/lib/systemd/systemd"}), STORAGE)
    [change] = make_plan(guest, [fstab], context()).changes
    assert change.after == b"/dev/sdc1 /x ext4 defaults,nofail 0 2\n"


def test_the_disk_of_the_root_is_believed_under_its_own_name() -> None:
    text = "/dev/disk/by-id/ata-X-part2 / ext4 ro\n/dev/disk/by-id/ata-X-part5 swap swap ro\n"
    assert after(text) == "UUID=a007 / ext4 ro\nUUID=54a9 swap swap ro\n"


def test_what_was_not_believed_is_not_believed_by_a_second_run() -> None:
    before = "/dev/vda2 / ext4 ro\n/dev/vda5 none swap sw\n/dev/disk/by-id/x-part5 /x swap ro\n"
    assert after(before).endswith("/dev/disk/by-id/x-part5 /x swap ro,nofail\n")
    assert plan_of_applied(before, after(before)).changes == ()


def test_a_cloned_disk_has_no_uuid_of_its_own() -> None:
    clone = replace(DATA, partition=2)
    storage = replace(STORAGE, devices=(*STORAGE.devices, clone))
    assert after("/dev/sdb1 /x xfs ro", storage) == "/dev/sdb1 /x xfs ro,nofail"
    plan = plan_of("UUID=da7a /x xfs ro", storage)
    assert plan.changes == ()
    assert "left to chance" in plan.notes[0].text


def test_a_file_system_on_a_whole_disk() -> None:
    storage = Storage((Disk("dos", 1), Disk(None, 1)), (ROOT, Device(1, None, fstype="xfs", uuid="77")))
    assert after("/dev/sdb /x xfs ro", storage) == "UUID=77 /x xfs ro"
    assert after("/dev/sda /x xfs ro", storage) == "/dev/sda /x xfs ro,nofail"


@pytest.mark.parametrize(
    ("crypttab", "kept"),
    [
        ("secret UUID=10c5 none luks", True),
        ("secret /dev/sda8 none luks", False),
        ("secret UUID=gone none luks", False),
        ("# secret UUID=10c5", False),
    ],
)
def test_a_volume_that_crypttab_opens_stays(crypttab: str, kept: bool) -> None:
    luks = Device(0, 8, fstype="crypto_LUKS", uuid="10c5")
    storage = replace(STORAGE, devices=(*STORAGE.devices, luks))
    line = "/dev/mapper/secret /x ext4 defaults"
    assert (after(line, storage, crypttab=crypttab) == line) == kept


def test_an_array_whose_members_are_there_stays() -> None:
    member = Device(0, 8, fstype="linux_raid_member", uuid="10")
    storage = replace(STORAGE, devices=(*STORAGE.devices, member))
    for line in ("/dev/md0 /x ext4 ro", "/dev/md/data /x ext4 ro"):
        assert after(line, storage) == line


def test_an_array_that_none_of_those_found_can_be_is_not_waited_for() -> None:
    """All arrays of the disks given are found, and each of them has another line."""
    member = Device(0, 8, fstype="linux_raid_member", uuid="10")
    array = Device(fstype="ext4", uuid="11", md_uuid="a" * 32, md_names=("/dev/md/x",))
    other = replace(array, uuid="12", md_uuid="b" * 32, md_names=("/dev/md127",))
    storage = replace(STORAGE, devices=(*STORAGE.devices, member, array, other))
    text = "/dev/md/x /x ext4 ro\n/dev/md5 /y ext4 ro\n"
    assert after(text, storage) == text, "/dev/md5 may be the array without a line"
    text += "UUID=12 /z ext4 ro\n"
    assert after(text, storage) == text.replace("/dev/md5 /y ext4 ro", "/dev/md5 /y ext4 ro,nofail")


def test_without_a_known_root_its_line_stays_and_is_warned_of() -> None:
    plan = plan_of("UUID=dead / ext4 ro", Storage())
    assert plan.changes == ()
    assert "stays" in plan.notes[0].text


def test_no_fstab_is_a_warning() -> None:
    [note] = make_plan(Guest(MemoryTree({}), STORAGE), [fstab], context()).notes
    assert note.rule == "R-48"


def test_a_link_is_followed() -> None:
    tree = MemoryTree({"/etc/real": b"/dev/sda2 / ext4 ro\n"}, links={"/etc/fstab": "real"})
    [change] = make_plan(Guest(tree, STORAGE), [fstab], context()).changes
    assert change.path == "/etc/real"


def test_reasons_name_the_lines_in_their_order() -> None:
    text = "# x\n/dev/sdc1 /x ext4 ro\nbug\n\n//s/x /y cifs ro\n/dev/sda1 /boot ext4 ro\n"
    [change] = plan_of(text).changes
    assert [(r.rule, r.text.split(":")[0]) for r in change.reasons] == [
        ("M-04", "line 2"),
        ("M-02", "line 3"),
        ("M-05", "line 5"),
        ("M-03", "line 6"),
    ]


def mutations(data: bytes, seed: str) -> list[bytes]:
    chance = random.Random(seed)
    cuts = [data[: chance.randrange(len(data) + 1)] for _ in range(20)]
    bom, latin = b"\xef\xbb\xbf" + data, data + b"# caf\xe9\n"
    return [data, data.replace(b"\n", b"\r\n"), data.rstrip(b"\n"), bom, latin, data + data, *cuts]


@pytest.mark.skipif(not FILES, reason="the corpora are not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_named_lines_of_real_files_change_and_only_once(path: Path) -> None:
    for data in mutations(path.read_bytes(), path.name):
        plan = plan_of(data)
        if not plan.changes:
            continue
        [change] = plan.changes
        assert change.after is not None
        assert plan_of(change.after).changes == ()
        old = data.decode("utf-8", "surrogateescape").split("\n")
        new = change.after.decode("utf-8", "surrogateescape").split("\n")
        assert len(old) == len(new)
        differing = {
            f"line {number}" for number, pair in enumerate(zip(old, new, strict=True), 1) if len({*pair}) > 1
        }
        assert differing == {reason.text.split(":")[0] for reason in change.reasons}


@pytest.mark.skipif(not FILES or not shutil.which("findmnt"), reason="no corpora or no findmnt")
def test_libmount_reads_every_result(tmp_path: Path) -> None:
    for path in FILES:
        result = tmp_path / "fstab"
        text = after(path.read_bytes().decode("utf-8", "surrogateescape"))
        result.write_bytes(text.encode("utf-8", "surrogateescape"))
        found = subprocess.run(
            ["findmnt", "--tab-file", str(result), "--fstab", "-n", "-r", "-o", "TARGET"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "parse error" not in found.stderr, path
        assert len(found.stdout.split("\n")) - 1 == len(list(grammar.entries(text))), path


def test_the_diff_of_a_whole_file_shows_the_rules() -> None:
    text = "/dev/sda2\t/\text4\tdefaults\t0 1\n//s/x\t/x\tcifs\tro\t0 0\n/dev/sdd1\t/y\text4\n"
    diff = difflib.ndiff(text.split("\n"), after(text).split("\n"))
    assert [line for line in diff if line.startswith("+")] == [
        "+ UUID=a007\t/\text4\tdefaults\t0 1",
        "+ # imgpatch M-05 file system type cifs is disabled: //s/x\t/x\tcifs\tro\t0 0",
        "+ /dev/sdd1\t/y\text4\tnofail",
    ]


SPECS = [
    *("/dev/sda1", "/dev/sda2", "/dev/xvdb1", "/dev/nvme0n1p1", "/dev/sdz9", "/dev/root", "/dev/my-vg/var"),
    *(
        "UUID=a007",
        "LABEL=gone",
        'UUID="b00b"',
        "/dev/disk/by-path/x-part2",
        "//s/x",
        "tmpfs",
        "/dev/md0",
        "#x",
    ),
]
POINTS = ["/", "/data", "none", "swap", "/a\\040b", "relative"]
TYPES = ["ext4", "xfs", "auto", "swap", "cifs", "nfs", "none", "fuse", "udf,iso9660", ""]
OPTIONS = ["defaults", "noauto", "ro,nofail", "bind", "_netdev", ",", "defaults 0 0", "x 1 1 # why", ""]
ENTRIES = st.tuples(*map(st.sampled_from, (SPECS, POINTS, TYPES, OPTIONS))).map(" ".join)
MOUNTS: list[dict[str, Device]] = [{"/": ROOT}, {"/": LV}, {"/": RAW}, {}]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(ENTRIES, max_size=6), st.sampled_from(MOUNTS))
def test_a_second_plan_is_empty_and_every_root_line_is_kept(
    entries: list[str], mounts: dict[str, Device]
) -> None:
    text = "\n".join(entries)
    storage = replace(STORAGE, mounts=mounts)
    done = after(text, storage)
    assert plan_of_applied(text, done, storage).changes == ()
    assert len(done.split("\n")) == len(text.split("\n"))
    assert [line.fs_file for line in grammar.entries(done)].count("/") == [
        line.fs_file for line in grammar.entries(text)
    ].count("/")
