"""One libguestfs appliance with the machine's disks in it: the only place that calls guestfs.

Under emulation every call costs about 0.1 s and the launch 6 to 10 s, so what is asked is asked once
and in bulk. Nothing of the guest is run here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from imgpatch.errors import RefusedError
from imgpatch.images.durable import signals_held, work_folder
from imgpatch.progress import Progress

log = logging.getLogger(__name__)

INLINE_LIMIT = 2 * 1024 * 1024
"""Bytes: larger files go through a temporary file, since one libguestfs message holds 4 MiB."""


WORK_NAME = "appliance"
"""In the names of the folders of temporary files."""


class ApplianceError(RefusedError):
    """libguestfs could not do what was asked; the user's image is as it was."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk file to attach.

    Attributes:
        format: as qemu names it; always given, never probed.
        writable: False attaches a snapshot that is thrown away with the appliance.
    """

    path: Path
    format: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """How an appliance is started on this machine.

    Attributes:
        force_tcg: emulate, because KVM is absent or broken; False leaves it to libguestfs and its variables.
        parameters: extra QEMU parameters with their values.
        append: extra words of the appliance's kernel command line.
        work_dir: for its temporary files; None: where libguestfs has them.
    """

    force_tcg: bool
    parameters: tuple[tuple[str, str], ...] = ()
    append: str | None = None
    work_dir: Path | None = None


@contextlib.contextmanager
def scratch_file() -> Iterator[tuple[BinaryIO, str]]:
    """A file that libguestfs can open by a path, and that has no name a killed run could leave.

    It may hold what only the guest's root could read, as /etc/shadow.
    """
    with tempfile.TemporaryFile() as file:
        yield file, f"/dev/fd/{file.fileno()}"


class CallThread:
    """The thread in which libguestfs runs, so that a signal ends the wait for a call at once.

    Python runs signal handlers in the main thread alone. Were libguestfs called there, an interrupt
    could fall into one of its callbacks, where the binding prints what is raised and goes on.
    """

    def __init__(self) -> None:
        self._executor = futures.ThreadPoolExecutor(1, "libguestfs")
        self._pending: futures.Future[Any] = self._executor.submit(threading.get_native_id)
        self._thread: int = self._pending.result()

    def run(self, function: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        """Calls the function; a call that was left by an interrupt goes on until `end`."""
        self._pending = self._executor.submit(function, *args, **kwargs)
        return self._pending.result()

    def end(self, handle: Any) -> None:
        """Closes the handle and with it what it started; a call that goes on is cut short."""
        with signals_held():
            while not self._pending.done():
                self._kill_children()
                futures.wait([self._pending], timeout=0.1)
            self.run(handle.close)
            self._executor.shutdown()

    def _kill_children(self) -> None:
        """Kills QEMU: asking the handle for its pid would wait for the call, which holds its lock."""
        children = Path(f"/proc/self/task/{self._thread}/children")
        with contextlib.suppress(OSError):  # without that file (CONFIG_PROC_CHILDREN) the call is waited for
            for pid in children.read_text("ascii").split():
                os.kill(int(pid), signal.SIGKILL)


class Appliance:
    """A running appliance; `guestfs` raises RuntimeError for everything, here it becomes `ApplianceError`.

    Attributes:
        calls: how many there were.
        received: bytes of the guest's files that came out of it.
    """

    def __init__(self, handle: Any, thread: CallThread) -> None:
        self._handle = handle
        self._thread = thread
        self.calls = 0
        self.received = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._wrapped(name)

    def _wrapped(self, name: str) -> Callable[..., Any]:
        method = getattr(self._handle, name)

        def call(*args: object, **kwargs: object) -> Any:
            self.calls += 1
            start = time.monotonic()
            try:
                result = self._thread.run(method, *args, **kwargs)
                self.received += len(result) if isinstance(result, bytes) else 0
                return result  # noqa: TRY300
            except RuntimeError as error:
                raise ApplianceError(f"libguestfs: {error}") from error
            finally:
                shown = tuple(a if not isinstance(a, bytes) else f"<{len(a)} bytes>" for a in args)
                log.debug("%s%r: %.3f s", name, shown, time.monotonic() - start)

        return call

    def read(self, path: str, size: int) -> bytes:
        """A whole file of the guest, of the size that stat gave."""
        if size <= INLINE_LIMIT:
            data: bytes = self.read_file(path)
            return data
        with scratch_file() as (file, name):
            self.download(path, name)
            self.received += size
            return file.read()

    def write(self, path: str, data: bytes) -> None:
        """Creates or truncates a file of the guest."""
        if len(data) <= INLINE_LIMIT:
            self._wrapped("write")(path, data)
            return
        with scratch_file() as (file, name):
            file.write(data)
            file.flush()
            self.upload(name, path)

    def shut_down(self) -> None:
        """Ends the appliance; what was written is on the drives only when this returns."""
        try:
            self._thread.run(self._handle.shutdown)
        except RuntimeError as error:
            raise ApplianceError(f"libguestfs: the appliance did not shut down cleanly: {error}") from error


@contextlib.contextmanager
def launch(
    drives: Sequence[Drive], settings: Settings, progress: Progress | None = None
) -> Iterator[Appliance]:
    """Starts an appliance with the drives attached in this order.

    Its temporary files, among them all that was written to a read-only drive, are in a folder that the next
    launch removes where this one is killed.

    Raises:
        ApplianceError: it does not start.
    """
    guestfs = _import()
    thread = CallThread()
    # Made in the thread, too: the binding silences the error messages on stderr for that thread alone.
    handle = thread.run(guestfs.GuestFS, python_return_dict=True)
    with contextlib.ExitStack() as left_behind:
        try:
            parent = settings.work_dir or Path(handle.get_tmpdir())
            folder = left_behind.enter_context(work_folder(parent, WORK_NAME))
            messages = _keep_messages(handle, guestfs)
            if progress is not None:
                _follow_launch(handle, guestfs, progress)
            try:
                thread.run(handle.set_tmpdir, str(folder))
                thread.run(_configure, handle, settings, drives)
                start = time.monotonic()
                thread.run(handle.launch)
            except RuntimeError as error:
                raise ApplianceError(
                    f"the libguestfs appliance does not start: {error}{_last(messages)}",
                    hint="run `imgpatch doctor`; it says what this machine lacks",
                ) from error
            log.info("appliance launched: %.1f s", time.monotonic() - start)
            appliance = Appliance(handle, thread)
            yield appliance
            appliance.shut_down()
        finally:
            thread.end(handle)


def _import() -> Any:
    try:
        import guestfs
    except ImportError as error:
        raise RefusedError(
            "the Python bindings of libguestfs are not installed for this Python",
            hint="run `imgpatch doctor`; on Debian and Ubuntu: apt install python3-guestfs, and a virtual "
            "environment made by /usr/bin/python3 with --system-site-packages",
        ) from error
    return guestfs


def _configure(handle: Any, settings: Settings, drives: Sequence[Drive]) -> None:
    handle.set_backend("direct")
    if settings.force_tcg:
        handle.set_backend_settings(["force_tcg"])
    for name, value in settings.parameters:
        handle.config(name, value)
    if settings.append is not None:
        handle.set_append(settings.append)
    for drive in drives:
        handle.add_drive_opts(str(drive.path), format=drive.format, readonly=not drive.writable)


def _keep_messages(handle: Any, guestfs: Any) -> list[str]:
    """Collects what libguestfs would print on stderr, for an error message or -vv."""
    messages: list[str] = []

    def keep(_event: int, _handle: int, text: str, _array: object) -> None:
        messages.append(text)
        log.debug("%s", text.rstrip())

    handle.set_event_callback(keep, guestfs.EVENT_LIBRARY | guestfs.EVENT_WARNING)
    return messages


def _follow_launch(handle: Any, guestfs: Any, progress: Progress) -> None:
    def tell(_event: int, _handle: int, _buffer: str, numbers: Sequence[int]) -> None:
        _, _, position, total = numbers
        progress.fraction(position / total if total else 0.0)

    handle.set_event_callback(tell, guestfs.EVENT_PROGRESS)


def _last(messages: Sequence[str]) -> str:
    lines = [m.strip() for m in messages if re.search(r"error|fail|denied|cannot", m, re.IGNORECASE)]
    return f" ({lines[-1]})" if lines else ""
