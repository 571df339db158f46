from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
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
