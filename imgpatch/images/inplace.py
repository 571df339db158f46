"""Changing images in place: killed at any instant, they end wholly old or wholly new.

    writing      the overlays are being filled, the images untouched; left like this: discarded
    committing   the overlays are whole and being merged; left like this: finished
    (no state)   done

Merging can be repeated, since it copies the same bytes to the same places. Before it is repeated,
every page it covers must hold what it held before or what it is to hold: an image that was booted or
replaced meanwhile is left alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from imgpatch.errors import CommitError, FormatError, RefusedError, StalePlanError
from imgpatch.images import locks, qcow2, qemu, redolog
from imgpatch.images.container import open_disk
from imgpatch.images.disk import Disk, Image
from imgpatch.images.durable import require_room, signals_held, sync_file, write_file
from imgpatch.images.overlay import create_overlay
from imgpatch.images.redolog import RedoLog, State

_PAGE = 4096  # what a page cache writes whole or not at all
_DIGEST = 8  # bytes kept of each page's digest
_PATIENCE = 6.0  # seconds: libguestfs looks every two seconds whether to end the QEMU of a killed run
_AGAIN = "the log is kept: run imgpatch on this image again and it finishes the merge first"


class Recovered(StrEnum):
    FINISHED = "finished"
    DISCARDED = "discarded"


class InPlace:
    """`with InPlace(images) as change: write into change.overlays; change.commit()`; else it is discarded."""

    def __init__(self, images: Sequence[Image]) -> None:
        self.images = tuple(images)
        self._stack = ExitStack()
        self._log: RedoLog | None = None
        self._locks: tuple[int, ...] = ()
        self._before: tuple[tuple[int, ...], ...] = ()

    @property
    def overlays(self) -> tuple[Image, ...]:
        """What to write into; one for each image."""
        log = self._running()
        return tuple(Image(log.overlay(n), "qcow2", i.size) for n, i in enumerate(self.images))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in self.start_steps(stack):
                pass
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start_steps(self, stack: ExitStack) -> Iterator[str]:
        """What `__enter__` does, pausing after each thing a crash could come after."""
        paths = [image.path for image in self.images]
        recover(paths)
        self._locks = stack.enter_context(locks.hold(paths, writing=True))
        self._before = tuple(map(_identity, self._locks))
        self._log = RedoLog.start(self.images)
        stack.callback(self._discard)
        yield "state written"
        self._log.point_here()
        yield "pointers written"
        for number, image in enumerate(self.images):
            create_overlay(image, self._log.overlay(number))
            yield f"overlay {number} created"

    def _discard(self) -> None:
        if self._log is not None and self._log.state is State.WRITING:
            with signals_held():
                _end(self._log)

    def commit(self, progress: qemu.Progress | None = None) -> None:
        """Merges the overlays into the images; from the first write on the change will be finished.

        Raises:
            RefusedError: the images changed meanwhile, or there is no room; nothing was merged.
            CommitError: the merge stopped; the next run finishes it.
        """
        with signals_held():
            for _ in self.commit_steps(progress):
                pass

    def commit_steps(self, progress: qemu.Progress | None = None) -> Iterator[str]:
        """What `commit` does, pausing after each thing a crash could come after."""
        log = self._running()
        for image, before, descriptor in zip(self.images, self._before, self._locks, strict=True):
            if _identity(descriptor) != before or not os.path.samestat(
                os.fstat(descriptor), image.path.stat()
            ):
                raise StalePlanError(
                    f"{image.path}: the image was changed while imgpatch worked on it",
                    hint="run it again when nothing else uses the image",
                )
        for number, image in enumerate(self.images):
            sync_file(log.overlay(number))
            require_room(
                image.path.parent, log.overlay(number).stat().st_size, f"merging into {image.path.name}"
            )
            write_file(log.digests(number), _page_digests(image, log.overlay(number)))
            yield f"digests {number} written"
        self._log = log = log.committing()
        yield "committing written"
        yield from _merge(log, self._locks, progress)

    def _running(self) -> RedoLog:
        if self._log is None:
            raise RuntimeError("InPlace is used outside its with statement")
        return self._log


def recover(paths: Sequence[Path]) -> Recovered | None:
    """Finishes or discards what a killed run left at any of these images; None: nothing was left.

    Raises:
        RefusedError: another imgpatch is at work, or the images are not those that the log was made for.
        CommitError: finishing stopped again.
    """
    done = None
    for path in paths:
        folder = redolog.find(path.resolve())
        if folder is not None:
            done = _settle(folder, path.resolve()) or done
    return done


def _settle(folder: Path, image: Path) -> Recovered | None:
    log = redolog.load(folder)
    paths = [image] if log is None else [i.path for i in log.images()]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise RefusedError(
            f"{missing}: is gone, and {folder} holds an unfinished change of it",
            hint="put the image back there, or delete that folder to give the change up",
        )
    with locks.hold(paths, writing=True, patience=_PATIENCE) as held:
        log = redolog.load(folder)  # again, now that nobody else can be at it
        if log is None:
            redolog.remove(folder)
            return None
        if log.state is State.WRITING:
            _end(log)
            return Recovered.DISCARDED
        for number, found in enumerate(log.images()):
            _refuse_other_image(found, log, number)
        with signals_held():
            for _ in _merge(log, held, None):
                pass
        for found in log.images():
            if found.format == "qcow2":  # what a killed merge had allocated and not yet used
                qemu.run("check", "-q", "-f", "qcow2", "-r", "leaks", found.path, ok=(0, 2, 3))
        return Recovered.FINISHED


def _end(log: RedoLog) -> None:
    for _ in log.end():
        pass


def _merge(log: RedoLog, held: Sequence[int], progress: qemu.Progress | None) -> Iterator[str]:
    """Copies every overlay into its image; children keep the locks, should this process be killed."""
    images = log.images()
    try:
        for number, image in enumerate(images):
            over = qemu.with_backing(log.overlay(number), image.path, image.format)
            part = qemu.part(progress, number, len(images))
            qemu.run_with_progress("commit", "-d", over, progress=part, pass_fds=held)
            os.fsync(held[number])
            yield f"disk {number} merged"
        yield from log.end()
    except (qemu.QemuImgError, OSError) as error:
        raise CommitError(f"{log.folder}: merging the change stopped: {error}", hint=_AGAIN) from error


def _identity(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _page_digests(image: Image, overlay: Path) -> bytes:
    """The digests of all pages of the image that the overlay covers, in order."""
    with open_disk(image) as disk, open_disk(Image(overlay, "qcow2", image.size)) as over:
        return b"".join(_digest(page) for page, _ in _covered(disk, over))


def _digest(page: bytes) -> bytes:
    return hashlib.blake2b(page, digest_size=_DIGEST).digest()


def _covered(disk: Disk, over: Disk) -> Iterator[tuple[bytes, bytes]]:
    """Each page the overlay answers for: as the image has it, and as the overlay has it."""
    if not isinstance(over, qcow2.Qcow2):
        raise TypeError("an overlay is always qcow2")
    for offset, length in over.allocated():
        old, new = disk.read(offset, length), over.read(offset, length)
        for at in range(0, length, _PAGE):
            yield old[at : at + _PAGE], new[at : at + _PAGE]


def _refuse_other_image(image: Image, log: RedoLog, number: int) -> None:
    """Raises RefusedError unless the image is one that merging this overlay can only finish."""
    try:
        sound = _is_half_merged(image, log.overlay(number), log.digests(number))
    except (FormatError, OSError) as error:
        raise RefusedError(f"{log.folder}: its log cannot be read: {error}", hint=_give_up(log)) from error
    if not sound:
        raise RefusedError(
            f"{image.path}: changed since imgpatch was killed while merging into it; finishing the merge "
            "would damage it",
            hint=_give_up(log),
        )


def _give_up(log: RedoLog) -> str:
    return f"restore the image from a copy; to keep it as it stands, delete {log.folder}"


def _is_half_merged(image: Image, overlay: Path, digests: Path) -> bool:
    before = digests.read_bytes()
    with open_disk(image) as disk, open_disk(Image(overlay, "qcow2", image.size)) as over:
        if _unusable(over, image) or (image.format == "raw" and image.path.stat().st_size != image.size):
            return False
        number = -1
        for number, (page, new) in enumerate(_covered(disk, over)):
            if page != new and _digest(page) != before[number * _DIGEST : (number + 1) * _DIGEST]:
                return False
    return (number + 1) * _DIGEST == len(before)


def _unusable(over: Disk, image: Image) -> bool:
    """Whether the overlay is none of ours: it could come with the image from elsewhere."""
    if not isinstance(over, qcow2.Qcow2):
        return True
    header = over.header
    ours = header.backing and not header.encrypted and not header.incompatible
    return not ours or header.size != image.size
