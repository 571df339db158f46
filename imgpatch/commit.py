"""Writes a plan into a guest and takes it back out: the only code that changes a guest's files.

The original of every changed file stays beside it under a new name (documents M-01), and a manifest in
the guest says what was done, so that `revert` needs nothing but the image. All of this happens on an
overlay: when it stops half way, the overlay is thrown away and the user's image is as it was.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from imgpatch.errors import RefusedError, VerifyError
from imgpatch.files import Details, Files
from imgpatch.guest import Guest, Kind
from imgpatch.labels import Labels, guest_labels
from imgpatch.manifest import DirectoryTimes, Manifest, Row, manifest_path, sha256
from imgpatch.originals import kept_name
from imgpatch.plan import Change, Plan, Rebuild
from imgpatch.room import existing_parent, refuse_without_room


def commit(plan: Plan, guest: Guest, files: Files, suffix: str, *, edition: str) -> Manifest:
    """Writes a plan.

    Raises:
        RefusedError: there is no room, or a name is taken; nothing was written.
    """
    old = Manifest.read(guest)
    manifest = replace(old, edition=edition, digest=plan.digest)
    rows = [_row(change, old, suffix) for change in plan.changes]
    _refuse_taken_names(rows, old, files)
    refuse_without_room(plan, files)
    labels = guest_labels(guest)
    where = manifest_path(guest)
    folders = _existing_folders(plan, where, files)
    locked = _unlock_all(folders, files)
    for folder, details in folders.items():
        manifest = _remember_times(folder, details, manifest)
    for change, row in zip(plan.changes, rows, strict=True):
        manifest = _make_directories(change.path, files, labels, manifest)
        manifest = _write(change, row, old, files, labels, manifest)
    for rebuild in plan.rebuilds:
        manifest = _rebuild(rebuild, old, suffix, files, manifest)
    manifest = _make_directories(where, files, labels, manifest)
    _replace_file(where, manifest.to_bytes(), files, labels)
    _lock_all(locked, files)
    return manifest


def revert(guest: Guest, files: Files) -> Manifest:
    """Puts every original back and removes all that was added.

    Returns:
        The manifest that was followed.

    Raises:
        RefusedError: nothing was applied, or a file is no longer as it was left; nothing was written.
    """
    manifest = Manifest.read(guest)
    where = manifest_path(guest)
    if not manifest.rows:
        raise RefusedError(
            f"{where}: not in this image, so imgpatch has changed nothing here",
            hint="give the image that `imgpatch apply` wrote",
        )
    _refuse_changed_since(manifest, files)
    locked = _unlock_all([directory.path for directory in manifest.directories], files)
    for row in manifest.rows:
        _put_back(row, files)
    files.remove(where)
    for path in reversed(manifest.created_directories):
        files.rmdir(path)
    for directory in manifest.directories:
        files.set_times(directory.path, directory.atime, directory.mtime)
    _lock_all(locked, files)
    return manifest


def _put_back(row: Row, files: Files) -> None:
    if row.after is not None and row.kept is not None and files.writes_into(row.path):
        files.copy(row.kept, row.path)
        files.remove(row.kept)
        return
    if row.after is not None:
        files.unlock(row.path)
        files.remove(row.path)
    if row.kept is not None:
        files.unlock(row.kept)
        files.rename(row.kept, row.path)
        if row.flags:
            files.lock(row.path, row.flags)


def verify(plan: Plan, guest: Guest, files: Files) -> None:
    """Reads back, in a fresh session, every file of the plan and every kept original.

    Raises:
        VerifyError: something is not as planned.
    """
    manifest = Manifest.read(guest)
    labels = guest_labels(guest)
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
        elif row.after is not None:
            _verify_label(path, labels, files)


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


def _existing_folders(plan: Plan, manifest: str, files: Files) -> Mapping[str, Details]:
    """The folders that something will be put into: of each path the nearest one that exists."""
    paths = [change.path for change in plan.changes]
    paths += [rebuild.path for rebuild in plan.rebuilds]
    folders = [existing_parent(path, files) for path in (*paths, manifest)]
    if plan.rebuilds:
        folders += TEMPORARY_FOLDERS
    found = {folder: files.details(folder) for folder in dict.fromkeys(folders)}
    return {folder: details for folder, details in found.items() if details is not None}


def _unlock_all(paths: Iterable[str], files: Files) -> Mapping[str, str]:
    """Clears what forbids changes (chattr(1) +i, +a) and gives the flags to set again."""
    flags = {path: files.unlock(path) for path in paths}
    return {path: found for path, found in flags.items() if found}


def _lock_all(flags: Mapping[str, str], files: Files) -> None:
    for path, found in flags.items():
        files.lock(path, found)


def _make_directories(path: str, files: Files, labels: Labels, manifest: Manifest) -> Manifest:
    """Makes the folders a path needs."""
    folder = posixpath.dirname(path)
    details = files.details(folder)
    if details is None:
        manifest = _make_directories(folder, files, labels, manifest)
        files.mkdir(folder)
        _label_new(folder, files, labels)
        manifest = replace(manifest, created_directories=(*manifest.created_directories, folder))
    return manifest


def _remember_times(folder: str, details: Details, manifest: Manifest) -> Manifest:
    if folder in manifest.created_directories or any(d.path == folder for d in manifest.directories):
        return manifest
    times = DirectoryTimes(folder, details.atime, details.mtime)
    return replace(manifest, directories=(*manifest.directories, times))


def _label_new(path: str, files: Files, labels: Labels, *, mode: int | None = None, name: str = "") -> None:
    """Gives what was just made its SELinux label, and its permissions where they are not yet right.

    Args:
        path: where it stands.
        files: the guest's.
        labels: what the policy says.
        mode: permission bits; None leaves them.
        name: the path it will have, where that is another.
    """
    details, folder = files.details(path), files.details(posixpath.dirname(path))
    if details is None or folder is None:
        return
    label = labels.wanted(name or path, details.kind, folder.label)
    if label is not None and label != details.label:
        files.set_label(path, label)
    if mode not in (None, details.mode):
        files.set_mode(path, mode)


def _write(
    change: Change, row: Row, old: Manifest, files: Files, labels: Labels, manifest: Manifest
) -> Manifest:
    first = old.row(change.path) is None
    if files.writes_into(change.path):
        _write_into(change, row.kept if first else None, files)
        return manifest.with_row(row)
    details = files.details(change.path)
    flags = "" if details is None else files.unlock(change.path)
    if first:
        row = replace(row, flags=flags)
    new = _beside(change.path)
    if change.after is not None:
        files.create(new, change.after)
        if details is None:
            _label_new(new, files, labels, mode=change.mode or 0o644, name=change.path)
        else:
            files.copy_details(change.path, new)
    if first and row.kept is not None:
        files.rename(change.path, row.kept)
        if flags:
            files.lock(row.kept, flags)
    elif change.after is None:
        files.remove(change.path)
    if change.after is not None:
        files.rename(new, change.path)
        if flags:
            files.lock(change.path, flags)
    return manifest.with_row(row)


def _write_into(change: Change, kept: str | None, files: Files) -> None:
    """Copies the original aside and writes into the file, so that whatever it carries stays as it is."""
    details = files.details(change.path)
    if kept is not None:
        files.copy(change.path, kept)
    if change.after is None:
        files.remove(change.path)
        return
    files.create(change.path, change.after)
    if details is not None:
        files.set_times(change.path, details.atime, details.mtime)


TEMPORARY_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108  the guest's, which its tools use


def _rebuild(rebuild: Rebuild, old: Manifest, suffix: str, files: Files, manifest: Manifest) -> Manifest:
    """Moves the original aside and has the guest's own program make the file anew, with the same label."""
    before = files.details(rebuild.path)
    flags = files.unlock(rebuild.path)
    row = old.row(rebuild.path)
    if row is None:
        kept = kept_name(rebuild.path, suffix)
        _refuse_taken_names([Row(rebuild.path, kept, None, None, ())], old, files)
        rules = tuple(reason.rule for reason in rebuild.reasons)
        row = Row(rebuild.path, kept, files.sha256(rebuild.path), None, rules, flags)
        files.rename(rebuild.path, kept)
        if flags:
            files.lock(kept, flags)
    else:
        files.remove(rebuild.path)
    output = files.run(rebuild.argv)
    after = files.details(rebuild.path)
    if after is None:
        last = output.strip().split("\n")[-1]
        raise RefusedError(
            f"{rebuild.path}: {' '.join(rebuild.argv)} did not make it: {last or 'it said nothing'}",
            hint="nothing was published; without `--initramfs rebuild` no program of the guest is needed",
        )
    if before is not None and before.label not in (None, after.label):
        files.set_label(rebuild.path, before.label)
    if flags:
        files.lock(rebuild.path, flags)
    return manifest.with_row(replace(row, after=files.sha256(rebuild.path)))


def _replace_file(path: str, data: bytes, files: Files, labels: Labels) -> None:
    if files.writes_into(path):
        files.create(path, data)
        return
    new = _beside(path)
    files.create(new, data)
    _label_new(new, files, labels, name=path)
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


def _verify_label(path: str, labels: Labels, files: Files) -> None:
    """A created file has the label of the policy; without one is what is on a file system without any."""
    details, folder = files.details(path), files.details(posixpath.dirname(path))
    if details is None or folder is None or folder.label is None:
        return
    wanted = labels.wanted(path, Kind.FILE, folder.label)
    if details.label != wanted:
        raise VerifyError(f"{path}: SELinux label is {details.label!r}, {wanted!r} was wanted")
