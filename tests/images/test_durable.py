from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from imgpatch.errors import RefusedError
from imgpatch.images import durable


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state"
    durable.write_file(path, b"old")
    durable.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be written"):
        durable.write_file(tmp_path / "missing" / "state", b"x")


def test_room_is_asked_for(tmp_path: Path) -> None:
    durable.require_room(tmp_path, 1, "a byte")
    with pytest.raises(RefusedError, match="an ocean"):
        durable.require_room(tmp_path, 1 << 62, "an ocean")


def test_a_work_folder_goes_and_takes_stale_ones_with_it(tmp_path: Path) -> None:
    stale, empty = tmp_path / ".o[u]t.imgpatch-stale", tmp_path / ".o[u]t.imgpatch-empty"
    stale.mkdir()
    empty.mkdir()
    (stale / "lock").touch()
    (stale / "overlay").write_bytes(b"x")
    other = tmp_path / ".oxut.imgpatch-other"
    other.mkdir()
    with durable.work_folder(tmp_path, "o[u]t") as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, other])
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == [other]


def test_a_link_with_the_name_of_a_work_folder_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "lock").touch()
    (tmp_path / ".out.imgpatch-x").symlink_to(precious)
    with durable.work_folder(tmp_path, "out"):
        pass
    assert (precious / "lock").exists()


@pytest.mark.usefixtures("signals_arrive")
def test_signals_wait_until_the_end() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), durable.signals_held():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        done = True
    assert done
