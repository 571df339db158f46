"""Plans and machines as text and as JSON; nothing a guest wrote reaches a terminal raw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch import edition
from imgpatch.formats import cpio
from imgpatch.images.disk import Image
from imgpatch.images.output import Written
from imgpatch.inspection import Inspection
from imgpatch.inspection.bootloader import BootEntry, Bootloader
from imgpatch.inspection.kernels import DriverState, Kernel, Presence
from imgpatch.inspection.network import Network, Nic
from imgpatch.inspection.system import OperatingSystem
from imgpatch.manifest import Manifest, Row
from imgpatch.plan import Change, Choices, Note, NoteKind, Plan, Reason, Rebuild
from imgpatch.reports import document, text
from imgpatch.reports.contents import diff
from imgpatch.reports.terminal import safe
from imgpatch.storage import Device, Disk, Storage

NEWEST = edition.load()
PLAN = Plan(
    (
        Change(
            "/boot/grub/core.img",
            b"\x1f\x8b\0old",
            b"\x1f\x8b\0newer",
            (Reason("M-10", "nvme is missing"),),
        ),
        Change("/etc/a.conf", None, b"new\n", (Reason("imgpatch", "ours"),), 0o600),
        Change("/etc/fstab", b"one\ntwo\n", b"one\n2", (Reason("M-03", "line 2: two is 2"),)),
        Change("/etc/gone", b"x\n", None, (Reason("M-08", "no such NIC"),)),
    ),
    (Note(NoteKind.WARNING, "R-48", "look here"), Note(NoteKind.NOT_MIRRORED, "M-99", "not this")),
)
ROOT = Device(0, 1, fstype="ext4", uuid="a007", label="root", size=8 << 30)
LV = Device(mapper="vg-data", fstype="xfs", uuid="1f1f", size=1 << 20)
STORAGE = Storage((Disk("gpt", 10 << 30), Disk(None, 512)), (ROOT, LV), {"/": ROOT, "/data": LV})
ENTRY = BootEntry(
    "Debian", None, "0", "/boot/vmlinuz-6.1", ("/boot/initrd.img-6.1",), "ro quiet", "/boot/g.cfg"
)
INSPECTION = Inspection(
    OperatingSystem("debian", (), "12", "Debian GNU/Linux 12", "x86_64"),
    "uefi",
    Bootloader("grub2", ("/boot/g.cfg",), (ENTRY,), ENTRY, 5),
    (
        Kernel(
            "6.1",
            "/boot/vmlinuz-6.1",
            "/lib/modules/6.1",
            "/boot/initrd.img-6.1",
            None,
            (
                DriverState("nvme", Presence.MODULE, False),
                DriverState("xen-blkfront", Presence.BUILT_IN, None),
            ),
            True,
        ),
    ),
    Network(("ifupdown",), (Nic("ens192", None, True, ("/etc/network/interfaces",)),)),
)


@dataclass(frozen=True)
class Machine:
    images: Sequence[Image]
    storage: Storage
    inspection: Inspection
    messages: Sequence[str]


IMAGES = (
    Image(Path("/srv/vm.ova"), "vmdk", 10 << 30, "streamOptimized", 1024, 2048, "disk\x1b1.vmdk"),
    Image(Path("/srv/b.raw"), "raw", 512),
)
FOUND = Machine(IMAGES, STORAGE, INSPECTION, ["a journal was replayed"])


def test_a_plan_as_text() -> None:
    lines = text.render_plan(PLAN, NEWEST, ["a journal was replayed"], choices=Choices(".old")).split("\n")
    assert lines[0] == "a journal was replayed"
    assert "  M-01     the original is kept as /boot/grub/.core.img.old" in lines
    assert any(line.startswith("  before: 6 bytes, sha256 ") for line in lines)
    start = lines.index("change /etc/fstab")
    assert lines[start : start + 12] == [
        "change /etc/fstab",
        "  M-03     line 2: two is 2",
        "  M-01     the original is kept as /etc/fstab.old",
        "  --- /etc/fstab",
        "  +++ /etc/fstab",
        "  @@ -1,2 +1,2 @@",
        "   one",
        "  -two",
        "  +2",
        "  \\ No newline at end of file",
        "",
        "remove /etc/gone",
    ]
    assert "add /etc/a.conf (mode 0600)" in lines
    assert "  --- /dev/null" in lines
    assert "  R-48     warning: look here" in lines
    assert any(line.startswith("  M-12 ") for line in lines)
    assert "  M-99     not this" in lines
    assert lines[-2:] == [f"Plan {PLAN.digest}: 1 to add, 2 to change, 1 to remove.", ""]


def test_what_the_guest_rebuilds_is_said() -> None:
    rebuild = Rebuild("/boot/initrd.img", ("update-initramfs", "-u"), (Reason("M-10", "asked for"),))
    plan = Plan((), (), (rebuild,))
    lines = text.render_plan(plan, NEWEST).split("\n")
    assert lines[0] == "rebuild /boot/initrd.img"
    assert "  runs in the guest: update-initramfs -u" in lines
    assert lines[-2].endswith("0 to remove, 1 to rebuild in the guest.")
    [row] = document.plan_document(plan, NEWEST)["rebuilds"]
    assert (row["path"], row["argv"]) == ("/boot/initrd.img", ["update-initramfs", "-u"])


def test_the_edition_says_what_is_not_mirrored() -> None:
    assert "M-12" not in text.render_plan(PLAN, edition.load("2019"))


def test_nothing_to_do_is_one_line_with_the_digest() -> None:
    assert text.summary(Plan(())) == f"Plan {Plan(()).digest}: no changes."


def test_no_escape_character_without_colour() -> None:
    assert "\x1b" not in text.render_plan(PLAN, NEWEST)
    assert "\x1b[31m  -two\x1b[0m" in text.render_plan(PLAN, NEWEST, colour=True)


def hostile(path: str, data: bytes) -> Plan:
    shown = data.decode("utf-8", "surrogateescape")
    note = Note(NoteKind.WARNING, "imgpatch", shown)
    return Plan((Change(path, b"", data, (Reason("M-03", shown),)),), (note,))


HOSTILE = b"\x1b]0;owned\x07 \x9b31m \xc2\x9b31m \xe2\x80\xae\xe2\x80\xa8 caf\xe9 \xc2\xad\r\n\x08\x7f\n"


@pytest.mark.parametrize("colour", [False, True])
def test_control_characters_of_a_guest_are_spelt_out(colour: bool) -> None:
    shown = text.render_plan(hostile("/etc/\x1b[2J\nfstab", HOSTILE), NEWEST, colour=colour)
    for colour_code in ("\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"):
        shown = shown.replace(colour_code, "")
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert "\\x1b]0;owned\\x07 \\x9b31m \\x9b31m \\u202e\\u2028 caf\\xe9 \\xad\\r" in shown
    assert "/etc/\\x1b[2J\\nfstab" in shown


@settings(max_examples=100, derandomize=True)
@given(st.binary(max_size=60))
def test_whatever_the_contents_every_character_is_printable(data: bytes) -> None:
    shown = text.render_plan(hostile("/x", data), NEWEST)
    assert all(char.isprintable() or char in "\t\n" for char in shown)
    shown.encode("utf-8")
    document.dumps(document.plan_document(hostile("/x", data), NEWEST)).encode("ascii")


def test_ordinary_text_is_left_alone() -> None:
    for line in ("UUID=1\t/ ext4", "Grüße, 日本語 ✓", ""):
        assert safe(line) == line


def test_a_diff_tells_a_lost_newline_from_a_lost_line() -> None:
    change = Change("/x", b"a\n", b"a", ())
    assert diff(change) == (
        "--- /x", "+++ /x", "@@ -1 +1 @@", "-a", "+a", "\\ No newline at end of file",
    )  # fmt: skip


def test_a_describer_speaks_for_its_format() -> None:
    def describe(path: str, before: bytes | None, after: bytes | None) -> Sequence[str] | None:
        return [f"gains {len(after or b'') - len(before or b'')} bytes\x1b"] if "core" in path else None

    shown = text.render_plan(PLAN, NEWEST, describe=describe)
    assert "  gains 2 bytes\\x1b" in shown
    assert "+++ /etc/fstab" in shown
    rows = document.plan_document(PLAN, NEWEST, describe=describe)["changes"]
    assert [("description" in row, "diff" in row) for row in rows] == [(True, False)] + [(False, True)] * 3


def test_new_files_are_told_with_their_sizes_and_sums() -> None:
    one = Written(Path("/srv/out.vmdk"), "vmdk", 10 << 30, 1 << 20, "ab" * 32)
    other = Written(Path("/srv/o\x1but.raw"), "raw", 10 << 40, 10 << 40, None)
    lines = text.render_written(("/srv/out.vmdk", "/srv/out.raw"), (one, other)).split("\n")
    assert lines[:3] == [
        "Written and verified: /srv/out.vmdk",
        "  vmdk, 10737418240 bytes of disk in 1048576 bytes",
        f"  sha256 {'ab' * 32}",
    ]
    assert "not added up" in lines[5]
    assert "\x1b" not in "".join(lines)
    assert text.render_written(("/srv/disk.img",)) == "Written and verified: /srv/disk.img\n"
    found = json.loads(document.dumps(document.plan_document(PLAN, NEWEST, files=(one,))))
    assert found["files"] == [
        {"path": "/srv/out.vmdk", "format": "vmdk", "size": 10 << 30, "file_size": 1 << 20, "notes": [],
         "sha256": "ab" * 32}
    ]  # fmt: skip


def test_an_initramfs_shows_the_files_it_gains() -> None:
    old = cpio.make_entry("init", b"x", mode=0o100755, mtime=0, ino=1)
    new = cpio.make_entry("nvme.ko", b"elf", mode=0o100644, mtime=0, ino=2)
    before, after = old + cpio.trailer(), old + new + cpio.trailer()
    plan = Plan((Change("/boot/initrd.img-6.1", before, after, ()),))
    assert "  + nvme.ko (3 bytes)" in text.render_plan(plan, NEWEST).split("\n")
    settings_file = Plan((Change("/etc/initramfs-tools/initramfs.conf", b"A=1\n", b"A=2\n", ()),))
    assert "  +A=2" in text.render_plan(settings_file, NEWEST).split("\n")


def test_a_plan_as_json() -> None:
    found = json.loads(
        document.dumps(document.plan_document(PLAN, NEWEST, ["replayed"], written=["out.raw"]))
    )
    assert (found["schema"], found["edition"], found["digest"]) == (1, "2026", PLAN.digest)
    assert (found["messages"], found["written"]) == (["replayed"], ["out.raw"])
    assert [(row["path"], row["kind"], row["mode"], row["rules"]) for row in found["changes"]] == [
        ("/boot/grub/core.img", "change", None, ["M-10"]),
        ("/etc/a.conf", "add", "0600", ["imgpatch"]),
        ("/etc/fstab", "change", None, ["M-03"]),
        ("/etc/gone", "remove", None, ["M-08"]),
    ]
    fstab = found["changes"][2]
    assert fstab["diff"][-3:] == ["-two", "+2", "\\ No newline at end of file"]
    assert fstab["before"]["size"] == 8
    assert found["changes"][1]["before"] is None
    assert found["notes"][0] == {"kind": "warning", "rule": "R-48", "text": "look here"}


def test_a_path_outside_utf_8_keeps_its_bytes_in_json() -> None:
    [row] = document.plan_document(hostile("/etc/caf\udce9", b"x"), NEWEST)["changes"]
    assert (row["path"], row["path_b64"]) == ("/etc/caf\\xe9", "L2V0Yy9jYWbp")


def test_a_machine_as_text() -> None:
    assert (
        text.render_inspection(FOUND)
        == """\
