"""Byte-range locks on image files: imgpatch's own, and those of a running QEMU.

Open-file-description locks (fcntl(2)) belong to the descriptor: they go when the last process that
inherited it ends, SIGKILL included, and they work over NFS, where flock(2) would lock the whole file
and with it the bytes QEMU locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from imgpatch.errors import RefusedError

_FLOCK = struct.Struct("@hhqqi4x")  # struct flock: l_type l_whence l_start l_len l_pid
_AGAIN_AFTER = 0.2  # seconds
_OUR_BYTE = 1 << 62  # far from QEMU's, past the end of any image

# QEMU's block/file-posix.c: byte 100 + i is locked by who has permission i, byte 200 + i by who
# does not share it. 0 consistent read, 1 write, 2 write unchanged, 3 resize.
_QEMU_ANY = (100, 200)
_QEMU_ALL = ((100, 4), (200, 4))
_QEMU_BAD_FOR_READERS = ((101, 1), (103, 1), (200, 1))


def _flock(kind: int, start: int, length: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Takes imgpatch's lock on an open file; False: another process has it.

    The descriptor must be open for writing when `exclusive`.
    """
    return _set(descriptor, fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, _OUR_BYTE, 1)


def _set(descriptor: int, kind: int, start: int, length: int) -> bool:
    """Takes or gives back a lock; False: another open file has it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(kind, start, length))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in (errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP):
            return True  # a file system without locks has none to respect
        raise
    return True


def used_by_qemu(descriptor: int, *, writing: bool) -> bool:
    """Whether a running QEMU has the file open in a way that excludes reading (or `writing`) it."""
    ranges = (_QEMU_ANY,) if writing else _QEMU_BAD_FOR_READERS
    return any(_locked(descriptor, start, length) for start, length in ranges)


def _locked(descriptor: int, start: int, length: int) -> bool:
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, start, length))
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise
    kind: int = _FLOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK


@contextmanager
def hold(paths: Iterable[Path], *, writing: bool, patience: float = 0.0) -> Iterator[tuple[int, ...]]:
    """Keeps other runs of imgpatch off the images: all of them, or with `writing` False only writers.

    Yields the descriptors, for child processes that must keep the lock when this process is killed.

    Args:
        paths: the images.
        writing: whether they will be written.
        patience: seconds to wait for whoever uses an image.

    Raises:
        RefusedError: an image is locked by another imgpatch or a QEMU, or cannot be opened.
    """
    with ExitStack() as stack:
        yield _hold_all(tuple(paths), stack, writing=writing, until=time.monotonic() + patience)


def _hold_all(paths: Sequence[Path], outer: ExitStack, *, writing: bool, until: float) -> tuple[int, ...]:
    while True:
        with ExitStack() as stack:
            try:
                held = tuple(_hold_one(path, stack, writing=writing) for path in paths)
            except RefusedError:
                if time.monotonic() > until:
                    raise
            else:
                outer.push(stack.pop_all())
                return held
        time.sleep(_AGAIN_AFTER)


def _hold_one(path: Path, stack: ExitStack, *, writing: bool) -> int:
    try:
        descriptor = os.open(path, (os.O_RDWR if writing else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as error:
        wanted = "written in place" if writing else "read"
        raise RefusedError(
            f"{path}: cannot be opened ({error.strerror}); it has to be {wanted}",
            hint="change its permissions, or use --output" if writing else "change its permissions",
        ) from error
    stack.callback(os.close, descriptor)
    if not try_lock(descriptor, exclusive=writing):
        raise RefusedError(
            f"{path}: another imgpatch is working on this image",
            hint="wait until it has ended, then run this again",
        )
    refuse_used_by_qemu(path, descriptor, writing=writing)
    return descriptor


def lock_out_qemu(path: Path, descriptor: int) -> None:
    """Keeps every QEMU from opening an image, as one that writes and shares nothing would.

    Args:
        path: for messages.
        descriptor: open for reading; the lock lasts until it is closed.

    Raises:
        RefusedError: a QEMU has it open.
    """
    taken = all(_set(descriptor, fcntl.F_RDLCK, start, length) for start, length in _QEMU_ALL)
    if not taken or used_by_qemu(descriptor, writing=True):
        for start, length in _QEMU_ALL:
            _set(descriptor, fcntl.F_UNLCK, start, length)
        raise _in_use(path)


def refuse_used_by_qemu(path: Path, descriptor: int, *, writing: bool) -> None:
    """Raises RefusedError where a running virtual machine has the image open."""
    if used_by_qemu(descriptor, writing=writing):
        raise _in_use(path)


def _in_use(path: Path) -> RefusedError:
    return RefusedError(
        f"{path}: the image is in use by a running QEMU; its file systems must be at rest",
        hint="shut the virtual machine down, or end the qemu process that has the image open",
    )
