"""Writes a plan into a guest and takes it back out: the only code that changes a guest's files.

The original of every changed file stays beside it under a new name (documents M-01), and a manifest in
the guest says what was done, so that `revert` needs nothing but the image. All of this happens on an
overlay: when it stops half way, the overlay is thrown away and the user's image is as it was.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from imgpatch.errors import RefusedError, VerifyError
from imgpatch.guest import Guest, Kind
from imgpatch.manifest import MANIFEST_PATH, DirectoryTimes, Manifest, Row, sha256
from imgpatch.originals import kept_name
from imgpatch.plan import Change, Plan, Rebuild

METADATA_BLOCKS = 64
"""Blocks set aside on each file system for directories and for what the file system itself needs."""


@dataclass(frozen=True, slots=True)
class Details:
    """All that a file carries besides its contents.

    Attributes:
        mode: permission bits.
        atime, mtime: nanoseconds since 1970.
        xattrs: sorted name, value pairs; ACLs and the SELinux label are among them.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    atime: int
    mtime: int
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Space:
    """Room on the file system a path is on.

    Attributes:
        mountpoint: which file system it is.
        inodes: free ones, None where the file system makes them as needed.
    """

    mountpoint: str
    block_size: int
    blocks: int
    inodes: int | None


class Files(Protocol):
    """A guest's files, writable. Paths are real: no link is followed."""

    def details(self, path: str) -> Details | None: ...
    def sha256(self, path: str) -> str: ...
    def create(self, path: str, data: bytes) -> None: ...
    def set_details(self, path: str, details: Details) -> None: ...
    def set_times(self, path: str, atime: int, mtime: int) -> None: ...
    def unlock(self, path: str) -> str:
        """Clears the lsattr(1) flags that forbid changing a file (`i`, `a`) and returns them."""

    def lock(self, path: str, flags: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def mkdir(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def space(self, path: str) -> Space: ...

    def run(self, argv: Sequence[str]) -> str:
        """Runs a program of the guest inside it, without a network; gives what it printed."""


def commit(plan: Plan, guest: Guest, files: Files, suffix: str, *, edition: str) -> Manifest:
    """Writes a plan.

    Raises:
        RefusedError: there is no room, or a name is taken; nothing was written.
    """
    old = Manifest.read(guest)
    manifest = replace(old, edition=edition, digest=plan.digest)
    rows = [_row(change, old, suffix) for change in plan.changes]
    _refuse_taken_names(rows, old, files)
    _refuse_without_room(plan, files)
    for change, row in zip(plan.changes, rows, strict=True):
        manifest = _make_directories(change.path, files, manifest)
        manifest = _write(change, row, old, files, manifest)
    for rebuild in plan.rebuilds:
        manifest = _rebuild(rebuild, old, suffix, files, manifest)
    manifest = _make_directories(MANIFEST_PATH, files, manifest)
    _replace_file(MANIFEST_PATH, manifest.to_bytes(), files)
    return manifest


def revert(guest: Guest, files: Files) -> Manifest:
    """Puts every original back and removes all that was added.

    Returns:
        The manifest that was followed.

    Raises:
        RefusedError: nothing was applied, or a file is no longer as it was left; nothing was written.
    """
    manifest = Manifest.read(guest)
    if not manifest.rows:
        raise RefusedError(
            f"{MANIFEST_PATH}: not in this image, so imgpatch has changed nothing here",
            hint="give the image that `imgpatch apply` wrote",
        )
    _refuse_changed_since(manifest, files)
    for row in manifest.rows:
        if row.after is not None:
            files.unlock(row.path)
            files.remove(row.path)
        if row.kept is not None:
            files.rename(row.kept, row.path)
            if row.flags:
                files.lock(row.path, row.flags)
    files.remove(MANIFEST_PATH)
    for path in reversed(manifest.created_directories):
        files.rmdir(path)
    for directory in manifest.directories:
        files.set_times(directory.path, directory.atime, directory.mtime)
    return manifest


def verify(plan: Plan, guest: Guest, files: Files) -> None:
    """Reads back, in a fresh session, every file of the plan and every kept original.

    Raises:
        VerifyError: something is not as planned.
    """
    manifest = Manifest.read(guest)
    wanted = {change.path: sha256(change.after) for change in plan.changes}
    for path in (*wanted, *(rebuild.path for rebuild in plan.rebuilds)):
        row = manifest.row(path)
        if row is None:
            raise VerifyError(f"{path}: the manifest in the image does not name it")
        _verify_file(path, wanted.get(path, row.after), files)
        if row.kept is not None:
            _verify_file(row.kept, row.before, files)
            if path in wanted:
                _verify_attributes(row, files)


def verify_reverted(manifest: Manifest, files: Files) -> None:
    """Reads back, in a fresh session, that every file is again what it was before.

    Raises:
        VerifyError: one is not.
    """
    for row in manifest.rows:
        _verify_file(row.path, row.before, files)
        if row.kept is not None and files.details(row.kept) is not None:
            raise VerifyError(f"{row.kept}: still there after the revert")


def _row(change: Change, old: Manifest, suffix: str) -> Row:
    """The first original of a path is its original for ever, and so is the first state."""
    first = old.row(change.path)
    rules = tuple(dict.fromkeys(reason.rule for reason in change.reasons))
    if first is not None:
        return replace(first, after=sha256(change.after), rules=rules)
    kept = None if change.before is None else kept_name(change.path, suffix)
    return Row(change.path, kept, sha256(change.before), sha256(change.after), rules)


def _refuse_taken_names(rows: Sequence[Row], old: Manifest, files: Files) -> None:
    for row in rows:
        if row.kept is None or old.row(row.path) is not None:
            continue
        if files.details(row.kept) is not None:
            raise RefusedError(
                f"{row.kept}: already there, and not as an original that imgpatch kept",
                hint="move it away in the guest, or choose another name with --original-suffix",
            )


def _refuse_without_room(plan: Plan, files: Files) -> None:
    """Original and new file both stay, so all that is written needs new room."""
    new = [(change.path, len(change.after or b"")) for change in plan.changes]
    new += [(rebuild.path, 2 * _size(rebuild.path, files)) for rebuild in plan.rebuilds]
    spaces: dict[str, Space] = {}
    wanted: dict[str, tuple[int, int]] = {}
    for path, size in new:
        space = files.space(_existing_parent(path, files))
        spaces[space.mountpoint] = space
        blocks, inodes = wanted.get(space.mountpoint, (METADATA_BLOCKS, 0))
        wanted[space.mountpoint] = (blocks - (-size // space.block_size) + 1, inodes + 2)
    for mountpoint, (blocks, inodes) in wanted.items():
        space = spaces[mountpoint]
        if blocks > space.blocks:
            raise RefusedError(
                f"{mountpoint}: {_mib(space.blocks * space.block_size)} free, "
                f"{_mib(blocks * space.block_size)} wanted for new files beside the originals",
                hint="make room in the guest (on /boot: remove an old kernel), or enlarge the file system",
            )
        if space.inodes is not None and inodes > space.inodes:
            raise RefusedError(
                f"{mountpoint}: {space.inodes} free inodes, {inodes} wanted",
                hint="remove files in the guest that are no longer used",
            )


def _size(path: str, files: Files) -> int:
    details = files.details(path)
    return 0 if details is None else details.size


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"


def _existing_parent(path: str, files: Files) -> str:
    parent = posixpath.dirname(path)
    while files.details(parent) is None:
        parent = posixpath.dirname(parent)
    return parent


def _make_directories(path: str, files: Files, manifest: Manifest) -> Manifest:
    """Makes the folders a path needs and remembers the times of those it will touch."""
    parent = _existing_parent(path, files)
    manifest = _remember_times(parent, files, manifest)
    label = _label(files.details(parent))
    missing = []
    folder = posixpath.dirname(path)
    while folder != parent:
        missing.append(folder)
        folder = posixpath.dirname(folder)
    for new in reversed(missing):
        files.mkdir(new)
        details = files.details(new)
        if details is not None and label:
            files.set_details(new, replace(details, xattrs=label))
        manifest = replace(manifest, created_directories=(*manifest.created_directories, new))
    return manifest


def _remember_times(folder: str, files: Files, manifest: Manifest) -> Manifest:
    details = files.details(folder)
    known = folder in manifest.created_directories or any(d.path == folder for d in manifest.directories)
    if details is None or known:
        return manifest
    times = DirectoryTimes(folder, details.atime, details.mtime)
    return replace(manifest, directories=(*manifest.directories, times))


def _label(details: Details | None) -> tuple[tuple[str, bytes], ...]:
    """The SELinux label of a folder, which is what the kernel gives a new file in it."""
    return tuple(x for x in (details.xattrs if details else ()) if x[0] == "security.selinux")


def _write(change: Change, row: Row, old: Manifest, files: Files, manifest: Manifest) -> Manifest:
    details = files.details(change.path)
    flags = "" if details is None else files.unlock(change.path)
    if old.row(change.path) is None:
        row = replace(row, flags=flags)
    keeps_now = row.kept is not None and old.row(change.path) is None
    if change.after is None:
        if keeps_now and row.kept is not None:
            files.rename(change.path, row.kept)
        else:
            files.remove(change.path)
        return manifest.with_row(row)
    new = _beside(change.path)
    files.create(new, change.after)
    if details is None:
        parent = files.details(posixpath.dirname(change.path))
        created = files.details(new)
        if created is not None:
            xattrs = _label(parent) or created.xattrs
            files.set_details(new, replace(created, mode=change.mode or 0o644, xattrs=xattrs))
    else:
        files.set_details(new, details)
    if keeps_now and row.kept is not None:
        files.rename(change.path, row.kept)
    files.rename(new, change.path)
    if flags:
        files.lock(change.path, flags)
    return manifest.with_row(row)


TEMPORARY_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108  the guest's, which its tools use


def _rebuild(rebuild: Rebuild, old: Manifest, suffix: str, files: Files, manifest: Manifest) -> Manifest:
    """Moves the original aside and has the guest's own program make the file anew."""
    for folder in (posixpath.dirname(rebuild.path), *TEMPORARY_FOLDERS):
        manifest = _remember_times(folder, files, manifest)
    row = old.row(rebuild.path)
    if row is None:
        kept = kept_name(rebuild.path, suffix)
        _refuse_taken_names([Row(rebuild.path, kept, None, None, ())], old, files)
        rules = tuple(reason.rule for reason in rebuild.reasons)
        row = Row(rebuild.path, kept, files.sha256(rebuild.path), None, rules, files.unlock(rebuild.path))
        files.rename(rebuild.path, kept)
    else:
        files.remove(rebuild.path)
    output = files.run(rebuild.argv)
    if files.details(rebuild.path) is None:
        last = output.strip().split("\n")[-1]
        raise RefusedError(
            f"{rebuild.path}: {' '.join(rebuild.argv)} did not make it: {last or 'it said nothing'}",
            hint="nothing was published; without `--initramfs rebuild` no program of the guest is needed",
        )
    return manifest.with_row(replace(row, after=files.sha256(rebuild.path)))


def _replace_file(path: str, data: bytes, files: Files) -> None:
    new = _beside(path)
    files.create(new, data)
    files.rename(new, path)


def _beside(path: str) -> str:
    """A name no reader takes, for the moment before the rename."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.imgpatch.new~")


def _refuse_changed_since(manifest: Manifest, files: Files) -> None:
    for row in manifest.rows:
        details = files.details(row.path)
        now = None if details is None else files.sha256(row.path)
        if now != row.after:
            raise RefusedError(
                f"{row.path}: changed since imgpatch wrote it, so the original is not put over it",
                hint=f"save what you need of it; its original is {row.kept or 'none, it was created'}",
            )
        if row.kept is not None and (files.details(row.kept) is None or files.sha256(row.kept) != row.before):
            raise RefusedError(
                f"{row.kept}: the kept original is missing or changed, so {row.path} cannot be put back",
                hint="restore it from a backup of the image",
            )


def _verify_file(path: str, wanted: str | None, files: Files) -> None:
    found = None if files.details(path) is None else files.sha256(path)
    if found != wanted:
        raise VerifyError(
            f"{path}: reads back as {found or 'missing'}, {wanted or 'nothing'} was wanted",
            hint="nothing was published; check the disk of this machine and try again",
        )


def _verify_attributes(row: Row, files: Files) -> None:
    new, kept = files.details(row.path), files.details(row.kept or "")
    if new is None or kept is None:
        return
    pairs = {
        "mode": (new.mode, kept.mode),
        "owner": ((new.uid, new.gid), (kept.uid, kept.gid)),
        "extended attributes": (new.xattrs, kept.xattrs),
        "mtime": (new.mtime, kept.mtime),
    }
    for what, (now, before) in pairs.items():
        if now != before:
            raise VerifyError(f"{row.path}: {what} is {now!r}, the original's is {before!r}")
