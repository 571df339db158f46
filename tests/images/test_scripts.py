from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from imgpatch.images import scripts
from imgpatch.images.appliance import ApplianceError
from imgpatch.images.scripts import Scripts, records


class Host:
    """Runs on this machine what an appliance would, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.calls = 0
        self.received = 0
        self._folder = folder
        (folder / "root").mkdir()

    def debug(self, _command: str, arguments: list[str]) -> str:
        self.calls += 1
        script = (
            arguments[0]
            .replace("/sysroot", f"{self._folder}/root")
            .replace(scripts.FOLDER, f"{self._folder}/t")
        )
        assert len(script) < 128 << 10
        assert script.isascii()
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False)
        if done.returncode:
            raise ApplianceError(done.stderr.decode())
        return done.stdout.decode("ascii")


@pytest.fixture
def host(tmp_path: Path) -> Any:
    return Host(tmp_path)


def test_each_command_gives_what_it_prints_with_one_call(host: Any) -> None:
    found = Scripts(host).run({"one": "printf 'a\\377b'", "two": "true", "three": "pwd; false"})
    assert found["one"].read() == b"a\xffb"
    assert found["two"].read() == b""
    assert found["three"].read().endswith(b"/root\n")
    assert host.calls == 1


def test_what_is_long_comes_in_pieces(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "AT_ONCE", 1000)
    monkeypatch.setattr(scripts, "PIECE", 4096)
    data = os.urandom(20_000)
    host_file = f"printf %s '{base64.b64encode(data).decode()}' | base64 -d"
    found = Scripts(host).run({"long": host_file})
    assert host.calls == 1
    assert found["long"].read() == data
    assert host.calls == 6


def test_names_arrive_whatever_is_in_them_and_however_many(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "ARGUMENT", 100)
    names = [b"./a b", b"./n\nl", b"./\xff'\"$x", *(os.urandom(9).replace(b"\0", b"") for _ in range(30))]
    found = Scripts(host).run({"names": "cat $t/names"}, names=names)["names"]
    assert list(records(found, b"\0")) == names
    assert host.calls > 2
    assert Scripts(host).run({"names": "cat $t/names"})["names"].read() == b""


def test_a_first_command_that_fails_is_told(host: Any) -> None:
    with pytest.raises(ApplianceError):
        Scripts(host).run({"one": "true"}, first="false")


def test_records_that_are_cut_short_are_told(host: Any) -> None:
    found = Scripts(host).run({"one": "printf 'a\\nb'"})["one"]
    with pytest.raises(ApplianceError, match="cut short"):
        list(records(found, b"\n"))
