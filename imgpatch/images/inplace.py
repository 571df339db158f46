"""Changing images in place: killed at any instant, they end wholly old or wholly new.

    writing      the overlays are being filled and lowered, the images untouched; left like this: discarded
    committing   the changes are whole and being merged; left like this: finished
    (no state)   done

QEMU writes into overlays and changes only; merging is our own (`merging`) and the same for every format.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from imgpatch.errors import CommitError, FormatError, RefusedError, StalePlanError, UsageError
from imgpatch.images import locks, lowering, merging, qemu, redolog
from imgpatch.images.disk import FileDisk, Image, open_file
from imgpatch.images.durable import require_room, signals_held, write_file
from imgpatch.images.overlay import create_overlay
from imgpatch.images.qcow2 import Qcow2
from imgpatch.images.redolog import RedoLog, State

log = logging.getLogger(__name__)

_PATIENCE = 6.0  # seconds: libguestfs looks every two seconds whether to end the QEMU of a killed run
_AGAIN = "the log is kept: run imgpatch on this image again and it finishes the merge first"


class Recovered(StrEnum):
    FINISHED = "finished"
    DISCARDED = "discarded"


class InPlace:
    """`with InPlace(images) as change: write into change.overlays; change.commit()`; else it is discarded."""

    def __init__(self, images: Sequence[Image]) -> None:
        """Takes the images, which stay as they are until `commit`.

        Raises:
            RefusedError: one of them cannot be changed in place.
        """
        for image in images:
            lowering.refuse_not_writable(image)
        self.images = tuple(images)
        self._stack = ExitStack()
        self._log: RedoLog | None = None
        self._locks: tuple[int, ...] = ()
        self._before: tuple[tuple[int, ...], ...] = ()

    @property
    def overlays(self) -> tuple[Image, ...]:
        """What to write into; one for each image."""
        redo = self._running()
        return tuple(Image(redo.overlay(n), "qcow2", i.size) for n, i in enumerate(self.images))

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
        for image, descriptor in zip(self.images, self._locks, strict=True):
            if (count := os.fstat(descriptor).st_nlink) > 1:
                log.warning(
                    "%s: the file has %d names (hard links), and changes under all", image.path, count
                )
        self._log = RedoLog.start(self.images)
        stack.callback(self._discard)
        yield "state written"
        self._log.point_here()
        yield "pointers written"
        for number, image in enumerate(self.images):
            create_overlay(image, self._log.overlay(number), pass_fds=self._locks)
            yield f"overlay {number} created"

    def _discard(self) -> None:
        if self._log is None or self._log.state is not State.WRITING:
            return
        with signals_held():
            try:
                _end(self._log)
            except RefusedError as error:  # whatever stopped the change is what must be told
                log.warning("left behind, and `imgpatch recover` removes it: %s", error)

    def commit(self, progress: qemu.Progress | None = None) -> None:
        """Merges the overlays into the images; from the first write on the change will be finished.

        Raises:
            RefusedError: the images changed meanwhile, or there is no room; nothing was merged.
            VerifyError: QEMU would have written something else; nothing was merged.
            CommitError: the merge stopped; the next run finishes it.
        """
        for _ in self.lower_steps(qemu.part(progress, 0, 2)):
            pass
        with signals_held():
            for _ in self.merge_steps(qemu.part(progress, 1, 2)):
                pass

    def lower_steps(self, progress: qemu.Progress | None = None) -> Iterator[str]:
        """The first half of `commit`, with the images untouched, pausing as `start_steps` does."""
        redo = self._running()
        self._refuse_changed()
        for number, image in enumerate(self.images):
            part = qemu.part(progress, number, len(self.images))
            change = redo.change(number)
            with _refusing(image):
                lowering.lower(image, redo.overlay(number), change, part, self._locks)
                yield f"disk {number} lowered"
                require_room(image.path.parent, change.stat().st_size, f"merging into {image.path.name}")
                with open_file(change) as made:
                    digests = merging.digests(FileDisk(self._locks[number]), merging.open_change(made))
                write_file(redo.digests(number), digests)
            yield f"digests {number} written"

    def merge_steps(self, progress: qemu.Progress | None = None) -> Iterator[str]:
        """The second half of `commit`, which must not be interrupted."""
        redo = self._running()
        for image, held in zip(self.images, self._locks, strict=True):
            locks.lock_out_qemu(image.path, held)
        self._refuse_changed()
        self._log = redo = redo.committing()
        yield "committing written"
        yield from finish_steps(redo, self._locks, progress)

    def _refuse_changed(self) -> None:
        for image, before, descriptor in zip(self.images, self._before, self._locks, strict=True):
            same = _identity(descriptor) == before
            if not same or not os.path.samestat(os.fstat(descriptor), image.path.stat()):
                raise StalePlanError(
                    f"{image.path}: the image was changed while imgpatch worked on it",
                    hint="run it again when nothing else uses the image",
                )

    def _running(self) -> RedoLog:
        if self._log is None:
            raise RuntimeError("InPlace is used outside its with statement")
        return self._log


def recover(paths: Sequence[Path]) -> Recovered | None:
    """Finishes or discards what a killed run left at any of these images; None: nothing was left.

    Raises:
        UsageError: there is no such image, and nothing was left of it.
        RefusedError: another imgpatch is at work, or the images are not those that the log was made for.
        CommitError: finishing stopped again.
    """
    done = None
    for path in paths:
        folder = redolog.find(path)
        if folder is not None:
            done = _settle(folder, path.resolve()) or done
        elif not os.path.exists(path):
            raise UsageError(f"{path}: no such file", hint="give the path of a disk image")
    return done


def _settle(folder: Path, image: Path) -> Recovered | None:
    redo = redolog.load(folder)
    paths = (image,) if redo is None else redo.paths()
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise RefusedError(
            f"{missing}: is gone, and {folder} holds an unfinished change of it",
            hint="put the image back there, or delete that folder to give the change up",
        )
    with locks.hold(paths, writing=True, patience=_PATIENCE) as held:
        redo = redolog.load(folder)  # again, now that nobody else can be at it
        if redo is None:
            redolog.remove(folder)
            return None
        if redo.state is State.WRITING:
            _end(redo)
            return Recovered.DISCARDED
        for number, (path, descriptor) in enumerate(zip(paths, held, strict=True)):
            locks.lock_out_qemu(path, descriptor)
            _refuse_other_image(redo, number, descriptor)
        with signals_held():
            for _ in finish_steps(redo, held):
                pass
        return Recovered.FINISHED


def _end(redo: RedoLog) -> None:
    for _ in redo.end():
        pass


@contextmanager
def _refusing(image: Image) -> Iterator[None]:
    """What stops before the merge has written nothing."""
    try:
        yield
    except OSError as error:
        raise RefusedError(
            f"{image.path}: the change could not be prepared: {error}",
            hint="free some room, and run it again",
        ) from error


def finish_steps(redo: RedoLog, held: Sequence[int], progress: qemu.Progress | None = None) -> Iterator[str]:
    """Merges the changes of a log and removes it, pausing after each write and each removal.

    Args:
        redo: in the state `committing`.
        held: descriptors of its images, open for writing, in order.
        progress: told how far the merge is.

    Raises:
        CommitError: it stopped; it can be repeated from the start.
    """
    try:
        for number, descriptor in enumerate(held):
            with open_file(redo.change(number)) as file:
                change = merging.open_change(file)
                told = _telling(qemu.part(progress, number, len(held)), merging.covered(change))
                for done in merging.merge(descriptor, change):
                    told(done)
                    yield f"disk {number} written up to {done}"
                told(merging.covered(change))
            yield f"disk {number} merged"
    except (RefusedError, OSError) as error:
        raise CommitError(f"{redo.folder}: merging the change stopped: {error}", hint=_AGAIN) from error
    try:
        yield from redo.end()
    except RefusedError as error:
        raise CommitError(f"the change is in the image, but its log is left: {error}", hint=_AGAIN) from error


def _telling(progress: qemu.Progress | None, total: int) -> Callable[[int], None]:
    return lambda done: progress(done / total) if progress is not None and total else None


def _identity(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _refuse_other_image(redo: RedoLog, number: int, descriptor: int) -> None:
    """Raises RefusedError unless the file is one that merging this change can only finish."""
    path = redo.paths()[number]
    try:
        with open_file(redo.change(number)) as file:
            sound = _is_half_merged(redo, number, FileDisk(descriptor), merging.open_change(file))
    except (FormatError, OSError) as error:
        raise RefusedError(f"{redo.folder}: its log cannot be read: {error}", hint=_give_up(redo)) from error
    if not sound:
        raise RefusedError(
            f"{path}: changed since imgpatch was killed while merging into it; finishing the merge would "
            "damage it",
            hint=_give_up(redo),
        )


def _give_up(redo: RedoLog) -> str:
    return f"restore the image from a copy; to keep it as it stands, delete {redo.folder}"


def _is_half_merged(redo: RedoLog, number: int, file: FileDisk, change: Qcow2) -> bool:
    if file.size not in (redo.disks[number].length, change.size):
        return False
    return merging.can_finish(file, change, redo.digests(number).read_bytes())
