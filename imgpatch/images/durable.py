"""Host files that survive a crash of the program or the machine: synced, renamed, cleaned up after."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgpatch.errors import RefusedError
from imgpatch.images.locks import try_lock

_LOCK = "lock"
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def sync_file(path: Path) -> None:
    """Forces a file's contents to the disk, also what other processes wrote to it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Forces a folder's entries to the disk: what was created, renamed or removed in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Writes a whole file so that after a crash it holds the old or the new contents, never a mixture.

    Raises:
        RefusedError: it cannot be written; the old contents stay.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise RefusedError(
            f"{path}: cannot be written ({error.strerror})", hint="free some room there, and run this again"
        ) from error


def room(folder: Path) -> int:
    """Bytes an ordinary user may still write there (statvfs(3))."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def require_room(folder: Path, wanted: int, purpose: str) -> None:
    """Raises RefusedError where the file system of a folder has less than `wanted` bytes left."""
    free = room(folder)
    if free < wanted:
        raise RefusedError(
            f"{folder}: {free} bytes are free, and {purpose} may take {wanted}",
            hint=f"free {wanted - free} bytes there, or choose a place on another file system",
        )


def refuse_undecodable(path: Path) -> None:
    """Raises RefusedError for a path that is no UTF-8: neither QEMU nor libguestfs can be told it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RefusedError(
            f"{path}: the path is no UTF-8, and QEMU takes no other", hint="rename the file or its folder"
        ) from error


@contextmanager
def work_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder of our own in `parent`, gone in the end, for what is being made for the output `name`.

    Folders that killed runs left for the same output are removed first: each holds a locked file, so
    that the folder of a run still going is known.

    Raises:
        RefusedError: the folder cannot be made.
    """
    refuse_undecodable(parent / name)
    prefix = f".{name}.imgpatch-"
    _remove_stale(parent, prefix)
    folder, lock = _make_locked(parent, prefix)
    try:
        yield folder
    finally:
        with signals_held():
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _make_locked(parent: Path, prefix: str) -> tuple[Path, int]:
    """Makes a folder and the locked file in it that says it is in use."""
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        except OSError as error:
            raise RefusedError(
                f"{parent}: no working folder can be made there ({error.strerror})",
                hint="make the folder writable, or choose another place for the output",
            ) from error
        with suppress(FileNotFoundError):  # another run took the folder for a stale one, before the lock
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if try_lock(lock, exclusive=True) and folder.exists():
                return folder, lock
            os.close(lock)


def _remove_stale(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{_escaped(prefix)}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        with suppress(OSError):  # not ours, or another run is quicker
            folder.rmdir()  # killed before it had the lock
            continue
        with suppress(OSError), (folder / _LOCK).open("rb+") as lock:
            if try_lock(lock.fileno(), exclusive=True):
                shutil.rmtree(folder, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


@contextmanager
def signals_held() -> Iterator[None]:
    """Keeps SIGINT, SIGTERM and SIGHUP waiting: for steps that are short and must not stop half way.

    Masking them would hold them off this thread only, and Python runs the handlers in the main thread
    whichever thread the kernel has given a signal to.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no handler runs here
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in came:
            signal.raise_signal(late)
