"""What files carry besides their contents: SELinux labels and locks (chattr +i, +a), on real file systems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import snapshot, text_disks
from imgpatch.commit import commit, revert, verify
from imgpatch.images import probe
from imgpatch.images.appliance import Drive
from imgpatch.images.session import Session, open_session
from imgpatch.manifest import MANIFEST_PATH
from imgpatch.plan import Change, Plan, Reason
from imgpatch.progress import Silent
from tests import selinux_policy
from tests.appliance.machines import MIB, ROOT, small_guest

pytestmark = pytest.mark.appliance

SUFFIX = ".imgpatch.orig"
POLICY = "/etc/selinux/targeted/contexts/files/file_contexts"
CONTEXTS = b"""\
/.*\tsystem_u:object_r:default_t:s0
/etc(/.*)?\tsystem_u:object_r:etc_t:s0
/var/lib(/.*)?\tsystem_u:object_r:var_lib_t:s0
"""


@contextmanager
def opened(disk: Path) -> Iterator[Session]:
    settings = probe.appliance_settings(probe.probe())
    with open_session(
        [Drive(disk, "raw", writable=True)], [disk.stat().st_size], settings, Silent()
    ) as session:
        yield session


def plan_of(session: Session) -> Plan:
    """A change of two files, and a new one in a new folder."""
    after = {
        "/etc/dracut.conf.d/imgpatch.conf": b"add_drivers",
        "/etc/fstab": b"# new\n",
        "/etc/resolv.conf": b"",
    }
    rows = [(path, session.guest.read(path), data) for path, data in after.items()]
    reason = (Reason("M-01", "for the test"),)
    return Plan(tuple(Change(p, old, new, reason, None if old else 0o644) for p, old, new in rows))


def label(session: Session, path: str) -> str | None:
    details = session.files.details(path)
    return None if details is None or details.label is None else details.label.decode()


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_labels_and_locks_are_kept_given_and_put_back(fstype: str, tmp_path: Path) -> None:
    policy = CONTEXTS
    if selinux_policy.MODULES.is_dir():
        policy = selinux_policy.file_contexts().encode()
    root = replace(ROOT, fstype=fstype, size=(40 if fstype == "ext4" else 320) * MIB)
    files = {
        "/etc/selinux/config": b"SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        POLICY: policy,
        "/etc/resolv.conf": b"nameserver 192.168.1.1\n",
    }
    disk = text_disks.make(small_guest(root, files=files), tmp_path)[0]
    with opened(disk) as session:
        appliance = session.appliance
        for path, kind in {
            "/": "root_t",
            "/etc": "etc_t",
            "/var/lib": "var_lib_t",
            "/etc/fstab": "fstab_t",
        }.items():
            session.files.set_label(path, f"system_u:object_r:{kind}:s0\0".encode())
        appliance.acl_set_file("/etc/fstab", "access", "u::rw,u:1000:r,g::r,m::r,o::r")
        appliance.acl_set_file("/etc", "default", "u::rwx,u:7:rx,g::rx,m::rx,o::rx")
        appliance.set_e2attrs("/etc/resolv.conf", "i")
        appliance.set_e2attrs("/etc/fstab", "a")
        appliance.set_e2attrs("/etc", "i")
        before = snapshot.tree(appliance)
        plan = plan_of(session)
        commit(plan, session.guest, session.files, SUFFIX, edition="2026")

    with opened(disk) as session:
        appliance = session.appliance
        verify(plan, session.guest, session.files)
        for path, flag in {"/etc/resolv.conf": "i", "/etc/fstab": "a"}.items():
            assert flag in appliance.get_e2attrs(path), path
            assert flag in appliance.get_e2attrs(path + SUFFIX), path
        assert "i" in appliance.get_e2attrs("/etc")
        assert label(session, "/etc/fstab") == label(session, "/etc/fstab" + SUFFIX)
        assert label(session, "/etc/fstab") == "system_u:object_r:fstab_t:s0\0"
        assert label(session, "/etc/resolv.conf") is None
        assert label(session, MANIFEST_PATH) == "system_u:object_r:var_lib_t:s0\0"
        created = label(session, "/etc/dracut.conf.d/imgpatch.conf")
        assert created == "system_u:object_r:etc_t:s0\0"
        revert(session.guest, session.files)

    with opened(disk) as session:
        assert snapshot.tree(session.appliance) == before
        for path, flag in {"/etc/resolv.conf": "i", "/etc/fstab": "a", "/etc": "i"}.items():
            assert flag in session.appliance.get_e2attrs(path), path
        assert label(session, "/etc/fstab") == "system_u:object_r:fstab_t:s0\0"
