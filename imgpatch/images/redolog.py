"""The redo log of a change in place: what stands beside the images while it is made.

Beside the first image `disk.img`, the folder `.disk.img.imgpatch` with `state.json` (the one place
that says how far things are), an overlay for each disk, and later the change that it means for the
file with digests of what that covers. Beside every other image a folder of the same form that points
to the first.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from imgpatch.errors import RefusedError
from imgpatch.images.disk import Image
from imgpatch.images.durable import sync_folder, write_file

SCHEMA = 2
_STATE = "state.json"
_POINTER = "belongs-to"
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG)
"""With the last, none can have been made; with the one before, the image cannot be reached either."""

_WHAT_TO_DO = (
    "look into that folder; if the image is as you want it, delete the folder, else restore the image first"
)


class State(StrEnum):
    WRITING = "writing"  # the images are untouched: discard
    COMMITTING = "committing"  # the changes are whole and being merged: finish


@dataclass(frozen=True, slots=True)
class LoggedDisk:
    """A file of the change.

    Attributes:
        path: relative to the log's folder, so that both can be moved.
        length: bytes it had before.
    """

    path: str
    length: int


@dataclass(frozen=True, slots=True)
class RedoLog:
    """A log as it stands on the disk."""

    folder: Path
    state: State
    disks: tuple[LoggedDisk, ...]

    @classmethod
    def start(cls, images: Sequence[Image]) -> Self:
        """Makes the folder and records the images as `writing`.

        Raises:
            RefusedError: the folder cannot be made.
        """
        folder = folder_of(images[0].path)
        disks = (LoggedDisk(os.path.relpath(i.path, folder), i.path.stat().st_size) for i in images)
        log = cls(folder, State.WRITING, tuple(disks))
        _make(folder)
        try:
            log._save()
        except RefusedError:
            with suppress(RefusedError):
                remove(folder)
            raise
        return log

    def point_here(self) -> None:
        """Makes the folders beside the other images."""
        for path in self.paths()[1:]:
            folder = folder_of(path)
            _make(folder)
            write_file(folder / _POINTER, os.fsencode(os.path.relpath(self.folder, folder)))

    def committing(self) -> Self:
        """Records the point of no return."""
        log = replace(self, state=State.COMMITTING)
        log._save()
        return log

    def paths(self) -> tuple[Path, ...]:
        """Of the images."""
        return tuple(Path(os.path.normpath(self.folder / disk.path)) for disk in self.disks)

    def overlay(self, number: int) -> Path:
        """What the guest's disk is changed in."""
        return self.folder / f"overlay-{number}.qcow2"

    def change(self, number: int) -> Path:
        """What changes in the file; see `merging`."""
        return self.folder / f"change-{number}.qcow2"

    def digests(self, number: int) -> Path:
        """Of what the change covers, as it was before."""
        return self.folder / f"before-{number}"

    def end(self) -> Iterator[str]:
        """Removes the log, the state first: a folder without one means nothing any more.

        Raises:
            RefusedError: something of it cannot be removed.
        """
        with _removing(self.folder):
            (self.folder / _STATE).unlink(missing_ok=True)
            sync_folder(self.folder)
        yield "state removed"
        for path in self.paths()[1:]:
            remove(folder_of(path))
        yield "pointers removed"
        remove(self.folder)

    def _save(self) -> None:
        disks = [asdict(disk) for disk in self.disks]
        text = json.dumps({"schema": SCHEMA, "state": self.state, "disks": disks}, indent=2)
        write_file(self.folder / _STATE, text.encode("utf-8") + b"\n")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
        if not _is_private(folder.lstat()):  # `find` would not trust it, and a killed run never be finished
            folder.rmdir()
            raise RefusedError(
                f"{folder}: the file system gives folders another owner or mode than they are made with, "
                "and a change in place keeps its log there",
                hint="mount it so that folders belong to this user alone (umask=022), or use --output",
            )
        sync_folder(folder.parent)
    except OSError as error:
        raise RefusedError(
            f"{folder}: cannot be made ({error.strerror}), and a change in place keeps its log there",
            hint="make the image's folder writable, or use --output",
        ) from error


