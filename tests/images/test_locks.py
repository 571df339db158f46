from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imgpatch.errors import RefusedError
from imgpatch.images import locks


def test_readers_share_and_a_writer_is_alone(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(512))
    refused = pytest.raises(RefusedError, match="another imgpatch")
    with locks.hold([image], writing=False), locks.hold([image], writing=False), refused:
        locks.hold([image], writing=True).__enter__()
    with locks.hold([image], writing=True), refused:
        locks.hold([image], writing=False).__enter__()
    with locks.hold([image], writing=True):
        pass


def test_a_lock_lives_as_long_as_a_process_that_inherited_it(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(512))
    reading, writing = os.pipe()
    with locks.hold([image], writing=True):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    os.close(reading)
    with pytest.raises(RefusedError):
        locks.hold([image], writing=True).__enter__()
    os.close(writing)
    os.waitpid(child, 0)
    with locks.hold([image], writing=True):
        pass


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be opened"):
        locks.hold([tmp_path / "missing"], writing=True).__enter__()


@pytest.mark.skipif(shutil.which("qemu-io") is None, reason="qemu-io is not installed")
def test_no_qemu_opens_an_image_that_is_being_merged(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))

    def opens(*options: str) -> bool:
        done = subprocess.run(
            ["qemu-io", "-f", "raw", *options, "-c", "read 0 512", str(image)],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    with locks.hold([image], writing=True) as (held,):
        locks.lock_out_qemu(image, held)
        assert not opens()
        assert not opens("-r")
    assert opens()


@pytest.mark.skipif(shutil.which("qemu-io") is None, reason="qemu-io is not installed")
def test_an_image_that_a_qemu_has_open_is_not_taken_from_it(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    with locks.hold([image], writing=True) as (held,):
        with subprocess.Popen(
            ["qemu-io", "-f", "raw", str(image)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write(b"read 0 512\n")
            program.stdin.flush()
            assert b"read 512" in program.stdout.readline()
            with pytest.raises(RefusedError, match="running QEMU"):
                locks.lock_out_qemu(image, held)
            program.communicate(b"quit\n")
        locks.lock_out_qemu(image, held)
