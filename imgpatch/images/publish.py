"""Giving the result its name: a new file appears whole, read back, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from imgpatch.errors import RefusedError, UsageError
from imgpatch.formats.ovf_edit import NewMachine
from imgpatch.images.convert import can_clone, room, stored
from imgpatch.images.disk import Image
from imgpatch.images.durable import require_room, sync_folder, work_folder
from imgpatch.images.output import Output, Written, make_output
from imgpatch.images.output_formats import OVA
from imgpatch.progress import Progress

_LONGEST_NAME = 255 - len("..imgpatch-12345678")  # what the folder of `work_folder` adds to it


def check_output(output: Path, sources: Sequence[Image]) -> Path:
    """Tells early what would make publishing fail; gives the absolute path.

    Raises:
        UsageError: the output exists, or is no place for a file.
        RefusedError: its folder cannot be written.
    """
    output = Path(os.path.abspath(output))  # not resolve(): a link there is to be seen
    if len(os.fsencode(output.name)) > _LONGEST_NAME:
        raise UsageError(
            f"{output}: the name is too long: {_LONGEST_NAME} bytes are the most", hint="choose a shorter one"
        )
    check_folder(output.parent)
    if any(output.exists() and output.samefile(source.path) for source in sources):
        raise UsageError(
            f"{output}: the output is the image itself", hint="choose another name, or use --in-place"
        )
    if output.is_symlink() or (output.exists() and not output.is_file()):
        raise UsageError(f"{output}: no regular file, and a new file was wanted", hint="choose another name")
    if output.exists():
        raise _exists(output)
    return output


def check_folder(folder: Path) -> None:
    """Raises UsageError where there is no such folder, RefusedError where it cannot be written."""
    if not os.path.isdir(folder):  # False, too, where it cannot be reached
        raise UsageError(f"{folder}: no such folder", hint="make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RefusedError(
            f"{folder}: the folder cannot be written", hint="choose another place for the output"
        )


def _exists(output: Path) -> UsageError:
    return UsageError(f"{output}: exists already", hint="choose another name, or move it away")


def require_output_room(output: Output, folder: Path, scratch: Path) -> None:
    """Raises RefusedError where there is less room than an output will take, as far as can be known.

    Args:
        output: what is to be written; before anything is, without its overlays.
        folder: beside the output: whether blocks can be shared with the image is tried in it.
        scratch: where the disks of an OVA are made.
    """
    if output.thin or all(can_clone(image, output.format, folder) for image in output.images):
        return
    needed = sum(room(stored(image, overlay), image.size, output.format) for image, overlay in output.disks)
    twice = output.format == OVA and scratch.stat().st_dev == folder.stat().st_dev
    require_room(output.path.parent, 2 * needed if twice else needed, f"the output {output.path.name}")
    if output.format == OVA and not twice:
        require_room(scratch, needed, f"the disks of {output.path.name}")


def publish(
    outputs: Sequence[Output],
    progress: Progress,
    *,
    machine: NewMachine | None = None,
    work_dir: Path | None = None,
) -> tuple[Written, ...]:
    """Writes new files: all whole, read back and synced before the first gets its name.

    On failure, an interrupt included, nothing is left behind; what SIGKILL leaves, the next run for
    the same output removes.

    Args:
        outputs: what to write.
        progress: told each step.
        machine: what an OVA is to describe, where the images are in none.
        work_dir: for what is needed only meanwhile; None: beside the output.

    Raises:
        UsageError: an output came to exist meanwhile.
        RefusedError: there is no room, or qemu-img failed.
        VerifyError: a file does not read back as it was to be written.
    """
    made = []
    with ExitStack() as stack:
        for output in outputs:
            folder = stack.enter_context(work_folder(output.path.parent, output.path.name))
            scratch = folder
            if work_dir is not None:
                scratch = stack.enter_context(work_folder(work_dir, output.path.name))
            require_output_room(output, folder, scratch)
            made.append(make_output(output, folder, scratch, machine, progress))
        images = [image for output in outputs for image in output.images]
        for new, written in made:
            _keep_private(new, images)
            _give_name(new, written.path)
            sync_folder(written.path.parent)
    return tuple(written for _, written in made)


def _keep_private(made: Path, images: Sequence[Image]) -> None:
    """Lets nobody read a new file who may not read the images: the same secrets are in it."""
    mode = stat.S_IMODE(made.stat().st_mode)
    for image in images:
        mode &= 0o600 | image.path.stat().st_mode
    with suppress(PermissionError):  # FAT has one mode for all files
        made.chmod(mode)


def _give_name(made: Path, output: Path) -> None:
    try:
        output.hardlink_to(made)  # unlike rename(2), never replaces what came to be there meanwhile
    except FileExistsError as error:
        raise _exists(output) from error
    except OSError:  # FAT, exFAT and some network file systems have no hard links
        if output.exists():
            raise
        made.rename(output)
