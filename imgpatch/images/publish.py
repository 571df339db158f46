"""Giving the result its place: new files that appear whole or not at all, or the images themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imgpatch.errors import RefusedError, UsageError
from imgpatch.images import inplace, locks, qemu
from imgpatch.images.container import Image
from imgpatch.images.durable import require_room, sync_file, sync_folder, work_folder
from imgpatch.images.overlay import create_overlay

FORMATS = ("qcow2", "raw")


class Target(Protocol):
    """Overlays to write into, and the way to publish them."""

    @property
    def overlays(self) -> tuple[Path, ...]:
        """qcow2 files, one for each disk of the machine."""

    def publish(self, *, changed: bool, progress: qemu.Progress | None = None) -> tuple[Path, ...]:
        """Puts the result in its place and gives the files written."""


@dataclass(frozen=True, slots=True)
class _NewFiles:
    overlays: tuple[Path, ...]
    outputs: tuple[Path, ...]
    formats: tuple[str, ...]
    overwrite: bool

    def publish(self, *, changed: bool, progress: qemu.Progress | None = None) -> tuple[Path, ...]:
        """Makes the outputs even of an unchanged machine: they were asked for."""
        del changed
        _publish(self, progress)
        return self.outputs


@dataclass(frozen=True, slots=True)
class _InPlace:
    change: inplace.InPlace

    @property
    def overlays(self) -> tuple[Path, ...]:
        return tuple(overlay.path for overlay in self.change.overlays)

    def publish(self, *, changed: bool, progress: qemu.Progress | None = None) -> tuple[Path, ...]:
        """Leaves the images of an unchanged machine bit-identical."""
        if not changed:
            return ()
        self.change.commit(progress)
        return tuple(image.path for image in self.change.images)


@contextmanager
def new_files(
    images: Sequence[Image],
    outputs: Sequence[Path],
    *,
    output_format: str | None = None,
    overwrite: bool = False,
) -> Iterator[Target]:
    """Overlays in a working folder beside the first output; the images are kept from writers.

    Args:
        images: the disks of the machine.
        outputs: a new file for each.
        output_format: one of FORMATS; None keeps each image's own.
        overwrite: whether an output may replace a file.

    Raises:
        UsageError: the outputs do not fit the images, or exist.
        RefusedError: there is no place or no room for them, or another run writes the images.
    """
    checked = tuple(check_output(output, images, overwrite=overwrite) for output in outputs)
    if len(set(checked)) != len(images):
        raise UsageError(
            f"{len(set(checked))} outputs for {len(images)} disks", hint="name one new file for each disk"
        )
    formats = tuple(output_format or image.format for image in images)
    with locks.hold([image.path for image in images], writing=False), ExitStack() as stack:
        folder = stack.enter_context(work_folder(checked[0].parent, checked[0].name))
        overlays = tuple(
            create_overlay(image, folder / f"overlay-{n}.qcow2").path for n, image in enumerate(images)
        )
        yield _NewFiles(overlays, checked, formats, overwrite)


@contextmanager
def in_place(images: Sequence[Image]) -> Iterator[Target]:
    """Overlays in a redo log beside the images, which this run alone may use.

    Raises:
        RefusedError: an image or its folder cannot be written, or something else uses it.
    """
    with inplace.InPlace(images) as change:
        yield _InPlace(change)


def check_output(output: Path, sources: Sequence[Image], *, overwrite: bool = False) -> Path:
    """Tells early what would make publishing fail; gives the absolute path.

    Raises:
        UsageError: the output exists (and is not to be overwritten), or is no place for a file.
        RefusedError: its folder cannot be written.
    """
    output = Path(os.path.abspath(output))  # not resolve(): a link there is to be seen
    if any(output.exists() and output.samefile(source.path) for source in sources):
        raise UsageError(
            f"{output}: the output is the image itself", hint="choose another name, or use --in-place"
        )
    if output.is_symlink() or (output.exists() and not output.is_file()):
        raise UsageError(f"{output}: no regular file, and a new file was wanted", hint="choose another name")
    if output.exists() and not overwrite:
        raise _exists(output)
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such folder", hint="make it first")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise RefusedError(
            f"{output.parent}: the folder cannot be written", hint="choose another place for the output"
        )
    return output


def _exists(output: Path) -> UsageError:
    return UsageError(f"{output}: exists already", hint="choose another name, or move it away")


def publish_output(
    overlay: Path,
    output: Path,
    output_format: str,
    *,
    overwrite: bool = False,
    progress: qemu.Progress | None = None,
) -> None:
    """Flattens an overlay and what lies below it into a new sparse image, synced, then given its name.

    On failure, an interrupt included, nothing is left behind; what SIGKILL leaves, the next run for
    the same output removes.

    Raises:
        UsageError: the output came to exist meanwhile.
        RefusedError: there is no room, or qemu-img failed.
    """
    _publish(_NewFiles((overlay,), (output,), (output_format,), overwrite), progress)


def _publish(job: _NewFiles, progress: qemu.Progress | None) -> None:
    """Makes all files whole before the first gets its name."""
    made = []
    with ExitStack() as stack:
        for number, (overlay, output) in enumerate(zip(job.overlays, job.outputs, strict=True)):
            _require_room(overlay, output)
            new = stack.enter_context(work_folder(output.parent, output.name)) / "output"
            part = qemu.part(progress, number, len(job.outputs))
            qemu.run_with_progress(
                "convert", "-f", "qcow2", "-O", job.formats[number], overlay, new, progress=part
            )
            sync_file(new)
            made.append(new)
        for new, output in zip(made, job.outputs, strict=True):
            _give_name(new, output, overwrite=job.overwrite)
            sync_folder(output.parent)


def _require_room(overlay: Path, output: Path) -> None:
    """Room for the data alone, as qcow2 counts it: a raw output is sparse."""
    needed = qemu.run_json("measure", "-f", "qcow2", "-O", "qcow2", str(overlay))["required"]
    require_room(output.parent, int(needed), f"the output {output.name}")


def _give_name(made: Path, output: Path, *, overwrite: bool) -> None:
    if overwrite:
        made.replace(output)
        return
    try:
        output.hardlink_to(made)  # unlike rename(2), never replaces what came to be there meanwhile
    except FileExistsError as error:
        raise _exists(output) from error
    except OSError:  # FAT, exFAT and some network file systems have no hard links
        if output.exists():
            raise
        made.rename(output)
