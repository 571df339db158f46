"""Committing, verifying and reverting, over a real directory; a crash at every call in turn."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imgpatch.commit import commit, revert, verify
from imgpatch.errors import RefusedError, VerifyError
from imgpatch.files import Details, Space
from imgpatch.guest import Guest, Kind, Stat
from imgpatch.manifest import MANIFEST_PATH, Manifest
from imgpatch.plan import Change, Plan, Reason, Rebuild
from imgpatch.storage import Storage

REASON = (Reason("M-03", "line 1: for the test"),)
SUFFIX = ".imgpatch.orig"


class CrashError(Exception):
    """Stands for SIGKILL."""


class DirectoryTree:
    """A folder of this machine as a guest's tree."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def host(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def lstat(self, path: str) -> Stat | None:
        if not os.path.lexists(self.host(path)):
            return None
        raw = self.host(path).lstat()
        kind = Kind.DIRECTORY if stat.S_ISDIR(raw.st_mode) else Kind.FILE
        return Stat(kind, stat.S_IMODE(raw.st_mode), raw.st_uid, raw.st_gid, raw.st_size)

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(self.host(path)))

    def read(self, path: str) -> bytes:
        return self.host(path).read_bytes()

    def head(self, path: str, size: int) -> bytes:
        return self.host(path).read_bytes()[:size]

    def folds_case(self, path: str) -> bool:
        return False


