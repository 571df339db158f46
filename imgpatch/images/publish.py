"""Giving the result its name: a new file appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imgpatch.errors import RefusedError, UsageError
from imgpatch.images import qemu
from imgpatch.images.container import Image
from imgpatch.images.durable import require_room, sync_file, sync_folder, work_folder

FORMATS = ("qcow2", "raw")


def check_output(output: Path, sources: Sequence[Image], *, overwrite: bool = False) -> Path:
    """Tells early what would make `publish_output` fail; gives the absolute path.

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
        raise UsageError(f"{output}: exists already", hint="choose another name, or move it away")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such folder", hint="make it first")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise RefusedError(
            f"{output.parent}: the folder cannot be written", hint="choose another place for the output"
        )
    return output


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
    needed = qemu.run_json("measure", "-f", "qcow2", "-O", "qcow2", str(overlay))["required"]
    require_room(output.parent, int(needed), f"the output {output.name}")
    with work_folder(output.parent, output.name) as folder:
        made = folder / "output"
        qemu.run_with_progress(
            "convert", "-f", "qcow2", "-O", output_format, overlay, made, progress=progress
        )
        sync_file(made)
        _give_name(made, output, overwrite=overwrite)
        sync_folder(output.parent)


def _give_name(made: Path, output: Path, *, overwrite: bool) -> None:
    if overwrite:
        made.replace(output)
        return
    try:
        output.hardlink_to(made)  # unlike rename(2), never replaces what came to be there meanwhile
    except FileExistsError as error:
        raise UsageError(f"{output}: exists already", hint="choose another name, or move it away") from error
    except OSError:  # FAT, exFAT and some network file systems have no hard links
        if output.exists():
            raise
        made.rename(output)
