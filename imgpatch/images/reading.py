"""A machine that is opened from its disk files to read from, and nothing else."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgpatch.errors import RefusedError
from imgpatch.images import locks, probe, redolog
from imgpatch.images.appliance import Drive, Settings
from imgpatch.images.container import open_images
from imgpatch.images.disk import Image
from imgpatch.images.durable import work_folder
from imgpatch.images.overlay import create_overlay
from imgpatch.images.session import Session, open_session
from imgpatch.images.windows_volumes import Opening
from imgpatch.progress import Progress

log = logging.getLogger(__name__)

_ROOM = 16 << 20
"""Bytes that must be free for temporary files: overlays, and what libguestfs puts there."""


@contextlib.contextmanager
def reading(
    paths: Sequence[Path], progress: Progress, opening: Opening
) -> Iterator[tuple[tuple[Image, ...], Session]]:
    """The machine whose disks these are.

    Raises:
        RefusedError: it cannot be opened.
    """
    with held_images(paths, progress) as images, reading_session(images, progress, opening) as session:
        yield images, session


@contextlib.contextmanager
def held_images(paths: Sequence[Path], progress: Progress) -> Iterator[tuple[Image, ...]]:
    """The disk files, which no other imgpatch changes meanwhile."""
    progress.step("looking at the disk files")
    refuse_half_merged(paths)
    images = open_images(paths, progress)
    with locks.hold({image.path for image in images}, writing=False):
        yield images


@contextlib.contextmanager
def reading_session(images: Sequence[Image], progress: Progress, opening: Opening) -> Iterator[Session]:
    """An appliance with overlays of these disks in it."""
    with work_folder(Path(tempfile.gettempdir()), "reading") as folder:
        overlays = [create_overlay(i, folder / f"overlay{n}.qcow2", _ROOM) for n, i in enumerate(images)]
        drives = [Drive(overlay.path, overlay.format, writable=False) for overlay in overlays]
        settings = appliance_settings(progress)
        progress.step("launching the appliance")
        with open_session(drives, [image.size for image in images], settings, progress, opening) as session:
            yield session


def appliance_settings(progress: Progress) -> Settings:
    """How an appliance is launched on this machine, which is probed for it once.

    Raises:
        RefusedError: none can be, or there is no folder for its temporary files.
    """
    folder = os.environ.get("TMPDIR")
    if folder and not os.path.isdir(folder):
        raise RefusedError(
            f"TMPDIR is {folder}, and there is no such folder", hint="name one with some room, or unset it"
        )
    progress.step("probing this machine")
    return probe.appliance_settings(probe.probe())


def refuse_half_merged(paths: Sequence[Path]) -> None:
    """Looks for what a killed change in place left: half merged, an image must be finished before it is read.

    Raises:
        RefusedError: it is half merged, or another imgpatch is at it now.
    """
    for path in paths:
        folder = redolog.find(path)
        if folder is None or not path.is_file():
            continue
        with locks.hold([path], writing=False):
            left = redolog.load(folder)
        if left is not None and left.state is redolog.State.COMMITTING:
            raise RefusedError(
                f"{path}: a change in place was killed while it was merged into the image",
                hint=f"finish it first: imgpatch recover {path}",
            )
        log.warning("%s: left by a change in place that was killed before it wrote into the image; "
                    "`imgpatch recover %s` removes it", folder, path)  # fmt: skip
