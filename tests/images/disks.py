"""Small real disk files for the tests of imgpatch.images."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

MIB = 1 << 20

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def qemu_img(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["qemu-img", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def mbr(first: int = 2048, count: int = 2048, kind: int = 0x83) -> bytes:
    """A partition table with one partition, in sectors."""
    entry = struct.pack("<B3sB3sII", 0x80, b"\0\0\0", kind, b"\0\0\0", first, count)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def gpt(sectors: int, last: int, sector: int = 512) -> bytes:
    """A protective MBR, a primary header and one entry, as they stand at the start of a disk."""
    header = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, 1, sectors - 1, 34,
                         sectors - 34, b"\1" * 16, 2, 128, 128, 0)  # fmt: skip
    entry = struct.pack("<16s16sQQQ72s", b"\2" * 16, b"\3" * 16, 34, last, 0, b"")
    return mbr(1, sectors - 1, 0xEE).ljust(sector, b"\0") + header.ljust(sector, b"\0") + entry


def content(size: int = 4 * MIB, seed: int = 1) -> bytes:
    """A partitioned disk of mixed bytes and holes."""
    chance = random.Random(seed)
    blocks = [chance.randbytes(4096) if chance.random() < 0.3 else bytes(4096) for _ in range(size // 4096)]
    return mbr(8, size // 512 - 8) + b"".join(blocks)[512:]


def make(path: Path, data: bytes, image_format: str = "raw", *options: str) -> Path:
    """Writes a disk in a container."""
    if image_format == "raw":
        path.write_bytes(data)
        return path
    raw = path.with_suffix(".tmp")
    raw.write_bytes(data)
    qemu_img("convert", "-f", "raw", "-O", image_format, *options, raw, path)
    raw.unlink()
    return path


def guest_bytes(path: Path, image_format: str) -> bytes:
    """What QEMU says a guest would see; the image and its whole chain."""
    if image_format == "raw":
        return path.read_bytes()
    raw = path.with_suffix(".seen")
    qemu_img("convert", "-U", "-f", image_format, "-O", "raw", path, raw)
    data = raw.read_bytes()
    raw.unlink()
    return data


def write(path: Path, offset: int, data: bytes, image_format: str = "qcow2") -> None:
    """Writes guest bytes into a container through QEMU."""
    write_all(path, [(offset, data)], image_format)


def write_all(path: Path, pieces: Sequence[tuple[int, bytes]], image_format: str = "qcow2") -> None:
    """Writes pieces of guest bytes, one after the other, each at its offset."""
    with tempfile.TemporaryDirectory() as folder:  # its name has no blank, which qemu-io would split at
        words = []
        for number, (offset, data) in enumerate(pieces):
            (source := Path(folder, str(number))).write_bytes(data)
            words += ["-c", f"write -s {source} {offset} {len(data)}"]
        done = subprocess.run(
            ["qemu-io", "-f", image_format, *words, str(path)],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    assert done.stdout.count("wrote") == len(pieces), done
