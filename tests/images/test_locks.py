from __future__ import annotations

import os
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