Disks
  disk 1: 10.0 GiB, GPT
    /srv/vm.ova: disk\\x1b1.vmdk (vmdk, streamOptimized)
    partition 1        8.0 GiB  ext4          UUID=a007  LABEL=root  on /
  disk 2: 512 bytes, no partition table
    /srv/b.raw (raw)
  volumes
    /dev/mapper/vg-data     1.0 MiB  xfs           UUID=1f1f  on /data

Firmware
  UEFI

System
  Debian GNU/Linux 12 (debian 12 x86_64)
  licence: Linux: --license-type BYOL; or --usage-operation RunInstances, RunInstances:0004, RunInstances:0100, RunInstances:0200

Boot loader
  grub2: /boot/g.cfg (entries: 1)
  timeout:  5 s
  default:  Debian
  kernel:   /boot/vmlinuz-6.1
  options:  ro quiet

Kernels
  6.1 (default)
    kernel:     /boot/vmlinuz-6.1
    initramfs:  /boot/initrd.img-6.1
      nvme          module, not in the initramfs
      xen-blkfront  built in
  ENA support of the AMI: the service would set it, having found nvme

Network
  configured by:  ifupdown
  ens192: static address, in /etc/network/interfaces

Messages
  a journal was replayed
"""  # noqa: E501
    )


def test_a_machine_as_json() -> None:
    found = json.loads(document.dumps(document.inspection_document(FOUND)))
    assert found["files"][1] == {"name": "/srv/b.raw", "format": "raw", "variety": "", "size": 512}
    assert found["storage"]["mounts"]["/"]["uuid"] == "a007"
    assert found["inspection"]["kernels"][0]["drivers"][0]["presence"] == "module"


def test_a_revert_as_text() -> None:
    manifest = Manifest(
        (Row("/etc/a", None, None, "1", ()), Row("/etc/b", "/etc/b.o", "2", "3", ())), digest="d1"
    )
    assert (
        text.render_revert(manifest) == "removed   /etc/a\nrestored  /etc/b\nReverted plan d1: 2 file(s).\n"
    )
