"""From an overlay of a guest's disk to a change of the file that holds it, worked out by QEMU's own driver.

    overlay  --commit-->  driver of the format, over  change.qcow2  over  the file's bytes, read only

The driver writes its tables and data as it would into the file, and they end up in the change. Until
that is merged (`merging`) the file is as it was, so that a crash costs nothing here. What the driver
made is not believed: our own reader must see in the changed file exactly what it saw before, with the
overlay on top.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from imgpatch.errors import RefusedError, VerifyError
from imgpatch.images import merging, qemu
from imgpatch.images.container import READERS
from imgpatch.images.disk import SECTOR, Disk, FileDisk, Image, open_file
from imgpatch.images.durable import require_room, sync_file
from imgpatch.images.merging import Changed
from imgpatch.images.qcow2 import HEADER_SIZE, Qcow2, parse_header
from imgpatch.images.unsupported import refuse_unsupported
from imgpatch.images.vhd import Vhd

_CLUSTERS = ((1 << 40, 4096), (1 << 62, 1 << 16))  # of files up to so many bytes: an L1 table has its limits
_SIZE_AT = 24  # of a qcow2 header
_WINDOW = 2 << 20  # the largest block in common use: a driver that allocates one fills the rest of it
_WRITTEN_BY_QEMU = {
    "raw": ("",),
    "qcow2": ("",),
    "vpc": ("fixed", "dynamic"),
    "vhdx": ("fixed", "dynamic"),
    "vdi": ("static", "dynamic"),
    "vmdk": ("monolithicSparse",),
}


def refuse_not_writable(image: Image) -> None:
    """Raises RefusedError for an image that cannot be changed in place."""
    if image.member is not None:
        found = "a disk in an archive, where nothing can grow"
    elif image.variety not in _WRITTEN_BY_QEMU.get(image.format, ()):
        found = f"a {image.variety} {image.format}, and QEMU cannot write into one".replace("a  ", "a ")
    else:
        return
    raise RefusedError(f"{image.name}: cannot be changed in place: it is {found}", hint="use --output FILE")


def lower(
    image: Image,
    overlay: Path,
    change: Path,
    progress: qemu.Progress | None = None,
    pass_fds: Sequence[int] = (),
) -> None:
    """Makes the change that gives an image's file the contents that an overlay gives its guest.

    The overlay is of use for nothing else afterwards.

    Args:
        image: stays as it is.
        overlay: what was written over it; for a raw image it is the change already.
        change: the file to make.
        progress: told how far it is.
        pass_fds: descriptors that QEMU must keep open, should this process be killed.

    Raises:
        RefusedError: QEMU cannot do it, or there is no room.
        VerifyError: what it did is not what was wanted.
    """
    if image.format == "raw":
        overlay.replace(change)
        sync_file(change)
        return
    require_room(change.parent, overlay.stat().st_size, f"what changes in {image.path.name}")
    try:
        _commit(image, overlay, change, progress, pass_fds)
    except qemu.QemuImgError as error:
        raise RefusedError(
            f"{image.path}: QEMU cannot write the change into this {image.format}: {error}",
            hint="use --output FILE",
        ) from error
    _set_length(image, change)
    sync_file(change)
    prove(image, overlay, change)
    overlay.unlink()


def _commit(
    image: Image, overlay: Path, change: Path, progress: qemu.Progress | None, pass_fds: Sequence[int]
) -> None:
    node = qemu.node(image)
    raw = qemu.name({"driver": "raw", "file": node["file"]})
    cluster = next(cluster for most, cluster in _CLUSTERS if image.path.stat().st_size < most)
    options = ("-f", "qcow2", "-o", f"cluster_size={cluster}")
    qemu.run("create", "-q", *options, "-b", raw, "-F", "raw", change, pass_fds=pass_fds)
    over: dict[str, Any] = {"driver": "qcow2", "file": {"driver": "file", "filename": str(change)}}
    over = node | {"file": over}  # what lies under the change stands in its own header, given by us above
    unsafe = ("-u", "-f", "qcow2", "-b", qemu.name(over), "-F", node["driver"])
    qemu.run("rebase", "-q", *unsafe, overlay, pass_fds=pass_fds)
    committing = ("commit", "-d", "-t", "unsafe", "-f", "qcow2", overlay)  # synced once, when it is whole
    qemu.run_with_progress(*committing, progress=progress, pass_fds=pass_fds)


def _set_length(image: Image, change: Path) -> None:
    """Writes into the header of a change how long the file is to be.

    Where a driver let its file grow, the clusters are there, but QEMU leaves the size in the header
    as it was, unless the driver set it (VHDX).
    """
    with open_file(image.path) as file, open_file(change) as made:
        before = FileDisk(file)
        header = parse_header(os.pread(made, HEADER_SIZE, 0))
        _write_size(change, header.l1_size * header.l2_entries * header.cluster_size)
        whole = Qcow2(FileDisk(made))
        end = max((offset + length for offset, length in merging.runs(whole)), default=0)
        stated = header.size if header.size - before.size >= SECTOR else before.size
        _write_size(change, _length(image, before, whole, max(end, stated)))


def _length(image: Image, before: Disk, change: Qcow2, end: int) -> int:
    """The length of the changed file.

    Args:
        image: for its format.
        before: the file.
        change: all of it.
        end: behind its last cluster; of it, only the beginning may be meant.
    """
    changed = Changed(before, change, end)
    cluster = change.header.cluster_size
    if end - before.size < cluster and _is_zero(changed.read(before.size, cluster)):
        return before.size
    # A VHD ends with its footer, and all readers look for it there.
    return Vhd(changed).end if image.format == "vpc" else end


def _is_zero(data: bytes) -> bool:
    return data == bytes(len(data))


def _write_size(change: Path, size: int) -> None:
    with change.open("rb+") as file:
        file.seek(_SIZE_AT)
        file.write(size.to_bytes(8, "big"))


def prove(image: Image, overlay: Path, change: Path) -> None:
    """Raises VerifyError unless the changed file is sound and its disk is the one the overlay says."""
    with ExitStack() as stack:
        file = FileDisk(stack.enter_context(open_file(image.path)))
        made = merging.open_change(stack.enter_context(open_file(change)))
        over = Qcow2(FileDisk(stack.enter_context(open_file(overlay))))
        try:
            if made.size < file.size:
                raise _wrong(image, f"the file would shrink from {file.size} to {made.size} bytes")
            before = READERS[image.format](file)
            after = READERS[image.format](Changed(file, made, made.size))
            refuse_unsupported(image, after)
            after.check_whole()
            differing = _difference(before, over, after)
        except RefusedError as error:
            raise _wrong(image, str(error)) from error
    if differing is not None:
        raise _wrong(image, f"its disk would differ from byte {differing} on")


def _wrong(image: Image, found: str) -> VerifyError:
    return VerifyError(
        f"{image.path}: QEMU's way to write the change into this {image.format} is wrong: {found}; "
        "nothing was written into it",
        hint="use --output FILE",
    )


def _difference(before: Disk, over: Qcow2, after: Disk) -> int | None:
    """The first byte near an overlay's where `after` is not `before` with the overlay on top."""
    if after.size != before.size:
        return min(after.size, before.size)
    for window, pieces in groupby(over.allocated(), _window):
        start = window * _WINDOW
        wanted = bytearray(before.read(start, _WINDOW))
        for offset, length in pieces:
            wanted[offset - start : offset - start + length] = over.read(offset, length)
        found = after.read(start, _WINDOW)
        if found != wanted:
            return start + _first_difference(found, wanted)
    return None


def _window(piece: tuple[int, int]) -> int:
    return piece[0] // _WINDOW


def _first_difference(one: bytes, other: bytearray) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
