from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpatch.errors import FormatError
from imgpatch.images import qcow2
from imgpatch.images.disk import FileDisk
from tests.images import disks

pytestmark = disks.needs_qemu_img


@contextmanager
def opened(path: Path) -> Iterator[qcow2.Qcow2]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield qcow2.Qcow2(FileDisk(descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-c",),
        ("-c", "-o", "compression_type=zstd"),
        ("-o", "extended_l2=on"),
        ("-o", "cluster_size=512"),
        ("-o", "cluster_size=2M"),
        ("-o", "compat=0.10"),
        ("-o", "preallocation=metadata"),
        ("-c", "-o", "extended_l2=on"),
    ],
    ids=" ".join,
)
def test_reads_what_qemu_wrote(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = disks.content()
    with opened(disks.make(tmp_path / "a.qcow2", data, "qcow2", *options)) as disk:
        disk.check_whole()
        assert disk.read(0, len(data) + 1) == data
        assert disk.read(70_001, 200_000) == data[70_001:270_001]


def test_allocated_covers_all_that_was_written_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    disks.qemu_img("create", "-q", "-f", "qcow2", path, str(4 * disks.MIB + 512))
    disks.write(path, 200_000, b"x" * 1000)
    disks.write(path, 4 * disks.MIB, b"y" * 512)
    with opened(path) as disk:
        assert list(disk.allocated()) == [(3 * 65536, 65536), (4 * disks.MIB, 512)]


def test_what_a_snapshot_of_a_running_machine_leaves_is_no_damage(tmp_path: Path) -> None:
    """QEMU writes the memory behind the end of the disk, and leaves its tables there."""
    path = disks.make(tmp_path / "a.qcow2", disks.content(), "qcow2")
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "write -b 0 64k", str(path)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with opened(path) as disk:
        disk.check_whole()
        assert disk.header.l1_size > 1
        assert disk.read(0, disk.size + 1) == disks.content()
        assert all(offset + length <= disk.size for offset, length in disk.allocated())


def test_more_behind_the_end_of_the_disk_than_any_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    disks.qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, str(4 * disks.MIB))
    data = path.read_bytes()
    at = int.from_bytes(data[40:48], "big")
    tables = 20
    table = b"".join((len(data) + (2 << 20) * n).to_bytes(8, "big") for n in range(tables))
    with path.open("rb+") as file:
        file.seek(36)
        file.write(tables.to_bytes(4, "big"))
        file.seek(at)
        file.write(table)
        file.truncate(len(data) + tables * (2 << 20))
    with opened(path) as disk, pytest.raises(FormatError, match="behind the end"):
        disk.check_whole()


@pytest.mark.parametrize("kind", ["zlib", "zstd"])
def test_a_compressed_cluster_that_is_too_short_is_damage(tmp_path: Path, kind: str) -> None:
    path = disks.make(tmp_path / "a.qcow2", bytes(range(256)) * 512, "qcow2", "-c",
                      "-o", f"compression_type={kind}")  # fmt: skip
    packed = zlib.compress(b"short")[2:-4] if kind == "zlib" else zstandard.compress(b"short")
    data = bytearray(path.read_bytes())
    l2 = int.from_bytes(data[int.from_bytes(data[40:48], "big") :][:8], "big") & ((1 << 56) - 1)
    offset = int.from_bytes(data[l2 : l2 + 8], "big") & ((1 << 54) - 1)
    data[offset : offset + len(packed)] = packed
    path.write_bytes(data)
    with opened(path) as disk, pytest.raises(FormatError, match="unpacks to 5 of 65536"):
        disk.read(0, 10)


@pytest.mark.parametrize("options", [(), ("-c",)], ids=["plain", "compressed"])
def test_every_cut_that_loses_a_cluster_is_seen(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = disks.make(tmp_path / "a.qcow2", disks.content(disks.MIB), "qcow2", *options)
    size = path.stat().st_size
    for end in range(size - size % 65536 - 65536, 0, -65536):
        os.truncate(path, end)
        with pytest.raises(FormatError, match="the file ends at"), opened(path) as disk:
            disk.check_whole()


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 110))
def test_a_damaged_header_is_refused_or_read_but_never_crashes(data: bytes, at: int) -> None:
    good = bytes.fromhex("514649fb00000003") + bytes(12) + b"\0\0\0\x10" + bytes(88)
    try:
        header = qcow2.parse_header(good[:at] + data + good[at + len(data) :])
    except FormatError:
        return
    assert 9 <= header.cluster_bits <= 21
