"""Machines whose disks are changed in place, in every kind of container that QEMU can write."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from imgpatch.images import qemu
from imgpatch.images.container import open_images
from imgpatch.images.disk import Image
from imgpatch.images.inplace import InPlace
from tests.images import disks
from tests.images.disks import MIB

KINDS: dict[str, tuple[str, ...]] = {
    "raw": ("raw",),
    "qcow2": ("qcow2",),
    "vhd": ("vpc", "-o", "subformat=dynamic,force_size=on"),
    "fixed-vhd": ("vpc", "-o", "subformat=fixed,force_size=on"),
    "vhdx": ("vhdx", "-o", "subformat=dynamic,block_size=1M"),
    "fixed-vhdx": ("vhdx", "-o", "subformat=fixed,block_size=1M"),
    "vdi": ("vdi",),
    "static-vdi": ("vdi", "-o", "static=on"),
    "vmdk": ("vmdk", "-o", "subformat=monolithicSparse"),
}
"""Format and options of qemu-img."""

COMMITTING = "committing written"
SIZE = 8 * MIB
AT, LENGTH = 100_000, 300_000
# Into what is stored, behind it, so that the file must grow, and zeros over data.
PIECES = ((AT, LENGTH), (5 * MIB + 4096, 70_000), (MIB, 128 << 10))


def machine(folder: Path, kind: str, count: int = 1) -> list[Path]:
    """Disks whose names end with their kind."""
    paths = [folder / f"d{number}.{kind}" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(image_file(kind, number))
    return paths


@cache
def image_file(kind: str, number: int) -> bytes:
    image_format, *options = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        return disks.make(Path(folder) / "disk", old(number), image_format, *options).read_bytes()


@cache
def old(number: int) -> bytes:
    """What a disk holds, most of it near its start."""
    return disks.mbr(8, SIZE // 512 - 8) + disks.content(3 * MIB, number)[512:].ljust(SIZE - 512, b"\0")


@cache
def new(number: int) -> bytes:
    return changed(old(number), number)


def changed(before: bytes, number: int) -> bytes:
    """A disk after `fill`."""
    data = bytearray(before.ljust(SIZE, b"\0"))
    for (offset, length), byte in zip(PIECES, _bytes(number), strict=True):
        data[offset : offset + length] = bytes([byte]) * length
    return bytes(data)


def _bytes(number: int) -> tuple[int, int, int]:
    return 100 + number, 200 + number, 0


def fill(overlay: Path, number: int) -> None:
    """Writes into an overlay what makes the disk `number` new."""
    commands = [
        f"write -P {byte} {offset} {length}" if byte else f"write -z {offset} {length}"
        for (offset, length), byte in zip(PIECES, _bytes(number), strict=True)
    ]
    options = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(
        ["qemu-io", "-f", "qcow2", *options, str(overlay)], capture_output=True, timeout=60, check=True
    )
    assert done.stdout.count(b"wrote") == len(PIECES), done


def steps(images: Sequence[Image]) -> Iterator[str]:
    """A whole change, pausing after each step."""
    change = InPlace(images)
    with ExitStack() as stack:
        yield from change.start_steps(stack)
        for number, overlay in enumerate(change.overlays):
            fill(overlay.path, number)
            yield f"overlay {number} filled"
        yield from change.lower_steps()
        yield from change.merge_steps()


def contents(paths: Sequence[Path]) -> list[bytes]:
    """What QEMU says that guests see, in images that imgpatch finds sound."""
    seen = []
    for path in paths:
        (image,) = open_images([path])
        raw = path.with_suffix(".seen")
        qemu.run("convert", "-O", "raw", qemu.name(qemu.node(image)), raw)
        seen.append(raw.read_bytes())
        raw.unlink()
    return seen
