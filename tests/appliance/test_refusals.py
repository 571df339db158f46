"""What cannot be treated: one clear error, its exit code, and nothing changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imgpatch.cli import main
from imgpatch.images import probe
from imgpatch.images.appliance import ApplianceError, Drive, launch
from tests.appliance.machines import MIB, ROOT, SECOND, change, fill_up, small_disk

LUKS_HEADER = (
    b"LUKS\xba\xbe" + (1).to_bytes(2, "big") + b"aes".ljust(32, b"\0") + b"xts-plain64".ljust(32, b"\0")
)
LUKS_UUID = b"0f0e0d0c-0b0a-4908-8706-050403020100"
LUKS_UUID_AT = 168
FIRST_PARTITION_AT = MIB


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs preview, apply to a file and apply in place; gives what the last one said."""

    def run(disk: Path, *, code: int = 3, commands: tuple[str, ...] = ("preview", "apply")) -> str:
        before = (hashlib.sha256(disk.read_bytes()).digest(), sorted(os.listdir(disk.parent)))
        err = ""
        for command in commands:
            arguments = [command, str(disk)]
            if command == "apply":
                arguments += ["--output", str(disk.with_name("new.img"))]
            assert main(arguments) == code
            out, err = capsys.readouterr()
            assert out == ""
            assert err.startswith("imgpatch: ")
            assert "Traceback" not in err
        assert (hashlib.sha256(disk.read_bytes()).digest(), sorted(os.listdir(disk.parent))) == before
        return err

    return run


def test_an_empty_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"")
    assert str(disk) in refused(disk)


def test_random_bytes(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(random.Random(1).randbytes(4 * MIB))
    assert "disk.raw" in refused(disk)


def test_zeros_without_a_partition_table(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(4 * MIB))
    assert "disk.raw" in refused(disk)


def test_a_missing_file_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", str(tmp_path / "none.raw")]) == 2
    assert "none.raw" in capsys.readouterr().err


def test_an_apply_that_does_not_say_where_to_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "disk.raw"]) == 2
    assert "--output FILE" in capsys.readouterr().err


@pytest.mark.appliance
def test_a_truncated_image(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = small_disk(tmp_path)
    os.truncate(disk, 20 * MIB)
    assert "truncated" in refused(disk)


@pytest.mark.appliance
def test_an_encrypted_root(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = small_disk(tmp_path)
    header = bytearray(LUKS_HEADER.ljust(592, b"\0"))
    header[LUKS_UUID_AT : LUKS_UUID_AT + len(LUKS_UUID)] = LUKS_UUID
    with disk.open("rb+") as file:
        file.seek(FIRST_PARTITION_AT)
        file.write(header.ljust(4096, b"\0"))
    assert "disk 1 partition 1: encrypted" in refused(disk)


@pytest.mark.appliance
def test_two_roots(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = small_disk(tmp_path, ROOT, SECOND)
    change(disk, ("mkdir", "/etc"), ("mkdir", "/usr"), root="/dev/sda2")
    assert "several file systems look like the root" in refused(disk)


@pytest.mark.appliance
def test_no_space_in_the_guest(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = small_disk(tmp_path)
    fill_up(disk, leave=32 * 1024)
    assert "wanted for new files beside the originals" in refused(disk, commands=("apply",))


@pytest.mark.appliance
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    disk = small_disk(tmp_path)
    digest = hashlib.sha256(disk.read_bytes()).digest()
    tmp_path.chmod(0o500)
    try:
        assert main(["apply", str(disk), "--output", str(tmp_path / "new.raw")]) == 3
        assert main(["apply", str(disk), "--in-place"]) == 3
    finally:
        tmp_path.chmod(0o700)
    assert hashlib.sha256(disk.read_bytes()).digest() == digest


@pytest.mark.appliance
def test_a_guest_that_is_no_linux(tmp_path: Path, refused: Callable[..., str]) -> None:
    disk = small_disk(tmp_path)
    change(disk, ("mv", "/etc", "/no-etc"))
    assert "no root file system of a Linux system found" in refused(disk, commands=("preview",))
    change(disk, ("mkfs", "ntfs", "/dev/sda1"), root=None)
    assert "Windows" in refused(disk, commands=("preview",))


@pytest.mark.appliance
def test_a_journal_is_replayed_in_the_overlay_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guest that was switched off while it wrote: the change is in the journal alone."""
    disk = small_disk(tmp_path, replace(ROOT, size=60 * MIB))
    crash_while_mounted(disk)
    before = hashlib.sha256(disk.read_bytes()).digest()
    assert main(["preview", str(disk)]) == 0
    out = capsys.readouterr().out
    assert "its journal was replayed in an overlay" in out
    assert hashlib.sha256(disk.read_bytes()).digest() == before


def crash_while_mounted(disk: Path) -> None:
    """Writes with the root mounted, then kills the machine."""
    settings = probe.appliance_settings(probe.probe())
    with (
        contextlib.suppress(ApplianceError),
        launch([Drive(disk, "raw", writable=True)], settings) as appliance,
    ):
        appliance.mount("/dev/sda1", "/")
        appliance.mkdir_p("/srv/new/folder")
        appliance.write("/srv/new/file", b"x" * 4096)
        appliance.sync()
        os.kill(appliance.get_pid(), signal.SIGKILL)