def _is_private(status: os.stat_result) -> bool:
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not writable


def folder_of(image: Path) -> Path:
    """Where the log of an image stands, or what points to it."""
    return image.with_name(f".{image.name}.imgpatch")


def find(path: Path) -> Path | None:
    """The folder with the state that an image belongs to; None: nothing was left at it.

    Args:
        path: of the image; links are followed, where they lead anywhere.

    Raises:
        RefusedError: the folder is not one that imgpatch of this user made.
    """
    image = Path(os.path.realpath(path))
    if not image.name:  # the root folder
        return None
    folder = folder_of(image)
    try:
        status = folder.lstat()
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        raise
    if not _is_private(status):
        raise RefusedError(
            f"{folder}: stands where imgpatch keeps its log, and is no private folder of this user",
            hint="run imgpatch as the user who ran it before; " + _WHAT_TO_DO,
        )
    pointer = folder / _POINTER
    if not pointer.is_file():
        return folder
    first = Path(os.path.normpath(folder / os.fsdecode(pointer.read_bytes())))
    log = load(first) if first.is_dir() else None
    if log is not None and image in log.paths():
        return first
    # Its log is removed after what points to it: where it is not, a disk was moved, or is not mounted.
    ended = log is None and first.is_dir()
    if not ended and (log is None or log.state is State.COMMITTING):
        raise RefusedError(
            f"{image}: a change in place of it and of other disks was killed, and its log at {first} is not "
            "there, or is of another place",
            hint=f"put all disks back where they were; to keep this one as it stands, delete {folder}",
        )
    return folder


def load(folder: Path) -> RedoLog | None:
    """Reads a log; None: it never began, or has ended.

    Raises:
        RefusedError: the state is not one that imgpatch wrote.
    """
    try:
        data = json.loads((folder / _STATE).read_bytes())
        log = _parse(folder, data)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            f"{folder / _STATE}: no state of a change in place that this imgpatch knows ({error})",
            hint=_WHAT_TO_DO,
        ) from error
    _refuse_foreign(log)
    return log


def _parse(folder: Path, data: Any) -> RedoLog:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, and {SCHEMA} was wanted")
    disks = tuple(LoggedDisk(str(d["path"]), int(d["length"])) for d in data["disks"])
    if not disks:
        raise ValueError("no disks")
    return RedoLog(folder, State(data["state"]), disks)


def _refuse_foreign(log: RedoLog) -> None:
    """A log may come with an image from elsewhere: it must not reach a file that does not know of it."""
    first, *others = log.paths()
    pointers = [folder_of(path) / _POINTER for path in others]
    known = log.state is State.WRITING or all(
        pointer.is_file()
        and os.path.normpath(pointer.parent / os.fsdecode(pointer.read_bytes())) == str(log.folder)
        for pointer in pointers
    )
    if folder_of(first) != log.folder or not known:
        raise RefusedError(
            f"{log.folder}: its state names disks that do not belong to it",
            hint=f"if they were moved apart, put all disks back where they were; else {_WHAT_TO_DO}",
        )


def remove(folder: Path) -> None:
    """Removes a folder and the files imgpatch makes in one, and nothing else.

    Raises:
        RefusedError: there is something else in it, or it cannot be removed.
    """
    with _removing(folder):
        for pattern in (f"{_STATE}*", f"{_POINTER}*", "overlay-*.qcow2", "change-*.qcow2", "before-*"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            folder.rmdir()
        sync_folder(folder.parent)


@contextmanager
def _removing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        others = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
        raise RefusedError(
            f"{folder}: cannot be removed ({error.strerror})"
            + ("; imgpatch did not make all that is in it" if others else ""),
            hint=_WHAT_TO_DO,
        ) from error
