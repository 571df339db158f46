"""qcow2 overlays: everything imgpatch writes goes into one first, never into the user's image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgpatch.errors import RefusedError
from imgpatch.images import qemu
from imgpatch.images.disk import Image
from imgpatch.images.durable import require_room

LEAST_ROOM = 256 << 20
"""Bytes a working folder must have free: several initramfs with their originals, and a journal's replay."""

LONGEST_NAME = 1023
"""Bytes of what an overlay calls the image below it (docs/interop/qcow2.txt of QEMU)."""


def create_overlay(image: Image, path: Path, room: int = LEAST_ROOM, pass_fds: Sequence[int] = ()) -> Image:
    """Makes an overlay of an image at an absolute path and gives it as an image.

    Args:
        image: what it lies over; stays as it is.
        path: of the overlay.
        room: bytes that its folder must have free.
        pass_fds: descriptors that QEMU must keep open, should this process be killed.

    Raises:
        RefusedError: there is too little room for what an apply writes, or the file cannot be made.
    """
    require_room(path.parent, room, "the overlay")
    try:
        node = qemu.node(image)
        below = qemu.name(node)
        if len(below.encode()) > LONGEST_NAME:
            raise RefusedError(
                f"{image.path}: a path of {len(bytes(image.path))} bytes, and an overlay has room for "
                f"{LONGEST_NAME} bytes of it and what else describes the image",
                hint="move the image to a folder with a shorter path; a link does not help",
            )
        backing = ("-b", below, "-F", node["driver"])
        qemu.run("create", "-q", "-f", "qcow2", *backing, path, pass_fds=pass_fds)
    except qemu.QemuImgError as error:
        raise RefusedError(
            f"{path}: no overlay of {image.name} can be made: {error}",
            hint="make the folder writable, or choose another place for the output",
        ) from error
    return Image(path, "qcow2", image.size)
