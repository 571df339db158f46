"""Every system of the matrix: inspected, planned, checked, committed, planned again and reverted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fixtures import rows
from imgpatch import edition
from imgpatch.commit import commit, revert, verify, verify_reverted
from imgpatch.formats import fstab, initramfs
from imgpatch.guest import Guest
from imgpatch.inspection import Inspection, inspect
from imgpatch.inspection.kernels import Presence
from imgpatch.inspection.stacks import ifcfg, ifupdown, netplan, networkd, networkmanager, wicked
from imgpatch.originals import kept_name
from imgpatch.plan import Context, NoteKind, Plan, make_plan, planned
from imgpatch.target import EC2
from imgpatch.transforms import TRANSFORMS
from imgpatch.transforms.initramfs_tools import Tool, find_tool
from tests.memory_disk import MemoryDisk

SUFFIX = ".imgpatch.orig"
OLD_ADDRESS = re.compile(r"192\.168\.\d+\.\d+|10\.20\.0\.0|10\.40\.0\.\d+|2001:db8:")
NETWORK_FILES = (
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/*",
    "/etc/netplan/*",
    "/etc/cloud/cloud.cfg.d/*",
    "/etc/NetworkManager/system-connections/*",
    "/etc/sysconfig/network-scripts/*",
    "/etc/sysconfig/network/*",
    "/etc/systemd/network/*",
)
OLD_DEVICE = re.compile(r"/dev/([shv]d|xvd)[a-z]|/dev/disk/by-(id|path)|/dev/scd")
LACKS = re.compile(
    r"kernel \S+(?:, which boots by default today,)? has no (\S+), built in or as a module"
    r"|\S+: \S+ has no (\S+) driver, for \S+, and no other kernel of the menu is better"
)

STACKS = (ifcfg, ifupdown, netplan, networkd, networkmanager, wicked)
PLACE = re.compile(r"@[a-z_]+@")
ROOTS = ("UUID=", "/dev/mapper/", "/dev/VolGroup00/", "/dev/disk/by-id/dm-uuid-LVM-")
"""What does not hang on the disk's place or kind."""

each_row = pytest.mark.parametrize("name", rows.table())


@cache
def guest_of(name: str) -> Guest:
    return rows.load(name)


@cache
def inspected(name: str) -> Inspection:
    return inspect(guest_of(name), EC2)


@cache
def plan_of(name: str) -> Plan:
    return make_plan(guest_of(name), TRANSFORMS, Context(edition.load(), inspected(name)))


@cache
def guest_after(name: str) -> Guest:
    return planned(guest_of(name), {change.path: change.after for change in plan_of(name).changes})


@cache
def inspected_after(name: str) -> Inspection:
    return inspect(guest_after(name), EC2)


@each_row
def test_it_is_known_for_what_it_is(name: str) -> None:
    row, found = rows.table()[name], inspected(name)
    expected = row.guest["expect"]
    point = "point" if row.values["id"] == "debian" else "version"
    assert (found.system.id, found.system.version) == (row.values["id"], row.values[point])
    assert found.system.architecture == "x86_64"
    assert found.bootloader is not None
    assert found.bootloader.kind == expected["bootloader"]
    assert found.network.stacks == tuple(expected["stacks"])
    assert find_tool(guest_of(name)) is Tool(expected["tool"])
    assert found.default_kernel is not None
    assert found.default_kernel.release == row.values["kernel"]
    assert {kernel.release for kernel in found.kernels} == set(row.kernels)
    absent = {d.module for d in found.default_kernel.drivers if d.presence is Presence.ABSENT}
    assert absent == row.lacking


@each_row
def test_its_files_have_no_gap(name: str) -> None:
    row = rows.table()[name]
    texts = {path: data for path, data in rows.files(row).items() if b"\0" not in data}
    assert [path for path, data in texts.items() if PLACE.search(data.decode("utf-8", "replace"))] == []
    assert [path for path in texts if "@" in path] == []


@each_row
def test_fstab_changes_only_by_the_rules(name: str) -> None:
    lines = [fstab.parse(guest.text("/etc/fstab") or "") for guest in (guest_of(name), guest_after(name))]
    changed = [(old, new) for old, new in zip(*lines, strict=True) if old != new]
    assert changed, "each of these guests has something to do in its fstab"
    for old, new in changed:
        if not new.is_entry:
            assert new.text.startswith("# imgpatch M-0")
            assert new.text.endswith(f": {old.text}")
            continue
        assert new.fs_spec == old.fs_spec or OLD_DEVICE.match(old.fs_spec) or "by-uuid" in old.fs_spec
        assert new.options[: len(old.options)] == old.options
        assert set(new.options) - set(old.options) <= {"nofail", "nobootwait"}
        assert new.words[1:3] + new.words[4:5] == old.words[1:3] + old.words[4:5]
        unchecked = guest_of(name).exists("/sbin/fsck") and {*new.options} - {*old.options} == {"nofail"}
        assert new.words[5:] == (("0",) if unchecked else old.words[5:]), "Red Hat 5 knows no nofail"


