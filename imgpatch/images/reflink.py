"""A copy that shares its blocks with the original, where the file system can (Btrfs, XFS, bcachefs)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from imgpatch.images import qemu
from imgpatch.images.disk import FileDisk, Image, open_file
from imgpatch.images.layers import node
from imgpatch.images.merging import covered, merge
from imgpatch.images.qcow2 import Qcow2
from imgpatch.images.readback import Tell

_FICLONE = 0x4004_9409  # ioctl_ficlone(2)


def clone(source: Path, target: Path) -> bool:
    """Makes a new file of the same bytes without copying them; False, and none is made, where that fails."""
    with open_file(source) as original:
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            fcntl.ioctl(copy, _FICLONE, original)
        except OSError:  # another file system, or one that shares no blocks; each has its own errno for it
            target.unlink()
            return False
        finally:
            os.close(copy)
    return True


def can_clone(source: Path, folder: Path) -> bool:
    """Whether `clone` from there to a new file in this folder will do."""
    trial = folder / "trial"
    made = clone(source, trial)
    trial.unlink(missing_ok=True)
    return made


def merge_into_copy(copy: Image, overlay: Path, progress: Tell) -> None:
    """Writes what an overlay changes into a raw or qcow2 copy of the image below it."""
    if copy.format != "raw":
        over = qemu.name(node(copy, overlay))
        qemu.run_with_progress("commit", "-d", over, progress=progress)
        return
    descriptor = os.open(copy.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        with open_file(overlay) as layer:
            change = Qcow2(FileDisk(layer))
            total = covered(change) or 1
            for done in merge(descriptor, change):
                progress(done / total)
    finally:
        os.close(descriptor)
