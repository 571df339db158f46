"""What a killed appliance leaves on this machine goes with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.appliance

CODE = """
import sys
from pathlib import Path
from imgpatch.images import probe
from imgpatch.images.appliance import Drive, launch
drive = Drive(Path(sys.argv[1]), "raw", writable=False)
with launch([drive], probe.appliance_settings(probe.probe())):
    print("up", flush=True)
    input()
"""


def test_the_temporary_files_of_a_killed_appliance_are_removed(tmp_path: Path) -> None:
    disk, folder = tmp_path / "disk.raw", tmp_path / "tmp"
    disk.write_bytes(b"\0" * (1 << 20))
    folder.mkdir()

    def run(*, killed: bool) -> list[str]:
        environment = {**os.environ, "LIBGUESTFS_TMPDIR": str(folder), "PYTHONPATH": "."}
        command = [sys.executable, "-c", CODE, str(disk)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "up\n"
            there = os.listdir(folder)
            if killed:
                program.kill()
            else:
                program.communicate("\n")
        return there

    (left,) = run(killed=True)
    assert os.listdir(folder) == [left]
    (other,) = run(killed=False)
    assert other != left
    assert os.listdir(folder) == []