@each_row
def test_nothing_waits_for_a_disk_that_stays_behind(name: str) -> None:
    guest = guest_of(name)
    upstart = guest.exists("/sbin/mountall") and not guest.resolve("/sbin/init").endswith("systemd")
    optional = {"nofail", "nobootwait"} if upstart else {"nofail"}
    for line in fstab.entries(guest_after(name).text("/etc/fstab") or ""):
        if OLD_DEVICE.match(line.fs_spec) and "dm-uuid" not in line.fs_spec:
            assert optional <= {*line.options}, line.text
        if line.fs_file == "/":
            assert line.fs_spec.startswith(ROOTS), line.text


@each_row
def test_the_network_is_one_nic_with_dhcp(name: str) -> None:
    guest, network = guest_after(name), inspected_after(name).network
    for path in (path for pattern in NETWORK_FILES for path in guest.glob(pattern)):
        if not path.endswith(SUFFIX):
            left = [line for line in _live(guest.text(path) or "") if OLD_ADDRESS.search(line)]
            assert left == [], path
    assert [nic.name for nic in network.nics if nic.static] == []
    found = [interface for stack in STACKS for interface in stack.interfaces(guest)]
    asking = [i for i in found if i.dhcp and i.name in {"eth0", None}]
    assert asking
    assert asking[0].boot or asking[0].stack == ifupdown.STACK, (
        "allow-hotplug comes up without being waited for"
    )
    bootloader = inspected_after(name).bootloader
    assert bootloader is not None
    assert bootloader.default is not None
    predictable = rows.table()[name].guest["expect"]["predictable"]
    assert ("net.ifnames=0" in bootloader.default.cmdline.split()) == predictable


@each_row
def test_the_same_kernel_boots_after_a_wait_that_ends(name: str) -> None:
    bootloader = inspected_after(name).bootloader
    assert bootloader is not None
    assert bootloader.default is not None
    assert bootloader.default.kernel.endswith(f"vmlinuz-{rows.table()[name].values['kernel']}")
    assert bootloader.timeout is not None
    assert 1 <= bootloader.timeout <= 10
    if bootloader.kind == "grub2":
        menu = guest_after(name).text(bootloader.configs[0]) or ""
        assert not re.search(r"""^\s*set default=["']?0""", menu, re.MULTILINE), "pinned, not counted"
    for entry in bootloader.entries:
        assert not [word for word in entry.cmdline.split() if OLD_DEVICE.search(word)], entry.title


@each_row
def test_each_initramfs_gains_the_drivers_and_loses_nothing(name: str) -> None:
    row, before, after = rows.table()[name], guest_of(name), guest_after(name)
    for release in row.kernels:
        path = rows.initramfs_path(row, release)
        old, new = (initramfs.read(guest.read(path) or b"") for guest in (before, after))
        assert old.files.keys() <= new.files.keys()
        assert old.modules(release).items() <= new.modules(release).items()
    for kernel in inspected_after(name).kernels:
        wanted = [driver for driver in kernel.drivers if driver.presence is Presence.MODULE]
        assert [driver for driver in wanted if not driver.in_initramfs] == [], kernel.release


@each_row
def test_the_warnings_are_those_the_row_deserves(name: str) -> None:
    row, unexpected = rows.table()[name], []
    lacking = frozenset().union(*(row.lacking_of(release) for release in row.kernels))
    for note in plan_of(name).notes:
        if note.kind is not NoteKind.WARNING:
            continue
        lack = LACKS.match(note.text)
        known = lack is not None and {*lack.groups()} & lacking
        if not known and not any(re.search(pattern, note.text) for pattern in row.guest["warnings"]):
            unexpected.append(note.text)
    assert unexpected == []


@each_row
def test_the_changed_guest_needs_no_change(name: str) -> None:
    guest = guest_after(name)
    again = make_plan(guest, TRANSFORMS, Context(edition.load(), inspected_after(name)))
    assert again.changes == ()


@each_row
def test_it_is_written_as_planned_and_put_back_exactly(name: str) -> None:
    plan = plan_of(name)
    disk = MemoryDisk(guest_of(name))
    before = dict(disk.nodes)
    storage = guest_of(name).storage
    manifest = commit(plan, Guest(disk, storage), disk, SUFFIX, edition="2026")
    verify(plan, Guest(disk, storage), disk)
    for change in plan.changes:
        assert (disk.nodes[change.path].data if change.path in disk.nodes else None) == change.after
        if change.before is not None:
            assert disk.nodes[kept_name(change.path, SUFFIX)] == before[change.path]
    written = Guest(disk, storage)
    again = make_plan(written, TRANSFORMS, Context(edition.load(), inspect(written, EC2)))
    assert again.changes == (), "the originals beside the new files are nobody's configuration"
    assert revert(Guest(disk, storage), disk) == manifest
    verify_reverted(manifest, disk)
    assert disk.nodes == before


def test_the_readme_names_every_row_and_how_it_is_proven() -> None:
    """`python -m fixtures.rows` prints the table anew."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert rows.readme_table() in readme
    assert set(rows.on_disk()) <= set(rows.table())


def _live(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if not line.lstrip().startswith("#"))
