"""Giving the result its name: a new file appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from imgpatch.errors import RefusedError, UsageError
from imgpatch.images import qemu
from imgpatch.images.disk import Image
from imgpatch.images.durable import require_room, sync_file, sync_folder, work_folder


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
    """`publish_outputs` for one disk."""
    publish_outputs([(overlay, output, output_format)], overwrite=overwrite, progress=progress)


def publish_outputs(
    disks: Sequence[tuple[Path, Path, str]],
    *,
    overwrite: bool = False,
    progress: qemu.Progress | None = None,
) -> None:
    """Flattens overlays into new sparse images: all whole and synced before the first gets its name.

    On failure, an interrupt included, nothing is left behind; what SIGKILL leaves, the next run for
    the same output removes.

    Args:
        disks: overlay, output and format of each.
        overwrite: whether an output may replace a file.
        progress: told how far all of it is.

    Raises:
        UsageError: an output came to exist meanwhile.
        RefusedError: there is no room, or qemu-img failed.
    """
    made = []
    with ExitStack() as stack:
        for number, (overlay, output, output_format) in enumerate(disks):
            _require_room(overlay, output)
            new = stack.enter_context(work_folder(output.parent, output.name)) / "output"
            part = qemu.part(progress, number, len(disks))
            qemu.run_with_progress("convert", "-f", "qcow2", "-O", output_format, overlay, new, progress=part)
            sync_file(new)
            made.append((new, output))
        for new, output in made:
            _give_name(new, output, overwrite=overwrite)
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