@dataclass
class DirectoryFiles:
    """`Files` over a folder, which may crash at the n-th call that writes."""

    tree: DirectoryTree
    crash_at: int | None = None
    blocks: int = 1000
    writes: int = 0
    xattrs: dict[int, tuple[tuple[str, bytes], ...]] = field(default_factory=dict)
    flags: dict[int, str] = field(default_factory=dict)
    """By inode, since both go with a file that is renamed."""

    def details(self, path: str) -> Details | None:
        host = self.tree.host(path)
        if not os.path.lexists(host):
            return None
        raw = host.lstat()
        kind = Kind.DIRECTORY if stat.S_ISDIR(raw.st_mode) else Kind.FILE
        mode = stat.S_IMODE(raw.st_mode)
        times = (raw.st_atime_ns, raw.st_mtime_ns)
        xattrs = self.xattrs.get(raw.st_ino, ())
        return Details(kind, mode, raw.st_uid, raw.st_gid, raw.st_size, *times, xattrs)

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.tree.read(path)).hexdigest()

    def create(self, path: str, data: bytes) -> None:
        self._write(lambda: self.tree.host(path).write_bytes(data), path)
        self.xattrs.pop(self.inode(path), None)  # an inode of before, taken again

    def copy_details(self, old: str, new: str) -> None:
        details = self.details(old)
        assert details is not None
        self.set_mode(new, details.mode)
        self.xattrs[self.inode(new)] = details.xattrs
        self.set_times(new, details.atime, details.mtime)

    def set_mode(self, path: str, mode: int) -> None:
        self._write(lambda: os.chmod(self.tree.host(path), mode), path)

    def set_label(self, path: str, label: bytes) -> None:
        self.xattrs[self.inode(path)] = (("security.selinux", label),)

    def set_times(self, path: str, atime: int, mtime: int) -> None:
        self._write(lambda: os.utime(self.tree.host(path), ns=(atime, mtime)))

    def unlock(self, path: str) -> str:
        return self.flags.pop(self.inode(path), "")

    def lock(self, path: str, flags: str) -> None:
        self.flags[self.inode(path)] = flags

    def writes_into(self, path: str) -> bool:
        return False

    def copy(self, old: str, new: str) -> None:
        raise AssertionError("a file here is replaced by another")

    def rename(self, old: str, new: str) -> None:
        self._write(lambda: os.rename(self.tree.host(old), self.tree.host(new)), old, new)

    def remove(self, path: str) -> None:
        self._write(lambda: os.unlink(self.tree.host(path)), path)

    def mkdir(self, path: str) -> None:
        self._write(lambda: os.mkdir(self.tree.host(path)), path)
        self.xattrs.pop(self.inode(path), None)

    def rmdir(self, path: str) -> None:
        self._write(lambda: os.rmdir(self.tree.host(path)), path)

    def inode(self, path: str) -> int:
        return self.tree.host(path).lstat().st_ino

    def space(self, path: str) -> Space:
        return Space("/", 4096, self.blocks, 1000)

    def run(self, argv: Sequence[str]) -> str:
        """`make PATH TEXT`: stands for the guest's initramfs tool."""
        self._write(lambda: self.tree.host(argv[1]).write_text(argv[2]) if argv[0] == "make" else None)
        return "make: no rule\n"

    def _write(self, call: Callable[[], object], *paths: str) -> None:
        """Refuses, as the kernel does, what concerns a locked path or an entry of a locked folder."""
        for path in {*paths, *map(os.path.dirname, paths)}:
            host = self.tree.host(path)
            assert not host.exists() or host.lstat().st_ino not in self.flags, f"{path} is locked"
        self.writes += 1
        if self.writes == self.crash_at:
            raise CrashError
        call()


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything about every path: contents, mode, owner and mtime."""
    rows: dict[str, tuple[object, ...]] = {}
    for path in sorted([root, *root.rglob("*")]):
        raw = path.lstat()
        data = path.read_bytes() if path.is_file() else None
        rows[str(path.relative_to(root))] = (data, raw.st_mode, raw.st_uid, raw.st_gid, raw.st_mtime_ns)
    return rows


@pytest.fixture
def tree(tmp_path: Path) -> DirectoryTree:
    files = {
        "etc/fstab": b"old\n",
        "etc/netplan/a.yaml": b"static\n",
        "boot/initrd": b"\0" * 5000,
        "etc/gone": b"x",
    }
    (tmp_path / "var/lib").mkdir(parents=True)
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o640)
        os.utime(path, ns=(10**18, 10**18 + 123456789))
    for folder in ("etc", "etc/netplan", "boot", "var", "var/lib", ""):
        os.utime(tmp_path / folder, ns=(10**18, 10**18))
    return DirectoryTree(tmp_path)


def guest_of(tree: DirectoryTree) -> Guest:
    return Guest(tree, Storage())


def plan_for(guest: Guest, **after: bytes | None) -> Plan:
    names = {
        "fstab": "/etc/fstab",
        "netplan": "/etc/netplan/a.yaml",
        "initrd": "/boot/initrd",
        "gone": "/etc/gone",
        "new": "/etc/dracut.conf.d/imgpatch.conf",
    }
    changes = []
    for key, data in after.items():
        path = names[key]
        changes.append(Change(path, guest.read(path), data, REASON, None if guest.exists(path) else 0o600))
    return Plan(tuple(sorted(changes, key=lambda c: c.path)))


def full_plan(guest: Guest) -> Plan:
    return plan_for(
        guest, fstab=b"new\n", netplan=b"dhcp\n", initrd=b"\1" * 6000, gone=None, new=b"drivers\n"
    )


def test_the_original_stays_beside_under_the_new_name(tree: DirectoryTree) -> None:
    guest = guest_of(tree)
    before = snapshot(tree.root)
    commit(full_plan(guest), guest, DirectoryFiles(tree), SUFFIX, edition="2026")
    after = snapshot(tree.root)
    assert after["etc/fstab.imgpatch.orig"] == before["etc/fstab"]
    assert after["etc/netplan/.a.yaml.imgpatch.orig"] == before["etc/netplan/a.yaml"]
    assert after["boot/.initrd.imgpatch.orig"] == before["boot/initrd"]
    assert after["etc/gone.imgpatch.orig"] == before["etc/gone"]
    assert "etc/gone" not in after
    assert after["etc/fstab"][0] == b"new\n"
    assert after["etc/fstab"][1:] == before["etc/fstab"][1:], "mode, owner and times are the original's"
    assert after["etc/dracut.conf.d/imgpatch.conf"][0] == b"drivers\n"
    assert stat.S_IMODE(int(str(after["etc/dracut.conf.d/imgpatch.conf"][1]))) == 0o600


def test_revert_gives_the_whole_tree_back(tree: DirectoryTree) -> None:
    guest = guest_of(tree)
    before = snapshot(tree.root)
    commit(full_plan(guest), guest, DirectoryFiles(tree), SUFFIX, edition="2026")
    assert snapshot(tree.root) != before
    revert(guest_of(tree), DirectoryFiles(tree))
    assert snapshot(tree.root) == before


def test_a_second_change_never_replaces_the_first_original(tree: DirectoryTree) -> None:
    before = snapshot(tree.root)
    for text in (b"second\n", b"third\n"):
        guest = guest_of(tree)
        commit(plan_for(guest, fstab=text), guest, DirectoryFiles(tree), SUFFIX, edition="2026")
        assert tree.read("/etc/fstab") == text
        assert tree.read("/etc/fstab.imgpatch.orig") == b"old\n"
    revert(guest_of(tree), DirectoryFiles(tree))
    assert snapshot(tree.root) == before


def test_a_second_suffix_does_not_orphan_the_first_original(tree: DirectoryTree) -> None:
    before = snapshot(tree.root)
    commit(
        plan_for(guest_of(tree), fstab=b"second\n"),
        guest_of(tree),
        DirectoryFiles(tree),
        SUFFIX,
        edition="2026",
    )
    commit(
        plan_for(guest_of(tree), fstab=b"third\n"),
        guest_of(tree),
        DirectoryFiles(tree),
        ".bak",
        edition="2026",
    )
    assert not tree.host("/etc/fstab.bak").exists()
    revert(guest_of(tree), DirectoryFiles(tree))
    assert snapshot(tree.root) == before


def test_no_room_is_refused_with_nothing_written(tree: DirectoryTree) -> None:
    guest = guest_of(tree)
    before = snapshot(tree.root)
    files = DirectoryFiles(tree, blocks=65)
    with pytest.raises(RefusedError, match=r"/: 0\.3 MiB free, 0\.3 MiB wanted"):
        commit(full_plan(guest), guest, files, SUFFIX, edition="2026")
    assert snapshot(tree.root) == before
    assert files.writes == 0


def test_a_taken_name_is_refused_with_nothing_written(tree: DirectoryTree) -> None:
    tree.host("/etc/fstab.imgpatch.orig").write_bytes(b"somebody's\n")
    guest = guest_of(tree)
    before = snapshot(tree.root)
    with pytest.raises(RefusedError, match=r"fstab\.imgpatch\.orig: already there"):
        commit(full_plan(guest), guest, DirectoryFiles(tree), SUFFIX, edition="2026")
    assert snapshot(tree.root) == before


def test_revert_refuses_what_changed_since(tree: DirectoryTree) -> None:
    commit(full_plan(guest_of(tree)), guest_of(tree), DirectoryFiles(tree), SUFFIX, edition="2026")
    tree.host("/etc/fstab").write_bytes(b"edited by hand\n")
    before = snapshot(tree.root)
    with pytest.raises(RefusedError, match="/etc/fstab: changed since"):
        revert(guest_of(tree), DirectoryFiles(tree))
    assert snapshot(tree.root) == before


def test_revert_refuses_where_an_original_is_gone(tree: DirectoryTree) -> None:
    commit(full_plan(guest_of(tree)), guest_of(tree), DirectoryFiles(tree), SUFFIX, edition="2026")
    tree.host("/boot/.initrd.imgpatch.orig").unlink()
    with pytest.raises(RefusedError, match="the kept original is missing or changed"):
        revert(guest_of(tree), DirectoryFiles(tree))
    assert tree.read("/etc/fstab") == b"new\n"


def test_revert_refuses_a_guest_that_was_never_patched(tree: DirectoryTree) -> None:
    with pytest.raises(RefusedError, match="imgpatch has changed nothing here"):
        revert(guest_of(tree), DirectoryFiles(tree))


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"schema": 99}', b"\xff\xfe"])
def test_a_damaged_manifest_is_one_clear_error(tree: DirectoryTree, damage: bytes) -> None:
    tree.host(MANIFEST_PATH).parent.mkdir()
    tree.host(MANIFEST_PATH).write_bytes(damage)
    with pytest.raises(RefusedError, match="not a manifest of schema 1"):
        Manifest.read(guest_of(tree))


def test_verify_finds_a_byte_that_is_not_as_planned(tree: DirectoryTree) -> None:
    guest = guest_of(tree)
    plan = full_plan(guest)
    commit(plan, guest, DirectoryFiles(tree), SUFFIX, edition="2026")
    verify(plan, guest_of(tree), DirectoryFiles(tree))
    tree.host("/boot/initrd").write_bytes(b"\1" * 5999 + b"\2")
    with pytest.raises(VerifyError, match="/boot/initrd: reads back as"):
        verify(plan, guest_of(tree), DirectoryFiles(tree))


def test_verify_finds_a_mode_that_is_not_the_originals(tree: DirectoryTree) -> None:
    guest = guest_of(tree)
    plan = full_plan(guest)
    commit(plan, guest, DirectoryFiles(tree), SUFFIX, edition="2026")
    tree.host("/etc/fstab").chmod(0o600)
    with pytest.raises(VerifyError, match="/etc/fstab: mode is"):
        verify(plan, guest_of(tree), DirectoryFiles(tree))


def test_what_the_guest_rebuilds_is_kept_and_reverted_like_any_other_file(tree: DirectoryTree) -> None:
    before = snapshot(tree.root)
    plan = Plan((), (), (Rebuild("/boot/initrd", ("make", "/boot/initrd", "rebuilt"), REASON),))
    commit(plan, guest_of(tree), DirectoryFiles(tree), SUFFIX, edition="2026")
    assert tree.read("/boot/initrd") == b"rebuilt"
    assert snapshot(tree.root)["boot/.initrd.imgpatch.orig"] == before["boot/initrd"]
    verify(plan, guest_of(tree), DirectoryFiles(tree))
    revert(guest_of(tree), DirectoryFiles(tree))
    assert snapshot(tree.root) == before


def test_a_rebuild_that_makes_nothing_is_refused(tree: DirectoryTree) -> None:
    plan = Plan((), (), (Rebuild("/boot/initrd", ("fail",), REASON),))
    with pytest.raises(RefusedError, match="/boot/initrd: fail did not make it: make: no rule"):
        commit(plan, guest_of(tree), DirectoryFiles(tree), SUFFIX, edition="2026")


def test_locked_files_and_folders_are_locked_again(tree: DirectoryTree) -> None:
    before = snapshot(tree.root)
    files = DirectoryFiles(tree)
    for path, flags in {"/etc": "a", "/etc/fstab": "i", "/etc/gone": "i", "/boot": "i"}.items():
        files.lock(path, flags)
    locked = dict(files.flags)
    commit(full_plan(guest_of(tree)), guest_of(tree), files, SUFFIX, edition="2026")
    for path in ("/etc/fstab", "/etc/fstab.imgpatch.orig", "/etc/gone.imgpatch.orig", "/boot"):
        assert files.flags[files.inode(path)] == "i", path
    commit(plan_for(guest_of(tree), fstab=b"again\n"), guest_of(tree), files, SUFFIX, edition="2026")
    assert files.flags[files.inode("/etc/fstab")] == "i"
    assert files.flags[files.inode("/etc")] == "a"
    revert(guest_of(tree), files)
    assert files.flags == locked
    assert snapshot(tree.root) == before


def test_what_is_created_gets_the_label_of_the_policy(tree: DirectoryTree) -> None:
    contexts = "/etc/selinux/targeted/contexts/files/file_contexts"
    for path, text in {
        "/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        contexts: "/.*\tx:default_t\n/var/lib(/.*)?\tx:var_lib_t\n/etc/dracut.*\t--\tx:dracut_t\n"
        "/etc/dracut.*\t-d\t<<none>>\n",
    }.items():
        tree.host(path).parent.mkdir(parents=True, exist_ok=True)
        tree.host(path).write_text(text)
    files = DirectoryFiles(tree)
    fstab = (("security.selinux", b"x:fstab_t\0"), ("user.note", b"mine"))
    files.xattrs[files.inode("/etc/fstab")] = fstab
    files.xattrs[files.inode("/etc")] = (("security.selinux", b"x:etc_t\0"),)
    plan = full_plan(guest_of(tree))
    commit(plan, guest_of(tree), files, SUFFIX, edition="2026")

    def label(path: str) -> bytes | None:
        details = files.details(path)
        return None if details is None else details.label

    assert files.xattrs[files.inode("/etc/fstab")] == fstab, "a changed file keeps its own"
    assert files.xattrs[files.inode("/etc/fstab.imgpatch.orig")] == fstab
    assert label("/etc/dracut.conf.d/imgpatch.conf") == b"x:dracut_t\0"
    assert label("/etc/dracut.conf.d") == b"x:etc_t\0", "where the policy says nothing, its folder's"
    assert label("/var/lib/imgpatch") == label(MANIFEST_PATH) == b"x:var_lib_t\0"
    verify(plan, guest_of(tree), files)
    files.xattrs[files.inode("/etc/dracut.conf.d/imgpatch.conf")] = (("security.selinux", b"x:etc_t\0"),)
    with pytest.raises(VerifyError, match="SELinux label is"):
        verify(plan, guest_of(tree), files)


def test_no_crash_can_lose_the_bytes_of_an_original(tree: DirectoryTree) -> None:
    """Whatever write is the last one, each original's bytes are still under one of its two names."""
    originals = {p: tree.read(p) for p in ("/etc/fstab", "/etc/netplan/a.yaml", "/boot/initrd", "/etc/gone")}
    total = _writes_of_a_full_commit(tree)
    assert total > 20
    for step in range(1, total + 1):
        revert(guest_of(tree), DirectoryFiles(tree))
        guest = guest_of(tree)
        pristine = snapshot(tree.root)
        with pytest.raises(CrashError):
            commit(full_plan(guest), guest, DirectoryFiles(tree, crash_at=step), SUFFIX, edition="2026")
        found = {p.read_bytes() for p in tree.root.rglob("*") if p.is_file()}
        assert set(originals.values()) <= found, f"step {step}"
        _restore(tree.root, pristine)
        commit(full_plan(guest), guest, DirectoryFiles(tree), SUFFIX, edition="2026")


def _writes_of_a_full_commit(tree: DirectoryTree) -> int:
    files = DirectoryFiles(tree)
    commit(full_plan(guest_of(tree)), guest_of(tree), files, SUFFIX, edition="2026")
    return files.writes


def _restore(root: Path, rows: dict[str, tuple[object, ...]]) -> None:
    """What throwing the overlay away does to an image."""
    for path in sorted(root.rglob("*"), reverse=True):
        if str(path.relative_to(root)) not in rows:
            path.rmdir() if path.is_dir() else path.unlink()
    for name, (data, mode, _uid, _gid, _mtime) in rows.items():
        if isinstance(data, bytes):
            (root / name).write_bytes(data)
            (root / name).chmod(stat.S_IMODE(int(str(mode))))
    for name, row in sorted(rows.items(), reverse=True):
        os.utime(root / name, ns=(int(str(row[4])), int(str(row[4]))))
